//! The members of a request, each in the very bytes it came in, so that no number is written anew.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::refusal::Refused;

/// The members of a JSON object in their order, each name once; those that are null are left out, for null is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Vec<(Box<str>, Box<RawValue>)>);

impl Members {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        let pairs: Pairs = serde_json::from_slice(body).map_err(|error| {
            Refused::invalid("body", format!("the body is no JSON object that can be read: {error}"))
        })?;
        Self::of(pairs, "")
    }

    /// Reads an object inside the body; `path` is where it stands.
    pub(super) fn within(path: &str, raw: &str) -> Result<Self, Refused> {
        Self::of(read(path.to_owned(), raw, "an object")?, path)
    }

    /// Servers differ in which of two values they take, so that neither is passed on.
    fn of(Pairs(mut pairs): Pairs, path: &str) -> Result<Self, Refused> {
        let mut seen = HashSet::new();
        if let Some((twice, _)) = pairs.iter().find(|(key, _)| !seen.insert(&**key)) {
            let key: String = twice.chars().take(LONGEST_NAME).collect();
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            let message = format!("`{path}` is given twice");
            return Err(Refused::value(path, message));
        }
        pairs.retain(|(_, value)| value.get() != "null");
        Ok(Self(pairs))
    }

    /// The value as it was written.
    pub(super) fn raw(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| **name == *key).map(|(_, value)| value.get())
    }

    /// Takes the value out.
    pub(super) fn take(&mut self, key: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(name, _)| **name == *key)?;
        Some(self.0.remove(at).1)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, value.get()))
    }

    /// A member that is true or false; false where it is absent.
    pub(super) fn flag(&self, key: &'static str) -> Result<bool, Refused> {
        match self.raw(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refused::invalid(key, format!("`{key}` must be true or false"))),
        }
    }

    /// A member that is a whole number within bounds.
    pub(super) fn whole(&self, key: &'static str, least: u64, most: u64) -> Result<Option<u64>, Refused> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refused::invalid(key, format!("`{key}` must be a whole number")));
        }
        match raw.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Err(_) if most == u64::MAX && raw == digits => Err(Refused::value(key, format!("`{key}` is too large"))),
            _ if most == u64::MAX => Err(Refused::value(key, format!("`{key}` must be {least} or more"))),
            _ => Err(Refused::value(key, format!("`{key}` must be from {least} to {most}"))),
        }
    }

    /// `n`: how many choices.
    pub(super) fn n(&self) -> Result<u32, Refused> {
        let n = self.whole("n", 1, MOST_CHOICES)?.unwrap_or(1);
        Ok(u32::try_from(n).unwrap_or(1))
    }

    /// `stop`: one text or several; empty ones say nothing.
    pub(super) fn stops(&self) -> Result<Vec<Box<str>>, Refused> {
        let Some(raw) = self.raw("stop") else { return Ok(Vec::new()) };
        let kind = "a string or an array of strings";
        let mut stops: Vec<Box<str>> = match raw.as_bytes().first() {
            Some(b'"') => vec![read("stop", raw, kind)?],
            _ => read("stop", raw, kind)?,
        };
        stops.retain(|stop| !stop.is_empty());
        let bytes: usize = stops.iter().map(|stop| stop.len()).sum();
        if stops.len() > MOST_STOPS || bytes > MOST_STOP_BYTES {
            let message = format!("`stop` may hold {MOST_STOPS} texts of {MOST_STOP_BYTES} bytes in all");
            return Err(Refused::value("stop", message));
        }
        Ok(stops)
    }

    /// `stream_options`, an object.
    pub(super) fn stream_options(&self) -> Result<Option<Self>, Refused> {
        self.raw("stream_options").map(|raw| Self::within("stream_options", raw)).transpose()
    }
}

/// A value inside the body, which must be of this kind. What cannot be read is refused, for it could be anything.
pub(super) fn read<T: DeserializeOwned>(
    path: impl Into<Cow<'static, str>>,
    raw: &str,
    kind: &str,
) -> Result<T, Refused> {
    serde_json::from_str(raw).map_err(|error| {
        let path = path.into();
        let message = match error.classify() {
            Category::Data => format!("`{path}` must be {kind}"),
            _ => format!("`{path}` cannot be read: {}", cause(&error)),
        };
        Refused::invalid(path, message)
    })
}

/// Why JSON that is well formed cannot be read.
fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split(" at line ").next().unwrap_or_default() {
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            r"it has one half of a surrogate pair, `\ud800` to `\udfff`, without the other".to_owned()
        }
        // The place that follows would be one within the value.
        cause => cause.to_owned(),
    }
}

/// The members of an object as they came.
struct Pairs(Vec<(Box<str>, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}

/// Letters shown of a member's name that nobody expects.
const LONGEST_NAME: usize = 64;

/// OpenAI's own bound of `n`.
const MOST_CHOICES: u64 = 128;

/// More than any program sets, and few enough to be looked for in every piece of a stream.
const MOST_STOPS: usize = 5_000;
const MOST_STOP_BYTES: usize = 64 << 10;
