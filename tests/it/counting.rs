//! What nobody reports is counted: to the token where the whole text is there, else as an estimate that says so.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tollgate::ledger::entry::{AfterClose, Entry, Outcome};
use tollgate::units::Basis;

use crate::bench::client::{Answered, Client, read};
use crate::bench::gate::TestGate;
use crate::bench::upstream::books::Billed;
use crate::bench::upstream::coding::Coding;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};
use crate::bench::verbatim::{Said, Then, Verbatim};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const RESPONSES: &str = "/v1/responses";
const NEITHER_ASKED: &str = "metering: { injectUsage: false },";
const CANCEL: &str = r#"metering: { onDisconnect: "cancel" },"#;

fn chat(stream: bool) -> Value {
    json!({"model": "gpt-4o", "stream": stream, "max_tokens": 40,
           "messages": [{"role": "system", "content": "Say it \"as it is\"."}, {"role": "user", "content": "x y 日本"}]})
}

async fn client(gate: &TestGate, alpn: &str) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await
}

async fn call(client: &mut Client, path: &str, body: &Value, fault: &str) -> Option<Answered> {
    let request = client
        .request(Method::POST, path)
        .header("accept-encoding", "gzip, br, zstd")
        .header("x-standin-fault", fault)
        .body(Full::from(body.to_string()))
        .unwrap();
    Some(read(client.begin(request).await.ok()?).await)
}

/// The only entry of one call over HTTP/2.
async fn booked(upstream: &Upstream, gate: &TestGate, body: &Value, fault: &str) -> Entry {
    upstream.clear();
    let before = gate.entries().len();
    call(&mut client(gate, "h2").await, CHAT, body, fault).await;
    gate.wait_for_entries(before + 1).await.remove(before)
}

#[track_caller]
fn assert_billed(entry: &Entry, bill: &Billed) {
    let usage = entry.usage.expect("it was counted");
    assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)), "{entry:#?}");
    assert!(entry.cost.is_some());
}

#[tokio::test]
async fn a_whole_reply_that_nobody_reports_is_counted_to_the_token() {
    let forms = [
        (CHAT, chat(false)),
        (CHAT, chat(true)),
        (CHAT, json!({"model": "gpt-4", "n": 3, "messages": [{"role": "user", "content": "x", "name": "me"}]})),
        (CHAT, json!({"model": "gpt-4.1", "n": 2, "stream": true, "messages": [{"role": "user", "content": "x"}]})),
        (COMPLETIONS, json!({"model": "davinci-002", "prompt": ["one two", "three"]})),
        (COMPLETIONS, json!({"model": "davinci-002", "prompt": [1, 2, 3], "n": 2, "stream": true})),
        (EMBEDDINGS, json!({"model": "text-embedding-3-small", "input": ["one two", "three"]})),
    ];
    // Where the gate asks for usage itself and gets none, and where nobody asks.
    for (upstream_alpn, alpn, metering) in [(Alpn::Http1, "h2", ""), (Alpn::Http2, "http/1.1", NEITHER_ASKED)] {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, metering);
        let mut client = client(&gate, alpn).await;
        let mut count = 0;
        for (path, body) in &forms {
            for coding in ["", "gzip", "br", "zstd, chunked"] {
                upstream.clear();
                let fault = format!("tokens, no-usage, {coding}");
                let answered = call(&mut client, path, body, &fault).await.unwrap();
                assert!(answered.status.is_success() && answered.whole, "{answered:?}");
                count += 1;
                let entry = gate.wait_for_entries(count).await.remove(count - 1);
                assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Counted), "{path} {body} {entry:#?}");
                assert_billed(&entry, &upstream.bill()[0]);
                assert!(entry.raw_usage.is_none() && entry.error.is_none());
            }
        }
    }
}

#[tokio::test]
async fn what_the_texts_do_not_show_is_marked_as_an_estimate() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, NEITHER_ASKED);
    let mut client = client(&gate, "h2").await;
    let said = json!([{"role": "user", "content": "x y z"}]);
    let tool = json!([{"type": "function", "function": {"name": "look_up", "parameters": {}}}]);
    let forms = [
        (CHAT, json!({"model": "o4-mini", "messages": said})),
        (CHAT, json!({"model": "gpt-5", "messages": said, "stream": true})),
        (CHAT, json!({"model": "gpt-4o", "messages": said, "tools": tool})),
        (CHAT, json!({"model": "gpt-4o", "messages": said, "tools": tool, "stream": true})),
        (CHAT, json!({"model": "nobody-knows-it", "messages": said})),
        (RESPONSES, json!({"model": "gpt-4o", "input": "x y z"})),
        (RESPONSES, json!({"model": "gpt-4o", "input": "x y z", "stream": true})),
    ];
    for (number, (path, body)) in forms.iter().enumerate() {
        upstream.clear();
        let answered = call(&mut client, path, body, "tokens, no-usage").await.unwrap();
        assert!(answered.status.is_success() && answered.whole);
        let entry = gate.wait_for_entries(number + 1).await.remove(number);
        assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Estimated), "{path} {body} {entry:#?}");
        let (usage, bill) = (entry.usage.unwrap(), &upstream.bill()[0]);
        assert!(usage.input > Some(0) && usage.output > Some(0), "{usage:?}");
        if *path == RESPONSES {
            assert_billed(&entry, bill);
        }
    }
}

#[tokio::test]
async fn a_reply_that_broke_off_is_estimated_by_what_had_come_of_it() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for (number, fault) in ["cut-after=9", "reset-stream=9"].into_iter().enumerate() {
        upstream.clear();
        upstream.hold();
        upstream.release(9);
        let mut client = client(&gate, "h2").await;
        let request = client.request(Method::POST, CHAT).header("x-standin-fault", format!("tokens, {fault}"));
        let mut response = client.begin(request.body(Full::from(chat(true).to_string())).unwrap()).await.unwrap();
        // A reset can overtake what was sent before it: only what has come through is sure to have been read.
        read_events(response.body_mut(), 9).await;
        upstream.release_all();
        while let Some(Ok(_)) = response.body_mut().frame().await {}
        let entry = gate.wait_for_entries(number + 1).await.remove(number);
        assert_eq!((entry.outcome, entry.basis), (Outcome::UpstreamCut, Basis::Estimated), "{fault} {entry:#?}");
        assert_billed(&entry, &upstream.bill()[0]);
    }
    let entry = booked(&upstream, &gate, &chat(true), "tokens, error-after=5").await;
    assert_eq!((entry.basis, entry.error.as_deref()), (Basis::Estimated, Some("server_error")));
    assert_billed(&entry, &upstream.bill()[0]);
}

#[tokio::test]
async fn a_reply_that_stops_coming_is_estimated_by_what_had_come_of_it() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::with_upstream(&upstream, r#"idleTimeout: "200ms","#, "");
    upstream.hold();
    upstream.release(6);
    let entry = booked_held(&gate).await;
    assert_eq!((entry.outcome, entry.basis), (Outcome::Timeout, Basis::Estimated), "{entry:#?}");
    assert_billed(&entry, &upstream.bill()[0]);
}

async fn booked_held(gate: &TestGate) -> Entry {
    call(&mut client(gate, "h2").await, CHAT, &chat(true), "tokens").await;
    gate.wait_for_entries(1).await.remove(0)
}

#[tokio::test]
async fn what_failed_before_it_began_cost_nothing() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for fault in ["status=400", "status=429", "status=500", "html-error", "cut-head", "error-after=0"] {
        let entry = booked(&upstream, &gate, &chat(true), fault).await;
        assert_eq!((entry.basis, entry.usage, entry.cost), (Basis::None, None, None), "{fault} {entry:#?}");
    }
}

#[tokio::test]
async fn a_zero_is_a_zero_unless_something_was_said() {
    let reply = |content: &str| {
        json!({"id": "x", "model": "gpt-4o-2024-08-06", "choices": [{"index": 0, "message": {"content": content}}],
               "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
    };
    for (content, basis, output) in [("", Basis::Reported, 0), ("hello world", Basis::Estimated, 2)] {
        let body = reply(content).to_string();
        let bytes = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone().into_bytes(), then: Then::Keep });
        let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
        call(&mut client(&gate, "h2").await, CHAT, &chat(false), "").await.unwrap();
        let entry = gate.wait_for_entries(1).await.remove(0);
        assert_eq!((entry.basis, entry.usage.unwrap().output), (basis, Some(output)), "{entry:#?}");
        assert_eq!(entry.usage.unwrap().input > Some(0), output > 0);
        assert_eq!(entry.error.is_some(), output > 0, "{entry:#?}");
        assert!(entry.raw_usage.is_some_and(|raw| raw.get().contains("\"total_tokens\":0")));
    }
}

#[tokio::test]
async fn a_dated_azure_that_cannot_be_asked_for_usage_is_counted_by_the_model_behind_the_deployment() {
    let origin = Upstream::start(Options::default());
    let azure = Upstream::start(Options {
        name: "azure",
        tls: false,
        deployments: vec![("prod".into(), "gpt-4o".into())],
        ..Options::default()
    });
    let line = format!(
        r#"duplicates: [{{ name: "azure", kind: "azure", url: "{}", apiKey: "azure-own-key", apiVersion: "2024-06-01",
                           deployments: {{ "gpt-4o": {{ deployment: "prod", model: "gpt-4o-2024-08-06" }} }} }}]"#,
        azure.url()
    );
    let gate = TestGate::start(&origin, &line);
    let answered = call(&mut client(&gate, "h2").await, CHAT, &chat(true), "tokens").await.unwrap();
    assert!(answered.status.is_success() && answered.whole, "{answered:?}");
    let entry = gate.wait_for_entries(1).await.remove(0);
    assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Counted), "{entry:#?}");
    assert_billed(&entry, &azure.bill()[0]);
}

#[tokio::test]
async fn an_untranslated_custom_model_is_counted_by_its_own_tokenizer() {
    let origin = Upstream::start(Options::default());
    let other = Upstream::start(Options { tls: false, alpn: Alpn::Http1, ..Options::default() });
    let url = other.url();
    let line = format!(
        r#"models: [{{ name: "gpt-4o", endpointUrl: "{url}/serve/chat/completions", normalize: false,
                       tokenPricing: {{ prompt: 1, completion: 2 }} }}]"#
    );
    let gate = TestGate::start(&origin, &line);
    for (number, stream) in [false, true].into_iter().enumerate() {
        other.clear();
        call(&mut client(&gate, "h2").await, CHAT, &chat(stream), "tokens, no-usage").await.unwrap();
        let entry = gate.wait_for_entries(number + 1).await.remove(number);
        assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Counted), "{entry:#?}");
        assert_billed(&entry, &other.bill()[0]);
    }
}

#[tokio::test]
async fn a_custom_models_document_that_broke_off_is_estimated_by_what_had_come_of_it() {
    let half = r#"{"id":"x","model":"m","choices":[{"index":0,"message":{"content":"hello world"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n";
    let bytes = [head, half].concat().into_bytes();
    let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Close });
    let port = verbatim.address.port();
    let line =
        format!(r#"models: [{{ name: "gpt-4o", endpointUrl: "https://localhost:{port}/serve/chat/completions" }}]"#);
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", &line);
    let answered = call(&mut client(&gate, "h2").await, CHAT, &chat(false), "").await.unwrap();
    assert_eq!(answered.status, 502);
    let entry = gate.wait_for_entries(1).await.remove(0);
    assert_eq!((entry.outcome, entry.basis), (Outcome::UpstreamCut, Basis::Estimated), "{entry:#?}");
    assert_eq!(entry.usage.unwrap().output, Some(2));
}

#[tokio::test]
async fn a_cancelled_stream_is_estimated_by_what_its_upstream_had_sent() {
    for (upstream_alpn, alpn) in [(Alpn::Http1, "http/1.1"), (Alpn::Http1, "h2"), (Alpn::Http2, "h2")] {
        let upstream = Upstream::start(Options { alpn: upstream_alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, CANCEL);
        upstream.hold();
        upstream.release(12);
        let mut client = client(&gate, alpn).await;
        let request = client.request(Method::POST, CHAT).header("x-standin-fault", "tokens");
        let request = request.body(Full::from(chat(true).to_string())).unwrap();
        let mut response = client.begin(request).await.unwrap();
        read_events(response.body_mut(), 12).await;
        // With HTTP/2 this resets the stream, and the connection lives on.
        drop(response);
        if alpn == "http/1.1" {
            drop(client);
        }
        let entry = gate.wait_for_entries(1).await.remove(0);
        assert_eq!((entry.outcome, entry.basis), (Outcome::ClientClosed, Basis::Estimated), "{alpn} {entry:#?}");
        assert_eq!(entry.after_close, Some(AfterClose::Cancelled));
        assert_billed(&entry, &upstream.bill()[0]);
    }
}

#[tokio::test]
async fn a_stream_read_to_its_end_without_its_client_and_without_usage_is_counted_to_the_token() {
    for alpn in ["http/1.1", "h2"] {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, NEITHER_ASKED);
        upstream.hold();
        upstream.release(5);
        let mut client = client(&gate, alpn).await;
        let request = client.request(Method::POST, CHAT).header("x-standin-fault", "tokens");
        let request = request.body(Full::from(chat(true).to_string())).unwrap();
        let mut response = client.begin(request).await.unwrap();
        read_events(response.body_mut(), 5).await;
        drop((response, client));
        upstream.release_all();
        let entry = gate.wait_for_entries(1).await.remove(0);
        assert_billed(&entry, &upstream.bill()[0]);
        if entry.outcome == Outcome::ClientClosed {
            assert_eq!(entry.after_close, Some(AfterClose::Drained));
        }
        assert_eq!(entry.basis, Basis::Counted, "{entry:#?}");
    }
}

#[tokio::test]
async fn a_reply_that_nobody_can_decode_is_an_estimate_without_an_output() {
    let document = json!({"id": "x", "choices": [{"index": 0, "message": {"content": "hello world"}}]}).to_string();
    let twice = Coding::Gzip.encode(&Coding::Gzip.encode(document.as_bytes()));
    for (coding, body) in [("gzip, gzip", &twice[..]), ("gzip", document.as_bytes()), ("sdch", document.as_bytes())] {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
        let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", "");
        let answered = call(&mut client(&gate, "h2").await, CHAT, &chat(false), "").await.unwrap();
        assert!(answered.whole && answered.body == body, "{coding}");
        let entry = gate.wait_for_entries(1).await.remove(0);
        let usage = entry.usage.unwrap();
        assert_eq!((entry.outcome, entry.basis, usage.output), (Outcome::Ok, Basis::Estimated, None), "{coding}");
        assert!(usage.input > Some(0) && entry.error.is_some(), "{coding} {entry:#?}");
    }
}

/// Reads until so many events have come, or all.
async fn read_events(body: &mut (impl http_body::Body<Data = Bytes> + Unpin), events: usize) {
    let mut came = 0;
    while came < events
        && let Some(Ok(frame)) = body.frame().await
    {
        let data = frame.into_data().unwrap_or_default();
        came += data.windows(2).filter(|pair| pair == b"\n\n").count();
    }
}

#[tokio::test]
async fn a_document_that_lost_its_client_midway_is_estimated_by_what_had_come_of_it() {
    let half = r#"{"id":"x","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"content":"hello world"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n";
    let bytes = [head, half].concat().into_bytes();
    let verbatim = Verbatim::start(move |_| Said { bytes: bytes.clone(), then: Then::Keep });
    let gate = TestGate::toward(verbatim.address, &verbatim.ca_pem, "", CANCEL);
    let mut client = client(&gate, "h2").await;
    let request = client.request(Method::POST, CHAT).body(Full::from(chat(false).to_string())).unwrap();
    let mut response = client.begin(request).await.unwrap();
    let came = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(half.as_bytes().starts_with(&came) && came.ends_with(b"world"), "{came:?}");
    drop((response, client));
    let entry = gate.wait_for_entries(1).await.remove(0);
    assert_eq!((entry.basis, entry.after_close), (Basis::Estimated, Some(AfterClose::Cancelled)), "{entry:#?}");
    assert_eq!(entry.usage.unwrap().output, Some(2));
}

/// What one of the clients below does, which is decided by its number alone.
#[derive(Clone, Copy)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

const CLIENTS: u64 = 16;
const CALLS: u64 = 61;

/// Calls one after the other, of which a fifth is given up after some of its events.
async fn calls(number: u64, proxy: SocketAddr, root: String) {
    let alpn = if number.is_multiple_of(2) { "http/1.1" } else { "h2" };
    let connect = || Client::intercepted(proxy, "api.openai.com", &root, alpn);
    let mut chance = Chance(number);
    let mut client = connect().await;
    for _ in 0..CALLS {
        let stream = chance.below(4) > 0;
        let leaves = chance.below(5) == 0;
        let events = usize::try_from(chance.below(40)).unwrap();
        // Slow enough that there is a middle to hang up in.
        let fault = if leaves { "tokens, pace=5" } else { "tokens" };
        let request = client.request(Method::POST, CHAT).header("x-standin-fault", fault);
        let request = request.body(Full::from(chat(stream).to_string())).unwrap();
        if !leaves {
            assert!(client.send(request).await.whole);
            continue;
        }
        if events < 4 || !stream {
            // Before the head, mostly.
            let begun = tokio::time::timeout(std::time::Duration::from_millis(1), client.begin(request));
            drop(begun.await);
        } else {
            let mut response = client.begin(request).await.unwrap();
            read_events(response.body_mut(), events).await;
        }
        if alpn == "http/1.1" || chance.below(2) == 0 {
            client = connect().await;
        }
    }
}

/// Nearly a thousand calls, and what is in the books and on the bill after them, by the upstream's id.
async fn hung_up_on(metering: &str, all_are_served: bool) -> (Vec<Entry>, HashMap<String, Billed>) {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, metering);
    let (proxy, root) = (gate.proxy(), gate.root_pem());
    let tasks: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(calls(number, proxy, root.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    // A call that was given up within its request may have reached nobody, and what was given up may end later.
    gate.wait_for_entries(upstream.bill().len()).await;
    for _ in 0..2 {
        client(&gate, "http/1.1").await.get("/v1/after").await;
    }
    gate.wait_for_entries(upstream.bill().len() + 2).await;
    let begun = std::time::Instant::now();
    let is_served = |entry: &Entry| entry.upstream_id.is_some();
    while all_are_served && gate.entries().iter().filter(|entry| is_served(entry)).count() < upstream.bill().len() {
        assert!(begun.elapsed().as_secs() < 10, "a call that was served is not in the books");
        tokio::task::yield_now().await;
    }
    let entries = gate.entries().into_iter().filter(|entry| entry.endpoint.name() == CHAT);
    (entries.collect(), upstream.bill().into_iter().map(|line| (line.id.clone(), line)).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_of_the_clients_hangs_up_and_the_books_are_exact() {
    let (entries, bill) = hung_up_on("", true).await;
    let left = entries.iter().filter(|entry| entry.after_close.is_some()).count();
    assert!(left * 7 > entries.len(), "{left} of {}", entries.len());
    let served: Vec<&Entry> = entries.iter().filter(|entry| entry.attempt > 0 && entry.upstream_id.is_some()).collect();
    assert_eq!(served.len(), bill.len(), "whatever the upstream served is in the books, once");
    let mut exact = 0;
    for entry in &served {
        let (line, usage) = (&bill[entry.upstream_id.as_deref().unwrap()], entry.usage.unwrap());
        let same = (usage.input, usage.output) == (Some(line.input), Some(line.output));
        assert!(same || entry.basis == Basis::Estimated, "{entry:#?} {line:?}");
        exact += usize::from(same && entry.basis == Basis::Reported);
    }
    assert!(exact * 1000 >= served.len() * 999, "{exact} of {} are exact", served.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_of_the_clients_is_cancelled_and_every_one_of_them_is_an_estimate() {
    let (entries, bill) = hung_up_on(CANCEL, false).await;
    let (mut cancelled, mut estimated, mut billed) = (0, 0, 0);
    for entry in entries.iter().filter(|entry| entry.after_close.is_some()) {
        assert_eq!(entry.after_close, Some(AfterClose::Cancelled), "{entry:#?}");
        let Some(usage) = entry.usage else {
            assert_eq!((entry.basis, entry.status), (Basis::None, 0), "it had not reached the upstream: {entry:#?}");
            continue;
        };
        let Some(line) = entry.upstream_id.as_deref().map(|id| &bill[id]) else {
            assert_eq!((entry.basis, usage.output), (Basis::Estimated, Some(0)), "{entry:#?}");
            continue;
        };
        assert_eq!(usage.input, Some(line.input));
        if entry.basis == Basis::Estimated {
            cancelled += 1;
            // What its upstream sent on before it heard of the end was paid and not delivered.
            assert!(usage.output <= Some(line.output), "{entry:#?} {line:?}");
            estimated += usage.total();
            billed += line.input + line.output;
        } else {
            assert_eq!(usage.output, Some(line.output), "its usage had come already");
        }
    }
    assert!(cancelled > 50, "{cancelled}");
    assert!(estimated * 5 >= billed * 4, "{estimated} of {billed}: more than a fifth is missing");
}
