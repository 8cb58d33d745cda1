//! Token counts, how they are known, and exact money.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Token counts of one attempt by kind; `None` is "nobody said", never zero.
///
/// `cached_input`, `cache_write`, `audio_input` and `image_input` are subsets of `input`; `reasoning`,
/// `audio_output` and `image_output` are subsets of `output` (OpenAI's `CompletionUsage` and
/// `ResponseUsage`); `cached_audio` and `cached_image` are subsets of `cached_input`, `cache_write_12h` is one of
/// `cache_write`. They are never added on top.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input: Option<u64>,
    /// Input tokens read from the upstream's prompt cache.
    pub cached_input: Option<u64>,
    /// Cached input tokens that are audio.
    pub cached_audio: Option<u64>,
    /// Cached input tokens that are image.
    pub cached_image: Option<u64>,
    /// Input tokens written to the upstream's prompt cache.
    pub cache_write: Option<u64>,
    /// Tokens written to the cache to live there for twelve hours.
    #[serde(rename = "cacheWrite12h")]
    pub cache_write_12h: Option<u64>,
    /// Input tokens that are audio.
    pub audio_input: Option<u64>,
    /// Input tokens that are image.
    pub image_input: Option<u64>,
    /// All output tokens, reasoning included.
    pub output: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning: Option<u64>,
    /// Output tokens that are audio.
    pub audio_output: Option<u64>,
    /// Output tokens that are image.
    pub image_output: Option<u64>,
    /// Billable requests, where an API counts those.
    pub requests: Option<u64>,
    /// Seconds of media, where an API counts those.
    pub seconds: Option<u64>,
    /// Characters to be spoken, where speech is priced by them.
    pub characters: Option<u64>,
    /// Pictures that were made, where they are priced apiece.
    pub images: Option<u64>,
    /// Tokens that a model was trained on.
    pub trained: Option<u64>,
    /// Searches of the web that the upstream made for the call.
    pub web_searches: Option<u64>,
    /// Searches of files that the upstream made for the call.
    pub file_searches: Option<u64>,
    /// Sessions of the upstream's code interpreter.
    pub code_sessions: Option<u64>,
}

impl Usage {
    /// A usage of which nothing is known.
    pub const NOTHING: Self = Self {
        input: None,
        cached_input: None,
        cached_audio: None,
        cached_image: None,
        cache_write: None,
        cache_write_12h: None,
        audio_input: None,
        image_input: None,
        output: None,
        reasoning: None,
        audio_output: None,
        image_output: None,
        requests: None,
        seconds: None,
        characters: None,
        images: None,
        trained: None,
        web_searches: None,
        file_searches: None,
        code_sessions: None,
    };

    /// The same with the tools that `other` used.
    #[must_use]
    pub fn with_tools_of(self, other: &Self) -> Self {
        let Self { web_searches, file_searches, code_sessions, .. } = *other;
        Self { web_searches, file_searches, code_sessions, ..self }
    }

    /// Input and output together; what is unknown adds nothing.
    pub fn total(&self) -> u64 {
        self.input.unwrap_or(0).saturating_add(self.output.unwrap_or(0))
    }
}

/// How a [`Usage`] is known.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// The upstream said so.
    Reported,
    /// Our own tokenizer over the complete text.
    Counted,
    /// A partial text or an approximate rule.
    Estimated,
    /// Nobody knows.
    #[default]
    None,
}

/// An amount of money in pico-dollars (10^-12 USD), exact.
///
/// Every price with up to six decimals per million tokens is a whole number of these per token.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cost(pub i128);

impl Cost {
    /// Adds up, stopping at the ends of the range instead of wrapping.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Cost {
    /// Dollars with twelve decimals: `0.000517500000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        let (whole, part) = (amount / PICO, amount % PICO);
        write!(f, "{sign}{whole}.{part:012}")
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Cost {
    /// Reads dollars with at most twelve decimals, as [`fmt::Display`] writes them; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || part.len() > 12 || !plain(whole) || !plain(part) {
            return None;
        }
        let amount: i128 = format!("{whole}{part:0<12}").parse().ok()?;
        Some(Self(if negative { -amount } else { amount }))
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CostVisitor)
    }
}

struct CostVisitor;

impl Visitor<'_> for CostVisitor {
    type Value = Cost;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dollars with at most twelve decimals, as a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cost, E> {
        Cost::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// Pico-dollars in a dollar.
pub const PICO: u128 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_twelve_decimals() {
        for (pico, text) in [
            (0, "0.000000000000"),
            (517_500_000, "0.000517500000"),
            (1_000_000_000_001, "1.000000000001"),
            (-5, "-0.000000000005"),
        ] {
            assert_eq!(Cost(pico).to_string(), text);
            assert_eq!(Cost::parse(text), Some(Cost(pico)));
        }
        assert_eq!(Cost::parse("12.5"), Some(Cost(12_500_000_000_000)));
        for text in ["", ".5", "1.0000000000001", "1e3", "+1", "--1", "1.-5"] {
            assert_eq!(Cost::parse(text), None, "{text}");
        }
    }
}
