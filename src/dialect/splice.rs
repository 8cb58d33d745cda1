//! Text with some of its ranges replaced, sharing what is large.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bytes to put in the place of a range of a text.
#[derive(Clone)]
pub struct Splice {
    /// What to leave out; empty for an insertion.
    pub at: Range<usize>,
    /// What to put there.
    pub with: Bytes,
}

impl Splice {
    /// Puts in a text that is known beforehand.
    pub fn fixed(at: Range<usize>, with: &'static str) -> Self {
        Self { at, with: Bytes::from_static(with.as_bytes()) }
    }
}

/// The text with the splices in place, in pieces that are not empty. A small result is one piece; a large one shares
/// the text's memory. The ranges must lie within the text and not overlap.
pub fn apply(text: &Bytes, mut splices: Vec<&Splice>) -> Vec<Bytes> {
    splices.sort_unstable_by_key(|splice| splice.at.start);
    let mut pieces = Vec::with_capacity(2 * splices.len() + 1);
    let mut from = 0;
    for splice in splices {
        pieces.push(text.slice(from..splice.at.start));
        pieces.push(splice.with.clone());
        from = splice.at.end;
    }
    pieces.push(text.slice(from..));
    pieces.retain(|piece| !piece.is_empty());

    let total = pieces.iter().map(Bytes::len).sum();
    if total > JOINED_UP_TO {
        return pieces;
    }
    let mut whole = BytesMut::with_capacity(total);
    for piece in &pieces {
        whole.extend_from_slice(piece);
    }
    vec![whole.freeze()]
}

/// In bytes: about what one copy costs less than four more segments of a write.
const JOINED_UP_TO: usize = 16 * 1024;
