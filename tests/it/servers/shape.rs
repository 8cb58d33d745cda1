//! A reading of replies that takes nothing but the types that OpenAI's documentation promises.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a client library makes of a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    /// The text of each choice.
    pub(super) texts: BTreeMap<u64, String>,
    /// Why each choice ended.
    pub(super) finish: BTreeMap<u64, String>,
    /// Tokens of prompt and answer.
    pub(super) usage: Option<[u64; 2]>,
    /// The error that ended it.
    pub(super) error: Option<Value>,
    /// The members that must not change within a stream.
    head: Option<Value>,
}

impl Shape {
    /// Reads one document.
    ///
    /// # Errors
    /// What is not as documented.
    pub(super) fn of_whole(document: &Value, is_chat: bool) -> Result<Self, String> {
        let mut shape = Self::default();
        if document.get("error").is_some() {
            shape.fail(document)?;
            return Ok(shape);
        }
        shape.head(document, if is_chat { "chat.completion" } else { "text_completion" })?;
        for choice in choices(document)? {
            let index = whole_number(&choice["index"], "index")?;
            let text = if is_chat { message(&choice["message"])? } else { text(&choice["text"], "text")? };
            must(shape.texts.insert(index, text.into()).is_none(), || format!("two choices {index}"))?;
            must(shape.end(index, choice, is_chat)?, || "a choice without a reason".into())?;
        }
        shape.usage = Some(usage(&document["usage"])?);
        Ok(shape)
    }

    /// Reads a stream.
    ///
    /// # Errors
    /// What is not as documented.
    pub(super) fn of_stream(body: &str, is_chat: bool, asks_usage: bool) -> Result<Self, String> {
        let mut shape = Self::default();
        let rest = body.strip_suffix("data: [DONE]\n\n");
        let events = rest.unwrap_or(body).strip_suffix("\n\n").ok_or("no blank line at the end")?;
        for event in events.split("\n\n") {
            let data = event.strip_prefix("data: ").ok_or_else(|| format!("an event that is `{event}`"))?;
            let chunk: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
            must(shape.error.is_none() && shape.usage.is_none(), || format!("after the end: {data}"))?;
            shape.chunk(&chunk, is_chat, asks_usage).map_err(|error| format!("{error} in {data}"))?;
        }
        if shape.error.is_some() {
            return Ok(shape);
        }
        must(rest.is_some(), || "no [DONE]".into())?;
        must(shape.texts.keys().eq(shape.finish.keys()), || "a choice without a reason".into())?;
        must(shape.usage.is_some() == asks_usage, || format!("usage is {:?}", shape.usage))?;
        Ok(shape)
    }

    fn chunk(&mut self, chunk: &Value, is_chat: bool, asks_usage: bool) -> Result<(), String> {
        if chunk.get("error").is_some() {
            return self.fail(chunk);
        }
        self.head(chunk, if is_chat { "chat.completion.chunk" } else { "text_completion" })?;
        let choices = choices(chunk)?;
        if choices.is_empty() {
            self.usage = Some(usage(&chunk["usage"])?);
            return Ok(());
        }
        must(chunk.get("usage").is_none_or(|usage| asks_usage && usage.is_null()), || "usage on a chunk".into())?;
        for choice in choices {
            let index = whole_number(&choice["index"], "index")?;
            must(!self.finish.contains_key(&index), || "more after a reason".into())?;
            let is_first = !self.texts.contains_key(&index);
            let piece = if is_chat { delta(&choice["delta"], is_first)? } else { text(&choice["text"], "text")? };
            *self.texts.entry(index).or_default() += piece;
            self.end(index, choice, is_chat)?;
        }
        Ok(())
    }

    /// `id`, `object`, `created`, `model`: there, of their types, and the same over a stream.
    fn head(&mut self, document: &Value, object: &str) -> Result<(), String> {
        must(document["object"] == object, || format!("object is {}", document["object"]))?;
        must(!text(&document["id"], "id")?.is_empty(), || "an empty id".into())?;
        must(!text(&document["model"], "model")?.is_empty(), || "an empty model".into())?;
        whole_number(&document["created"], "created")?;
        let head = serde_json::json!([document["id"], document["model"], document["created"]]);
        let first = self.head.get_or_insert_with(|| head.clone());
        must(*first == head, || format!("{head} after {first}"))
    }

    /// Takes the reason of a choice; whether it has one.
    fn end(&mut self, index: u64, choice: &Value, is_chat: bool) -> Result<bool, String> {
        let reason = choice.get("finish_reason").unwrap_or(&Value::Null);
        if reason.is_null() {
            return Ok(false);
        }
        let reason = text(reason, "finish_reason")?;
        let known = if is_chat { &REASONS[..] } else { &REASONS[..3] };
        must(known.contains(&reason), || format!("the reason `{reason}`"))?;
        self.finish.insert(index, reason.into());
        Ok(true)
    }

    fn fail(&mut self, document: &Value) -> Result<(), String> {
        let error = &document["error"];
        must(!text(&error["message"], "message")?.is_empty(), || "an empty message".into())?;
        must(!text(&error["type"], "type")?.is_empty(), || "an empty type".into())?;
        for key in ["param", "code"] {
            let member = error.get(key).ok_or_else(|| format!("no `{key}` in {error}"))?;
            must(member.is_null() || member.is_string(), || format!("{key} is {member}"))?;
        }
        self.error = Some(error.clone());
        Ok(())
    }
}

fn choices(document: &Value) -> Result<&Vec<Value>, String> {
    document["choices"].as_array().ok_or_else(|| format!("choices are {}", document["choices"]))
}

fn message(message: &Value) -> Result<&str, String> {
    must(message["role"] == "assistant", || format!("the role {}", message["role"]))?;
    if message["content"].is_null() && !message["tool_calls"].is_null() {
        return Ok("");
    }
    text(&message["content"], "content")
}

/// The text of a delta: the first one of a choice names the role and nothing but that, the others do not.
fn delta(delta: &Value, is_first: bool) -> Result<&str, String> {
    must(delta.is_object(), || format!("delta is {delta}"))?;
    must(is_first == delta.get("role").is_some(), || format!("the role {} on a delta", delta["role"]))?;
    must(!is_first || delta["role"] == "assistant", || format!("the role {}", delta["role"]))?;
    let piece = delta.get("content").filter(|piece| !piece.is_null()).map_or(Ok(""), |piece| text(piece, "content"))?;
    must(!is_first || piece.is_empty(), || format!("a role beside `{piece}`"))?;
    Ok(piece)
}

fn usage(usage: &Value) -> Result<[u64; 2], String> {
    let number = |key: &str| whole_number(&usage[key], key);
    let (input, output) = (number("prompt_tokens")?, number("completion_tokens")?);
    must(number("total_tokens")? == input + output, || format!("a total that is none in {usage}"))?;
    Ok([input, output])
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{key} is {value}"))
}

fn whole_number(value: &Value, key: &str) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| format!("{key} is {value}"))
}

/// An error with these words where it does not hold.
pub(super) fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Those of completions first.
const REASONS: [&str; 5] = ["stop", "length", "content_filter", "tool_calls", "function_call"];
