//! A whole reply told as a stream, for a client that asked for one and a server that has none.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::plan::ReplyPlan;
use super::words::object_name;
use crate::dialect::endpoint::Dialect;

/// All events of the stream.
pub(super) fn as_stream(mut document: Map<String, Value>, plan: &ReplyPlan) -> Bytes {
    let usage = document.remove("usage");
    let choices = document.remove("choices");
    document.insert("object".into(), object_name(plan.asked, true).into());
    let mut out = Vec::new();
    for choice in choices.as_ref().and_then(Value::as_array).into_iter().flatten() {
        for part in in_parts(choice, plan.asked) {
            write_event(&mut out, &document, vec![part], plan.asks_usage.then_some(Value::Null));
        }
    }
    if plan.asks_usage && plan.last && usage.is_some() {
        write_event(&mut out, &document, Vec::new(), usage);
    }
    if plan.last {
        out.extend(b"data: [DONE]\n\n");
    }
    out.into()
}

/// A whole choice as the choices of the chunks of a stream.
fn in_parts(choice: &Value, dialect: Dialect) -> Vec<Value> {
    let (index, finish) = (&choice["index"], &choice["finish_reason"]);
    if dialect != Dialect::Chat {
        return vec![choice.clone()];
    }
    let mut message = choice["message"].as_object().cloned().unwrap_or_default();
    let role = message.remove("role").unwrap_or_else(|| "assistant".into());
    message.retain(|_, value| !value.is_null() && *value != "");
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        // In a stream each call says which one it is.
        for (number, call) in (0_u64..).zip(calls) {
            if let Value::Object(call) = call {
                call.entry("index").or_insert(number.into());
            }
        }
    }
    let part = |delta: Value, logprobs: &Value, finish: &Value| json!({ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish });
    let mut parts = vec![part(json!({ "role": role, "content": "" }), &Value::Null, &Value::Null)];
    if !message.is_empty() {
        parts.push(part(Value::Object(message), &choice["logprobs"], &Value::Null));
    }
    parts.push(part(json!({}), &Value::Null, finish));
    parts
}

fn write_event(out: &mut Vec<u8>, head: &Map<String, Value>, choices: Vec<Value>, usage: Option<Value>) {
    let mut chunk = head.clone();
    chunk.insert("choices".into(), Value::Array(choices));
    if let Some(usage) = usage {
        chunk.insert("usage".into(), usage);
    }
    out.extend(b"data: ");
    out.extend(Value::Object(chunk).to_string().as_bytes());
    out.extend(b"\n\n");
}
