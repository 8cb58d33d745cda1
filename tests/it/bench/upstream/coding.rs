//! Content codings of both directions; a stream is flushed after every piece.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A content coding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// Compresses piece by piece.
pub enum Encoder {
    /// `gzip`.
    Gzip(GzEncoder<Vec<u8>>),
    /// `br`, in stored blocks: a valid stream that needs no compressor.
    Brotli {
        /// Whether anything was sent.
        begun: bool,
    },
    /// `zstd`.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Coding {
    /// The coding of that name in `content-encoding`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Gzip, Self::Brotli, Self::Zstd].into_iter().find(|coding| coding.name() == name)
    }

    /// Its name in `content-encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Whether a request with these fields takes it.
    pub fn is_accepted_by(self, headers: &HeaderMap) -> bool {
        let listed = |list: &str| list.split(',').any(|one| one.split(';').next().unwrap().trim() == self.name());
        headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(listed)
    }

    /// Undoes it; `None` if the bytes are not such.
    pub fn decode(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        match self {
            Self::Gzip => GzDecoder::new(bytes).read_to_end(&mut plain).ok()?,
            Self::Brotli => brotli_decompressor::Decompressor::new(bytes, 4096).read_to_end(&mut plain).ok()?,
            Self::Zstd => zstd::stream::read::Decoder::new(bytes).ok()?.read_to_end(&mut plain).ok()?,
        };
        Some(plain)
    }

    /// Compresses all at once.
    pub fn encode(self, bytes: &[u8]) -> Bytes {
        let mut encoder = self.encoder();
        let mut coded = encoder.push(bytes).to_vec();
        coded.extend_from_slice(&encoder.finish());
        Bytes::from(coded)
    }

    /// Begins a stream.
    pub fn encoder(self) -> Encoder {
        match self {
            Self::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            Self::Brotli => Encoder::Brotli { begun: false },
            Self::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap()),
        }
    }
}

impl Encoder {
    /// The coded form of one piece, such that a reader can decode all of it at once.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(piece).unwrap();
                encoder.flush().unwrap();
                Bytes::from(std::mem::take(encoder.get_mut()))
            }
            Self::Zstd(encoder) => {
                encoder.write_all(piece).unwrap();
                encoder.flush().unwrap();
                Bytes::from(std::mem::take(encoder.get_mut()))
            }
            Self::Brotli { begun } => {
                let mut coded = Vec::new();
                for block in piece.chunks(1 << 16) {
                    coded.extend_from_slice(&stored_head(block.len(), *begun));
                    coded.extend_from_slice(block);
                    *begun = true;
                }
                Bytes::from(coded)
            }
        }
    }

    /// What ends the stream.
    pub fn finish(self) -> Bytes {
        match self {
            Self::Gzip(encoder) => Bytes::from(encoder.finish().unwrap()),
            Self::Zstd(encoder) => Bytes::from(encoder.finish().unwrap()),
            // An empty last block, after the one bit that says a window of 64 KiB if nothing came before.
            Self::Brotli { begun: true } => Bytes::from_static(&[0b11]),
            Self::Brotli { begun: false } => Bytes::from_static(&[0b110]),
        }
    }
}

/// The head of a stored block (RFC 7932, 9.2): not last, four nibbles of length - 1, stored, filled up to a byte.
fn stored_head(length: usize, begun: bool) -> Vec<u8> {
    let bits = ((length as u32 - 1) << 3) | (1 << 19);
    if begun { bits.to_le_bytes()[..3].to_vec() } else { (bits << 1).to_le_bytes()[..3].to_vec() }
}
