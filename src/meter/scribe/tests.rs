//! The quick way held against the thorough one, over recorded streams and generated ones, at every split point.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::sse::Splitter;
use crate::meter::Meter;

/// Texts and doubt, by the quick way.
fn quick(dialect: Dialect, stream: &[u8], sizes: &[usize]) -> (Vec<String>, bool) {
    let mut meter = Meter::stream().taking_down(dialect);
    let mut rest = stream;
    for size in sizes.iter().copied().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(size.clamp(1, rest.len()));
        meter.feed(&Bytes::copy_from_slice(piece));
        rest = after;
    }
    let transcript = meter.finish().transcript.unwrap_or_default();
    (transcript.texts.iter().map(str::to_owned).collect(), transcript.doubtful)
}

/// The same by parsing every event as a whole, usage or not.
fn thorough(dialect: Dialect, stream: &[u8]) -> (Vec<String>, bool) {
    let mut out = Transcript::default();
    let mut each = |data: &[u8]| {
        if !data.starts_with(b"[DONE]") {
            spoken::event(dialect, &serde_json::from_slice(data).unwrap(), &mut out);
        }
    };
    let mut splitter = Splitter::new();
    splitter.feed(Bytes::copy_from_slice(stream), |event| each(&event.data().unwrap_or("{}".as_bytes().into())));
    (out.texts.iter().map(str::to_owned).collect(), out.doubtful)
}

/// Without its usage, so that nothing ends the taking down.
fn without_usage(stream: &str) -> String {
    stream.replace("\"usage\"", "\"useless\"")
}

fn recorded() -> Vec<(Dialect, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = [("chat", Dialect::Chat), ("completion", Dialect::Completion), ("responses", Dialect::Responses)];
    let mut streams = Vec::new();
    for (folder, dialect) in folders {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            if name.ends_with(".sse") {
                streams.push((dialect, without_usage(&fs::read_to_string(&path).unwrap()), name));
            }
        }
    }
    assert!(streams.len() > 12);
    streams
}

#[test]
fn recorded_streams_say_the_same_both_ways_at_every_split() {
    for (dialect, stream, name) in recorded() {
        let expected = thorough(dialect, stream.as_bytes());
        assert_eq!(quick(dialect, stream.as_bytes(), &[1]), expected, "{name}");
        for at in 1..=stream.len() {
            assert_eq!(quick(dialect, stream.as_bytes(), &[at, stream.len()]), expected, "{name} {at}");
        }
        let said = !expected.0.concat().is_empty();
        assert!(said || name.contains("error") || name.contains("failed"), "{name}");
    }
}

#[test]
fn nothing_more_is_taken_down_once_the_usage_is_known() {
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let mut meter = Meter::stream().taking_down(Dialect::Chat);
    meter.feed(&Bytes::from_static(stream.as_bytes()));
    assert!(meter.finish().transcript.is_none());
    let mut meter = Meter::stream().taking_down(Dialect::Chat);
    meter.feed(&Bytes::from(stream.replace(":1", ":0")));
    let reading = meter.finish();
    assert!(reading.usage.is_some());
    assert_eq!(reading.transcript.unwrap().texts.iter().collect::<Vec<_>>(), ["Hi"]);
}

#[test]
fn every_kind_of_text_is_heard_and_what_its_form_hides_is_doubted() {
    let chat = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]});
    let turn = |kind: &str| json!({"type": format!("response.{kind}"), "output_index": 0, "delta": "x y"});
    for (dialect, event, doubtful) in [
        (Dialect::Chat, chat(json!({"content": "x y"})), false),
        (Dialect::Chat, chat(json!({"role": "assistant", "content": null, "refusal": "x y"})), false),
        (Dialect::Chat, chat(json!({"content": [{"type": "text", "text": "x y"}]})), false),
        (Dialect::Chat, chat(json!({"content": "", "reasoning_content": "x y"})), true),
        (Dialect::Chat, chat(json!({"reasoning": "x y"})), true),
        (Dialect::Chat, chat(json!({"tool_calls": [{"index": 0, "function": {"arguments": "x y"}}]})), true),
        (Dialect::Chat, chat(json!({"tool_calls": [{"function": {"name": "x", "arguments": " y"}}]})), true),
        (Dialect::Chat, chat(json!({"tool_calls": [{"custom": {"name": "x", "input": " y"}}]})), true),
        (Dialect::Chat, chat(json!({"function_call": {"name": "x", "arguments": " y"}})), true),
        (Dialect::Chat, chat(json!({"audio": {"transcript": "x y"}})), true),
        (Dialect::Completion, json!({"choices": [{"text": "x y", "index": 0}]}), false),
        (Dialect::Responses, turn("output_text.delta"), false),
        (Dialect::Responses, turn("refusal.delta"), false),
        (Dialect::Responses, turn("reasoning_text.delta"), true),
        (Dialect::Responses, turn("function_call_arguments.delta"), true),
        (Dialect::Responses, turn("custom_tool_call_input.delta"), true),
    ] {
        let stream = format!("data: {event}\n\n");
        assert_eq!(quick(dialect, stream.as_bytes(), &[9999]), (vec!["x y".into()], doubtful), "{event}");
    }
    for silent in ["reasoning_summary_text.delta", "output_text.done", "audio.delta", "output_text.annotation.added"] {
        let stream = format!("data: {}\n\n", turn(silent));
        assert_eq!(quick(Dialect::Responses, stream.as_bytes(), &[9999]), (Vec::new(), false), "{silent}");
    }
}

#[test]
fn a_response_without_deltas_is_read_from_its_last_event() {
    let part = json!({"type": "output_text", "text": "all at once"});
    let last = json!({"type": "response.completed",
        "response": {"output": [{"type": "message", "content": [part]}], "usage": null}});
    let stream = format!("event: response.completed\ndata: {last}\n\n");
    assert_eq!(quick(Dialect::Responses, stream.as_bytes(), &[9999]).0, ["all at once"]);
    let delta = json!({"type": "response.output_text.delta", "output_index": 0, "delta": "all at once"});
    let both = format!("data: {delta}\n\n{stream}");
    assert_eq!(quick(Dialect::Responses, both.as_bytes(), &[9999]).0, ["all at once"]);
}

#[test]
fn what_looks_like_a_delta_within_a_text_is_none() {
    let trap = r#""delta":{"content":"no"},"index":7,\"delta\":"#;
    let event = json!({"note": trap, "choices": [{"index": 0, "delta": {"content": trap}, "x": trap}]});
    let stream = format!("data: {event}\n\n");
    assert_eq!(quick(Dialect::Chat, stream.as_bytes(), &[9999]), (vec![trap.to_owned()], false));
}

fn words() -> impl Strategy<Value = String> {
    "[a-z\"\\\\{}\\[\\],:\n\u{e9}\u{1f30a} ]{0,12}"
}

fn delta() -> impl Strategy<Value = Value> {
    let names = ["content", "refusal", "reasoning_content", "reasoning", "role", "other"];
    let member = (prop::sample::select(names.to_vec()), prop::option::of(words()));
    let plain = vec(member, 0..4).prop_map(|members| {
        Value::Object(members.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect())
    });
    prop_oneof![
        3 => plain,
        1 => words().prop_map(|text| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})),
        1 => (words(), words()).prop_map(|(name, text)| json!({
            "content": null, "tool_calls": [{"index": 1, "id": "x", "function": {"name": name, "arguments": text}}]})),
    ]
}

fn chunk() -> impl Strategy<Value = Value> {
    let choice = (0..3_u32, delta(), any::<bool>(), words()).prop_map(|(index, delta, first, extra)| match first {
        true => json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": extra}),
        false => json!({"content_filter_results": {"note": extra}, "delta": delta, "index": index}),
    });
    (vec(choice, 0..3), words())
        .prop_map(|(choices, extra)| json!({"id": extra, "choices": choices, "obfuscation": extra}))
}

proptest! {
    #[test]
    fn generated_chats_say_the_same_both_ways(
        chunks in vec(chunk(), 1..8), sizes in vec(1_usize..200, 1..6), pretty: bool,
    ) {
        let written = |chunk: &Value| match pretty {
            // Spaces in all the places, and lines of data.
            true => serde_json::to_string_pretty(chunk).unwrap().replace('\n', "\ndata: "),
            false => chunk.to_string(),
        };
        let stream: String = chunks.iter().map(|chunk| format!("data: {}\n\n", written(chunk))).collect();
        prop_assert_eq!(quick(Dialect::Chat, stream.as_bytes(), &sizes), thorough(Dialect::Chat, stream.as_bytes()));
    }

    #[test]
    fn generated_completions_say_the_same_both_ways(
        texts in vec((0..3_u32, words(), words()), 1..8), sizes in vec(1_usize..200, 1..6),
    ) {
        let chunk = |(index, text, token): &(u32, String, String)| json!({"choices": [{"text": text, "index": index,
            "logprobs": {"tokens": [token, "text"], "text_offset": [0]}, "finish_reason": null}]});
        let stream: String = texts.iter().map(|text| format!("data: {}\n\n", chunk(text))).collect();
        prop_assert_eq!(
            quick(Dialect::Completion, stream.as_bytes(), &sizes), thorough(Dialect::Completion, stream.as_bytes()));
    }

    #[test]
    fn no_bytes_make_it_panic(text in "[{}\\[\\]\",:\\\\a-z0-9 ]{0,60}", raw in vec(any::<u8>(), 0..40)) {
        for dialect in Dialect::ALL {
            let mut scribe = Scribe::stream(dialect);
            for before in ["{\"choices\":[{\"delta\":", "{\"text\":", "{\"type\":\"response.output_text.delta\",\"delta\":"] {
                scribe.event(&[before.as_bytes(), text.as_bytes(), &raw].concat());
            }
            let mut scribe = Scribe::document(dialect);
            scribe.keep(&Bytes::from([b"{\"choices\":[{\"message\":{\"content\":\"", &raw[..]].concat()));
            let _ = scribe.finish().read();
        }
    }
}

#[test]
fn the_common_forms_are_read_at_a_glance() {
    for (dialect, event) in [
        (
            Dialect::Chat,
            r#"{"id":"x","choices":[{"index":0,"delta":{"content":" so"},"logprobs":null,"finish_reason":null}],"obfuscation":"k"}"#,
        ),
        (
            Dialect::Chat,
            r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}"#,
        ),
        (
            Dialect::Chat,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]},"finish_reason":null}]}"#,
        ),
        (
            Dialect::Chat,
            r#"{"choices": [{"content_filter_results": {}, "delta": {"content": "x"}, "finish_reason": null, "index": 0}]}"#,
        ),
        (Dialect::Completion, r#"{"object":"text_completion","choices":[{"text":" so","index":0,"logprobs":null}]}"#),
        (
            Dialect::Responses,
            r#"{"type":"response.output_text.delta","sequence_number":7,"item_id":"m","output_index":0,"content_index":0,"delta":" so","logprobs":[]}"#,
        ),
    ] {
        let mut scribe = Scribe::stream(dialect);
        let taken = match dialect {
            Dialect::Chat => scribe.chat(event.as_bytes()),
            Dialect::Completion => scribe.completion(event.as_bytes()),
            _ => scribe.response(event.as_bytes()),
        };
        assert!(taken.is_some(), "{event}");
    }
}
