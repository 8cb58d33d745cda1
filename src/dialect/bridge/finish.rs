//! Why a choice ended, in the words of each server and of OpenAI.

/// The word that OpenAI uses for a server's reason; `None` for one that says nothing, such as an empty text.
///
/// Words are those of the servers in use: `eos`, `eos_token`, `stop_sequence` and `abort` are `stop`.
pub fn reason(word: &str) -> Option<&'static str> {
    match word {
        "" => None,
        "length" | "max_tokens" => Some("length"),
        "content_filter" => Some("content_filter"),
        "tool_calls" => Some("tool_calls"),
        "function_call" => Some("function_call"),
        _ => Some("stop"),
    }
}
