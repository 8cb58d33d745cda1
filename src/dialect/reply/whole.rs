//! A reply that is one JSON document.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::chunk::counts;
use super::errors::error_body;
use super::plan::ReplyPlan;
use super::stops::Stops;
use super::texts::Texts;
use super::words::{arguments, object_name, prefix, usage_object};
use crate::dialect::bridge::finish::reason_in;
use crate::dialect::bridge::logprobs;
use crate::dialect::endpoint::Dialect;
use crate::units::Usage;

/// A reply that is one JSON document, read and ready to be written for the client.
#[derive(Debug)]
pub struct WholeReply {
    /// As it came, where nothing in it has to change.
    came: Option<Bytes>,
    document: Map<String, Value>,
    texts: Texts,
    reports_usage: bool,
    plan: ReplyPlan,
}

impl WholeReply {
    /// Reads a reply with a status of success.
    ///
    /// # Errors
    /// It is no reply of the dialect that `plan` names.
    pub fn read(body: Bytes, plan: &ReplyPlan) -> Result<Self, Unreadable> {
        let mut document = parsed(&body)?;
        if is_error(&document) {
            let error = error_body(&body, 502).map_or(body, Bytes::from);
            return Err(Unreadable::Error(error));
        }
        let Some(Value::Array(choices)) = document.get_mut("choices").map(Value::take) else {
            return Err(Unreadable::OtherJson(object_name(plan.served, false)));
        };
        let mut mending = Mending { plan, stops: Stops::new(&plan.stops), texts: Texts::default(), odd: false };
        let choices: Vec<Value> = (0..).zip(choices).map(|(place, choice)| mending.choice(place, choice)).collect();
        document.insert("choices".into(), Value::Array(choices));
        mending.head(&mut document);
        let reports_usage = document.get("usage").is_some_and(|usage| counts(usage) && is_sound_usage(usage));
        let Mending { texts, odd, .. } = mending;
        let came = (!odd && reports_usage).then_some(body);
        Ok(Self { came, document, texts, reports_usage, plan: plan.clone() })
    }

    /// What the model wrote, before any stop string was enforced.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Whether it has a usage that counts something.
    pub fn reports_usage(&self) -> bool {
        self.reports_usage
    }

    /// The document for the client, with this usage where it reports none of its own. The very bytes that came where
    /// nothing is odd and nothing is translated.
    pub fn write(mut self, usage: Option<&Usage>) -> Bytes {
        if let Some(came) = self.came {
            return came;
        }
        self.settle_usage(usage);
        Value::Object(self.document).to_string().into()
    }

    /// The same as a whole stream of events, for a client that asked for a stream and a server that has none.
    pub fn write_stream(mut self, usage: Option<&Usage>) -> Bytes {
        self.settle_usage(usage);
        let Self { mut document, plan, .. } = self;
        let usage = document.remove("usage");
        let choices = document.remove("choices");
        document.insert("object".into(), object_name(plan.asked, true).into());
        let mut out = Vec::new();
        for choice in choices.as_ref().and_then(Value::as_array).into_iter().flatten() {
            for part in in_parts(choice, plan.asked) {
                write_event(&mut out, &document, vec![part], plan.asks_usage.then_some(Value::Null));
            }
        }
        if plan.asks_usage && plan.last {
            write_event(&mut out, &document, Vec::new(), usage);
        }
        if plan.last {
            out.extend(b"data: [DONE]\n\n");
        }
        out.into()
    }

    fn settle_usage(&mut self, usage: Option<&Usage>) {
        if self.reports_usage {
            return;
        }
        self.document.remove("usage");
        if let Some(usage) = usage {
            self.document.insert("usage".into(), usage_object(usage));
        }
    }
}

/// Completions of several prompts as one: choices in order, usage summed. `None` where one is no such document.
pub fn join(parts: &[Bytes]) -> Option<Bytes> {
    let mut documents = parts.iter().map(|part| serde_json::from_slice::<Map<String, Value>>(part).ok());
    let mut all = documents.next()??;
    for document in documents {
        let mut document = document?;
        let more = document.get_mut("choices").and_then(Value::as_array_mut).map(std::mem::take)?;
        all.get_mut("choices").and_then(Value::as_array_mut)?.extend(more);
        let sum = all.get("usage").zip(document.get("usage")).and_then(|(a, b)| sum(a, b));
        match sum {
            Some(sum) => all.insert("usage".into(), sum),
            None => all.remove("usage"),
        };
    }
    Some(Value::Object(all).to_string().into())
}

fn sum(a: &Value, b: &Value) -> Option<Value> {
    let plus = |name: &str| a[name].as_u64()?.checked_add(b[name].as_u64()?);
    let (input, output, total) = (plus("prompt_tokens")?, plus("completion_tokens")?, plus("total_tokens")?);
    Some(json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": total }))
}

/// Why a document with a status of success is no reply.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// It says that it is an error; the body in OpenAI's form.
    #[error("an error under a status of success")]
    Error(Bytes),
    /// Empty.
    #[error("an empty reply")]
    Empty,
    /// HTML, plain text, a stream.
    #[error("{0}")]
    Foreign(&'static str),
    /// JSON of another kind.
    #[error("JSON that is no `{0}`")]
    OtherJson(&'static str),
}

/// Mends a document piece by piece, and notes whether anything had to be.
struct Mending<'a> {
    plan: &'a ReplyPlan,
    stops: Stops,
    texts: Texts,
    odd: bool,
}

impl Mending<'_> {
    /// One choice in the client's dialect.
    fn choice(&mut self, place: u32, choice: Value) -> Value {
        let Value::Object(mut choice) = choice else {
            self.odd = true;
            return self.made(place, String::new(), (Some("stop"), Value::Null), Map::new());
        };
        let given = choice.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
        let index = self.plan.first_index.saturating_add(self.expect(given, place));
        let message = match choice.remove("message").or_else(|| choice.remove("delta")) {
            Some(Value::Object(message)) => message,
            _ => Map::new(),
        };
        let came = self.written(&choice, &message);
        self.texts.add(index, &came);
        self.texts.add(index, &arguments(&message));
        let word = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut finish = self.expect(reason_in(self.plan.asked, &word), "stop");
        self.odd |= finish != word;
        let mut text = if self.plan.trims_start { came.trim_start() } else { &came }.to_owned();
        let lead = came.len() - text.len();
        let mut probabilities = choice.get("logprobs").cloned().unwrap_or_default();
        if let Some(at) = self.stops.cut(&text) {
            text.truncate(at);
            finish = "stop";
            trim(&mut probabilities, lead + at);
        }
        if let Some(echo) = self.plan.echo.as_deref().filter(|_| self.plan.asked != Dialect::Chat) {
            text.insert_str(0, echo);
        }
        self.odd |= text != came;
        if self.plan.translates() {
            return self.made(index, text, (Some(finish), probabilities), Map::new());
        }
        choice.insert("index".into(), index.into());
        choice.insert("finish_reason".into(), finish.into());
        if self.plan.asked == Dialect::Chat {
            let message = self.message(message, text);
            choice.insert("message".into(), Value::Object(message));
        } else {
            self.odd |= !choice.get("text").is_some_and(Value::is_string);
            choice.insert("text".into(), text.into());
        }
        if !probabilities.is_null() || choice.contains_key("logprobs") {
            choice.insert("logprobs".into(), probabilities);
        }
        Value::Object(choice)
    }

    /// A choice that is written from nothing.
    fn made(
        &mut self,
        index: u32,
        text: String,
        (finish, probabilities): (Option<&str>, Value),
        rest: Map<String, Value>,
    ) -> Value {
        self.odd = true;
        if self.plan.asked == Dialect::Chat {
            let message = self.message(rest, text);
            let logprobs = logprobs::to_chat(&probabilities);
            return json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": finish });
        }
        let offset = self.plan.echo.as_deref().map_or(0, |echo| echo.chars().count());
        let logprobs = logprobs::to_completion(&probabilities, offset);
        json!({ "text": text, "index": index, "logprobs": logprobs, "finish_reason": finish })
    }

    /// A message with what OpenAI's always has.
    fn message(&mut self, mut message: Map<String, Value>, text: String) -> Map<String, Value> {
        let calls =
            message.get("tool_calls").is_some_and(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
        let is_role = message.get("role").is_some_and(Value::is_string);
        self.odd |= !is_role;
        if !is_role {
            message.insert("role".into(), "assistant".into());
        }
        let refused = message.get("refusal").is_some_and(Value::is_string);
        let may_be_null = (calls || refused || message.contains_key("function_call")) && text.is_empty();
        let is_content =
            message.get("content").is_some_and(|content| content.is_string() || content.is_null() && may_be_null);
        self.odd |= !is_content;
        if !(is_content && message.get("content").is_some_and(Value::is_null)) {
            message.insert("content".into(), text.into());
        }
        if self.plan.translates() {
            message.insert("refusal".into(), Value::Null);
        }
        message
    }

    /// The text of a choice in the server's dialect.
    fn written(&mut self, choice: &Map<String, Value>, message: &Map<String, Value>) -> String {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        if self.plan.served != Dialect::Chat {
            return text(choice.get("text")).or_else(|| text(message.get("content"))).unwrap_or_default();
        }
        let content = match message.get("content") {
            // Some servers answer in parts, as requests may.
            Some(Value::Array(parts)) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
            content => text(content),
        };
        let refusal = || text(message.get("refusal")).filter(|_| self.plan.translates());
        content.filter(|content: &String| !content.is_empty()).or_else(refusal).unwrap_or_default()
    }

    fn head(&mut self, document: &mut Map<String, Value>) {
        let Self { plan, .. } = *self;
        let own = || format!("{}{}", prefix(plan.asked), plan.id);
        let id = document.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = match id {
            Some(id) if plan.translates() => {
                Some(format!("{}{}", prefix(plan.asked), id.strip_prefix(prefix(plan.served)).unwrap_or(id)))
            }
            id => id.map(str::to_owned),
        };
        self.put(document, "id", id.unwrap_or_else(own).into());
        self.put(document, "object", object_name(plan.asked, false).into());
        let created = document.get("created").filter(|created| created.as_u64().is_some_and(|created| created > 0));
        let created = created.cloned().unwrap_or_else(|| plan.created.into());
        self.put(document, "created", created);
        let model = document.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
        let model = model.unwrap_or(&plan.model).to_owned();
        self.put(document, "model", model.into());
    }

    fn put(&mut self, document: &mut Map<String, Value>, name: &str, value: Value) {
        if document.get(name) != Some(&value) {
            self.odd = true;
            document.insert(name.into(), value);
        }
    }

    /// What is given, or what is put in its place, which is odd.
    fn expect<T>(&mut self, given: Option<T>, otherwise: T) -> T {
        self.odd |= given.is_none();
        given.unwrap_or(otherwise)
    }
}

fn parsed(body: &Bytes) -> Result<Map<String, Value>, Unreadable> {
    let text = body.trim_ascii_start();
    match serde_json::from_slice(body) {
        Ok(Value::Object(document)) => return Ok(document),
        Ok(_) => return Err(Unreadable::OtherJson("object")),
        Err(_) => {}
    }
    let begins = |mark: &[u8]| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    Err(match text {
        [] => Unreadable::Empty,
        _ if begins(b"<!doctype") || begins(b"<html") => Unreadable::Foreign("HTML"),
        _ if begins(b"data:") || begins(b"event:") || begins(b":") => Unreadable::Foreign("a stream of events"),
        [b'{' | b'[', ..] => Unreadable::Foreign("JSON that is broken"),
        _ => Unreadable::Foreign("text that is no JSON"),
    })
}

/// Whether a document says that something went wrong, in whichever form.
fn is_error(document: &Map<String, Value>) -> bool {
    let says = |name: &str| document.get(name).is_some_and(|value| !is_falsy(value));
    let flat = document.get("object").is_some_and(|object| object == "error");
    says("error") || flat || !document.contains_key("choices") && says("detail")
}

fn is_falsy(value: &Value) -> bool {
    value.is_null() || *value == false || *value == "" || value.as_object().is_some_and(Map::is_empty)
}

/// Leaves only the probabilities of tokens that lie within the first `bytes` of the text.
fn trim(probabilities: &mut Value, bytes: usize) {
    let within = |tokens: &[Value], name: Option<&str>| {
        let mut end = 0;
        let lengths = tokens.iter().map(|token| name.map_or(token, |name| &token[name]).as_str().map_or(0, str::len));
        lengths
            .take_while(|length| {
                end += length;
                end <= bytes
            })
            .count()
    };
    if let Some(content) = probabilities["content"].as_array() {
        let kept = within(content, Some("token"));
        if let Some(Value::Array(content)) = probabilities.get_mut("content") {
            content.truncate(kept);
        }
    } else if let Some(tokens) = probabilities["tokens"].as_array() {
        let kept = within(tokens, None);
        for list in probabilities.as_object_mut().into_iter().flatten().filter_map(|(_, value)| value.as_array_mut()) {
            list.truncate(kept);
        }
    }
}

/// Whether typed clients can read it.
fn is_sound_usage(usage: &Value) -> bool {
    ["prompt_tokens", "completion_tokens", "total_tokens"].iter().all(|name| usage[*name].is_u64())
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

#[cfg(test)]
mod tests;
