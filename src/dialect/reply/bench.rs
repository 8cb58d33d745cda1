//! What tests of replies have in common.

use bytes::Bytes;
use serde_json::Value;

use super::plan::ReplyPlan;
use super::stream::ReplyStream;
use crate::dialect::endpoint::Dialect;
use crate::units::Usage;

/// For one choice, nothing asked for.
pub(super) fn plan(served: Dialect, asked: Dialect) -> ReplyPlan {
    ReplyPlan {
        served,
        asked,
        model: "mine".into(),
        id: "own".into(),
        created: 1_700_000_000,
        stops: Vec::new(),
        asks_usage: false,
        echo: None,
        trims_start: false,
        first_index: 0,
        choices: 1,
        alternatives: 0,
        last: true,
    }
}

/// All that goes out of a stream in pieces of so many bytes.
pub(super) fn sent_in(pieces: usize, stream: &str, plan: &ReplyPlan) -> String {
    let mut reply = ReplyStream::new(plan.clone());
    let (mut out, mut shown) = (Vec::new(), Vec::new());
    for piece in stream.as_bytes().chunks(pieces) {
        let took = reply.feed(Bytes::copy_from_slice(piece), |event| shown.extend_from_slice(&event.raw));
        out.extend(took.flatten());
        if reply.is_over() {
            break;
        }
    }
    out.extend(reply.end(|event| shown.extend_from_slice(&event.raw)).flatten());
    out.extend(reply.end(|_| unreachable!()).flatten());
    let usage = Usage { input: Some(5), output: Some(2), ..Usage::default() };
    out.extend(reply.close((!reply.reports_usage()).then_some(&usage)).flatten());
    assert!(stream.as_bytes().starts_with(&shown), "the meter sees what came");
    String::from_utf8(out).unwrap()
}

/// The same, which no way of cutting may change.
pub(super) fn sent(stream: &str, plan: &ReplyPlan) -> String {
    let whole = sent_in(stream.len().max(1), stream, plan);
    for pieces in 1..stream.len().min(80) {
        assert_eq!(sent_in(pieces, stream, plan), whole, "in pieces of {pieces}");
    }
    whole
}

pub(super) fn chunks(sent: &str) -> Vec<Value> {
    let events = sent.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    events.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// What OpenCharacters' parser makes of a stream: it takes exactly `data: `, splits on LF alone, reads `choices[0]`
/// without looking, and drops a chunk that has a role together with its text.
pub(super) fn strictly(sent: &str) -> String {
    let mut text = String::new();
    for line in sent.split('\n').filter(|line| !line.is_empty()) {
        let data = line.strip_prefix("data: ").unwrap_or(line);
        if data == "[DONE]" {
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let choice = chunk["choices"].get(0).unwrap_or_else(|| panic!("no choice: {line}"));
        match choice.get("text") {
            Some(piece) => text.push_str(piece.as_str().unwrap()),
            None => {
                let delta = choice["delta"].as_object().unwrap();
                if delta.get("role").is_none_or(|role| role.is_null() || role == "") {
                    text.push_str(delta.get("content").and_then(Value::as_str).unwrap_or_default());
                }
            }
        }
    }
    text
}

/// A chat of OpenAI's own form.
pub(super) const SOUND: &str = concat!(
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","x":1.50,"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" two"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    "data: [DONE]\n\n"
);
