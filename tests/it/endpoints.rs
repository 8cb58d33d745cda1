//! Every endpoint that costs money is in the books as it is on the bill: by tokens, seconds, characters or the piece.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::units::{Basis, Usage};

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::books::Billed;
use crate::bench::upstream::fault::HELL;
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";

/// A stand-in, a gate before it, and a client of both.
pub(crate) struct Scene {
    pub(crate) upstream: Upstream,
    pub(crate) gate: TestGate,
    pub(crate) client: Client,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, "");
        let client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
        Self { upstream, gate, client }
    }

    /// Posts JSON; the reply must be whole.
    pub(crate) async fn post(&mut self, path: &str, body: &Value, fault: &str) -> Answered {
        self.send(Method::POST, path, "application/json", body.to_string(), fault).await
    }

    /// Gets what was made before.
    pub(crate) async fn get(&mut self, path: &str, fault: &str) -> Answered {
        self.send(Method::GET, path, "application/json", "", fault).await
    }

    /// Posts a form.
    pub(crate) async fn form(&mut self, path: &str, parts: &[Part<'_>], fault: &str) -> Answered {
        self.send(Method::POST, path, "multipart/form-data; boundary=b0undary", form(parts), fault).await
    }

    async fn send(&mut self, method: Method, path: &str, kind: &str, body: impl Into<Bytes>, fault: &str) -> Answered {
        let mut request: Request<Full<Bytes>> =
            self.client.request(method, path).header("x-standin-fault", fault).body(Full::new(body.into())).unwrap();
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let answered = self.client.send(request).await;
        assert!(answered.status.is_success() && answered.whole, "{path} {fault}: {answered:?}");
        answered
    }

    /// The entry with that number, from 1, and the line of the bill with that number.
    pub(crate) async fn booked(&self, entry: usize, line: usize) -> (Entry, Billed) {
        (self.gate.wait_for_entries(entry).await.swap_remove(entry - 1), self.upstream.bill().swap_remove(line - 1))
    }
}

/// A field, or a file of that name.
pub(crate) enum Part<'a> {
    Field(&'a str, &'a str),
    File(&'a str, &'a [u8]),
}

fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend(b"--b0undary\r\nContent-Disposition: form-data; ");
        match part {
            Part::Field(name, value) => body.extend(format!("name=\"{name}\"\r\n\r\n{value}").bytes()),
            Part::File(name, bytes) => {
                body.extend(format!("name=\"{name}\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n").bytes());
                body.extend(*bytes);
            }
        }
        body.extend(b"\r\n");
    }
    body.extend(b"--b0undary--\r\n");
    body
}

/// All that was counted equals all that is charged.
#[track_caller]
pub(crate) fn assert_same(entry: &Entry, line: &Billed) {
    let usage = entry.usage.unwrap_or_else(|| panic!("no usage: {entry:?}"));
    let pairs = [
        ("input", usage.input, line.input),
        ("cached", usage.cached_input, line.cached),
        ("output", usage.output, line.output),
        ("reasoning", usage.reasoning, line.reasoning),
        ("cache write", usage.cache_write, line.other.cache_write),
        ("audio input", usage.audio_input, line.other.audio_input),
        ("image input", usage.image_input, line.other.image_input),
        ("audio output", usage.audio_output, line.other.audio_output),
        ("image output", usage.image_output, line.other.image_output),
        ("characters", usage.characters, line.other.characters),
        ("images", usage.images, line.other.images),
        ("seconds", usage.seconds, line.other.seconds),
        ("trained", usage.trained, line.other.trained),
        ("web searches", usage.web_searches, line.other.web_searches),
        ("file searches", usage.file_searches, line.other.file_searches),
        ("code sessions", usage.code_sessions, line.other.code_sessions),
    ];
    for (what, booked, billed) in pairs {
        assert_eq!(booked.unwrap_or(0), billed, "{what} of {}: {entry:?}", line.endpoint);
    }
}

/// A WAVE file of so many hundredths of a second, with its 44 bytes of header.
pub(crate) fn wave(hundredths: u32) -> Vec<u8> {
    let rate: u32 = 16_000;
    let samples = rate / 100 * hundredths;
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    file.extend((rate / 2).to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(samples.to_le_bytes());
    file.resize(44 + samples as usize, 0);
    file
}

#[tokio::test]
async fn every_json_endpoint_is_booked_as_it_is_billed() {
    let words = "so many words to weigh here";
    let picture = json!({"model": "gpt-image-1", "prompt": words, "n": 2, "size": "1024x1536", "quality": "medium"});
    let edit = json!({"model": "gpt-image-1", "prompt": words, "images": [{"image_url": "data:"}]});
    let speech = json!({"model": "gpt-4o-mini-tts", "input": words, "voice": "alloy", "stream_format": "sse"});
    let tools = json!({"model": "gpt-4o", "input": words, "tools": [
        {"type": "web_search"}, {"type": "file_search"}, {"type": "code_interpreter"}]});
    let with = |base: &Value, name: &str, value: Value| {
        let mut more = base.clone();
        more[name] = value;
        more
    };
    let forms = [
        ("/v1/responses", tools.clone(), ""),
        ("/v1/responses", with(&tools, "stream", json!(true)), "gzip"),
        ("/v1/responses", json!({"model": "gpt-4o", "input": words, "max_output_tokens": 3, "stream": true}), ""),
        ("/v1/responses/compact", json!({"model": "gpt-5", "input": words}), ""),
        ("/v1/decisions", json!({"model": "gpt-5", "input": words}), "br"),
        ("/v1/images/generations", picture.clone(), ""),
        ("/v1/images/generations", with(&picture, "stream", json!(true)), "crlf"),
        ("/v1/images/edits", edit.clone(), ""),
        ("/v1/images/edits", with(&edit, "stream", json!(true)), "zstd"),
        ("/v1/images/generations", json!({"model": "dall-e-3", "prompt": words, "size": "1024x1792"}), ""),
        ("/v1/images/generations", json!({"model": "dall-e-2", "prompt": words, "n": 3}), "chunked"),
        ("/v1/audio/speech", speech, ""),
        ("/v1/audio/speech", json!({"model": "tts-1", "input": "naïve 日本 🎈", "voice": "alloy"}), ""),
        ("/v1/videos", json!({"model": "sora-2", "prompt": words, "seconds": "8", "size": "1280x720"}), ""),
        ("/v1/videos/extensions", json!({"prompt": words, "seconds": "12", "video": {"id": "video_1"}}), ""),
        ("/v1/videos/edits", json!({"prompt": words, "video": {"id": "video_1"}}), ""),
        ("/v1/videos/video_1/remix", json!({"prompt": words}), ""),
    ];
    let mut scene = Scene::start().await;
    for (number, (path, body, fault)) in (1..).zip(&forms) {
        scene.post(path, body, fault).await;
        let (entry, line) = scene.booked(number, number).await;
        assert_eq!(entry.endpoint.name(), line.endpoint);
        assert_same(&entry, &line);
        assert_eq!(entry.outcome, Outcome::Ok);
    }
    let entries = scene.gate.wait_for_entries(forms.len()).await;
    let media: Vec<_> = entries.iter().map(|entry| entry.media.size.as_deref().unwrap_or("-")).collect();
    assert_eq!(media[5..8], ["1024x1536", "1024x1536", "1024x1024"]);
    assert_eq!(media[9], "1024x1792");
    assert_eq!(media[13], "1280x720");
    assert_eq!(entries[5].media.quality.as_deref(), Some("medium"));
    assert_eq!(entries[12].basis, Basis::Counted, "characters are counted and not reported");
    assert_eq!(entries[14].basis, Basis::Counted, "an extension is charged with what was added");
    assert_eq!(entries[13].basis, Basis::Reported);
}

#[tokio::test]
async fn a_form_is_read_in_any_order_of_its_fields() {
    let file = wave(847);
    let field = |name, value| Part::Field(name, value);
    let forms = [
        (
            "/v1/audio/transcriptions",
            vec![field("model", "gpt-4o-transcribe"), Part::File("file", &file)],
            Basis::Reported,
        ),
        (
            "/v1/audio/transcriptions",
            vec![Part::File("file", &file), field("model", "gpt-4o-transcribe")],
            Basis::Reported,
        ),
        ("/v1/audio/transcriptions", vec![Part::File("file", &file), field("model", "whisper-1")], Basis::Reported),
        (
            "/v1/audio/transcriptions",
            vec![Part::File("file", &file), field("stream", "true"), field("model", "gpt-4o-transcribe")],
            Basis::Reported,
        ),
        (
            "/v1/images/edits",
            vec![
                Part::File("image[]", b"png"),
                Part::File("image[]", b"png"),
                field("size", "1024x1536"),
                field("prompt", "a b"),
                field("model", "gpt-image-1"),
            ],
            Basis::Reported,
        ),
        (
            "/v1/images/variations",
            vec![Part::File("image", b"png"), field("n", "2"), field("size", "512x512"), field("model", "dall-e-2")],
            Basis::Counted,
        ),
        (
            "/v1/videos",
            vec![
                Part::File("input_reference", b"png"),
                field("seconds", "12"),
                field("model", "sora-2-pro"),
                field("size", "1024x1792"),
            ],
            Basis::Reported,
        ),
    ];
    let mut scene = Scene::start().await;
    for (number, (path, parts, basis)) in (1..).zip(&forms) {
        scene.form(path, parts, "").await;
        let (entry, line) = scene.booked(number, number).await;
        assert_same(&entry, &line);
        assert_eq!(entry.basis, *basis, "{entry:?}");
        assert_eq!(entry.model.asked.as_deref(), Some(&*line.model), "{path}");
    }
    let sizes: Vec<_> = scene.gate.entries().iter().map(|entry| entry.media.size.clone()).collect();
    assert_eq!(
        sizes[4..].iter().map(|size| size.as_deref().unwrap()).collect::<Vec<_>>(),
        ["1024x1536", "512x512", "1024x1792"]
    );
}

/// Path, form of the reply, file, and the seconds that shall be in the books.
type Case<'a> = (&'a str, &'a str, &'a [u8], Option<(u64, Basis)>);

#[tokio::test]
async fn sound_is_measured_where_no_reply_tells_its_length() {
    let (file, raw) = (wave(847), vec![b'x'; 847]);
    let transcribe = "/v1/audio/transcriptions";
    let translate = "/v1/audio/translations";
    let mut scene = Scene::start().await;
    let cases: [Case<'_>; 9] = [
        (transcribe, "text", &file, Some((9, Basis::Counted))),
        (transcribe, "srt", &file, Some((9, Basis::Counted))),
        (translate, "json", &file, Some((9, Basis::Counted))),
        (translate, "vtt", &file, Some((9, Basis::Counted))),
        // The reply tells 8.47.
        (translate, "verbose_json", &raw, Some((9, Basis::Counted))),
        (transcribe, "srt", &raw, Some((9, Basis::Estimated))),
        (transcribe, "vtt", &raw, Some((9, Basis::Estimated))),
        (transcribe, "text", &raw, None),
        (translate, "json", &raw, None),
    ];
    for (number, (path, format, file, wanted)) in (1..).zip(cases) {
        let parts =
            [Part::File("file", file), Part::Field("response_format", format), Part::Field("model", "whisper-1")];
        scene.form(path, &parts, "").await;
        let (entry, line) = scene.booked(number, number).await;
        assert_eq!(line.other.seconds, 9);
        assert_eq!(
            entry.usage.and_then(|usage| usage.seconds).map(|seconds| (seconds, entry.basis)),
            wanted,
            "{format}"
        );
        assert_eq!(entry.usage.is_some(), wanted.is_some(), "{format}: unknown is not zero");
    }
    let stats = ask(scene.gate.admin(), "/stats").await.json();
    assert_eq!(stats["totals"]["byBasis"]["none"], 2);
}

#[tokio::test]
async fn speech_that_tells_no_tokens_is_counted_in_characters_and_nothing_is_read_from_its_sound() {
    let mut scene = Scene::start().await;
    let answered = scene.post("/v1/audio/speech", &json!({"model": "gpt-4o-mini-tts", "input": "one two"}), "").await;
    assert!(answered.text().contains("\"usage\""), "the sound holds what looks like usage");
    let entry = scene.gate.wait_for_entries(1).await.swap_remove(0);
    assert_eq!(entry.usage, Some(Usage { characters: Some(7), ..Usage::default() }));
    assert_eq!((entry.basis, entry.raw_usage.is_none()), (Basis::Counted, true));
}

#[tokio::test]
async fn a_response_without_a_model_is_booked_under_the_one_that_served() {
    let mut scene = Scene::start().await;
    scene.post("/v1/responses", &json!({"prompt": {"id": "pmpt_1"}, "input": "four words are here"}), "").await;
    let (entry, line) = scene.booked(1, 1).await;
    assert_same(&entry, &line);
    assert_eq!((entry.model.asked.as_deref(), entry.model.served.as_deref()), (None, Some("gpt-4o-2024-08-06")));
    assert_eq!(entry.cost.map(|cost| cost.0), Some(3 * 2_500_000 + 1_250_000 + 7 * 10_000_000));
}

#[tokio::test]
async fn what_is_free_costs_nothing_and_is_not_called_unpriced() {
    let mut scene = Scene::start().await;
    let model = json!({"model": "gpt-4o", "input": "x"});
    for path in
        ["/v1/responses/input_tokens", "/v1/moderations", "/v1/realtime/client_secrets", "/v1/realtime/sessions"]
    {
        scene.post(path, &model, "").await;
    }
    scene.send(Method::POST, "/v1/realtime/calls", "application/sdp", "v=0\r\n", "").await;
    let entries = scene.gate.wait_for_entries(5).await;
    let names: Vec<_> = entries.iter().map(|entry| entry.endpoint.name()).collect();
    assert_eq!(
        names,
        [
            "/v1/responses/input_tokens",
            "/v1/moderations",
            "/v1/realtime/client_secrets",
            "/v1/realtime/sessions",
            "/v1/realtime/calls"
        ]
    );
    assert!(entries.iter().all(|entry| entry.usage.is_none() && entry.cost.is_none()));
    let stats = ask(scene.gate.admin(), "/stats").await.json();
    assert_eq!(stats["totals"]["unpricedRequests"], 0);
    assert!(scene.upstream.bill().is_empty());
}

#[tokio::test]
async fn a_failed_call_is_charged_with_nothing_that_it_asked_for() {
    let scene = Scene::start().await;
    let mut client = scene.client;
    for (path, body) in [
        ("/v1/audio/speech", json!({"model": "tts-1", "input": "abc"})),
        ("/v1/images/generations", json!({"model": "dall-e-2", "prompt": "x", "n": 4})),
        ("/v1/videos", json!({"model": "sora-2", "prompt": "x", "seconds": "8"})),
    ] {
        let request = client.request(Method::POST, path).header("x-standin-fault", "status=400");
        let answered = client.send(request.body(Full::from(body.to_string())).unwrap()).await;
        assert_eq!(answered.status, 400);
    }
    let entries = scene.gate.wait_for_entries(3).await;
    assert!(
        entries.iter().all(|entry| entry.usage.is_none() && entry.outcome == Outcome::UpstreamError),
        "{entries:?}"
    );
}

#[tokio::test]
async fn nonsense_in_usage_is_flagged_kept_verbatim_and_never_summed() {
    let mut scene = Scene::start().await;
    let chat = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]});
    let response = json!({"model": "gpt-4o", "input": "x"});
    let picture = json!({"model": "gpt-image-1", "prompt": "x", "n": 3});
    let mut sent = 0;
    for (hell, nonsense) in HELL.iter().enumerate() {
        for (path, body) in [(CHAT, &chat), ("/v1/responses", &response), ("/v1/images/generations", &picture)] {
            for stream in [false, true] {
                let mut body = body.clone();
                body["stream"] = json!(stream);
                scene.post(path, &body, &format!("hell={hell}, chunked")).await;
                sent += 1;
                let entry = scene.gate.wait_for_entries(sent).await.swap_remove(sent - 1);
                // What can be counted instead is the gate's own word.
                assert_ne!(entry.basis, Basis::Reported, "{path} {stream} {nonsense}");
                assert!(entry.usage.is_none() || path != "/v1/images/generations");
                assert_eq!(entry.raw_usage.unwrap().get(), *nonsense);
                assert!(entry.error.unwrap().contains("usage"));
            }
        }
    }
    let stats = ask(scene.gate.admin(), "/stats").await.json();
    assert_eq!(stats["totals"]["byBasis"]["reported"], 0);
    let told: u64 = scene.upstream.bill().iter().map(|line| line.input + line.output).sum();
    assert!(stats["totals"]["totalTokens"].as_u64().unwrap() < 10 * told, "no such number is in any sum");
}

#[tokio::test]
async fn azures_forms_of_every_endpoint_are_metered_alike() {
    let file = wave(300);
    for version in ["2024-10-21", "v1"] {
        let upstream = Upstream::start(Options::default());
        let azure = format!(
            r#"duplicates: [{{name: "azure", kind: "azure", url: "https://res.openai.azure.com", apiKey: "k", apiVersion: "{version}"}}]"#
        );
        let gate = TestGate::start(&upstream, &azure);
        let client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
        let mut scene = Scene { upstream, gate, client };
        let background = json!({"model": "gpt-4o", "input": "a b c", "background": true});
        let made = scene.post("/v1/responses", &background, "").await.json()["id"].as_str().unwrap().to_owned();
        let shown = format!("/v1/responses/{made}");
        scene.get(&shown, "").await;
        scene.get(&shown, "").await;
        let picture = json!({"model": "gpt-image-1", "prompt": "a b", "stream": true});
        scene.post("/v1/images/generations", &picture, "").await;
        let speech = json!({"model": "tts-1", "input": "abc"});
        scene.post("/v1/audio/speech", &speech, "").await;
        let parts = [Part::File("file", &file), Part::Field("model", "whisper-1")];
        scene.form("/v1/audio/transcriptions", &parts, "").await;
        scene.post("/v1/batches", &json!({"input_file_id": "file-1", "endpoint": "/chat/completions"}), "").await;
        scene.get("/v1/batches", "").await;
        let entries = scene.gate.wait_for_entries(9).await;
        let booked: Vec<&Entry> = entries.iter().filter(|entry| entry.usage.is_some()).collect();
        let bill = scene.upstream.bill();
        assert_eq!((booked.len(), bill.len()), (5, 5), "{version}: {entries:#?}");
        for (entry, line) in booked.into_iter().zip(&bill) {
            assert_same(entry, line);
        }
        let below = if version == "v1" { "/openai/v1" } else { "/openai" };
        let asked = scene.upstream.seen().into_iter().map(|seen| seen.path_and_query);
        assert!(asked.clone().all(|path| path.starts_with(below)));
        assert!(version == "v1" || asked.filter(|path| path.contains("/deployments/")).count() == 3);
    }
}
