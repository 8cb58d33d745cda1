//! Every coding, cut everywhere, broken everywhere, and bombs.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

fn plain() -> Vec<u8> {
    let mut text = br#"{"usage":{"prompt_tokens":9,"completion_tokens":1}}"#.repeat(3);
    text.extend((0u32..300).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    text
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn bare(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 3).unwrap()
}

/// Brotli without a compressor: uncompressed meta-blocks (RFC 7932, section 9.2) and the empty last one.
fn brotli(text: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0, 1); // WBITS 16
    for block in text.chunks(100) {
        bits.put(0, 1); // not last
        bits.put(0, 2); // four nibbles of length
        bits.put(block.len() as u32 - 1, 16);
        bits.put(1, 1); // uncompressed
        bits.align();
        bits.bytes.extend(block);
    }
    bits.put(3, 2); // last, empty
    bits.align();
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, width: u32) {
        self.held |= value << self.count;
        self.count += width;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }
}

/// 16 MB of zeros by the reference compressor.
const BROTLI_ZEROS: &[u8] =
    b"\xcb\xff\xff\x3f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x8f\xff\xff\x7f\xf0\x4f\x00\xc4\x61\x11\x80\xee\
    \xfd\xdf";

/// One usage object three times by the reference compressor.
const BROTLI_USAGE: &[u8] =
    b"\x1b\x98\x00\x10\x04\xe2\x6c\xa9\x5f\x56\x44\x5a\x11\x92\x31\xff\xcd\xc0\x44\x0e\x1c\x9b\x07\x24\x81\
    \x5f\x84\x0e\x1b\x70\xc2\x69\x9a\xac\xbb\x84\x0b\x5f\x7a\x2a\xfb\xc7\x74\x3c\xdc\x84\x27\xd0\x81\xde\
    \x09";

fn samples() -> Vec<(Coding, Vec<u8>)> {
    let text = plain();
    let halves = text.split_at(text.len() / 2);
    vec![
        (Coding::Identity, text.clone()),
        (Coding::Gzip, gzip(&text)),
        (Coding::Gzip, [gzip(halves.0), gzip(halves.1)].concat()),
        (Coding::Deflate, zlib(&text)),
        (Coding::Deflate, bare(&text)),
        (Coding::Brotli, brotli(&text)),
        (Coding::Zstd, zstd(&text)),
        (Coding::Zstd, [zstd(halves.0), zstd(halves.1)].concat()),
    ]
}

#[test]
fn a_header_names_one_coding_or_is_not_known() {
    for (header, coding) in [
        (None, Coding::Identity),
        (Some(""), Coding::Identity),
        (Some("identity"), Coding::Identity),
        (Some(" GZip "), Coding::Gzip),
        (Some("x-gzip"), Coding::Gzip),
        (Some("deflate"), Coding::Deflate),
        (Some("br"), Coding::Brotli),
        (Some("zstd"), Coding::Zstd),
        (Some("gzip, br"), Coding::Unknown),
        (Some("compress"), Coding::Unknown),
    ] {
        assert_eq!(Coding::parse(header), coding, "{header:?}");
    }
}

#[test]
fn two_pieces_cut_anywhere_decode_to_the_same_bytes() {
    for (coding, body) in samples() {
        for cut in 0..=body.len() {
            let (mut decoder, mut out) = (Decoder::new(coding), b"kept".to_vec());
            decoder.push(&body[..cut], &mut out).unwrap();
            decoder.push(&body[cut..], &mut out).unwrap();
            decoder.finish(&mut out).unwrap();
            assert_eq!(out, [b"kept".as_slice(), &plain()].concat(), "{coding} cut at {cut}");
        }
    }
}

#[test]
fn single_bytes_decode_to_the_same_bytes() {
    for (coding, body) in samples() {
        let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
        for byte in &body {
            decoder.push(&[*byte], &mut out).unwrap();
        }
        decoder.finish(&mut out).unwrap();
        assert_eq!(out, plain(), "{coding}");
    }
}

#[test]
fn what_the_sender_flushed_is_there_before_the_next_piece() {
    let events = [b"data: {\"a\":1}\n\n".as_slice(), b"data: [DONE]\n\n"];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    let (mut unzip, mut unzstd) = (Decoder::new(Coding::Gzip), Decoder::new(Coding::Zstd));
    let mut seen = Vec::new();
    for event in events {
        gzip.write_all(event).unwrap();
        gzip.flush().unwrap();
        unzip.push(&mem::take(gzip.get_mut()), &mut seen).unwrap();
        assert_eq!(mem::take(&mut seen), event);
        zstd.write_all(event).unwrap();
        zstd.flush().unwrap();
        unzstd.push(&mem::take(zstd.get_mut()), &mut seen).unwrap();
        assert_eq!(mem::take(&mut seen), event);
    }
}

#[test]
fn a_body_that_ends_early_is_an_error_wherever_it_ends() {
    for (coding, body) in samples() {
        // Two members cut between them are a complete body.
        let whole_anyway = |cut: usize| {
            decode(coding, &body[..cut], usize::MAX)
                .is_ok_and(|out| coding == Coding::Identity || out.len() == plain().len() / 2)
        };
        for cut in 1..body.len() {
            if !whole_anyway(cut) {
                let result = decode(coding, &body[..cut], usize::MAX);
                assert_eq!(result, Err(CodingError::Corrupt(coding)), "{coding} cut at {cut}");
            }
        }
    }
}

#[test]
fn garbage_is_an_error_that_stays() {
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
        let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
        let garbage = [0xff; 64];
        assert_eq!(decoder.push(&garbage, &mut out), Err(CodingError::Corrupt(coding)));
        assert_eq!(decoder.push(&garbage, &mut out), Err(CodingError::Corrupt(coding)));
        assert_eq!(decoder.push(&[], &mut out), Err(CodingError::Corrupt(coding)));
        assert_eq!(decoder.finish(&mut out), Err(CodingError::Corrupt(coding)));
    }
    assert_eq!(decode(Coding::Unknown, b"x", 9), Err(CodingError::Unknown));
}

#[test]
fn what_came_before_the_damage_is_given_out() {
    let text = plain();
    for (coding, mut body) in samples().into_iter().filter(|(coding, _)| *coding != Coding::Identity) {
        body.extend([0xee; 32]);
        let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
        assert!(decoder.push(&body, &mut out).is_err());
        assert_eq!(out, text, "{coding}");
    }
}

#[test]
fn compressed_brotli_is_decoded() {
    let text = br#"{"usage":{"prompt_tokens":9,"completion_tokens":1}}"#.repeat(3);
    assert_eq!(decode(Coding::Brotli, BROTLI_USAGE, text.len()), Ok(text));
}

#[test]
fn a_body_of_no_bytes_is_complete() {
    for coding in [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
        assert_eq!(decode(coding, b"", 0), Ok(Vec::new()));
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 4 << 20];
    for (coding, bomb) in [
        (Coding::Gzip, gzip(&zeros)),
        (Coding::Deflate, bare(&zeros)),
        (Coding::Brotli, BROTLI_ZEROS.to_vec()),
        (Coding::Zstd, zstd(&zeros)),
    ] {
        let (mut decoder, mut out) = (Decoder::new(coding).limited(1 << 20), Vec::new());
        assert_eq!(decoder.push(&bomb, &mut out), Err(CodingError::TooLarge { limit: 1 << 20 }), "{coding}");
        assert!(out.capacity() <= 2 << 20, "{coding} kept {} bytes", out.capacity());
    }
    assert_eq!(decode(Coding::Gzip, &gzip(b"12345"), 5).as_deref(), Ok(b"12345".as_slice()));
    assert_eq!(decode(Coding::Gzip, &gzip(b"12345"), 4), Err(CodingError::TooLarge { limit: 4 }));
    assert_eq!(decode(Coding::Identity, b"12345", 4), Err(CodingError::TooLarge { limit: 4 }));
}

#[test]
fn a_zstd_window_beyond_what_http_allows_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"hello").unwrap();
    let body = encoder.finish().unwrap();
    assert_eq!(decode(Coding::Zstd, &body, 99), Err(CodingError::Corrupt(Coding::Zstd)));
}
