//! Undoes the compression of WebSocket messages, piece by piece (`permessage-deflate`, RFC 7692).

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

/// Reads the compressed messages of one direction.
pub struct Inflater {
    stream: Decompress,
    /// Whether messages may refer to those before them.
    keeps: bool,
    /// Bytes that came out of the message so far.
    made: usize,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("keeps", &self.keeps).finish_non_exhaustive()
    }
}

impl Inflater {
    /// Before the first message; `keeps` says whether the sender may refer to earlier messages (it has "context").
    ///
    /// The largest window is assumed, which reads every smaller one.
    pub fn new(keeps: bool) -> Self {
        Self { stream: Decompress::new(false), keeps, made: 0 }
    }

    /// Takes the next bytes of a message, and appends what they hold to `out`.
    ///
    /// # Errors
    /// Bytes that are no such compression, or a message over `limit` bytes. Nothing of this direction can be read then.
    pub(super) fn push(&mut self, mut piece: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut room = [0; ROOM];
        loop {
            let (taken, made) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(piece, &mut room, FlushDecompress::None);
            let status = status.map_err(|_| Unreadable::Broken)?;
            let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
            let (taken, made) = (count(self.stream.total_in(), taken), count(self.stream.total_out(), made));
            self.made = self.made.saturating_add(made);
            if self.made > limit {
                return Err(Unreadable::TooLarge);
            }
            out.extend_from_slice(&room[..made]);
            piece = &piece[taken..];
            if status == Status::StreamEnd {
                // Allowed within a message, though hardly anybody does it; what follows is a stream of its own.
                self.stream.reset(false);
            }
            if taken == 0 && made == 0 || piece.is_empty() && made < room.len() {
                return Ok(());
            }
        }
    }

    /// Ends a message.
    ///
    /// # Errors
    /// As [`Inflater::push`].
    pub(super) fn finish(&mut self, limit: usize, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        // Every message ends with these four bytes, which are not sent (section 7.2.2).
        self.push(&[0, 0, 0xFF, 0xFF], limit, out)?;
        self.made = 0;
        if !self.keeps {
            self.stream.reset(false);
        }
        Ok(())
    }
}

/// Why a compressed message cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreadable {
    Broken,
    TooLarge,
}

const ROOM: usize = 8 << 10;
