//! Names and shapes that whole replies and streams have in common.

use serde_json::{Map, Value, json};

use super::plan::ReplyPlan;
use crate::dialect::endpoint::Dialect;
use crate::units::Usage;

/// What ids of a dialect begin with.
pub(super) fn prefix(dialect: Dialect) -> &'static str {
    if dialect == Dialect::Chat { "chatcmpl-" } else { "cmpl-" }
}

/// The `object` of a document, or of the chunks of a stream.
pub(super) fn object_name(dialect: Dialect, streamed: bool) -> &'static str {
    match (dialect, streamed) {
        (Dialect::Chat, true) => "chat.completion.chunk",
        (Dialect::Chat, false) => "chat.completion",
        _ => "text_completion",
    }
}

/// Counts in OpenAI's form.
pub(super) fn usage_object(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input.unwrap_or(0),
        "completion_tokens": usage.output.unwrap_or(0),
        "total_tokens": usage.total(),
    })
}

/// A server's usage, if it counts something and can be told: with its total, which some leave out.
pub(super) fn reported(usage: &Value) -> Option<Value> {
    let count = |name: &str| usage[name].as_u64();
    let (input, output, total) = (count("prompt_tokens"), count("completion_tokens"), count("total_tokens"));
    let (input, output) = match (input, output, total) {
        (Some(input), None, Some(total)) => (input, total.checked_sub(input)?),
        (None, Some(output), Some(total)) => (total.checked_sub(output)?, output),
        (input, output, _) => (input?, output?),
    };
    let total = total.unwrap_or(input.saturating_add(output));
    let mut usage = usage.as_object()?.clone();
    for (name, count) in [("prompt_tokens", input), ("completion_tokens", output), ("total_tokens", total)] {
        usage.insert(name.into(), count.into());
    }
    (input.max(output).max(total) > 0).then_some(Value::Object(usage))
}

/// Whether a document, or a chunk of a stream, says that something went wrong, in whichever form.
pub(super) fn is_error(document: &Map<String, Value>) -> bool {
    let says = |name: &str| document.get(name).is_some_and(|value| !is_falsy(value));
    let flat = document.get("object").is_some_and(|object| object == "error");
    let bare = || says("detail") || document.get("message").is_some_and(Value::is_string);
    says("error") || flat || !document.contains_key("choices") && bare()
}

fn is_falsy(value: &Value) -> bool {
    value.is_null() || *value == false || *value == "" || value.as_object().is_some_and(Map::is_empty)
}

/// The text of a choice; `message` is its message, or its delta in a stream.
///
/// Servers mix the forms of both dialects up, and some answer in parts, as requests may. In a completion a refusal is
/// text too.
pub(super) fn written(choice: &Map<String, Value>, message: &Map<String, Value>, plan: &ReplyPlan) -> String {
    let plain =
        |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let content = || match message.get("content") {
        Some(Value::Array(parts)) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        content => plain(content),
    };
    let refusal = || plain(message.get("refusal")).filter(|_| plan.asked != Dialect::Chat);
    content().or_else(|| plain(choice.get("text"))).or_else(refusal).unwrap_or_default()
}

/// What a model writes beside its answer: arguments of tools, and its thoughts.
pub(super) fn arguments(message: &Map<String, Value>) -> String {
    let mut text = String::new();
    for name in ["reasoning_content", "reasoning"] {
        text.push_str(message.get(name).and_then(Value::as_str).unwrap_or_default());
    }
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    for function in calls.map(|call| &call["function"]).chain(message.get("function_call")) {
        for name in ["name", "arguments"] {
            text.push_str(function[name].as_str().unwrap_or_default());
        }
    }
    text
}
