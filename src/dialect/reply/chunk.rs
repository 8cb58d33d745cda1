//! One chunk of a stream, read lightly: what it says, and whether that is what OpenAI would have said.

use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use super::lenient;
use super::words::arguments;
use crate::dialect::bridge::finish::reason_in;
use crate::dialect::endpoint::Dialect;

/// The members of a chunk that decide what becomes of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
}

/// One of its choices.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

/// What a chat choice adds.
#[derive(Debug, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    role: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Whether it says that something went wrong.
    pub(super) fn is_error(&self) -> bool {
        let says = |raw: Option<&RawValue>| raw.is_some_and(|raw| !FALSY.contains(&raw.get()));
        let flat = self.object.is_some_and(|raw| raw.get() == "\"error\"");
        says(self.error) || flat || self.choices.is_none() && says(self.detail)
    }

    /// Whether its own members, those of its choices apart, are what OpenAI's would be.
    pub(super) fn has_sound_head(&self, dialect: Dialect) -> bool {
        let object = match dialect {
            Dialect::Chat => "\"chat.completion.chunk\"",
            _ => "\"text_completion\"",
        };
        self.id.is_some_and(is_filled)
            && self.object.is_some_and(|raw| raw.get() == object)
            && self.created.is_some_and(|raw| raw.get().bytes().all(|byte| byte.is_ascii_digit()))
            && self.model.is_some_and(is_filled)
    }

    /// Whether it is a chunk of usage and nothing else, as OpenAI sends it.
    pub(super) fn is_sound_usage(&self, dialect: Dialect) -> bool {
        self.has_sound_head(dialect) && self.choices.as_ref().is_some_and(Vec::is_empty)
    }
}

impl Choice<'_> {
    /// The text that it adds, if it is written as OpenAI would write it; `opened` says whether its role has gone out.
    pub(super) fn sound(&self, dialect: Dialect, opened: bool) -> Option<Sound> {
        let finish = self.finish_reason.map(RawValue::get);
        let finish_is_known = match finish {
            None | Some("null") => true,
            Some(word) => {
                let word = word.trim_matches('"');
                reason_in(dialect, word) == Some(word)
            }
        };
        self.index.filter(|_| finish_is_known)?;
        let ends = finish.is_some_and(|word| word != "null");
        if dialect != Dialect::Chat {
            let text = lenient::text(self.text?.get())?;
            return Some(Sound { text, beside: String::new(), opens: false, ends });
        }
        let delta = self.delta.as_ref().filter(|_| self.text.is_none())?;
        let role = delta.role.is_some_and(|role| !FALSY.contains(&role.get()));
        let text = match delta.content.map(RawValue::get) {
            None | Some("null") => String::new(),
            Some(content) => lenient::text(content)?,
        };
        let fits = if opened { delta.role.is_none() } else { role && text.is_empty() };
        fits.then(|| Sound { text, beside: delta.beside(), opens: role, ends })
    }
}

impl Delta<'_> {
    /// What it adds beside its text.
    fn beside(&self) -> String {
        let given = [
            ("reasoning", self.reasoning),
            ("reasoning_content", self.reasoning_content),
            ("tool_calls", self.tool_calls),
            ("function_call", self.function_call),
        ];
        let mut message = Map::new();
        for (name, raw) in given {
            if let Some(value) = raw.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
                message.insert(name.into(), value);
            }
        }
        arguments(&message)
    }
}

/// What a sound choice says.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Sound {
    /// The text that it adds.
    pub(super) text: String,
    /// What the model writes beside it: thoughts, and what tools are called with.
    pub(super) beside: String,
    /// It brings the role.
    pub(super) opens: bool,
    /// It is the last one of its choice.
    pub(super) ends: bool,
}

/// A text that is not empty.
fn is_filled(raw: &RawValue) -> bool {
    raw.get().starts_with('"') && raw.get().len() > 2
}

/// Values that say that there is nothing.
const FALSY: [&str; 4] = ["null", "false", "\"\"", "{}"];
