//! What looks at a reply as it goes by: undoes its coding, edits its events, reads its usage.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::dialect::coding::{Coding, Decoder};
use crate::dialect::reply::stream::ReplyStream;
use crate::dialect::rewrite::{Pieces, Rewriter};
use crate::dialect::sse::Event;
use crate::meter::Meter;
use crate::meter::reading::Reading;
use crate::meter::transcript::Transcript;
use crate::units::Usage;

/// What changes the events of a reply.
#[derive(Debug)]
pub enum Editor {
    /// Brings it into the client's form.
    Reply(Box<ReplyStream>),
    /// Takes out what the client must not see.
    Trim(Rewriter),
}

impl Editor {
    fn feed(&mut self, plain: Bytes, on_event: impl FnMut(&Event)) -> Pieces {
        match self {
            Self::Reply(stream) => stream.feed(plain, on_event),
            Self::Trim(rewriter) => rewriter.feed(plain, on_event),
        }
    }
}

/// What watches one reply. Without an editor the client's bytes are the upstream's, whatever happens in here.
#[derive(Debug)]
pub struct Watch<G = Meter> {
    gauge: Option<G>,
    decoder: Option<Decoder>,
    editor: Option<Editor>,
    /// Why the gauge went quiet.
    quiet: Option<&'static str>,
    /// What it had heard by then.
    heard: Option<Box<Transcript>>,
}

impl<G: Gauge> Watch<G> {
    /// Reads usage with `gauge` from a body of this coding; with an editor the client gets the decoded, edited body.
    pub fn new(gauge: G, coding: Coding, editor: Option<Editor>) -> Self {
        let decoder = (coding != Coding::Identity).then(|| Decoder::new(coding).limited(MAX_DECODED));
        Self { gauge: Some(gauge), decoder, editor, quiet: None, heard: None }
    }

    /// Over a body that nobody here can read.
    pub fn deaf() -> Self {
        Self { gauge: None, decoder: None, editor: None, quiet: Some(UNDECODED), heard: None }
    }

    /// Whether the client's body is another one than the upstream's.
    pub fn edits(&self) -> bool {
        self.editor.is_some()
    }

    /// The reply, where it is brought into the client's form.
    pub fn stream(&self) -> Option<&ReplyStream> {
        match &self.editor {
            Some(Editor::Reply(stream)) => Some(stream),
            _ => None,
        }
    }

    /// The last bytes of a reply that is brought into the client's form.
    ///
    /// # Errors
    /// The edited body has no end.
    pub fn close(&mut self, usage: Option<&Usage>, out: &mut VecDeque<Bytes>) -> Result<(), Unreadable> {
        let Some(Editor::Reply(stream)) = &mut self.editor else { return Ok(()) };
        out.extend(catch_unwind(AssertUnwindSafe(|| stream.close(usage))).map_err(|_| Unreadable)?);
        Ok(())
    }

    /// Whether usage may still be found.
    pub fn listens(&self) -> bool {
        self.gauge.is_some()
    }

    /// Takes the next bytes of the reply and puts what the client gets of them at the end of `out`.
    ///
    /// # Errors
    /// The edited body cannot go on: what the client has of it is not all.
    pub fn take(&mut self, bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Unreadable> {
        if self.editor.is_none() {
            // The client's piece is on its way before anything looks at it.
            out.push_back(bytes.clone());
            if self.gauge.is_none() {
                return Ok(());
            }
        }
        if self.decoder.is_none() {
            return self.read(bytes, out);
        }
        // In small steps, so that a little that stands for much is not much at once.
        for step in bytes.chunks(STEP) {
            self.decode(|decoder, plain| decoder.push(step, plain).is_ok(), out)?;
        }
        Ok(())
    }

    /// At the end of the reply: puts out what is left.
    ///
    /// # Errors
    /// The edited body has no end: its coding broke off.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Unreadable> {
        if self.gauge.is_some() || self.editor.is_some() {
            // What was read before a coding broke off at its very end stays read.
            let edited = self.editor.is_some();
            self.decode(|decoder, plain| decoder.finish(plain).is_ok() || !edited, out)?;
        }
        let Self { gauge, editor, quiet, .. } = self;
        match editor.take() {
            None => {}
            Some(Editor::Trim(rewriter)) => {
                let last = catch_unwind(AssertUnwindSafe(|| {
                    rewriter.finish(|event| guarded(gauge, quiet, |gauge| gauge.event(event)))
                }));
                out.extend(last.map_err(|_| Unreadable)?);
            }
            Some(Editor::Reply(mut stream)) => {
                let last = catch_unwind(AssertUnwindSafe(|| {
                    stream.end(|event| guarded(gauge, quiet, |gauge| gauge.event(event)))
                }));
                out.extend(last.map_err(|_| Unreadable)?);
                *editor = Some(Editor::Reply(stream));
            }
        }
        Ok(())
    }

    /// What was found; where the gauge went quiet, only what had been said by then.
    pub fn reading(&mut self) -> Reading {
        let mut reading = Reading::default();
        guarded(&mut self.gauge, &mut self.quiet, |gauge| reading = gauge.finish());
        if let Some(why) = self.quiet {
            let heard = self.heard.take().or_else(|| Some(Box::new(Transcript::unread())));
            return Reading { flaw: Some(why), transcript: heard, ..Reading::default() };
        }
        reading
    }

    fn decode(
        &mut self,
        step: impl FnOnce(&mut Decoder, &mut Vec<u8>) -> bool,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), Unreadable> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut plain = Vec::new();
        let readable = step(decoder, &mut plain);
        if !plain.is_empty() {
            self.read(plain.into(), out)?;
        }
        if readable {
            return Ok(());
        }
        if self.editor.is_some() {
            return Err(Unreadable);
        }
        // What cannot be decoded cannot be metered; the client gets its bytes all the same.
        let mut heard = None;
        guarded(&mut self.gauge, &mut self.quiet, |gauge| heard = gauge.finish().transcript);
        self.heard = heard.filter(|heard| !heard.is_empty());
        self.gauge = None;
        self.quiet.get_or_insert(UNDECODED);
        Ok(())
    }

    fn read(&mut self, plain: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Unreadable> {
        let Self { gauge, editor, quiet, .. } = self;
        let Some(editor) = editor else {
            guarded(gauge, quiet, |gauge| gauge.feed(&plain));
            return Ok(());
        };
        let pieces = catch_unwind(AssertUnwindSafe(|| {
            editor.feed(plain, |event| guarded(gauge, quiet, |gauge| gauge.event(event)))
        }));
        // Bytes that it still held are lost, and a reply with a hole must not look whole.
        out.extend(pieces.map_err(|_| Unreadable)?);
        Ok(())
    }
}

/// Reads usage from a reply.
pub trait Gauge {
    /// The next bytes of the body, decoded.
    fn feed(&mut self, bytes: &Bytes);
    /// The next event of the body, where something else splits it.
    fn event(&mut self, event: &Event);
    /// What was found; to be called once, at the end.
    fn finish(&mut self) -> Reading;
}

impl Gauge for Meter {
    fn feed(&mut self, bytes: &Bytes) {
        Self::feed(self, bytes);
    }

    fn event(&mut self, event: &Event) {
        Self::event(self, event);
    }

    fn finish(&mut self) -> Reading {
        Self::finish(std::mem::replace(self, Self::json()))
    }
}

/// The edited body cannot be continued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unreadable;

/// Lets the gauge work; where it panics it is dropped, and the reply goes on without it.
fn guarded<G>(gauge: &mut Option<G>, quiet: &mut Option<&'static str>, work: impl FnOnce(&mut G)) {
    let Some(working) = gauge else { return };
    // Whatever it left half changed goes with it.
    if catch_unwind(AssertUnwindSafe(|| work(working))).is_err() {
        *gauge = None;
        *quiet = Some(FAILED);
        tracing::error!("the meter panicked; this is a bug in the gate");
    }
}

/// Decoded bytes that are read of one reply, however little they were on the wire.
const MAX_DECODED: usize = 64 << 20;
/// Coded bytes that are decoded at once.
const STEP: usize = 4 << 10;
const FAILED: &str = "the meter failed";
const UNDECODED: &str = "the reply could not be decoded for the meter";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::trim::Trim;

    /// Fails at its `n`th look.
    struct Failing(usize);

    impl Failing {
        fn look(&mut self) {
            self.0 -= 1;
            assert!(self.0 > 0, "a bug");
        }
    }

    impl Gauge for Failing {
        fn feed(&mut self, _: &Bytes) {
            self.look();
        }

        fn event(&mut self, _: &Event) {
            self.look();
        }

        fn finish(&mut self) -> Reading {
            self.look();
            Reading { served_model: Some("m".into()), ..Reading::default() }
        }
    }

    const STREAM: &str = "data: {\"choices\":[{}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n\
                          data: {\"choices\":[{\"x\":1}]}\n\ndata: [DONE]\n\n";

    /// What the client gets of `STREAM` in pieces of `size` bytes, and what the books get.
    fn passed<G: Gauge>(mut watch: Watch<G>, size: usize) -> (String, Reading) {
        let mut out = VecDeque::new();
        for piece in STREAM.as_bytes().chunks(size) {
            watch.take(Bytes::copy_from_slice(piece), &mut out).unwrap();
        }
        watch.finish(&mut out).unwrap();
        let bytes: Vec<u8> = out.into_iter().flatten().collect();
        (String::from_utf8(bytes).unwrap(), watch.reading())
    }

    fn trimming() -> Option<Editor> {
        Some(Editor::Trim(Rewriter::new(Trim { usage: true, empty_chunks: false })))
    }

    #[test]
    fn a_meter_that_fails_loses_its_reading_and_not_a_byte_of_the_reply() {
        for fails_at in 1..5 {
            for size in [7, 40, STREAM.len()] {
                let (sent, reading) = passed(Watch::new(Failing(fails_at), Coding::Identity, None), size);
                assert_eq!(sent, STREAM);
                if size == 7 {
                    assert_eq!(reading.flaw, Some(FAILED));
                    assert!(reading.usage.is_none() && reading.served_model.is_none());
                }
                let (edited, reading) = passed(Watch::new(Failing(fails_at), Coding::Identity, trimming()), size);
                let (expected, _) = passed(Watch::new(Meter::stream(), Coding::Identity, trimming()), size);
                assert_eq!(edited, expected);
                assert_eq!(reading.flaw, Some(FAILED));
            }
        }
    }

    #[test]
    fn an_edited_reply_whose_coding_breaks_off_never_looks_whole() {
        let coded = crate::dialect::coding::tests::gzip(STREAM.as_bytes());
        let mut out = VecDeque::new();
        let mut watch = Watch::new(Meter::stream(), Coding::Gzip, trimming());
        let half = Bytes::copy_from_slice(&coded[..coded.len() - 9]);
        let taken = watch.take(half, &mut out);
        assert!(taken.is_err() || watch.finish(&mut out).is_err());
    }

    #[test]
    fn a_small_reply_that_stands_for_a_huge_one_quiets_the_meter_and_passes() {
        let coded = crate::dialect::coding::tests::zstd(&vec![b' '; MAX_DECODED + 1]);
        let mut out = VecDeque::new();
        let mut watch = Watch::new(Meter::json(), Coding::Zstd, None);
        watch.take(coded.clone().into(), &mut out).unwrap();
        watch.finish(&mut out).unwrap();
        assert_eq!(out.into_iter().flatten().collect::<Vec<u8>>(), coded);
        assert!(!watch.listens());
        assert_eq!(watch.reading().flaw, Some(UNDECODED));
    }
}
