//! The members of a request, each in the very bytes it came in, so that no number is written anew.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refusal::Refused;

/// The members of a JSON object in their order; those that are null are left out, for null is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Vec<(Box<str>, Box<RawValue>)>);

impl Members {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(body)
            .map_err(|error| Refused::invalid("body", format!("the body is no JSON object that can be read: {error}")))
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
        let wrong = || Refused::invalid("stop", "`stop` must be a string or an array of strings");
        let mut stops: Vec<Box<str>> = match raw.as_bytes().first() {
            Some(b'"') => vec![serde_json::from_str(raw).map_err(|_| wrong())?],
            _ => serde_json::from_str(raw).map_err(|_| wrong())?,
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
        let Some(raw) = self.raw("stream_options") else { return Ok(None) };
        let wrong = |_| Refused::invalid("stream_options", "`stream_options` must be an object");
        serde_json::from_str(raw).map(Some).map_err(wrong)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, value)) = map.next_entry::<Box<str>, Box<RawValue>>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom("a key is given twice"));
            }
            if value.get() != "null" {
                members.0.push((key, value));
            }
        }
        Ok(members)
    }
}

/// OpenAI's own bound of `n`.
const MOST_CHOICES: u64 = 128;

/// More than any program sets, and few enough to be looked for in every piece of a stream.
const MOST_STOPS: usize = 5_000;
const MOST_STOP_BYTES: usize = 64 << 10;
