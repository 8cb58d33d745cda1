//! What becomes of every member of a request that is translated: the whole table, in one place.

use serde_json::Value;

use super::members::{Members, read};
use super::refusal::Refused;

/// What becomes of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It is read, and written in the other dialect's way.
    Written,
    /// It means the same on both sides and goes on as it came, if it is of this kind.
    Same(Kind),
    /// It changes nothing in what a server of this kind answers: a hint, a label, a matter of billing or caching.
    Dropped,
    /// It goes without saying where the value is harmless; else it is refused, with this reason.
    Only(fn(&Value) -> bool, &'static str),
}

/// The kind that a value must have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Any: for the server to judge.
    Any,
    Number,
    Object,
    Text,
    Whole,
}

/// A request's members by the table of its dialect.
///
/// What the table does not name is a server's own extra (`top_k`, `min_p`, `repetition_penalty`, `guided_json`) and goes
/// on as it came: servers that have such members take them at either endpoint, and a server that does not know one says
/// so itself. The table names those extras that say something about the form that the translation changes.
pub(super) type Table = [(&'static str, Fate)];

/// Checks every member against the table.
pub(super) fn check(members: &Members, table: &Table) -> Result<(), Refused> {
    for (key, raw) in members.iter() {
        let Some((name, fate)) = table.iter().find(|(name, _)| *name == key) else { continue };
        match fate {
            Fate::Same(kind) => kind.check(name, raw)?,
            Fate::Only(harmless, reason) => {
                let value = read(*name, raw, "JSON")?;
                if !harmless(&value) {
                    return Err(Refused::unsupported(*name, format!("`{name}` cannot be translated: {reason}")));
                }
            }
            Fate::Written | Fate::Dropped => {}
        }
    }
    Ok(())
}

/// The members that go on as they came.
pub(super) fn kept<'a>(members: &'a Members, table: &'a Table) -> impl Iterator<Item = (&'a str, &'a str)> {
    members.iter().filter(|(key, _)| {
        table.iter().find(|(name, _)| name == key).is_none_or(|(_, fate)| matches!(fate, Fate::Same(_)))
    })
}

impl Kind {
    fn check(self, key: &'static str, raw: &str) -> Result<(), Refused> {
        let first = raw.as_bytes().first().copied().unwrap_or_default();
        let number = first == b'-' || first.is_ascii_digit();
        let (fits, name) = match self {
            Self::Any => (true, "any"),
            Self::Number => (number, "a number"),
            Self::Object => (first == b'{', "an object"),
            Self::Text => (first == b'"', "a string"),
            Self::Whole => (number && !raw.contains(['.', 'e', 'E']), "a whole number"),
        };
        if fits { Ok(()) } else { Err(Refused::invalid(key, format!("`{key}` must be {name}"))) }
    }
}

/// A chat request for a server that completes texts.
pub(super) const CHAT: &Table = &[
    ("messages", Fate::Written),
    ("model", Fate::Written),
    ("max_completion_tokens", Fate::Written),
    ("max_tokens", Fate::Written),
    ("n", Fate::Same(Kind::Whole)),
    ("stop", Fate::Written),
    ("stream", Fate::Written),
    ("stream_options", Fate::Written),
    ("logprobs", Fate::Written),
    ("top_logprobs", Fate::Written),
    ("chat_template_kwargs", Fate::Written),
    ("temperature", Fate::Same(Kind::Number)),
    ("top_p", Fate::Same(Kind::Number)),
    ("frequency_penalty", Fate::Same(Kind::Number)),
    ("presence_penalty", Fate::Same(Kind::Number)),
    ("logit_bias", Fate::Same(Kind::Object)),
    ("seed", Fate::Same(Kind::Whole)),
    ("user", Fate::Same(Kind::Text)),
    ("metadata", Fate::Dropped),
    ("parallel_tool_calls", Fate::Dropped),
    ("prediction", Fate::Dropped),
    ("prompt_cache_key", Fate::Dropped),
    ("prompt_cache_options", Fate::Dropped),
    ("prompt_cache_retention", Fate::Dropped),
    ("reasoning_effort", Fate::Dropped),
    ("safety_identifier", Fate::Dropped),
    ("service_tier", Fate::Dropped),
    ("store", Fate::Dropped),
    ("verbosity", Fate::Dropped),
    // Whether tools are harmless depends on `tool_choice`; see `ChatRequest`.
    ("tools", Fate::Written),
    ("tool_choice", Fate::Written),
    ("functions", Fate::Written),
    ("function_call", Fate::Written),
    ("audio", Fate::Only(is_empty, "the server writes text only")),
    ("modalities", Fate::Only(is_text_only, "the server writes text only")),
    ("moderation", Fate::Only(is_empty, "the server does not moderate")),
    ("response_format", Fate::Only(is_text_format, "the server completes plain text; ask for `text`")),
    ("web_search_options", Fate::Only(never, "the server does not search the web")),
    // Extras of chat servers that say how messages become a prompt, which is done before the server is asked.
    ("add_generation_prompt", Fate::Only(is_true, "the prompt always opens the assistant's answer")),
    ("continue_final_message", Fate::Only(is_empty, "the prompt always opens a new answer")),
    ("chat_template", Fate::Only(is_empty, "the template belongs to the model's configuration")),
    ("documents", Fate::Only(is_empty, "documents are not rendered")),
    // Members of the other dialect that would contradict what is written.
    ("prompt", Fate::Only(never, "a chat request has `messages`")),
    ("suffix", Fate::Only(is_empty, "a chat request has `messages`")),
    ("echo", Fate::Only(is_empty, "the prompt is no part of a chat reply")),
    ("best_of", Fate::Only(never, "ask for `n` choices")),
    // Extras that ask for what the translated reply has no place for.
    ("include_stop_str_in_output", Fate::Only(is_empty, STOP_STRING)),
    ("prompt_logprobs", Fate::Only(is_empty, PROMPT_LOGPROBS)),
    ("return_token_ids", Fate::Only(is_empty, TOKEN_IDS)),
];

/// A completion request for a server that only chats.
pub(super) const COMPLETION: &Table = &[
    ("model", Fate::Written),
    ("prompt", Fate::Written),
    ("max_tokens", Fate::Written),
    ("n", Fate::Same(Kind::Whole)),
    ("stop", Fate::Written),
    ("stream", Fate::Written),
    ("stream_options", Fate::Written),
    ("logprobs", Fate::Written),
    ("echo", Fate::Written),
    ("best_of", Fate::Written),
    ("suffix", Fate::Only(is_empty, "a chat server writes no text between two others")),
    ("temperature", Fate::Same(Kind::Number)),
    ("top_p", Fate::Same(Kind::Number)),
    ("frequency_penalty", Fate::Same(Kind::Number)),
    ("presence_penalty", Fate::Same(Kind::Number)),
    ("logit_bias", Fate::Same(Kind::Object)),
    ("seed", Fate::Same(Kind::Whole)),
    ("user", Fate::Same(Kind::Text)),
    // Members of the other dialect that would contradict what is written, or ask for what no completion can hold.
    ("messages", Fate::Only(never, "a completion request has a `prompt`")),
    ("prompt_embeds", Fate::Only(never, "a chat server takes text")),
    ("max_completion_tokens", Fate::Only(never, "a completion request has `max_tokens`")),
    ("top_logprobs", Fate::Only(never, "a completion request has `logprobs`")),
    ("tools", Fate::Only(is_empty, "a completion cannot hold calls of tools")),
    ("functions", Fate::Only(is_empty, "a completion cannot hold calls of functions")),
    ("tool_choice", Fate::Only(is_no_choice, "a completion cannot hold calls of tools")),
    ("function_call", Fate::Only(is_no_choice, "a completion cannot hold calls of functions")),
    ("audio", Fate::Only(is_empty, "a completion is text only")),
    ("modalities", Fate::Only(is_text_only, "a completion is text only")),
    ("moderation", Fate::Only(is_empty, "a completion cannot hold the verdict")),
    ("web_search_options", Fate::Only(never, "a completion cannot hold what was found")),
    // A chat server refuses it where there are no tools.
    ("parallel_tool_calls", Fate::Dropped),
    // Members of chats that leave the answer a text: the server is one of chats, so that it knows them.
    ("metadata", Fate::Same(Kind::Any)),
    ("prediction", Fate::Same(Kind::Any)),
    ("prompt_cache_key", Fate::Same(Kind::Any)),
    ("prompt_cache_options", Fate::Same(Kind::Any)),
    ("prompt_cache_retention", Fate::Same(Kind::Any)),
    ("reasoning_effort", Fate::Same(Kind::Any)),
    ("response_format", Fate::Same(Kind::Any)),
    ("safety_identifier", Fate::Same(Kind::Any)),
    ("service_tier", Fate::Same(Kind::Any)),
    ("store", Fate::Same(Kind::Any)),
    ("verbosity", Fate::Same(Kind::Any)),
    // Extras that ask for what the translated reply has no place for.
    ("include_stop_str_in_output", Fate::Only(is_empty, STOP_STRING)),
    ("prompt_logprobs", Fate::Only(is_empty, PROMPT_LOGPROBS)),
    ("return_token_ids", Fate::Only(is_empty, TOKEN_IDS)),
];

const PROMPT_LOGPROBS: &str = "the reply has no place for log probabilities of the prompt";
const STOP_STRING: &str = "the text ends before its stop string";
const TOKEN_IDS: &str = "the reply has no place for ids of tokens";

/// Null, false, or an empty text, array or object.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Leaves it to the model, or forbids it: nothing to translate where there are no tools.
pub(super) fn is_no_choice(value: &Value) -> bool {
    matches!(value.as_str(), Some("none" | "auto")) || value.is_null()
}

fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true)
}

fn is_text_only(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(|item| item == "text"))
}

fn is_text_format(value: &Value) -> bool {
    value["type"] == "text"
}

fn never(_: &Value) -> bool {
    false
}
