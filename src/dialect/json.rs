//! Where the top-level members of a JSON object lie in its bytes, so that one can be replaced or cut out.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member of an object, as byte offsets into the document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The key with its quotes.
    pub key: Range<usize>,
    /// The value without the white space around it; `null` is a value too.
    pub value: Range<usize>,
}

impl Member {
    /// What to leave out of `doc` so that this member is gone and the rest is JSON: key, colon, value, one comma.
    ///
    /// White space goes with the member as follows, and stays everywhere else: after another member, from the comma
    /// before the key to the end of the value; as the first of several, from the key to the next key; alone, from
    /// the key to the end of the value. `doc` must be the document that the member was found in.
    pub fn cut(&self, doc: &[u8]) -> Range<usize> {
        // The document is valid, so beside white space only a comma or the brace can stand before the key.
        let before = doc.get(..self.key.start).unwrap_or_default().trim_ascii_end();
        if before.last() == Some(&b',') {
            return before.len() - 1..self.value.end;
        }
        let after = doc.get(self.value.end..).unwrap_or_default().trim_ascii_start();
        match after.split_first() {
            Some((b',', next)) => self.key.start..doc.len() - next.trim_ascii_start().len(),
            _ => self.key.start..self.value.end,
        }
    }
}

/// The wanted members in the order in which they were asked for; `None` where there is no such member.
pub type Members<const N: usize> = [Option<Member>; N];

/// Why a document was not taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JsonError {
    /// A wanted key is there twice, so two readers could take it differently.
    #[error("the key `{0}` is given twice")]
    Duplicate(&'static str),
    /// Not a JSON document, or more than one.
    #[error("not a JSON document")]
    NotJson,
    /// JSON, but no object at the top.
    #[error("not a JSON object")]
    NotObject,
}

/// Finds the members of the object `doc` whose keys are in `wanted`, however these keys are escaped.
///
/// The whole document is checked against the grammar. Text inside values that are not wanted may be any bytes: it is
/// passed on as it is, and judging its encoding is the reader's affair.
pub fn members<const N: usize>(doc: &[u8], wanted: &[&'static str; N]) -> Result<Members<N>, JsonError> {
    let mut scan = Scan { doc, wanted, found: [const { None }; N], duplicate: None };
    let mut json = serde_json::Deserializer::from_slice(doc);
    let result = json.deserialize_map(&mut scan).and_then(|()| json.end());
    if let Some(key) = scan.duplicate {
        return Err(JsonError::Duplicate(key));
    }
    match result {
        Ok(()) => Ok(scan.found),
        Err(error) if error.is_data() => Err(JsonError::NotObject),
        Err(_) => Err(JsonError::NotJson),
    }
}

/// The text of a JSON string; `None` for another kind of value or for text that is no Unicode.
pub fn text(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice(value).ok().map(Cow::Owned)
}

struct Scan<'s, const N: usize> {
    doc: &'s [u8],
    wanted: &'s [&'static str; N],
    found: Members<N>,
    duplicate: Option<&'static str>,
}

impl<const N: usize> Scan<'_, N> {
    fn index(&self, key: &RawValue) -> Option<usize> {
        let key = text(key.get().as_bytes())?;
        self.wanted.iter().position(|wanted| *wanted == key)
    }

    fn span(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr().addr() - self.doc.as_ptr().addr();
        start..start + raw.get().len()
    }
}

impl<'de, const N: usize> Visitor<'de> for &mut Scan<'_, N> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let Some(index) = self.index(key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.found[index].is_some() {
                self.duplicate = Some(self.wanted[index]);
                return Err(A::Error::custom("given twice"));
            }
            let value = map.next_value::<&'de RawValue>()?;
            self.found[index] = Some(Member { key: self.span(key), value: self.span(value) });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
