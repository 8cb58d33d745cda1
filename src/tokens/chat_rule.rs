//! Tokens of a chat request for OpenAI's models, by the rule of OpenAI's cookbook.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::images;
use super::tally::Tally;
use super::tokenizer::{Sitting, Specials};

/// The parts of a chat request that cost input tokens, still as they were written.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ChatCall<'a> {
    /// The model asked for.
    #[serde(default, borrow)]
    pub model: Option<Cow<'a, str>>,
    /// The messages.
    #[serde(default, borrow)]
    pub messages: Option<&'a RawValue>,
    /// Tools.
    #[serde(default, borrow)]
    pub tools: Option<&'a RawValue>,
    /// Tools in their older form.
    #[serde(default, borrow)]
    pub functions: Option<&'a RawValue>,
    /// What the answer must look like.
    #[serde(default, borrow)]
    pub response_format: Option<&'a RawValue>,
    /// Variables for a chat template.
    #[serde(default, borrow)]
    pub chat_template_kwargs: Option<&'a RawValue>,
    /// Sound in the answer.
    #[serde(default, borrow)]
    pub audio: Option<&'a RawValue>,
}

/// One member of a message after the other.
pub(crate) type Message<'a> = BTreeMap<String, &'a RawValue>;

/// Tokens of a chat request; exact as far as the rule is known to be.
pub(crate) fn count(call: &ChatCall<'_>, tokenizer: &Sitting<'_>) -> Tally {
    let model = call.model.as_deref().unwrap_or_default();
    let rule = Rule { tokenizer, model };
    let Some(messages) = call.messages.and_then(read::<Vec<Message<'_>>>) else {
        return rule.text(call.messages.map_or("", RawValue::get)).rough();
    };
    let mut sum = exactly(3);
    for message in &messages {
        sum = sum.plus(rule.message(message));
    }
    if let Some(tools) = call.tools.and_then(read::<Vec<Value>>).filter(|tools| !tools.is_empty()) {
        let functions = tools.iter().map(|tool| tool.get("function").unwrap_or(&Value::Null));
        sum = sum.plus(rule.functions(functions));
    }
    if let Some(functions) = call.functions.and_then(read::<Vec<Value>>).filter(|functions| !functions.is_empty()) {
        sum = sum.plus(rule.functions(functions.iter())).rough();
    }
    if let Some(format) = call.response_format.filter(|format| format.get().contains("json_schema")) {
        sum = sum.plus(rule.text(format.get())).rough();
    }
    // Nobody has published what sound adds.
    if call.audio.is_some_and(|audio| audio.get() != "null") { sum.rough() } else { sum }
}

/// Reads a part of a request; `None` where it has another form.
pub(crate) fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// The text of a value that is a string.
pub(crate) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    read::<Text<'_>>(raw).map(|text| text.0)
}

struct Rule<'a> {
    tokenizer: &'a Sitting<'a>,
    model: &'a str,
}

impl Rule<'_> {
    fn text(&self, text: &str) -> Tally {
        self.tokenizer.count(text, Specials::Text)
    }

    fn message(&self, message: &Message<'_>) -> Tally {
        let first = self.model == "gpt-3.5-turbo-0301";
        let mut sum = exactly(if first { 4 } else { 3 });
        for (key, value) in message {
            if value.get() == "null" {
                continue;
            }
            sum = sum.plus(match (key.as_str(), text_of(value)) {
                (_, Some(text)) => self.text(&text),
                ("content", None) => self.parts(value),
                ("tool_calls", None) => self.calls(value),
                _ => self.text(value.get()).rough(),
            });
            if key == "name" {
                // The first of these models left out the role where there was a name.
                sum.tokens = if first { sum.tokens.saturating_sub(1) } else { sum.tokens + 1 };
            }
        }
        sum
    }

    fn parts(&self, content: &RawValue) -> Tally {
        let Some(parts) = read::<Vec<Part<'_>>>(content) else { return self.text(content.get()).rough() };
        parts.iter().fold(exactly(0), |sum, part| {
            sum.plus(match part.kind.as_deref() {
                Some("text") => self.text(part.text.as_deref().unwrap_or_default()),
                Some("refusal") => self.text(part.refusal.as_deref().unwrap_or_default()).rough(),
                Some("image_url") => self.image(part),
                _ => exactly(0).rough(),
            })
        })
    }

    /// By a rule that others found out; the size of an image that is elsewhere is not known at all.
    fn image(&self, part: &Part<'_>) -> Tally {
        let Some(image) = &part.image_url else { return exactly(0).rough() };
        let size = image.url.as_deref().and_then(images::size_of);
        let low = image.detail.as_deref() == Some("low");
        let tokens = images::tokens(self.model, size, low).unwrap_or(UNKNOWN_IMAGE);
        exactly(tokens).rough()
    }

    /// What the assistant called: its arguments are what costs.
    fn calls(&self, calls: &RawValue) -> Tally {
        let Some(calls) = read::<Vec<Value>>(calls) else { return self.text(calls.get()).rough() };
        calls.iter().fold(exactly(0).rough(), |sum, call| {
            let function = call.get("function");
            let member = |name| function.and_then(|function| function.get(name)).and_then(Value::as_str);
            let texts = [member("name"), member("arguments")];
            texts.into_iter().flatten().fold(sum, |sum, text| sum.plus(self.text(text)))
        })
    }

    fn functions<'v>(&self, functions: impl Iterator<Item = &'v Value>) -> Tally {
        let once = if self.is_of_gpt_4o() { 7 } else { 10 };
        // The rule was found for these models; that it holds for others is a guess.
        let known =
            ["gpt-3.5-turbo", "gpt-35-turbo", "gpt-4-", "gpt-4o"].iter().any(|name| self.model.starts_with(name));
        let form = if known || self.model == "gpt-4" { exactly(12) } else { exactly(12).rough() };
        functions.fold(form, |sum, function| {
            let member = |name| function.get(name).and_then(Value::as_str).unwrap_or_default();
            let line = format!("{}:{}", member("name"), sentence(member("description")));
            let parameters = function.get("parameters").unwrap_or(&Value::Null);
            let sum = sum.plus(exactly(once)).plus(self.text(&line)).plus(self.properties(parameters));
            if function.get("strict") == Some(&Value::Bool(true)) { sum.rough() } else { sum }
        })
    }

    fn properties(&self, parameters: &Value) -> Tally {
        let Some(properties) = parameters.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty())
        else {
            return exactly(0);
        };
        properties.iter().fold(exactly(3), |sum, (key, property)| {
            let kind = property.get("type").and_then(Value::as_str);
            let description = property.get("description").and_then(Value::as_str);
            let mut sum = sum.plus(exactly(3));
            if let Some(items) = property.get("enum").and_then(Value::as_array) {
                for item in items {
                    let text = item.as_str().map_or_else(|| Cow::Owned(item.to_string()), Cow::Borrowed);
                    sum = sum.plus(exactly(3)).plus(self.text(&text));
                }
                sum.tokens = sum.tokens.saturating_sub(3);
            }
            let line = format!("{key}:{}:{}", kind.unwrap_or_default(), sentence(description.unwrap_or_default()));
            let sum = sum.plus(self.text(&line));
            // The rule knows flat properties only.
            let nested = property.get("properties").is_some() || property.get("items").is_some() || kind.is_none();
            if nested { sum.plus(self.text(&property.to_string())).rough() } else { sum }
        })
    }

    /// Models since GPT-4o have a shorter form for functions.
    fn is_of_gpt_4o(&self) -> bool {
        !["gpt-3.5", "gpt-35", "gpt-4-"].iter().any(|prefix| self.model.starts_with(prefix)) && self.model != "gpt-4"
    }
}

impl Tally {
    fn rough(self) -> Self {
        Self { exact: false, ..self }
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    refusal: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    image_url: Option<Image<'a>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(default, borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    detail: Option<Cow<'a, str>>,
}

fn exactly(tokens: u64) -> Tally {
    Tally { tokens, exact: true }
}

fn sentence(description: &str) -> &str {
    description.strip_suffix('.').unwrap_or(description)
}

/// An image of which nothing is known: one of about a thousand by a thousand, in tiles.
const UNKNOWN_IMAGE: u64 = 765;
