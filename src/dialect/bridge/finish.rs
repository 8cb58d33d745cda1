//! Why a choice ended, in the words of each server and of OpenAI.

use crate::dialect::endpoint::Dialect;

/// The word that OpenAI uses for a server's reason; `None` for one that says nothing, such as an empty text.
///
/// Words are those of the servers in use: `eos`, `eos_token`, `stop_sequence` and `abort` are `stop`.
pub fn reason(word: &str) -> Option<&'static str> {
    match word {
        "" | "null" => None,
        "length" | "max_tokens" | "max_length" | "model_length" => Some("length"),
        "content_filter" | "content_filtered" | "safety" => Some("content_filter"),
        "tool_calls" => Some("tool_calls"),
        "function_call" => Some("function_call"),
        _ => Some("stop"),
    }
}

/// The same in the words that a dialect has: a completion knows no calls of tools, so that there they are `stop`.
pub fn reason_in(dialect: Dialect, word: &str) -> Option<&'static str> {
    match reason(word)? {
        "tool_calls" | "function_call" if dialect != Dialect::Chat => Some("stop"),
        reason => Some(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_s_word_becomes_one_of_openai_s() {
        for (word, expected) in [
            ("stop", Some("stop")),
            ("length", Some("length")),
            ("content_filter", Some("content_filter")),
            ("tool_calls", Some("tool_calls")),
            ("function_call", Some("function_call")),
            ("eos_token", Some("stop")),
            ("eos", Some("stop")),
            ("stop_sequence", Some("stop")),
            ("abort", Some("stop")),
            ("error", Some("stop")),
            ("max_tokens", Some("length")),
            ("", None),
        ] {
            assert_eq!(reason(word), expected, "{word}");
        }
    }

    #[test]
    fn a_completion_never_ends_by_a_tool_call() {
        assert_eq!(reason_in(Dialect::Completion, "tool_calls"), Some("stop"));
        assert_eq!(reason_in(Dialect::Completion, "function_call"), Some("stop"));
        assert_eq!(reason_in(Dialect::Completion, "length"), Some("length"));
        assert_eq!(reason_in(Dialect::Chat, "tool_calls"), Some("tool_calls"));
        assert_eq!(reason_in(Dialect::Chat, ""), None);
    }
}
