//! One model's tokenizer: a built-in encoding of OpenAI's, or a `tokenizer.json`.

use std::fmt;
use std::path::Path;

use tiktoken::CoreBpe;

use super::bounds::{Bounds, Part};
use super::cuts::{Pieces, boundary};
use super::encoding::{self, Encoding};
use super::json::Json;
use super::tally::{Tally, estimate};

/// One model's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    kind: Kind,
    /// It is another model's, taken for want of the right one.
    guessed: bool,
}

#[derive(Debug)]
enum Kind {
    BuiltIn(Encoding),
    Json(Box<Json>),
}

/// What special tokens written in a text count as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Specials {
    /// As the text that they are: what users and models write.
    Text,
    /// As themselves, and the tokenizer adds those of its own: a prompt as a server takes it in.
    Prompt,
    /// As themselves, and none is added: a rendered template, which has them already.
    Rendered,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// It cannot be read, is too large, or is of a kind that is not known.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        Ok(Self { kind: Kind::Json(Box::new(Json::read(path)?)), guessed: false })
    }

    /// The built-in encoding for one of OpenAI's models, by its name; `None` where none is known.
    pub fn built_in(model: &str) -> Option<Self> {
        Encoding::of_model(model).map(Self::from)
    }

    /// The built-in encoding for a name that looks like one of OpenAI's newer models; its counts are not exact.
    pub fn likely(model: &str) -> Option<Self> {
        Encoding::guess(model).map(|encoding| Self { kind: Kind::BuiltIn(encoding), guessed: true })
    }

    /// The built-in encoding; `None` for a `tokenizer.json`.
    pub fn encoding(&self) -> Option<Encoding> {
        match self.kind {
            Kind::BuiltIn(encoding) => Some(encoding),
            Kind::Json(_) => None,
        }
    }

    /// What to call it: the name of the encoding, or `tokenizer.json`.
    pub fn name(&self) -> &'static str {
        self.encoding().map_or("tokenizer.json", Encoding::name)
    }

    /// Tokens of a text; an approximation beyond a bound on size and time.
    pub fn count(&self, text: &str, specials: Specials) -> Tally {
        self.sitting().count(text, specials)
    }

    /// Begins to count texts that belong together: all of them share one bound on time.
    pub fn sitting(&self) -> Sitting<'_> {
        Sitting { tokenizer: self, bounds: Bounds::of(usize::MAX) }
    }

    /// The text of some ids, special tokens as they are written; `None` where one is not known.
    ///
    /// Bytes that make no letter, since a letter may take several tokens, become the replacement character.
    pub fn decode(&self, ids: &[u32]) -> Option<String> {
        match &self.kind {
            Kind::BuiltIn(encoding) => decode(*encoding, ids),
            Kind::Json(json) => json.decode(ids),
        }
    }

    /// The longest text that one token can stand for, in bytes: no text has fewer tokens than its bytes divided by
    /// this. `usize::MAX` where there is no such bound.
    pub fn longest(&self) -> usize {
        match &self.kind {
            Kind::BuiltIn(_) => encoding::LONGEST,
            Kind::Json(json) => json.longest(),
        }
    }
}

/// Texts that are counted one after the other; those that come when the time is up are only estimated.
#[derive(Clone, Copy)]
pub struct Sitting<'a> {
    tokenizer: &'a Tokenizer,
    bounds: Bounds<'a>,
}

impl Sitting<'_> {
    /// Tokens of a text; an approximation beyond a bound on its size, and when the time is up.
    pub fn count(&self, text: &str, specials: Specials) -> Tally {
        if self.bounds.is_over() {
            return estimate(text);
        }
        let within = |bytes| Bounds { bytes, ..self.bounds };
        let counted = match &self.tokenizer.kind {
            Kind::BuiltIn(encoding) => count(*encoding, text, specials, &within(MOST_BUILT_IN)),
            Kind::Json(json) => json.count(text, specials, &within(MOST_JSON)),
        };
        let tally = counted.map_or_else(|| estimate(text), |part| part.of(text.len()));
        Tally { exact: tally.exact && !self.tokenizer.guessed, ..tally }
    }

    /// The built-in encoding; `None` for a `tokenizer.json`.
    pub fn encoding(&self) -> Option<Encoding> {
        self.tokenizer.encoding()
    }
}

impl From<Encoding> for Tokenizer {
    fn from(encoding: Encoding) -> Self {
        Self { kind: Kind::BuiltIn(encoding), guessed: false }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json").field("longest", &self.longest()).finish_non_exhaustive()
    }
}

fn count(encoding: Encoding, text: &str, specials: Specials, bounds: &Bounds<'_>) -> Option<Part> {
    let mut part = Part { whole: true, ..Part::default() };
    let mut rest = text;
    while let Some((start, special)) = first_special(encoding, rest, specials) {
        part = count_text(encoding, &rest[..start], part, bounds)?;
        if !part.whole {
            return Some(part);
        }
        part.tokens += 1;
        part.bytes += special.len();
        rest = &rest[start + special.len()..];
    }
    count_text(encoding, rest, part, bounds)
}

/// Adds the tokens of a text that has no special ones.
fn count_text(encoding: Encoding, text: &str, mut part: Part, bounds: &Bounds<'_>) -> Option<Part> {
    let ranks = encoding.ranks()?;
    for piece in Pieces::of(text, PIECE, MOST_PIECE) {
        if part.bytes + piece.text.len() > bounds.bytes || (part.bytes > 0 && bounds.is_over()) {
            part.whole = false;
            return Some(part);
        }
        let counted = match piece.text.len() > 2 * PIECE {
            true => count_run(ranks, piece.text, bounds),
            false => Part { tokens: ranks.count(piece.text) as u64, bytes: piece.text.len(), whole: true, fixed: 0 },
        };
        part.tokens += counted.tokens;
        part.bytes += counted.bytes;
        part.whole &= counted.whole && piece.clean;
        if counted.bytes < piece.text.len() {
            return Some(part);
        }
    }
    Some(part)
}

/// Tokens of a run without a place to cut. Letters of many scripts take a hundred times as long as others, so that it
/// is first counted in slices, with the clock in sight, and as one only where there is time to do the same once more.
fn count_run(ranks: &CoreBpe, run: &str, bounds: &Bounds<'_>) -> Part {
    let left = bounds.left();
    let mut part = Part::default();
    let mut rest = run;
    while !rest.is_empty() && (part.bytes == 0 || !bounds.is_over()) {
        let (slice, after) = rest.split_at(boundary(rest, PIECE));
        part.tokens += ranks.count(slice) as u64;
        part.bytes += slice.len();
        rest = after;
    }
    let still = bounds.left();
    if rest.is_empty() && still >= left.saturating_sub(still) && !still.is_zero() {
        return Part { tokens: ranks.count(run) as u64, bytes: run.len(), whole: true, fixed: 0 };
    }
    part
}

fn first_special(encoding: Encoding, text: &str, specials: Specials) -> Option<(usize, &'static str)> {
    if specials == Specials::Text {
        return None;
    }
    memchr::memmem::find_iter(text.as_bytes(), "<|").find_map(|start| {
        let found = encoding.specials().iter().find(|(special, _)| text[start..].starts_with(special));
        found.map(|(special, _)| (start, *special))
    })
}

fn decode(encoding: Encoding, ids: &[u32]) -> Option<String> {
    let ranks = encoding.ranks()?;
    let mut bytes = Vec::new();
    for id in ids {
        match encoding.specials().iter().find(|(_, special)| special == id) {
            Some((text, _)) => bytes.extend_from_slice(text.as_bytes()),
            None => {
                let piece = ranks.decode(&[*id]);
                if piece.is_empty() {
                    return None;
                }
                bytes.extend(piece);
            }
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why a tokenizer cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct TokenizerError {
    /// What is wrong, and with which file.
    pub message: String,
}

/// Text beyond this is extrapolated: at the common speed it is still well within the time.
const MOST_BUILT_IN: usize = 64 << 20;

/// The same for a `tokenizer.json`, which is slower and needs forty times the text in memory.
const MOST_JSON: usize = 4 << 20;

/// Between pieces of this size the clock is looked at.
const PIECE: usize = 32 << 10;

/// The longest run without a place to cut that is counted as one.
const MOST_PIECE: usize = 1 << 20;

#[cfg(test)]
mod tests;
