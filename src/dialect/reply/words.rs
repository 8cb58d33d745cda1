//! Names and shapes that whole replies and streams have in common.

use serde_json::{Map, Value, json};

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

/// What a model writes beside its answer: arguments of tools, and its thoughts.
pub(super) fn arguments(message: &Map<String, Value>) -> String {
    let mut text = String::new();
    for name in ["reasoning_content", "reasoning"] {
        text.push_str(message.get(name).and_then(Value::as_str).unwrap_or_default());
    }
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        for name in ["name", "arguments"] {
            text.push_str(call["function"][name].as_str().unwrap_or_default());
        }
    }
    text
}
