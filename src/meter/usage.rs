//! Reads a usage object, in every spelling that the API has, into token counts.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::units::Usage;

/// Reads a usage object.
///
/// A zero is `Some(0)`, an absent or null count is `None`, and members that nobody knows are passed over.
/// Subsets are reported as they came, also where they exceed their whole.
pub fn read(raw: &[u8]) -> Result<Usage, Nonsense> {
    if raw.trim_ascii_start().starts_with(b"{")
        && let Ok(object) = serde_json::from_slice::<Object<'_>>(raw)
    {
        return object.usage();
    }
    match serde_json::from_slice::<&RawValue>(raw) {
        Err(_) => Err(Nonsense::Broken),
        Ok(shape) if shape.get().starts_with('{') => Err(Nonsense::Count),
        Ok(_) => Err(Nonsense::Shape),
    }
}

/// Why a usage object is not believed: the upstream's fault, each of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
pub enum Nonsense {
    /// No JSON.
    #[error("{}", self.text())]
    Broken,
    /// A member that should be a count is none: negative, a fraction, a string, 2^63 or more, or given twice.
    #[error("{}", self.text())]
    Count,
    /// No object.
    #[error("{}", self.text())]
    Shape,
    /// Larger than anything sensible.
    #[error("{}", self.text())]
    TooLong,
}

impl Nonsense {
    /// A sentence for the books.
    pub fn text(self) -> &'static str {
        match self {
            Self::Broken => "usage is not valid JSON",
            Self::Count => "usage has a count that is not a whole number from 0 to 2^63 - 1",
            Self::Shape => "usage is not an object",
            Self::TooLong => "usage is too long",
        }
    }
}

/// A count alone, such as `trained_tokens`.
pub fn count(raw: &[u8]) -> Result<u64, Nonsense> {
    serde_json::from_slice::<Count>(raw).map(|count| count.0).map_err(|_| Nonsense::Count)
}

/// All spellings at once: `CompletionUsage`, `ResponseUsage`, images, transcriptions, realtime.
#[derive(Deserialize)]
struct Object<'a> {
    prompt_tokens: Option<Count>,
    input_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    output_tokens: Option<Count>,
    #[serde(rename = "total_tokens")]
    _total: Option<Count>,
    prompt_tokens_details: Option<Details>,
    input_tokens_details: Option<Details>,
    input_token_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    output_tokens_details: Option<Details>,
    output_token_details: Option<Details>,
    #[serde(borrow)]
    seconds: Option<&'a RawValue>,
}

impl Object<'_> {
    fn usage(self) -> Result<Usage, Nonsense> {
        let input = [self.prompt_tokens_details, self.input_tokens_details, self.input_token_details];
        let output = [self.completion_tokens_details, self.output_tokens_details, self.output_token_details];
        Ok(Usage {
            input: larger([self.prompt_tokens, self.input_tokens]),
            cached_input: detail(&input, |details| details.cached_tokens),
            cached_audio: detail(&input, |details| details.cached_tokens_details?.audio_tokens),
            cached_image: detail(&input, |details| details.cached_tokens_details?.image_tokens),
            cache_write: detail(&input, |details| details.cache_write_tokens),
            cache_write_12h: detail(&input, |details| details.cache_write_tokens_details?.ttl_12h_tokens),
            audio_input: detail(&input, |details| details.audio_tokens),
            image_input: detail(&input, |details| details.image_tokens),
            output: larger([self.completion_tokens, self.output_tokens]),
            reasoning: detail(&output, |details| details.reasoning_tokens),
            audio_output: detail(&output, |details| details.audio_tokens),
            image_output: detail(&output, |details| details.image_tokens),
            seconds: self.seconds.map(|raw| seconds(raw.get())).transpose()?,
            ..Usage::default()
        })
    }
}

/// The parts of one side.
#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<Count>,
    cached_tokens_details: Option<Kinds>,
    cache_write_tokens: Option<Count>,
    cache_write_tokens_details: Option<Lives>,
    audio_tokens: Option<Count>,
    image_tokens: Option<Count>,
    reasoning_tokens: Option<Count>,
}

/// The kinds of cached tokens.
#[derive(Clone, Copy, Deserialize)]
struct Kinds {
    audio_tokens: Option<Count>,
    image_tokens: Option<Count>,
    #[serde(rename = "text_tokens")]
    _text: Option<Count>,
}

/// How long what was written to the cache lives there.
#[derive(Clone, Copy, Deserialize)]
struct Lives {
    #[serde(rename = "ttl_30m_tokens")]
    _ttl_30m: Option<Count>,
    ttl_12h_tokens: Option<Count>,
}

/// Reads what a response says of the tools that it used: how often it searched the web.
pub fn web_searches(raw: &[u8]) -> Result<Option<u64>, Nonsense> {
    let tools: Tools = serde_json::from_slice(raw).map_err(|_| Nonsense::Count)?;
    Ok(tools.web_search.and_then(|web| web.num_requests).map(|count| count.0))
}

/// `tool_usage` of a response.
#[derive(Deserialize)]
struct Tools {
    web_search: Option<WebSearch>,
}

#[derive(Deserialize)]
struct WebSearch {
    num_requests: Option<Count>,
}

/// A whole number from 0 to 2^63 - 1.
#[derive(Clone, Copy)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(CountVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
        if value > LARGEST {
            return Err(E::invalid_value(Unexpected::Unsigned(value), &self));
        }
        Ok(Count(value))
    }
}

/// Some servers send both spellings and leave the one that they do not use at zero.
fn larger<const N: usize>(counts: [Option<Count>; N]) -> Option<u64> {
    counts.into_iter().flatten().map(|count| count.0).max()
}

fn detail(sides: &[Option<Details>; 3], of: impl Fn(&Details) -> Option<Count>) -> Option<u64> {
    larger([0, 1, 2].map(|index: usize| sides[index].as_ref().and_then(&of)))
}

/// Seconds are a JSON number that may be written `9.0`; a part of a second is one, as OpenAI itself counts.
fn seconds(raw: &str) -> Result<u64, Nonsense> {
    let (whole, part) = raw.split_once('.').unwrap_or((raw, "0"));
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Nonsense::Count);
    }
    let whole = whole.parse::<u64>().ok().filter(|&seconds| seconds <= LARGEST).ok_or(Nonsense::Count)?;
    let rounded = whole + u64::from(is_fraction(raw));
    (rounded <= LARGEST).then_some(rounded).ok_or(Nonsense::Count)
}

fn is_fraction(raw: &str) -> bool {
    raw.split_once('.').is_some_and(|(_, part)| !part.trim_matches('0').is_empty())
}

/// Whether the seconds of this usage object were rounded up: they are not what the upstream said to the letter.
pub fn is_rounded(raw: &[u8]) -> bool {
    serde_json::from_slice::<Object<'_>>(raw)
        .is_ok_and(|object| object.seconds.is_some_and(|raw| is_fraction(raw.get())))
}

/// 2^63 - 1: what the books can hold.
const LARGEST: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests;
