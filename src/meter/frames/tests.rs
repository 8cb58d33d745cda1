//! The reader of frames, at every division of the bytes.

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What is seen, in a form that can be compared.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Noted {
    Close(Option<u16>),
    Passed(&'static str),
    Text(Vec<u8>),
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Noted>, bool) {
    read_by(Frames::new(true), pieces)
}

fn read_by<'a>(mut frames: Frames, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Noted>, bool) {
    let mut noted = Vec::new();
    for piece in pieces {
        frames.feed(piece, |seen| {
            noted.push(match seen {
                Seen::Close(code) => Noted::Close(code),
                Seen::Passed(why) => Noted::Passed(why),
                Seen::Text(text) => Noted::Text(text.to_vec()),
            });
        });
    }
    (noted, frames.is_between())
}

/// A frame: first byte, mask, payload; the length in its shortest form.
fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let flag = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        small @ 0..=125 => bytes.push(flag | u8::try_from(small).unwrap()),
        middle @ 126..=0xFFFF => {
            bytes.push(flag | 126);
            bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        large => {
            bytes.push(flag | 127);
            bytes.extend((large as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    let mask = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(0..).map(|(byte, at): (&u8, usize)| byte ^ mask[at % 4]));
    bytes
}

fn text(text: &str) -> Noted {
    Noted::Text(text.as_bytes().to_vec())
}

#[test]
fn messages_are_whole_however_their_frames_and_bytes_are_divided() {
    let mask = Some([0x37, 0xFA, 0x21, 0x3D]);
    let long = "ä".repeat(300);
    for mask in [None, mask] {
        let whole = [
            frame(0x81, mask, b"Hello"),
            frame(0x01, mask, b"Hel"),
            frame(0x89, mask, b"ping"),
            frame(0x00, mask, b""),
            frame(0x8A, mask, b""),
            frame(0x80, mask, b"lo"),
            frame(0x82, mask, b"binary"),
            frame(0x02, mask, b"more"),
            frame(0x80, mask, b" of it"),
            frame(0x81, mask, long.as_bytes()),
            frame(0x81, mask, b""),
            frame(0x88, mask, &[0x03, 0xE9, b'b', b'y', b'e']),
        ]
        .concat();
        let wanted = vec![text("Hello"), text("Hello"), text(&long), text(""), Noted::Close(Some(1001))];
        assert_eq!(read([&whole[..]]), (wanted.clone(), true));
        assert_eq!(read(whole.chunks(1)), (wanted.clone(), true));
        for at in 0..whole.len() {
            let (before, after) = whole.split_at(at);
            assert_eq!(read([before, after]).0, wanted, "{at}");
        }
    }
}

#[test]
fn only_the_end_of_a_frame_is_between_frames() {
    let bytes = [frame(0x81, Some([1, 2, 3, 4]), &[b'x'; 200]), frame(0x88, None, b"")].concat();
    let ends = [0, 2 + 2 + 4 + 200, bytes.len()];
    for at in 0..=bytes.len() {
        assert_eq!(read([&bytes[..at]]).1, ends.contains(&at), "{at}");
    }
    assert_eq!(read([&bytes[..]]).0.last(), Some(&Noted::Close(None)));
}

#[test]
fn what_cannot_be_read_is_passed_over_and_said() {
    let huge = vec![b'x'; LARGEST + 1];
    for (bytes, wanted) in [
        ([frame(0x81, None, &huge), frame(0x81, None, b"a")].concat(), vec![text("a")]),
        (
            [frame(0x01, None, &huge[..LARGEST]), frame(0x80, None, b"y"), frame(0x81, None, b"a")].concat(),
            vec![Noted::Passed(TOO_LARGE), text("a")],
        ),
        ([frame(0xC1, None, b"deflated"), frame(0x81, None, b"a")].concat(), vec![Noted::Passed(EXTENDED), text("a")]),
        ([frame(0x80, None, b"of nothing"), frame(0x81, None, b"a")].concat(), vec![text("a")]),
        (
            [vec![0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 1], frame(0x81, None, b"a")].concat(),
            vec![Noted::Passed(UNFOLLOWED)],
        ),
    ] {
        // In pieces, as it comes over a network.
        let noted = read(bytes.chunks(32 << 10)).0;
        let first = if wanted.len() == 1 && bytes.len() > LARGEST { vec![Noted::Passed(TOO_LARGE)] } else { vec![] };
        assert_eq!(noted, [first, wanted].concat());
    }
}

#[test]
fn no_more_is_held_than_one_message_may_have_and_little_at_rest() {
    let mut frames = Frames::new(true);
    let endless = [0x01, 127, 0, 0, 0, 1, 0, 0, 0, 0];
    frames.feed(&endless, |_| {});
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        frames.feed(&piece, |_| panic!("the message has not ended"));
        assert!(frames.kept.capacity() <= 2 * LARGEST);
    }
    let mut frames = Frames::new(true);
    for half in frame(0x81, None, &vec![b'x'; 1 << 20]).chunks(1 << 19) {
        frames.feed(half, |_| {});
    }
    assert!(frames.kept.capacity() <= AT_REST);
    let mut blind = Frames::new(false);
    blind.feed(&frame(0x01, None, b"text"), |_| panic!("nobody wants it"));
    assert_eq!(blind.kept.capacity(), 0);
}

proptest! {
    #[test]
    fn any_messages_come_out_as_they_went_in_at_any_division(
        messages in vec((vec(vec(any::<u8>(), 0..200), 1..4), any::<Option<[u8; 4]>>(), any::<bool>()), 0..6),
        cuts in vec(1_usize..50, 1..20),
    ) {
        let mut bytes = Vec::new();
        for (fragments, mask, pinged) in &messages {
            for (number, fragment) in fragments.iter().enumerate() {
                let first = u8::from(number == 0) | if number + 1 == fragments.len() { 0x80 } else { 0 };
                bytes.extend(frame(first, *mask, fragment));
                if *pinged {
                    bytes.extend(frame(0x89, *mask, b"p"));
                }
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let wanted: Vec<Noted> = messages.iter().map(|(fragments, ..)| Noted::Text(fragments.concat())).collect();
        prop_assert_eq!(read(pieces), (wanted, true));
    }

    #[test]
    fn no_bytes_at_all_do_harm(bytes in vec(any::<u8>(), 0..400)) {
        let whole = read([&bytes[..]]).0;
        prop_assert_eq!(read(bytes.chunks(1)).0, whole);
    }
}

/// Compresses messages as an end of a WebSocket does, with or without referring to those before.
fn squeezed(messages: &[&[u8]], keeps: bool) -> Vec<Vec<u8>> {
    let mut stream = Compress::new(Compression::default(), false);
    let squeeze = |message: &&[u8]| {
        let mut out = Vec::with_capacity(message.len() + 1024);
        if message.is_empty() {
            // An empty block, since there is nothing to flush.
            return vec![0];
        }
        stream.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        if !keeps {
            stream.reset();
        }
        assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]));
        out.truncate(out.len() - 4);
        out
    };
    messages.iter().map(squeeze).collect()
}

#[test]
fn compressed_messages_are_read_at_every_division_also_where_they_refer_to_others() {
    let long = br#"{"type":"response.completed","response":{"usage":{"input_tokens":11}}}"#.repeat(200);
    let messages = [&b"{\"type\":\"response.created\"}"[..], &long, b"binary, and referred to: response", &long, b""];
    for keeps in [true, false] {
        let parts = squeezed(&messages, keeps);
        assert!(!keeps || parts[3].len() + 20 < parts[1].len(), "it refers to the one before");
        let mask = Some([0x37, 0xFA, 0x21, 0x3D]);
        let (first, second) = parts[1].split_at(parts[1].len() / 2);
        let whole = [
            frame(0xC1, None, &parts[0]),
            frame(0x41, mask, first),
            frame(0x89, mask, b"ping"),
            frame(0x80, mask, second),
            frame(0x81, None, b"plain"),
            frame(0xC2, mask, &parts[2]),
            frame(0xC1, mask, &parts[3]),
            frame(0xC1, None, &parts[4]),
        ]
        .concat();
        let wanted: Vec<Noted> = [messages[0], &long, b"plain", &long, b""].map(|text| Noted::Text(text.into())).into();
        let frames = || Frames::new(true).inflated(Some(Inflater::new(keeps)));
        assert_eq!(read_by(frames(), [&whole[..]]), (wanted.clone(), true));
        assert_eq!(read_by(frames(), whole.chunks(1)).0, wanted);
        for at in 0..whole.len() {
            let (before, after) = whole.split_at(at);
            assert_eq!(read_by(frames(), [before, after]).0, wanted, "{at}");
        }
    }
}

#[test]
fn a_message_that_is_too_large_when_undone_or_no_compression_ends_the_reading_of_compressed_ones_only() {
    let bomb = vec![b' '; LARGEST + 1];
    let parts = squeezed(&[&bomb, b"after"], true);
    assert!(parts[0].len() < LARGEST / 500);
    for (broken, why) in [(&parts[0][..], TOO_LARGE), (&[0xFF; 9], BROKEN)] {
        let bytes = [frame(0xC1, None, broken), frame(0xC1, None, &parts[1]), frame(0x81, None, b"a")].concat();
        let frames = Frames::new(true).inflated(Some(Inflater::new(true)));
        let wanted = vec![Noted::Passed(why), Noted::Passed(EXTENDED), text("a")];
        assert_eq!(read_by(frames, bytes.chunks(1000)).0, wanted);
    }
}

#[test]
fn a_stream_that_ends_within_a_message_is_followed_by_another() {
    let mut out = Vec::with_capacity(100);
    Compress::new(Compression::default(), false).compress_vec(b"ends", &mut out, FlushCompress::Finish).unwrap();
    // As section 7.2.3.4 has it: an empty block follows.
    out.push(0);
    let after = squeezed(&[b"after"], true).remove(0);
    let bytes = [frame(0xC1, None, &out), frame(0xC1, None, &after)].concat();
    let frames = Frames::new(true).inflated(Some(Inflater::new(true)));
    assert_eq!(read_by(frames, [&bytes[..]]).0, vec![text("ends"), text("after")]);
}
