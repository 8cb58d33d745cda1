//! Content codings of bodies: undone whole and bounded, or piece by piece as the bytes come.

use std::fmt;
use std::io::{self, Write};
use std::mem;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// How a body is coded, by its `content-encoding`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Coding {
    /// `br`.
    Brotli,
    /// `deflate`: zlib's format, or the bare stream that some programs send under that name.
    Deflate,
    /// `gzip` or `x-gzip`.
    Gzip,
    /// Not coded.
    Identity,
    /// Another coding, or several on top of each other.
    Unknown,
    /// `zstd`.
    Zstd,
}

impl Coding {
    /// Reads the value of a `content-encoding` header; none and an empty one mean not coded.
    pub fn parse(header: Option<&str>) -> Self {
        let name = header.unwrap_or_default().trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name {
            "" => Self::Identity,
            _ if is("identity") => Self::Identity,
            _ if is("gzip") || is("x-gzip") => Self::Gzip,
            _ if is("deflate") => Self::Deflate,
            _ if is("br") => Self::Brotli,
            _ if is("zstd") => Self::Zstd,
            _ => Self::Unknown,
        }
    }

    /// The name as a header writes it; `unknown` for what is none of ours.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
            Self::Unknown => "unknown",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a body could not be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CodingError {
    /// The bytes are not what their coding promises, or end too early.
    #[error("the body is not valid `{0}`")]
    Corrupt(Coding),
    /// The decoded bytes would be more than the limit.
    #[error("the decoded body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A coding that is not known here.
    #[error("the coding of the body is not known")]
    Unknown,
}

/// Decodes a whole body; memory stays within `limit` and one window, whatever the body claims.
pub fn decode(coding: Coding, body: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut decoder = Decoder::new(coding).limited(limit);
    let mut out = Vec::new();
    decoder.push(body, &mut out)?;
    decoder.finish(&mut out)?;
    Ok(out)
}

/// Decodes a body piece by piece, cut anywhere.
pub struct Decoder {
    coding: Coding,
    limit: usize,
    state: State,
}

impl Decoder {
    /// A decoder for one body, with no limit on its length.
    pub fn new(coding: Coding) -> Self {
        Self { coding, limit: usize::MAX, state: State::Fresh }
    }

    /// Lets at most `limit` decoded bytes out in all. To be called before the first piece.
    #[must_use]
    pub fn limited(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Appends to `out` everything that can be decoded with the bytes so far, also where it then fails.
    ///
    /// After an error every further call gives that error again.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), CodingError> {
        let Some(&first) = input.first() else { return self.failure() };
        if matches!(self.state, State::Fresh) {
            self.state = State::start(self.coding, first, self.limit);
        }
        self.through(out, |stream| {
            stream.write_all(input)?;
            stream.flush()
        })
    }

    /// Appends what is left; an error where the body is not complete. A body of no bytes at all is complete.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), CodingError> {
        if matches!(self.state, State::Fresh) {
            return Ok(());
        }
        self.through(out, Stream::end)
    }

    /// Runs `step` with `out` in the place that the stream writes to, and remembers a failure.
    fn through(
        &mut self,
        out: &mut Vec<u8>,
        step: impl FnOnce(&mut Stream) -> io::Result<()>,
    ) -> Result<(), CodingError> {
        let State::Running(stream) = &mut self.state else { return self.failure() };
        mem::swap(&mut stream.sink().out, out);
        let result = step(stream);
        mem::swap(&mut stream.sink().out, out);
        if result.is_ok() {
            return Ok(());
        }
        let error = match stream.sink().full {
            true => CodingError::TooLarge { limit: self.limit },
            false => CodingError::Corrupt(self.coding),
        };
        self.state = State::Failed(error);
        Err(error)
    }

    fn failure(&self) -> Result<(), CodingError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Fresh | State::Running(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("coding", &self.coding).field("limit", &self.limit).finish_non_exhaustive()
    }
}

enum State {
    /// No byte has come yet; the first one tells the two forms of `deflate` apart.
    Fresh,
    Running(Box<Stream>),
    Failed(CodingError),
}

impl State {
    fn start(coding: Coding, first: u8, limit: usize) -> Self {
        let sink = Sink { out: Vec::new(), room: limit, full: false };
        let stream = match coding {
            Coding::Brotli => Stream::Brotli(Box::new(DecompressorWriter::new(sink, BUFFER))),
            Coding::Deflate if first & 0x0f == ZLIB => Stream::Zlib(ZlibDecoder::new(sink)),
            Coding::Deflate => Stream::Bare(DeflateDecoder::new(sink)),
            Coding::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Coding::Identity => Stream::Identity(sink),
            Coding::Unknown => return Self::Failed(CodingError::Unknown),
            Coding::Zstd => match zstd_stream(sink) {
                Ok(stream) => Stream::Zstd(stream),
                Err(_) => return Self::Failed(CodingError::Corrupt(coding)),
            },
        };
        Self::Running(Box::new(stream))
    }
}

enum Stream {
    Bare(DeflateDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Identity(Sink),
    Zlib(ZlibDecoder<Sink>),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

impl Stream {
    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Bare(inner) => inner.get_mut(),
            Self::Brotli(inner) => inner.get_mut(),
            Self::Gzip(inner) => inner.get_mut(),
            Self::Identity(sink) => sink,
            Self::Zlib(inner) => inner.get_mut(),
            Self::Zstd(inner) => inner.get_mut(),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Bare(inner) => inner.try_finish(),
            Self::Brotli(inner) => inner.close(),
            Self::Gzip(inner) => inner.try_finish(),
            Self::Identity(_) => Ok(()),
            Self::Zlib(inner) => inner.try_finish(),
            Self::Zstd(inner) => inner.do_finish(),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        match self {
            Self::Bare(inner) => inner.write(input),
            Self::Brotli(inner) => inner.write(input),
            Self::Gzip(inner) => inner.write(input),
            Self::Identity(sink) => sink.write(input),
            Self::Zlib(inner) => inner.write(input),
            Self::Zstd(inner) => inner.write(input),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Bare(inner) => inner.flush(),
            Self::Brotli(inner) => inner.flush(),
            Self::Gzip(inner) => inner.flush(),
            Self::Identity(_) => Ok(()),
            Self::Zlib(inner) => inner.flush(),
            Self::Zstd(inner) => inner.flush(),
        }
    }
}

/// Where decoded bytes land: it refuses more than its room, which stops the decoder before memory is spent.
struct Sink {
    out: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Sink {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        let Some(room) = self.room.checked_sub(decoded.len()) else {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.room = room;
        self.out.extend_from_slice(decoded);
        Ok(decoded.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn zstd_stream(sink: Sink) -> io::Result<zstd::stream::write::Decoder<'static, Sink>> {
    let mut stream = zstd::stream::write::Decoder::new(sink)?;
    stream.window_log_max(ZSTD_WINDOW)?;
    Ok(stream)
}

/// Bytes that brotli decodes before it hands them on.
const BUFFER: usize = 16 * 1024;

/// The method nibble of a zlib header. A bare stream would start so only with padding bits set, which none does.
const ZLIB: u8 = 8;

/// 8 MB, the largest window that HTTP allows (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

#[cfg(test)]
pub(crate) mod tests;
