//! The meter over recorded replies, in whole and in pieces, and over hostile ones.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::dialect::rewrite::Rewriter;
use crate::dialect::trim::Trim;
use crate::meter::sight::Sight;
use crate::units::{Basis, Usage};

/// A recorded reply and what is expected of it.
struct Case {
    path: PathBuf,
    body: Bytes,
    stream: bool,
}

impl Case {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        let cases: Vec<Self> = files.filter_map(Self::open).collect();
        assert!(cases.len() > 20);
        cases
    }

    fn open(path: PathBuf) -> Option<Self> {
        let name = path.to_str().unwrap();
        let stream = name.ends_with(".sse") && !name.ends_with(".client.sse");
        let known = stream || name.ends_with(".response.json");
        let metered = known && Self::beside(&path, "usage.json").exists();
        metered.then(|| Self { body: fs::read(&path).unwrap().into(), stream, path })
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|case| case.path.to_str().unwrap().contains(name)).unwrap()
    }

    fn beside(path: &Path, extension: &str) -> PathBuf {
        let name = path.file_name().unwrap().to_str().unwrap();
        path.with_file_name(format!("{}.{extension}", name.split('.').next().unwrap()))
    }

    fn meter(&self) -> Meter {
        let meter = if self.stream { Meter::stream() } else { Meter::json() };
        meter.seeing(match self.path.parent().unwrap().file_name().unwrap().to_str().unwrap() {
            "batches" => Sight::Jobs,
            "images" => Sight::Pictures,
            "responses" => Sight::Output,
            "runs" => Sight::Runs,
            _ => Sight::Plain,
        })
    }

    fn trim(&self) -> Trim {
        Trim { usage: true, empty_chunks: self.path.to_str().unwrap().contains("azure") }
    }

    fn client(&self) -> Option<Vec<u8>> {
        fs::read(Self::beside(&self.path, "client.sse")).ok()
    }

    fn read(&self, pieces: &[&[u8]]) -> Reading {
        let mut meter = self.meter();
        pieces.iter().for_each(|piece| meter.feed(&Bytes::copy_from_slice(piece)));
        meter.finish()
    }

    /// What the client gets, and what the meter reads when it is shown the events on the way.
    fn relay(&self, pieces: &[&[u8]]) -> (Vec<u8>, Reading) {
        let mut rewriter = Rewriter::new(self.trim());
        let mut meter = self.meter();
        let mut out = Vec::new();
        for piece in pieces {
            let sent = rewriter.feed(Bytes::copy_from_slice(piece), |event| meter.event(event));
            sent.for_each(|bytes| out.extend_from_slice(&bytes));
        }
        out.extend(rewriter.finish(|event| meter.event(event)).into_iter().flatten());
        (out, meter.finish())
    }
}

fn same(one: &Reading, other: &Reading) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

#[test]
fn recorded_usage_is_read_exactly() {
    for case in Case::all() {
        let expected: Value =
            serde_json::from_slice(&fs::read(Case::beside(&case.path, "usage.json")).unwrap()).unwrap();
        let reading = case.read(&[&case.body]);
        let mut usage = serde_json::to_value(reading.usage).unwrap();
        if let Some(members) = usage.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        assert_eq!(usage, expected, "{:?}", case.path);
        assert_eq!(reading.basis == Basis::Reported, !expected.is_null());
        assert_eq!(reading.raw_usage.is_some(), !expected.is_null());
        assert_eq!(reading.flaw, None);
    }
}

#[test]
fn a_client_that_did_not_ask_for_usage_sees_none() {
    let mut seen = 0;
    for case in Case::all() {
        let Some(expected) = case.client() else { continue };
        let (sent, reading) = case.relay(&[&case.body]);
        assert_eq!(String::from_utf8_lossy(&sent), String::from_utf8_lossy(&expected), "{:?}", case.path);
        assert!(same(&reading, &case.read(&[&case.body])));
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn a_reply_cut_at_any_byte_reads_as_the_whole() {
    for case in Case::all() {
        let whole = case.read(&[&case.body]);
        for at in 0..=case.body.len() {
            let (before, after) = case.body.split_at(at);
            assert!(same(&whole, &case.read(&[before, after])), "{:?} at {at}", case.path);
        }
        assert!(same(&whole, &case.read(&case.body.chunks(1).collect::<Vec<_>>())), "{:?}", case.path);
    }
}

#[test]
fn a_stream_cut_at_any_byte_reaches_the_client_as_the_whole() {
    for case in Case::all() {
        let Some(expected) = case.client() else { continue };
        for at in 0..=case.body.len() {
            let (before, after) = case.body.split_at(at);
            assert!(case.relay(&[before, after]).0 == expected, "{:?} at {at}", case.path);
        }
        assert!(case.relay(&case.body.chunks(1).collect::<Vec<_>>()).0 == expected, "{:?}", case.path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_cuts_give_the_same(sizes in vec(1_usize..700, 1..12)) {
        for case in Case::all() {
            let (mut pieces, mut rest) = (Vec::new(), &case.body[..]);
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            prop_assert!(same(&case.read(&pieces), &case.read(&[&case.body])));
            if let Some(expected) = case.client() {
                prop_assert_eq!(case.relay(&pieces).0, expected);
            }
        }
    }

    #[test]
    fn no_stream_makes_it_panic(text in "(data: |event: |[{}\\[\\]\",:\n\r]|usage|error|id|response|[0-9.e-]){0,80}") {
        let _ = (stream(&text), json(&text));
    }
}

fn stream(text: &str) -> Reading {
    let mut meter = Meter::stream();
    meter.feed(&Bytes::copy_from_slice(text.as_bytes()));
    meter.finish()
}

fn json(text: &str) -> Reading {
    let mut meter = Meter::json();
    meter.feed(&Bytes::copy_from_slice(text.as_bytes()));
    meter.finish()
}

fn tokens(input: u64, output: u64) -> Option<Usage> {
    Some(Usage { input: Some(input), output: Some(output), ..Usage::default() })
}

#[test]
fn names_come_from_the_first_chunk_that_has_them() {
    let azure = Case::named("azure-prompt-filter");
    let reading = azure.read(&[&azure.body]);
    assert_eq!(reading.upstream_id.as_deref(), Some("chatcmpl-Az77"));
    assert_eq!(reading.served_model.as_deref(), Some("gpt-4o-2024-08-06"));
    let tgi = Case::named("tgi-last-chunk");
    let reading = tgi.read(&[&tgi.body]);
    assert_eq!((reading.upstream_id.as_deref(), reading.served_model.as_deref()), (None, Some("tgi")));
    let late = stream(
        "data: {\"id\":\"\",\"model\":\"\"}\n\ndata: {\"id\":\"a\",\"model\":\"m\"}\n\n\
         data: {\"id\":\"b\",\"model\":\"n\",\"usage\":{\"prompt_tokens\":1}}\n\n",
    );
    assert_eq!((late.upstream_id.as_deref(), late.served_model.as_deref()), (Some("a"), Some("m")));
    let response = Case::named("responses/completed");
    let reading = response.read(&[&response.body]);
    assert_eq!(reading.upstream_id.as_deref(), Some("resp_68a1f0"));
    assert_eq!(reading.served_model.as_deref(), Some("gpt-5-mini-2025-08-07"));
}

#[test]
fn the_last_tier_is_the_one_that_was_served() {
    for (name, tier) in [("two-choices", Some("flex")), ("responses/completed", Some("default")), ("tool-calls", None)]
    {
        let case = Case::named(name);
        assert_eq!(case.read(&[&case.body]).tier.as_deref(), tier, "{name}");
    }
    let text = r#"data: {"id":"a","model":"m","service_tier":"default"}

data: {"service_tier":"default","choices":[1]}

data: {"service_tier":"priority","choices":[2]}

"#;
    assert_eq!(stream(text).tier.as_deref(), Some("priority"));
}

#[test]
fn only_a_reply_that_ended_itself_is_terminal() {
    for (name, terminal) in [
        ("include-usage", true),
        ("error-midway", false),
        ("cut-off", false),
        ("responses/completed", true),
        ("responses/incomplete", true),
        ("responses/failed", true),
        ("transcription-stream", true),
        ("chat/whole", true),
    ] {
        let case = Case::named(name);
        assert_eq!(case.read(&[&case.body]).terminal, terminal, "{name}");
    }
    let whole = Case::named("chat/whole");
    assert!(!whole.read(&[&whole.body[..whole.body.len() - 3]]).terminal);
}

#[test]
fn errors_are_named_by_code_or_type_and_never_by_their_text() {
    for (text, label) in [
        (r#"{"error":{"message":"no","type":"server_error","code":"model_not_found"}}"#, Some("model_not_found")),
        (r#"{"error":{"message":"no","type":"server_error","code":null}}"#, Some("server_error")),
        (r#"{"error":{"message":"no","code":500,"type":""}}"#, Some("500")),
        (r#"{"error":"the prompt was: hello","error_type":"validation"}"#, Some("error")),
        (r#"{"error":{"code":"the prompt was: hello","message":"x"}}"#, Some("error")),
        (r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#, Some("rate_limit_exceeded")),
        (r#"{"object":"error","message":"x","type":"BadRequestError","code":400}"#, Some("400")),
        (r#"{"type":"response.failed","response":{"error":{"code":"server_error"}}}"#, Some("server_error")),
        (r#"{"error":null,"response":{"error":null}}"#, None),
        (r#"{"choices":[{"error":{"code":"x"}}]}"#, None),
    ] {
        assert_eq!(stream(&format!("data: {text}\n\n")).error.as_deref(), label, "{text}");
        assert_eq!(json(text).error.as_deref(), label, "{text}");
    }
}

#[test]
fn the_last_usage_that_counts_something_wins_and_is_never_summed() {
    let usages = |values: &[&str]| {
        let events = values.iter().map(|value| format!("data: {{\"choices\":[{{}}],\"usage\" : {value}}}\n\n"));
        stream(&events.collect::<String>())
    };
    let (one, two) = (r#"{"prompt_tokens":5,"completion_tokens":1}"#, r#"{"prompt_tokens":5,"completion_tokens":2}"#);
    let (zero, broken) =
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, r#"{"prompt_tokens":-5,"completion_tokens":2}"#);
    assert_eq!(usages(&[one, two]).usage, tokens(5, 2));
    assert_eq!(usages(&["null", two, "null", zero, "{}"]).usage, tokens(5, 2));
    assert_eq!(usages(&[zero, zero]).usage, tokens(0, 0));
    assert_eq!(usages(&[two]).raw_usage.unwrap().get(), two);
    let refused = usages(&[one, broken]);
    assert_eq!((refused.usage, refused.basis), (None, Basis::None));
    assert!(refused.flaw.is_some());
    assert_eq!(refused.raw_usage.unwrap().get(), broken);
    assert_eq!(usages(&[broken, two]).usage, tokens(5, 2));
}

#[test]
fn usage_in_an_error_event_and_after_the_end_is_read() {
    let text = "data: {\"error\":{\"code\":\"x\"},\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
    assert_eq!(stream(text).usage, tokens(3, 1));
    assert_eq!(stream(&format!("data: [DONE]\n\n{text}data: [DONE]\n\n")).usage, tokens(3, 1));
}

#[test]
fn long_names_are_cut_between_characters() {
    let model = format!("a{}", "é".repeat(5000));
    let reading = json(&format!(r#"{{"model":"{model}","id":7}}"#));
    assert_eq!(reading.served_model.as_deref(), Some(&model[..127]));
    assert_eq!(reading.upstream_id, None);
}

#[test]
fn an_event_too_large_is_flagged_and_the_rest_is_read() {
    let mut meter = Meter::stream();
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    meter.feed(&Bytes::from_static(b"data: "));
    (0..20).for_each(|_| meter.feed(&piece));
    meter.feed(&Bytes::from_static(b"\n\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n"));
    let reading = meter.finish();
    assert!(reading.flaw.is_some());
    assert_eq!(reading.usage, tokens(3, 1));
}

#[test]
fn of_a_run_only_its_own_object_is_read() {
    let run = Case::named("runs/completed");
    let reading = run.read(&[&run.body]);
    assert_eq!(reading.upstream_id.as_deref(), Some("run_31"));
    assert_eq!(reading.extra.status.as_deref(), Some("completed"));
    assert!(reading.terminal);
    let text = std::str::from_utf8(&run.body).unwrap();
    let cut = &run.body[..text.find("event: thread.run.completed").unwrap()];
    let reading = run.read(&[cut]);
    assert_eq!(
        (reading.usage, reading.extra.status.as_deref()),
        (None, Some("queued")),
        "a step's usage is not its run's"
    );
}

#[test]
fn how_a_job_stands_and_what_was_made_is_read_beside_its_usage() {
    let extra = |name: &str| {
        let case = Case::named(name);
        case.read(&[&case.body]).extra
    };
    assert_eq!(extra("batches/completed").status.as_deref(), Some("completed"));
    assert_eq!(extra("audio/verbose").duration, Some(9));
    let picture = extra("images/stream");
    assert_eq!((picture.size.as_deref(), picture.quality.as_deref()), (Some("1024x1024"), Some("high")));
    assert_eq!(extra("images/generation").pictures, Some(1));
    let background = r#"{"id":"resp_1","status":"queued","background":true,"usage":null}"#;
    assert!(json(background).extra.background);
    assert!(!json(&background.replace("true", "\"true\"")).extra.background);
}

#[test]
fn each_object_of_a_list_is_read_for_itself() {
    let batch = Case::named("batches/completed");
    let one = std::str::from_utf8(&batch.body).unwrap();
    let list = format!(
        r#"{{"object":"list","data":[{one},{{"id":"batch_8","usage":{{"input_tokens":-1}}}}],"has_more":false}}"#
    );
    let mut meter = Meter::json().seeing(Sight::Jobs);
    meter.feed(&Bytes::from(list));
    let reading = meter.finish();
    assert_eq!((reading.usage, reading.upstream_id), (None, None), "the list itself has none");
    let [first, second] = &reading.extra.listed[..] else { panic!("two batches are listed") };
    assert_eq!(first.usage, batch.read(&[&batch.body]).usage);
    assert_eq!(first.served_model.as_deref(), Some("gpt-5-2025-08-07"));
    assert_eq!((second.usage, second.flaw.is_some()), (None, true));
}

#[test]
fn text_is_read_for_its_captions_alone() {
    let mut meter = Meter::text().seeing(Sight::Captions);
    meter.feed(&Bytes::from_static(b"{\"usage\":{\"input_tokens\":1}}\n00:00,000 --> 00:07,100\n"));
    let reading = meter.finish();
    assert_eq!((reading.usage, reading.extra.captions), (None, Some(8)));
}

#[test]
fn a_fraction_of_seconds_is_rounded_up_and_said_to_be() {
    let read = |text: &str| {
        let mut meter = Meter::json();
        meter.feed(&Bytes::copy_from_slice(text.as_bytes()));
        let reading = meter.finish();
        (reading.usage.and_then(|usage| usage.seconds), reading.basis, reading.flaw.is_some())
    };
    let of = |seconds: &str| read(&format!(r#"{{"text":"x","usage":{{"type":"duration","seconds":{seconds}}}}}"#));
    assert_eq!(of("8.47"), (Some(9), Basis::Estimated, true));
    assert_eq!(of("9.0"), (Some(9), Basis::Reported, false));
    assert_eq!(of("-8.47"), (None, Basis::None, true));
}

#[test]
fn only_the_last_count_of_seconds_decides_whether_it_was_rounded() {
    let mut meter = Meter::stream();
    for seconds in ["1.5", "12.0"] {
        let event = format!("data: {{\"type\":\"x\",\"usage\":{{\"seconds\":{seconds}}}}}\n\n");
        meter.feed(&Bytes::from(event));
    }
    let reading = meter.finish();
    assert_eq!((reading.usage.unwrap().seconds, reading.basis, reading.flaw), (Some(12), Basis::Reported, None));
}
