//! A reply that is one JSON document.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::errors::error_body;
use super::lenient::{self, Form};
use super::plan::ReplyPlan;
use super::probabilities::Probabilities;
use super::stops::Stops;
use super::texts::Texts;
use super::told;
use super::words::{arguments, is_error, object_name, prefix, reported, usage_object, written};
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
        let (mut document, form) = parsed(&body)?;
        if is_error(&document) {
            let error = error_body(&body, 502).map_or(body, Bytes::from);
            return Err(Unreadable::Error(error));
        }
        let Some(Value::Array(choices)) = document.get_mut("choices").map(Value::take) else {
            return Err(Unreadable::OtherJson(object_name(plan.served, false)));
        };
        let mut mending =
            Mending { plan, stops: Stops::new(&plan.stops), texts: Texts::default(), odd: form == Form::Loose };
        let choices: Vec<Value> = (0..).zip(choices).map(|(place, choice)| mending.choice(place, choice)).collect();
        document.insert("choices".into(), Value::Array(choices));
        mending.head(&mut document);
        let usage = document.get("usage").and_then(reported);
        let reports_usage = usage.is_some();
        if let Some(usage) = usage {
            mending.put(&mut document, "usage", usage);
        }
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
        told::as_stream(self.document, &self.plan)
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
        let message =
            match choice.remove("message").filter(|message| !message.is_null()).or_else(|| choice.remove("delta")) {
                Some(Value::Object(message)) => message,
                _ => Map::new(),
            };
        let came = written(&choice, &message, self.plan);
        self.texts.add(index, &came);
        self.texts.add(index, &arguments(&message));
        let word = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut finish = self.expect(reason_in(self.plan.asked, &word), "stop");
        self.odd |= finish != word;
        let mut text = came.clone();
        let mut probabilities = choice.get("logprobs").cloned().unwrap_or_default();
        // Before white space is left out, since a server would have met a stop string in it too.
        if let Some(at) = self.stops.cut(&text) {
            text.truncate(at);
            finish = "stop";
            let mut shown = Probabilities::default();
            let unknown = shown.push(probabilities);
            probabilities = if unknown.is_null() { shown.within(at) } else { unknown };
        }
        if self.plan.trims_start {
            text = text.trim_start().to_owned();
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
            let logprobs = logprobs::to_chat(&probabilities, self.plan.alternatives);
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

fn parsed(body: &Bytes) -> Result<(Map<String, Value>, Form), Unreadable> {
    if let Some(read) = lenient::object(body) {
        return Ok(read);
    }
    if serde_json::from_slice::<Value>(body).is_ok() {
        return Err(Unreadable::OtherJson("object"));
    }
    let text = body.trim_ascii_start();
    let begins = |mark: &[u8]| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    Err(match text {
        [] => Unreadable::Empty,
        _ if begins(b"<!doctype") || begins(b"<html") => Unreadable::Foreign("HTML"),
        _ if begins(b"data:") || begins(b"event:") || begins(b":") => Unreadable::Foreign("a stream of events"),
        [b'{' | b'[', ..] => Unreadable::Foreign("JSON that is broken"),
        _ => Unreadable::Foreign("text that is no JSON"),
    })
}

#[cfg(test)]
mod tests;
