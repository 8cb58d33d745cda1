//! What one choice of one chunk says, written in the client's dialect.

use std::mem;

use serde_json::{Map, Value, json};

use super::choice::Course;
use crate::dialect::bridge::logprobs;

/// What one choice of one chunk says.
#[derive(Debug)]
pub(super) struct Said {
    /// Its index in the client's reply.
    pub(super) index: u32,
    /// The text that goes out.
    pub(super) text: String,
    /// Why it ends, in OpenAI's word.
    pub(super) finish: Option<&'static str>,
    /// The log probabilities of the text, in the server's form.
    pub(super) logprobs: Value,
    /// The delta of a chat, without what is said above.
    pub(super) rest: Map<String, Value>,
}

impl Said {
    /// Chat for chat.
    pub(super) fn chat(self, mut choice: Map<String, Value>, course: &mut Course) -> Vec<Map<String, Value>> {
        let Self { index, text, finish, logprobs, mut rest } = self;
        let mut out = Vec::new();
        let role = rest.remove("role").filter(Value::is_string);
        if !mem::replace(&mut course.opened, true) {
            out.push(opening(index, &role.unwrap_or_else(|| "assistant".into())));
        }
        let has_content = rest.remove("content").is_some_and(|content| content.is_string());
        if !text.is_empty() || has_content && finish.is_none() && rest.values().any(|value| !value.is_null()) {
            rest.insert("content".into(), text.into());
        }
        let says = rest.values().any(|value| !value.is_null() && *value != "");
        if !says && finish.is_none() {
            return out;
        }
        if !says {
            rest.clear();
        }
        // Clients tell completions by it.
        choice.shift_remove("text");
        choice.insert("index".into(), index.into());
        choice.insert("delta".into(), Value::Object(rest));
        choice.insert("logprobs".into(), logprobs);
        choice.insert("finish_reason".into(), finish.map_or(Value::Null, Into::into));
        out.push(choice);
        out
    }

    /// Chat for a completion, with no more alternatives to each token than were asked for.
    pub(super) fn chat_of_completion(self, course: &mut Course, alternatives: usize) -> Vec<Map<String, Value>> {
        let Self { index, text, finish, logprobs, .. } = self;
        let mut out = Vec::new();
        if !mem::replace(&mut course.opened, true) {
            out.push(opening(index, &"assistant".into()));
        }
        let mut logprobs = logprobs::to_chat(&logprobs, alternatives);
        if !text.is_empty() {
            out.push(object(json!({
                "index": index, "delta": {"content": text}, "logprobs": logprobs.take(), "finish_reason": null,
            })));
        }
        if let Some(finish) = finish {
            // What is left of them belongs to tokens without a text of their own.
            out.push(object(json!({ "index": index, "delta": {}, "logprobs": logprobs, "finish_reason": finish })));
        }
        out
    }

    /// Completion for a chat.
    pub(super) fn completion_of_chat(self, course: &Course) -> Option<Map<String, Value>> {
        let Self { index, text, finish, logprobs, .. } = self;
        if text.is_empty() && finish.is_none() {
            return None;
        }
        let offset = course.letters.saturating_sub(text.chars().count());
        let logprobs = logprobs::to_completion(&logprobs, offset);
        Some(object(json!({ "text": text, "index": index, "logprobs": logprobs, "finish_reason": finish })))
    }

    /// Completion for completion.
    pub(super) fn completion(self, mut choice: Map<String, Value>) -> Option<Map<String, Value>> {
        let Self { index, text, finish, logprobs, .. } = self;
        if text.is_empty() && finish.is_none() {
            return None;
        }
        choice.insert("text".into(), text.into());
        choice.insert("index".into(), index.into());
        choice.insert("logprobs".into(), logprobs);
        choice.insert("finish_reason".into(), finish.map_or(Value::Null, Into::into));
        Some(choice)
    }
}

fn opening(index: u32, role: &Value) -> Map<String, Value> {
    object(json!({
        "index": index, "delta": {"role": role, "content": ""}, "logprobs": null, "finish_reason": null,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
