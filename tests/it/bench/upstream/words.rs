//! Texts and token counts that follow from the request alone: a word is a token.

use serde_json::{Value, json};

use super::fault::Counts;

/// Token counts of one call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Input tokens from the cache.
    pub cached: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
}

impl Tally {
    /// The counts for that much text: a quarter of the prompt is cached, and reasoning models think two tokens.
    pub fn of(input: u64, words: u64, model: &str) -> Self {
        let reasoning = if reasons(model) { 2 } else { 0 };
        Self { input, cached: input / 4, output: words + reasoning, reasoning }
    }

    /// The same, for an API without a cache.
    pub fn uncached(self) -> Self {
        Self { cached: 0, ..self }
    }

    /// The same, with the counts that the test wants.
    pub fn overridden(self, counts: Counts) -> Self {
        Self {
            input: counts.input.unwrap_or(self.input),
            cached: counts.cached.unwrap_or(self.cached),
            output: counts.output.unwrap_or(self.output),
            reasoning: counts.reasoning.unwrap_or(self.reasoning),
        }
    }

    /// OpenAI's `CompletionUsage`.
    pub fn completion_usage(self) -> Value {
        json!({
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        })
    }

    /// OpenAI's `ResponseUsage`.
    pub fn response_usage(self) -> Value {
        json!({
            "input_tokens": self.input,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.output,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input + self.output,
        })
    }
}

/// The words of all texts in a value: strings, lists of them, and `content`, `text` and `input_text` members.
pub fn count(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(items) if items.iter().all(Value::is_u64) => items.len() as u64,
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => ["content", "text"].iter().filter_map(|name| members.get(*name)).map(count).sum(),
        _ => 0,
    }
}

/// So many words, each but the first with the blank before it, as tokens come.
pub fn reply(length: u64, choice: u64) -> Vec<String> {
    let word = |at: u64| VOCABULARY[usize::try_from(at + choice).unwrap() % VOCABULARY.len()];
    (0..length).map(|at| if at == 0 { word(at).to_owned() } else { format!(" {}", word(at)) }).collect()
}

/// Padding that hides the length of a token.
pub fn obfuscation(of: &str) -> String {
    "k3fq8ZtPw0".chars().cycle().take(10_usize.saturating_sub(of.len() % 10)).collect()
}

/// How many words the reply shall have, and why it ends.
pub fn length(limit: Option<u64>) -> (u64, &'static str) {
    limit.map_or((NATURAL_LENGTH, "stop"), |limit| (limit, "length"))
}

/// The dated snapshot that serves a model.
pub fn snapshot(model: &str) -> String {
    let dated = SNAPSHOTS.iter().find(|(name, _)| *name == model);
    dated.map_or(model, |(_, dated)| dated).to_owned()
}

/// The tier that serves what was asked for.
pub fn tier(asked: &Value) -> &str {
    match asked.as_str() {
        None | Some("auto" | "default") => "default",
        Some("fast") => "priority",
        Some(other) => other,
    }
}

fn reasons(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| model.starts_with(family))
}

const NATURAL_LENGTH: u64 = 7;

/// Words that break careless cutting: one, two, three and four bytes per letter.
const VOCABULARY: [&str; 9] = ["tolls", "are", "naïve", "\"fair\"", "日本", "at", "\\noon", "🎈", "still"];

const SNAPSHOTS: [(&str, &str); 10] = [
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("gpt-4.1", "gpt-4.1-2025-04-14"),
    ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
    ("gpt-4", "gpt-4-0613"),
    ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
    ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct:20230824-v2"),
    ("o3", "o3-2025-04-16"),
    ("o4-mini", "o4-mini-2025-04-16"),
    ("gpt-5", "gpt-5-2025-08-07"),
];
