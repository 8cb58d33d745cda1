//! A `tokenizer.json`, read within bounds and counted with.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::tokenizer::AddedVocabulary;
use tokenizers::{
    Model as _, ModelWrapper, OffsetReferential, OffsetType, PostProcessor as _, PreTokenizer as _, Tokenizer,
};

use super::bounds::{Bounds, Part};
use super::cuts::boundary;
use super::tokenizer::{Specials, TokenizerError};

/// A `tokenizer.json` in memory.
pub(crate) struct Json {
    inner: Tokenizer,
    /// The added tokens once more, with special ones taken as text: the flag is a part of them, and they are small
    /// beside the model.
    plain: AddedVocabulary,
    longest: usize,
    added: usize,
    /// Added tokens that look at the text around them make the search for them slower than the text is long.
    looks_around: bool,
}

impl Json {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is too large, or is none.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = bytes(path)?;
        check(path, &bytes)?;
        let parsed = catch_unwind(AssertUnwindSafe(|| Tokenizer::from_bytes(&bytes).map(Self::new)));
        match parsed {
            Ok(Ok(json)) => Ok(json),
            Ok(Err(error)) => Err(unusable(path, &format!("cannot be used: {}", brief(&error.to_string())))),
            Err(_) => Err(unusable(path, "cannot be used: reading it failed inside the tokenizers library")),
        }
    }

    fn new(mut inner: Tokenizer) -> Self {
        // Some files shorten or fill up every text, for training.
        let _ = inner.with_truncation(None);
        inner.with_padding(None);
        inner.set_encode_special_tokens(false);
        let mut plain = inner.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        let looks_around =
            inner.get_added_tokens_decoder().values().any(|token| token.lstrip || token.rstrip || token.single_word);
        let longest = if looks_around { usize::MAX } else { longest(&inner) };
        let added = inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        Self { inner, plain, longest, added, looks_around }
    }

    /// Tokens of the text, or of as much of it as the bounds allow; `None` where the library failed.
    pub(crate) fn count(&self, text: &str, specials: Specials, bounds: &Bounds<'_>) -> Option<Part> {
        let most = if self.looks_around { bounds.bytes.min(MOST_AROUND) } else { bounds.bytes };
        let head = &text[..boundary(text, most)];
        let mut part = catch_unwind(AssertUnwindSafe(|| self.count_within(head, specials, bounds))).ok().flatten()?;
        part.whole &= head.len() == text.len();
        if specials == Specials::Prompt {
            part.fixed = self.added as u64;
        }
        Some(part)
    }

    /// A long text is taken apart as one, with no clock in sight; so its beginning tells how much there is time for.
    fn count_within(&self, text: &str, specials: Specials, bounds: &Bounds<'_>) -> Option<Part> {
        if text.len() <= 2 * SAMPLE {
            return self.count_head(text, specials, bounds);
        }
        let left = bounds.left();
        let sample = self.count_head(&text[..boundary(text, SAMPLE)], specials, bounds)?;
        let still = bounds.left();
        let took = left.saturating_sub(still).as_micros().max(1);
        let fits = still.as_micros().saturating_mul(sample.bytes as u128) / took;
        let fits = usize::try_from(fits).unwrap_or(usize::MAX);
        if fits < 2 * SAMPLE || sample.bytes < SAMPLE / 2 {
            return Some(Part { whole: false, ..sample });
        }
        let head = &text[..boundary(text, fits)];
        let part = self.count_head(head, specials, bounds)?;
        Some(Part { whole: part.whole && head.len() == text.len(), ..part })
    }

    fn count_head(&self, text: &str, specials: Specials, bounds: &Bounds<'_>) -> Option<Part> {
        let added = match specials {
            Specials::Text => &self.plain,
            Specials::Prompt | Specials::Rendered => self.inner.get_added_vocabulary(),
        };
        let mut pieces = added.extract_and_normalize(self.inner.get_normalizer(), text);
        if let Some(splitter) = self.inner.get_pre_tokenizer() {
            splitter.pre_tokenize(&mut pieces).ok()?;
        }
        let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::None);
        let model = self.inner.get_model();
        let (mut tokens, mut unseen) = (0_u64, 0);
        for (piece, (start, _), found) in pieces {
            unseen += piece.len() + PIECE_ITSELF;
            if unseen > BETWEEN_LOOKS && start > 0 && std::mem::take(&mut unseen) > 0 && bounds.is_over() {
                return Some(Part { tokens, bytes: start, whole: false, ..Part::default() });
            }
            tokens += match found {
                Some(found) => found.len() as u64,
                None => model.tokenize(piece).ok()?.len() as u64,
            };
        }
        Some(Part { tokens, bytes: text.len(), whole: true, ..Part::default() })
    }

    /// The text of some ids, special tokens kept; `None` where one is not known.
    pub(crate) fn decode(&self, ids: &[u32]) -> Option<String> {
        if ids.iter().any(|id| self.inner.id_to_token(*id).is_none()) {
            return None;
        }
        catch_unwind(AssertUnwindSafe(|| self.inner.decode(ids, false).ok())).ok().flatten()
    }

    /// The most bytes of a text that one token can stand for; `usize::MAX` where there is no such bound.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    let failed = |error: std::io::Error| unusable(path, &format!("cannot be read: {error}"));
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let too_large = || {
        let (limit, shown) = (MOST_FILE >> 20, size >> 20);
        unusable(
            path,
            &format!("has {shown} MiB, more than the {limit} MiB that a tokenizer may have; is it another file?"),
        )
    };
    if size > MOST_FILE {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // What grows while it is read has no end by its size.
    file.take(MOST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_FILE { Err(too_large()) } else { Ok(bytes) }
}

/// Looks at the outline before the whole is taken in, so that what is wrong can be told.
fn check(path: &Path, bytes: &[u8]) -> Result<(), TokenizerError> {
    #[derive(Deserialize)]
    struct Outline {
        model: Option<Kind>,
    }
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        name: Option<Value>,
    }
    let outline: Outline = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => {
            unusable(path, "ends in the middle: remove it, so that it is fetched again")
        }
        serde_json::error::Category::Data => unusable(path, "is no tokenizer.json"),
        _ => unusable(path, &format!("is not JSON: {}", brief(&error.to_string()))),
    })?;
    let Some(model) = outline.model else {
        return Err(unusable(path, "is no tokenizer.json: it has no `model`"));
    };
    match model.name {
        None => Ok(()),
        Some(Value::String(name)) if KINDS.contains(&name.as_str()) => Ok(()),
        Some(name) => {
            let name = brief(name.as_str().unwrap_or("not a string"));
            Err(unusable(path, &format!("has a model of type `{name}`; known are {}", KINDS.join(", "))))
        }
    }
}

/// Whether every byte of a text ends in a token, and how many a token may have.
fn longest(tokenizer: &Tokenizer) -> usize {
    let normalizers = kinds(serde_json::to_value(tokenizer.get_normalizer()));
    let splitters = kinds(serde_json::to_value(tokenizer.get_pre_tokenizer()));
    let ModelWrapper::BPE(model) = tokenizer.get_model() else { return usize::MAX };
    let by_bytes = normalizers.iter().chain(&splitters).any(|kind| kind == "ByteLevel");
    let falls_back = || (0..=255).all(|byte| model.token_to_id(&format!("<0x{byte:02X}>")).is_some());
    if !(by_bytes || model.byte_fallback && falls_back()) {
        return usize::MAX;
    }
    // Composed letters may be a third as long as what they are composed of.
    let mut factor = 1;
    for kind in &normalizers {
        match kind.as_str() {
            "ByteLevel" | "Prepend" | "Replace" | "Sequence" | "Lit" | "NFD" => {}
            "NFC" => factor = 4,
            _ => return usize::MAX,
        }
    }
    let keeps = ["ByteLevel", "Digits", "Metaspace", "Punctuation", "Sequence", "Split"];
    let removes = |kind: &String| !keeps.contains(&kind.as_str());
    if splitters.iter().any(removes) || replaces(tokenizer) {
        return usize::MAX;
    }
    let longest = tokenizer.get_vocab(true).into_keys().map(|token| token.len()).max();
    longest.unwrap_or(usize::MAX).saturating_mul(factor)
}

/// Whether a normalizer or splitter leaves out part of the text.
fn replaces(tokenizer: &Tokenizer) -> bool {
    let shown =
        [serde_json::to_string(&tokenizer.get_pre_tokenizer()), serde_json::to_string(&tokenizer.get_normalizer())];
    let shown = shown.map(|shown| shown.unwrap_or_default());
    let replaces = shown[1].matches("\"Replace\"").count();
    // The one that is known to keep everything: a space becomes a longer sign.
    let known = shown[1].matches(r#""type":"Replace","pattern":{"String":" "},"content":"▁""#).count();
    shown[0].contains("\"Removed\"") || replaces != known
}

/// Every `type` in a part of a tokenizer.
fn kinds(part: serde_json::Result<Value>) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(members) => {
                into.extend(members.get("type").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| collect(member, into));
            }
            _ => {}
        }
    }
    let mut kinds = Vec::new();
    match part {
        Ok(part) => collect(&part, &mut kinds),
        Err(_) => kinds.push("unknown".into()),
    }
    kinds
}

fn unusable(path: &Path, what: &str) -> TokenizerError {
    TokenizerError { message: format!("the tokenizer `{}` {what}", path.display()) }
}

/// The beginning of a message that may quote a whole file.
fn brief(message: &str) -> String {
    message.chars().take(200).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

const KINDS: [&str; 4] = ["BPE", "Unigram", "WordLevel", "WordPiece"];

/// The largest published ones have 35 MB; in memory each is up to ten times that.
const MOST_FILE: u64 = 64 << 20;

/// How much of a text is looked at where added tokens look around themselves.
const MOST_AROUND: usize = 256 << 10;

/// The beginning of a text that shows how long the rest takes.
const SAMPLE: usize = 256 << 10;

/// Bytes between two looks at the clock, and what a piece counts for beside its bytes.
const BETWEEN_LOOKS: usize = 64 << 10;
const PIECE_ITSELF: usize = 64;

#[cfg(test)]
mod tests;
