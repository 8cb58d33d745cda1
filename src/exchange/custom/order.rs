//! What is sent to a custom model's server, made off the request path: translated, rendered, counted, fitted.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use crate::dialect::bridge::Bridge;
use crate::dialect::bridge::chat_request::{ChatRequest, Fill};
use crate::dialect::bridge::completion_request::{CompletionRequest, Prompt};
use crate::dialect::bridge::refusal::Refused;
use crate::dialect::endpoint::Dialect;
use crate::dialect::template::{Conversation, Template, TemplateError};
use crate::exchange::counting::input::Input;
use crate::exchange::custom::room::{Overlong, Room, Taken};
use crate::exchange::fault::Fault;
use crate::policy::custom::CustomModel;
use crate::tokens::kit::Kit;
use crate::tokens::prompt::input_tokens;
use crate::tokens::tally::{Tally, estimate};
use crate::tokens::tokenizer::{Specials, Tokenizer};

/// A call for a custom model, as it is handed to the thread that makes an order of it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The model.
    pub custom: Arc<CustomModel>,
    /// What is known about it.
    pub kit: Kit,
    /// What the client asked for.
    pub dialect: Dialect,
    /// The client's body, without its coding.
    pub body: Bytes,
    /// Streams are to be asked for their usage.
    pub include_usage: bool,
}

/// What is sent, and what the reply must be checked against.
#[derive(Clone, Debug)]
pub struct Order {
    /// The calls to make, one after the other; at least one.
    pub calls: Vec<Ordered>,
    /// Texts that end a choice.
    pub stops: Vec<Box<str>>,
    /// Choices of each call.
    pub choices: u32,
    /// Alternatives to each token that the client of a chat wants to see.
    pub alternatives: usize,
    /// White space at the beginning of an answer belongs to the prompt's form.
    pub trims_start: bool,
}

/// One call to make.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// The body; `None` is the client's own.
    pub body: Option<Bytes>,
    /// What the server takes in.
    pub input: Input,
    /// The prompt, where the client wants it before the answer.
    pub echo: Option<Arc<str>>,
}

impl Draft {
    /// Makes the order. Slow: renders templates and counts tokens.
    ///
    /// # Errors
    /// What the client is told: its call cannot be translated, or does not fit.
    pub fn order(self, bridge: Option<Bridge>) -> Result<Order, Fault> {
        match bridge {
            None => self.unchanged(),
            Some(Bridge::ChatOverCompletion) => self.chat(),
            Some(Bridge::CompletionOverChat) => self.completion(),
        }
    }

    /// Whether the call is so short that it fits for certain, and needs no translation: then the order can be made at
    /// once, since it counts nothing.
    pub fn is_quick(&self, bridge: Option<Bridge>) -> bool {
        // No token is shorter than a byte; the form around the messages is shorter than JSON's, but may add a text of
        // its own before them.
        let enough = |length: u64| (self.body.len() + FORM) as u64 + self.bounds().wanted.unwrap_or(1) <= length;
        bridge.is_none() && self.body.len() <= SHORT && (!self.is_bounded() || self.length().is_none_or(enough))
    }

    /// Whether one length bounds the whole call; inputs of an embedding are bounded one by one, by the server.
    fn is_bounded(&self) -> bool {
        matches!(self.dialect, Dialect::Chat | Dialect::Completion)
    }

    fn length(&self) -> Option<u64> {
        self.custom.max_sequence_length.or(self.kit.length)
    }

    fn room(&self) -> Room {
        Room { length: self.length(), most_output: self.custom.max_output_tokens }
    }

    /// What the client's body says about the answer; nothing where it says something else than the API knows, which is
    /// for the server to refuse.
    fn bounds(&self) -> Bounds {
        let mut bounds: Bounds = serde_json::from_slice(&self.body).unwrap_or_default();
        bounds.wanted = match self.dialect {
            Dialect::Chat => bounds.max_completion_tokens.or(bounds.max_tokens),
            // OpenAI's default for completions.
            Dialect::Completion => Some(bounds.max_tokens.unwrap_or(16)),
            _ => Some(0),
        };
        bounds
    }

    /// No translation: the body stays as it is.
    fn unchanged(self) -> Result<Order, Fault> {
        let bounds = self.bounds();
        let mut input = Input::of(self.dialect, &self.body);
        if self.length().is_some() && !self.is_quick(None) {
            let taken = self.taken_by_body();
            let room = Room { most_output: None, ..self.room() };
            room.grant(taken, bounds.wanted).map_err(|overlong| self.overlong(overlong))?;
            input = Input::Known(taken.tally);
        }
        let choices = bounds.n.unwrap_or(1).max(1);
        let mut stops = bounds.stops();
        stops.extend(self.custom.stop.iter().cloned());
        let call = Ordered { body: None, input, echo: None };
        Ok(Order { calls: vec![call], stops, choices, alternatives: 0, trims_start: false })
    }

    fn chat(self) -> Result<Order, Fault> {
        let request = ChatRequest::read(&self.body).map_err(|refused| declined(&refused))?;
        let plain = self.kit.template.is_none().then(Template::plain);
        let Some(template) = self.kit.template.as_deref().or(plain.as_ref()) else { return Err(Fault::internal()) };
        let conversation = Conversation {
            messages: request.messages(),
            tools: None,
            variables: request.variables(),
            now: jiff::Zoned::now().datetime(),
        };
        // A tokenizer that adds nothing leaves it to the prompt to begin as the model knows it.
        let adds = |tokenizer: &Arc<Tokenizer>| tokenizer.count("", Specials::Prompt).tokens > 0;
        let prompt = match self.kit.tokenizer.as_ref().is_none_or(adds) {
            true => template.render(&conversation),
            false => template.render_whole(&conversation),
        };
        let prompt = prompt.map_err(|error| refused_by_template(&error))?;
        let taken = self.taken_by_text(&prompt, Specials::Prompt);
        let room = self.room();
        let max_tokens = room.grant(taken, request.max_tokens()).map_err(|overlong| self.overlong(overlong))?;
        let mut stops = request.stops().to_vec();
        for stop in self.custom.stop.iter().chain(template.stops()) {
            if !stops.contains(stop) {
                stops.push(stop.clone());
            }
        }
        let body = request.completion(&Fill {
            model: &self.custom.name,
            prompt: &prompt,
            stops: &stops,
            max_tokens,
            include_usage: self.include_usage,
        });
        let call = Ordered { body: Some(body.into()), input: Input::Known(taken.tally), echo: None };
        Ok(Order {
            calls: vec![call],
            stops,
            choices: request.n(),
            alternatives: request.alternatives(),
            trims_start: template.trims_start(),
        })
    }

    fn completion(self) -> Result<Order, Fault> {
        let request = CompletionRequest::read(&self.body).map_err(|refused| declined(&refused))?;
        let mut calls = Vec::with_capacity(request.prompts().len());
        for prompt in request.prompts() {
            let text = self.prompt_text(prompt)?;
            let body = request.chat(&self.custom.name, &text, request.max_tokens(), self.include_usage);
            let tally = input_tokens(Dialect::Chat, &body, &self.kit);
            let taken = Taken { tally, least: self.least(text.len()) };
            let room = Room { most_output: self.custom.max_output_tokens, ..self.room() };
            let granted = room.grant(taken, Some(request.max_tokens())).map_err(|overlong| self.overlong(overlong))?;
            let body = match granted == request.max_tokens() {
                true => body,
                false => request.chat(&self.custom.name, &text, granted, self.include_usage),
            };
            let echo = request.echo().then(|| Arc::from(&*text));
            calls.push(Ordered { body: Some(body.into()), input: Input::Known(tally), echo });
        }
        let mut stops = request.stops().to_vec();
        stops.extend(self.custom.stop.iter().cloned());
        Ok(Order { calls, stops, choices: request.n(), alternatives: 0, trims_start: false })
    }

    fn prompt_text(&self, prompt: &Prompt) -> Result<String, Fault> {
        let ids = match prompt {
            Prompt::Text(text) => return Ok(text.to_string()),
            Prompt::Tokens(ids) => ids,
        };
        let name = &self.custom.name;
        let message = match &self.kit.tokenizer {
            Some(tokenizer) => match tokenizer.decode(ids) {
                Some(text) => return Ok(text),
                None => format!("the prompt has token ids that the tokenizer of `{name}` does not know"),
            },
            None => format!(
                "a prompt of token ids cannot be turned into text, because the tokenizer of `{name}` is not there; \
                 send the prompt as text"
            ),
        };
        Err(declined(&Refused::unsupported("prompt", message)))
    }

    fn taken_by_body(&self) -> Taken {
        // A chat may be long by pictures, which are few tokens. A letter of JSON has six bytes at most.
        let least = if self.dialect == Dialect::Completion { self.least(self.body.len() / 6) } else { 1 };
        Taken { tally: input_tokens(self.dialect, &self.body, &self.kit), least }
    }

    fn taken_by_text(&self, text: &str, specials: Specials) -> Taken {
        let least = self.least(text.len());
        if self.length().is_some_and(|length| least > length) {
            // Long enough to be sure without counting.
            return Taken { tally: Tally { tokens: least, exact: false }, least };
        }
        let tally = match &self.kit.tokenizer {
            Some(tokenizer) => tokenizer.count(text, specials),
            None => estimate(text),
        };
        Taken { tally, least }
    }

    /// Fewer tokens than this cannot stand for a text of so many bytes.
    fn least(&self, bytes: usize) -> u64 {
        let longest = self.kit.tokenizer.as_ref().map_or(LONGEST_TOKEN, |tokenizer| tokenizer.longest());
        (bytes / longest.max(1)).max(usize::from(bytes > 0)) as u64
    }

    fn overlong(&self, overlong: Overlong) -> Fault {
        let part = if self.dialect == Dialect::Chat { "messages" } else { "prompt" };
        Fault {
            param: Some(part.into()),
            ..Fault::client(StatusCode::BAD_REQUEST, Some("context_length_exceeded"), overlong.message(part))
        }
    }
}

/// What a body says about the answer.
#[derive(Debug, Default, Deserialize)]
struct Bounds {
    #[serde(default)]
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    stop: Option<Stop>,
    /// vLLM's: the client wants to see the stop string.
    #[serde(default)]
    include_stop_str_in_output: Option<bool>,
    #[serde(skip)]
    wanted: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

impl Bounds {
    fn stops(self) -> Vec<Box<str>> {
        let mut stops = match self.stop.filter(|_| self.include_stop_str_in_output != Some(true)) {
            None => Vec::new(),
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Several(stops)) => stops,
        };
        stops.retain(|stop| !stop.is_empty());
        stops
    }
}

/// What the client is told of a request that has no counterpart.
fn declined(refused: &Refused) -> Fault {
    Fault {
        param: Some(refused.param.clone()),
        ..Fault::client(StatusCode::BAD_REQUEST, Some(refused.code), refused.message.clone())
    }
}

fn refused_by_template(error: &TemplateError) -> Fault {
    Fault {
        param: Some("messages".into()),
        ..Fault::client(StatusCode::BAD_REQUEST, Some("invalid_messages"), error.to_string())
    }
}

/// Bytes of a body that are looked through on the spot.
const SHORT: usize = 256 << 10;
/// What a template may add around and before the messages, in bytes.
const FORM: usize = 512;
/// In bytes; no known vocabulary has a token as long.
const LONGEST_TOKEN: usize = 1024;
