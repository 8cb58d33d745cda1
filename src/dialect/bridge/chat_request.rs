//! A chat request for a server that completes texts.

use serde_json::{Map, Value};

use super::body::Body;
use super::fates::{self, CHAT};
use super::members::{self, Members};
use super::messages;
use super::refusal::Refused;

/// A chat request, read for translation.
///
/// Every member is written in the other way, passed on, dropped or refused by one table (`fates`); members that the
/// API does not know are a server's extras and passed on. Null is absent, and a key given twice is refused.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    members: Members,
    messages: Vec<Value>,
    stops: Vec<Box<str>>,
    max_tokens: Option<u64>,
    n: u32,
    alternatives: Option<u64>,
    stream: bool,
    options: Option<Members>,
    variables: Option<Map<String, Value>>,
}

/// What a completion request gets that the chat request does not say.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// `model`.
    pub model: &'a str,
    /// `prompt`: the messages, rendered.
    pub prompt: &'a str,
    /// Stop strings of the template and of the line, beside the client's own.
    pub stops: &'a [Box<str>],
    /// `max_tokens`, already the lesser of what was asked for and what fits.
    pub max_tokens: u64,
    /// Ask a stream for its usage, whatever the client asked for.
    pub include_usage: bool,
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// The first member that has no counterpart, or that is malformed.
    pub fn read(body: &[u8]) -> Result<Self, Refused> {
        let mut members = Members::read(body)?;
        fates::check(&members, CHAT)?;
        refuse_calls(&members, ["tools", "tool_choice"])?;
        refuse_calls(&members, ["functions", "function_call"])?;
        let raw = members.take("messages").ok_or_else(|| Refused::missing("messages"))?;
        let messages = messages::read(raw.get())?;
        let limits = [members.whole("max_completion_tokens", 1, u64::MAX)?, members.whole("max_tokens", 1, u64::MAX)?];
        Ok(Self {
            messages,
            stops: members.stops()?,
            max_tokens: limits.into_iter().flatten().min(),
            n: members.n()?,
            alternatives: alternatives(&members)?,
            stream: members.flag("stream")?,
            options: members.stream_options()?,
            variables: variables(&mut members)?,
            members,
        })
    }

    /// The messages, as a template takes them: texts where the content is nothing but text, `system` for
    /// `developer`, and no members that are null.
    pub fn messages(&self) -> &[Value] {
        &self.messages
    }

    /// `stop` as the client gave it.
    pub fn stops(&self) -> &[Box<str>] {
        &self.stops
    }

    /// `max_completion_tokens` or `max_tokens`, the lesser of both; `None` is without limit.
    pub fn max_tokens(&self) -> Option<u64> {
        self.max_tokens
    }

    /// `n`, at least 1.
    pub fn n(&self) -> u32 {
        self.n
    }

    /// `top_logprobs`: alternatives to each token that the client wants to see.
    pub fn alternatives(&self) -> usize {
        self.alternatives.and_then(|alternatives| usize::try_from(alternatives).ok()).unwrap_or(0)
    }

    /// `chat_template_kwargs`: further variables for the template.
    pub fn variables(&self) -> Option<&Map<String, Value>> {
        self.variables.as_ref()
    }

    /// The completion request in its place, JSON.
    pub fn completion(&self, fill: &Fill<'_>) -> Vec<u8> {
        let mut body = Body::new(fill.model);
        body.put("prompt", fill.prompt);
        body.put("max_tokens", fill.max_tokens);
        body.stops(self.stops.iter().chain(fill.stops));
        if let Some(alternatives) = self.alternatives {
            // There are servers that take a 0 for no log probabilities at all.
            body.put("logprobs", alternatives.max(1));
        }
        if self.stream {
            body.stream(self.options.as_ref(), fill.include_usage);
        }
        for (key, value) in fates::kept(&self.members, CHAT) {
            body.raw(key, value);
        }
        body.finish()
    }
}

/// A list of tools that may be called, or the order to call one: what a model writes then cannot be told from text.
fn refuse_calls(members: &Members, [list, choice]: [&'static str; 2]) -> Result<(), Refused> {
    let read = |key| members.raw(key).map_or(Ok(Value::Null), |raw| members::read(key, raw, "JSON"));
    let choice_is = read(choice)?;
    if choice_is == "none" {
        return Ok(());
    }
    if !fates::is_empty(&read(list)?) {
        let message = format!(
            "`{list}` cannot be translated: the server completes plain text; leave it out or set `{choice}` to \"none\""
        );
        return Err(Refused::unsupported(list, message));
    }
    if !fates::is_no_choice(&choice_is) {
        let message = format!("`{choice}` cannot be translated: the server completes plain text and calls nothing");
        return Err(Refused::unsupported(choice, message));
    }
    Ok(())
}

/// `top_logprobs`, if log probabilities are asked for.
fn alternatives(members: &Members) -> Result<Option<u64>, Refused> {
    let wanted = members.flag("logprobs")?;
    let top = members.whole("top_logprobs", 0, 20)?;
    match top {
        Some(1..) if !wanted => Err(Refused::value("top_logprobs", "`top_logprobs` needs `logprobs` to be true")),
        Some(top) if top > MOST_LOGPROBS => {
            let message =
                format!("`top_logprobs` cannot be more than {MOST_LOGPROBS}: the server completes plain text");
            Err(Refused::unsupported("top_logprobs", message))
        }
        _ => Ok(wanted.then(|| top.unwrap_or(0))),
    }
}

fn variables(members: &mut Members) -> Result<Option<Map<String, Value>>, Refused> {
    let Some(raw) = members.take("chat_template_kwargs") else { return Ok(None) };
    let variables: Map<String, Value> = members::read("chat_template_kwargs", raw.get(), "an object")?;
    // By this way round, too, the prompt is what the call asks for, and its text what the model's own template makes.
    if variables.get("add_generation_prompt").is_some_and(|value| *value != true) {
        return Err(fixed("add_generation_prompt", "the prompt always opens the assistant's answer"));
    }
    if let Some(name) = ["messages", "tools", "documents"].into_iter().find(|name| variables.contains_key(*name)) {
        return Err(fixed(name, "the prompt is made of the call's own members"));
    }
    Ok(Some(variables))
}

fn fixed(name: &str, why: &str) -> Refused {
    let param = format!("chat_template_kwargs.{name}");
    let message = format!("`{param}` cannot be set: {why}");
    Refused::unsupported(param, message)
}

/// OpenAI's own bound of a completion's `logprobs`.
const MOST_LOGPROBS: u64 = 5;

#[cfg(test)]
mod tests;
