//! What a reply said, kept for the case that nobody tells what it cost.

use bytes::Bytes;
use serde_json::Value;

use crate::dialect::endpoint::Dialect;
use crate::dialect::reply::texts::Texts;
use crate::meter::{mend, spoken};

/// What a reply said: the texts of its events, or the document that holds them and has not been read yet.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// The texts, as far as they have been read.
    pub texts: Texts,
    /// Not all that the model wrote is in the texts as it wrote it: calls of tools, thoughts, sound.
    pub doubtful: bool,
    /// The reply could not be read at all.
    pub unread: bool,
    document: Option<Document>,
}

/// A document as it came, piece by piece.
#[derive(Clone, Debug)]
struct Document {
    dialect: Dialect,
    pieces: Vec<Bytes>,
    bytes: usize,
    left_out: u64,
}

impl Transcript {
    /// Of a document in this dialect.
    pub(super) fn of_document(dialect: Dialect) -> Self {
        let document = Document { dialect, pieces: Vec::new(), bytes: 0, left_out: 0 };
        Self { document: Some(document), ..Self::default() }
    }

    /// Of a reply that nobody could read.
    pub fn unread() -> Self {
        Self { unread: true, ..Self::default() }
    }

    /// Keeps the next piece of the document; no byte is copied or looked at.
    pub(super) fn keep(&mut self, piece: &Bytes) {
        let Some(document) = &mut self.document else { return };
        if document.left_out > 0 || document.bytes + piece.len() > MOST {
            document.left_out += piece.len() as u64;
            return;
        }
        document.bytes += piece.len();
        document.pieces.push(piece.clone());
    }

    /// Whether nothing was said for certain; a document that has not been read yet may say something.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.document.as_ref().is_none_or(|document| document.bytes == 0)
    }

    /// With the document's texts, also those of one that broke off. Slow for a long one.
    #[must_use]
    pub fn read(mut self) -> Self {
        let Some(document) = self.document.take() else { return self };
        let Document { dialect, pieces, bytes, left_out } = document;
        let whole = pieces.concat();
        match serde_json::from_slice(&whole).or_else(|_| serde_json::from_slice::<Value>(&mend::closed(&whole))) {
            Ok(value) => spoken::document(dialect, &value, &mut self),
            Err(_) => self.unread = !whole.is_empty(),
        }
        // What was not kept is taken to be as rich in text as what was.
        let said = self.texts.iter().map(str::len).sum::<usize>() as u128;
        let missed = said * u128::from(left_out) / (bytes as u128).max(1);
        self.texts.leave_out(u64::try_from(missed).unwrap_or(u64::MAX));
        self
    }

    /// The same without a look at the document: its bytes stand for its texts, if it was kept whole.
    #[must_use]
    pub fn unlooked(mut self) -> Self {
        if let Some(document) = self.document.take() {
            self.unread = document.left_out > 0;
            self.texts.leave_out(document.bytes as u64);
        }
        self
    }

    /// A choice went on with this text.
    pub(super) fn say(&mut self, choice: u32, text: &str) {
        self.texts.add(choice.min(MOST_CHOICES), text);
    }
}

impl From<Texts> for Transcript {
    fn from(texts: Texts) -> Self {
        Self { texts, ..Self::default() }
    }
}

/// Bytes of a document that are kept.
const MOST: usize = 1 << 20;
/// More choices than any API gives are one to the books.
const MOST_CHOICES: u32 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Two w\u00f6rds \"and\" \ud83c\udf88 more"}},
        {"index":1,"message":{"content":null,"refusal":"No."}}],"usage":null}"#;

    fn of(dialect: Dialect, pieces: &[&str]) -> Transcript {
        let mut transcript = Transcript::of_document(dialect);
        pieces.iter().for_each(|piece| transcript.keep(&Bytes::copy_from_slice(piece.as_bytes())));
        transcript.read()
    }

    fn texts(transcript: &Transcript) -> Vec<String> {
        transcript.texts.iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_document_gives_its_texts_however_it_came() {
        let expected = ["Two wörds \"and\" 🎈 more", "No."];
        for at in (0..WHOLE.len()).filter(|at| WHOLE.is_char_boundary(*at)) {
            let (before, after) = WHOLE.split_at(at);
            let read = of(Dialect::Chat, &[before, after]);
            assert_eq!(texts(&read), expected, "{at}");
            assert!(!read.doubtful && !read.unread);
        }
    }

    #[test]
    fn a_document_that_broke_off_gives_what_had_come_of_its_texts() {
        let mut longest = 0;
        for at in 0..WHOLE.len() {
            let read = of(Dialect::Chat, &[&WHOLE[..at]]);
            let got = texts(&read);
            let first = got.first().map_or("", String::as_str);
            assert!("Two wörds \"and\" 🎈 more".starts_with(first), "{at}: {got:?}");
            assert!(first.len() >= longest, "{at}: {got:?}");
            longest = first.len();
        }
        assert_eq!(longest, "Two wörds \"and\" 🎈 more".len());
    }

    #[test]
    fn a_long_document_is_not_kept_and_known_to_be_left_out() {
        let long = |letter: &str| {
            let mut transcript = Transcript::of_document(Dialect::Chat);
            transcript.keep(&Bytes::from_static(b"{\"choices\":[{\"message\":{\"content\":\""));
            (0..10).for_each(|_| transcript.keep(&Bytes::from(letter.repeat(300_000))));
            transcript
        };
        let text = long("x");
        assert!(text.document.as_ref().is_some_and(|document| document.bytes <= MOST));
        let read = text.clone().read();
        assert!((2_000_000..2_200_000).contains(&read.texts.left_out()), "{}", read.texts.left_out());
        assert_eq!(read.texts.iter().map(str::len).sum::<usize>(), 900_000);
        assert!(text.unlooked().unread);
        let mut blank = Transcript::of_document(Dialect::Chat);
        (0..10).for_each(|_| blank.keep(&Bytes::from(vec![b' '; 300_000])));
        let read = blank.read();
        assert!(read.unread && read.texts.is_empty(), "many bytes that say nothing are no text");
    }
}
