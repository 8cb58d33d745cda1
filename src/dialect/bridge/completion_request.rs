//! A completion request for a server that only chats.

use serde_json::json;

use super::body::Body;
use super::fates::{self, COMPLETION};
use super::members::{self, Members};
use super::refusal::Refused;

/// A completion request, read for translation.
///
/// Every member is written in the other way, passed on, dropped or refused by one table (`fates`); members that the
/// API does not know are a server's extras and passed on. Null is absent, and a key given twice is refused.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    members: Members,
    prompts: Vec<Prompt>,
    stops: Vec<Box<str>>,
    max_tokens: u64,
    n: u32,
    logprobs: Option<u64>,
    echo: bool,
    stream: bool,
    options: Option<Members>,
}

/// One prompt; each becomes a call of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Prompt {
    /// Written out.
    Text(Box<str>),
    /// As ids of the model's own tokenizer.
    Tokens(Box<[u32]>),
}

impl CompletionRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// The first member that has no counterpart, or that is malformed.
    pub fn read(body: &[u8]) -> Result<Self, Refused> {
        let mut members = Members::read(body)?;
        fates::check(&members, COMPLETION)?;
        let Some(prompt) = members.take("prompt") else {
            let message = "a chat server cannot begin a new document: give a `prompt`";
            return Err(Refused { message: message.to_owned(), ..Refused::missing("prompt") });
        };
        let prompts = prompts(prompt.get())?;
        let n = members.n()?;
        refuse_best_of(&members, n)?;
        let (echo, logprobs) = (members.flag("echo")?, members.whole("logprobs", 0, MOST_LOGPROBS)?);
        if echo && logprobs.is_some() {
            let message =
                "`echo` together with `logprobs` cannot be translated: a chat server tells nothing of a prompt";
            return Err(Refused::unsupported("echo", message));
        }
        Ok(Self {
            prompts,
            stops: members.stops()?,
            max_tokens: max_tokens(&members)?,
            n,
            logprobs,
            echo,
            stream: members.flag("stream")?,
            options: members.stream_options()?,
            members,
        })
    }

    /// The prompts, at least one.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// `stop` as the client gave it.
    pub fn stops(&self) -> &[Box<str>] {
        &self.stops
    }

    /// `max_tokens`, which is 16 where the client gave none.
    pub fn max_tokens(&self) -> u64 {
        self.max_tokens
    }

    /// `n`, at least 1.
    pub fn n(&self) -> u32 {
        self.n
    }

    /// Whether the prompt is to stand before each choice's text.
    pub fn echo(&self) -> bool {
        self.echo
    }

    /// The chat request for one of the prompts, JSON; `include_usage` asks a stream for its usage, whatever the
    /// client asked for. `max_tokens` is already the lesser of what was asked for and what fits.
    pub fn chat(&self, model: &str, prompt: &str, max_tokens: u64, include_usage: bool) -> Vec<u8> {
        let mut body = Body::new(model);
        body.put("messages", json!([{"role": "user", "content": prompt}]));
        body.put("max_tokens", max_tokens);
        body.stops(self.stops.iter());
        if let Some(top) = self.logprobs {
            body.put("logprobs", true);
            body.put("top_logprobs", top);
        }
        if self.stream {
            body.stream(self.options.as_ref(), include_usage);
        }
        for (key, value) in fates::kept(&self.members, COMPLETION) {
            body.raw(key, value);
        }
        body.finish()
    }
}

fn max_tokens(members: &Members) -> Result<u64, Refused> {
    match members.whole("max_tokens", 0, u64::MAX)? {
        Some(0) => {
            let message = "`max_tokens` of 0 cannot be translated: a chat server always writes an answer";
            Err(Refused::unsupported("max_tokens", message))
        }
        given => Ok(given.unwrap_or(DEFAULT_TOKENS)),
    }
}

fn refuse_best_of(members: &Members, n: u32) -> Result<(), Refused> {
    let Some(best_of) = members.whole("best_of", 0, 128)? else { return Ok(()) };
    if best_of < u64::from(n) {
        return Err(Refused::value("best_of", "`best_of` must not be less than `n`"));
    }
    if best_of > u64::from(n) {
        let message = "`best_of` cannot be more than `n`: a chat server does not choose among candidates";
        return Err(Refused::unsupported("best_of", message));
    }
    Ok(())
}

fn prompts(raw: &str) -> Result<Vec<Prompt>, Refused> {
    let kind = "a string, an array of strings, an array of token ids or an array of such arrays";
    let inside = raw.strip_prefix('[').map(|rest| rest.trim_start().as_bytes().first().copied().unwrap_or_default());
    let prompts: Vec<Prompt> = match inside {
        None => vec![Prompt::Text(members::read("prompt", raw, kind)?)],
        Some(b'"' | b']') => {
            let texts: Vec<Box<str>> = members::read("prompt", raw, kind)?;
            texts.into_iter().map(Prompt::Text).collect()
        }
        Some(b'[') => {
            let lists: Vec<Box<[u32]>> = members::read("prompt", raw, kind)?;
            lists.into_iter().map(Prompt::Tokens).collect()
        }
        Some(_) => vec![Prompt::Tokens(members::read("prompt", raw, kind)?)],
    };
    if prompts.is_empty() || prompts.iter().any(|prompt| matches!(prompt, Prompt::Tokens(ids) if ids.is_empty())) {
        return Err(Refused::value("prompt", "`prompt` must not be empty"));
    }
    if prompts.len() > MOST_PROMPTS {
        let message = format!("`prompt` may hold {MOST_PROMPTS} prompts; each is a call of its own");
        return Err(Refused::value("prompt", message));
    }
    Ok(prompts)
}

/// OpenAI's own default.
const DEFAULT_TOKENS: u64 = 16;

/// OpenAI's own bound of `logprobs`.
const MOST_LOGPROBS: u64 = 5;

/// OpenAI's own bound of an array of inputs.
const MOST_PROMPTS: usize = 2048;

#[cfg(test)]
mod tests;
