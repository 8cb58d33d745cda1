//! Tokens of the input of a call.

use std::borrow::Cow;

use jiff::Zoned;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::chat_rule::{self, ChatCall, Message, read, text_of};
use super::kit::Kit;
use super::responses_rule;
use super::tally::{Tally, estimate};
use super::tokenizer::{Sitting, Specials};
use crate::dialect::endpoint::Dialect;
use crate::dialect::template::{Conversation, Template};

/// Tokens of the input of a call, from its body: messages with their form, tools and images, or the prompts.
pub fn input_tokens(dialect: Dialect, body: &[u8], kit: &Kit) -> Tally {
    input_tokens_of(dialect, body, kit, None)
}

/// The same for a model that has another name in the body, such as that of a deployment.
pub fn input_tokens_of(dialect: Dialect, body: &[u8], kit: &Kit, model: Option<&str>) -> Tally {
    let Some(tokenizer) = kit.tokenizer.as_deref() else { return rough(body) };
    let tokenizer = &tokenizer.sitting();
    let counted = match dialect {
        Dialect::Chat => serde_json::from_slice(body).ok().map(|call: ChatCall<'_>| {
            let model = model.map(Cow::Borrowed).or(call.model);
            chat(&ChatCall { model, ..call }, tokenizer, kit.template.as_deref())
        }),
        Dialect::Responses => responses_rule::count(body, model, tokenizer),
        Dialect::Completion | Dialect::Embeddings => texts_of(dialect, body).map(|given| texts(given, tokenizer)),
        _ => None,
    };
    counted.unwrap_or_else(|| rough(body))
}

fn chat(call: &ChatCall<'_>, tokenizer: &Sitting<'_>, template: Option<&Template>) -> Tally {
    let written = call.messages.map_or(0, |messages| messages.get().len());
    // Rendering holds the messages several times.
    if let Some(template) = template.filter(|_| written <= MOST_RENDERED)
        && let Some(prompt) = rendered(call, template)
    {
        let tally = tokenizer.count(&prompt, Specials::Rendered);
        return Tally { exact: tally.exact && only_text(call), ..tally };
    }
    match tokenizer.encoding() {
        Some(_) => chat_rule::count(call, tokenizer),
        None => unformed(call, tokenizer),
    }
}

/// The prompt as a template makes it; `None` where it does not take these messages.
fn rendered(call: &ChatCall<'_>, template: &Template) -> Option<String> {
    let messages: Vec<Value> = call.messages.and_then(read)?;
    let tools: Option<Value> = call.tools.and_then(read).filter(|tools: &Value| !tools.is_null());
    let variables: Option<Map<String, Value>> = call.chat_template_kwargs.and_then(read);
    let conversation = Conversation {
        messages: &messages,
        tools: tools.as_ref(),
        variables: variables.as_ref(),
        now: Zoned::now().datetime(),
    };
    template.render_whole(&conversation).ok()
}

/// Whether a template sees all that costs: an image is a placeholder there.
fn only_text(call: &ChatCall<'_>) -> bool {
    let Some(messages) = call.messages.and_then(read::<Vec<Message<'_>>>) else { return false };
    let parts = messages.iter().filter_map(|message| message.get("content"));
    let mut kinds = parts.filter_map(|content| read::<Vec<Value>>(content)).flatten();
    kinds.all(|part| part.get("type").and_then(Value::as_str) == Some("text"))
}

/// The texts, and a few tokens for the form of each message.
fn unformed(call: &ChatCall<'_>, tokenizer: &Sitting<'_>) -> Tally {
    let text = |raw: &RawValue| match text_of(raw) {
        Some(text) => tokenizer.count(&text, Specials::Text),
        None => tokenizer.count(raw.get(), Specials::Text),
    };
    let messages = call.messages.and_then(read::<Vec<Message<'_>>>).unwrap_or_default();
    let mut sum = Tally { tokens: 0, exact: false };
    for message in &messages {
        sum.tokens += FORM_OF_MESSAGE;
        sum = message.values().fold(sum, |sum, value| sum.plus(text(value)));
    }
    call.tools.iter().fold(sum, |sum, tools| sum.plus(text(tools)))
}

fn texts_of(dialect: Dialect, body: &[u8]) -> Option<Given<'_>> {
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(default, borrow)]
        prompt: Option<&'a RawValue>,
        #[serde(default, borrow)]
        input: Option<&'a RawValue>,
        #[serde(default, borrow)]
        suffix: Option<Cow<'a, str>>,
    }
    let call: Call<'_> = serde_json::from_slice(body).ok()?;
    let raw = if dialect == Dialect::Completion { call.prompt } else { call.input };
    Some(Given { raw, suffix: call.suffix })
}

struct Given<'a> {
    raw: Option<&'a RawValue>,
    suffix: Option<Cow<'a, str>>,
}

/// A text, some texts, token ids, or several lists of these.
#[derive(Deserialize)]
#[serde(untagged)]
enum Prompts {
    One(String),
    Ids(Vec<u32>),
    Several(Vec<Prompt>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

fn texts(given: Given<'_>, tokenizer: &Sitting<'_>) -> Tally {
    let specials = if tokenizer.encoding().is_some() { Specials::Text } else { Specials::Prompt };
    let ids = |ids: &[u32]| Tally { tokens: ids.len() as u64, exact: true };
    let none = Tally { tokens: 0, exact: false };
    let sum = match given.raw.map(|raw| (raw, read(raw))) {
        None => none,
        Some((_, Some(Prompts::One(text)))) => tokenizer.count(&text, specials),
        Some((_, Some(Prompts::Ids(list)))) => ids(&list),
        Some((_, Some(Prompts::Several(prompts)))) => {
            prompts.iter().fold(Tally { tokens: 0, exact: true }, |sum, prompt| {
                sum.plus(match prompt {
                    Prompt::Text(text) => tokenizer.count(text, specials),
                    Prompt::Ids(list) => ids(list),
                })
            })
        }
        Some((raw, None)) => estimate(raw.get()),
    };
    match given.suffix.filter(|suffix| !suffix.is_empty()) {
        None => sum,
        // Where a model puts it is not known.
        Some(suffix) => sum.plus(Tally { exact: false, ..tokenizer.count(&suffix, specials) }),
    }
}

/// A guess from the length of what the model reads, the form around it included.
fn rough(body: &[u8]) -> Tally {
    #[derive(Default, Deserialize)]
    struct Read<'a> {
        #[serde(default, borrow)]
        messages: Option<&'a RawValue>,
        #[serde(default, borrow)]
        prompt: Option<&'a RawValue>,
        #[serde(default, borrow)]
        input: Option<&'a RawValue>,
        #[serde(default, borrow)]
        tools: Option<&'a RawValue>,
    }
    let Ok(Read { messages, prompt, input, tools }) = serde_json::from_slice(body) else {
        return estimate(&String::from_utf8_lossy(body));
    };
    let parts = [messages, prompt, input, tools].into_iter().flatten();
    parts.map(|raw| estimate(raw.get())).fold(Tally::default(), Tally::plus)
}

/// Tokens around a message where its form is not known.
const FORM_OF_MESSAGE: u64 = 4;

/// Messages beyond this are not rendered to be counted.
const MOST_RENDERED: usize = 8 << 20;

#[cfg(test)]
mod tests;
