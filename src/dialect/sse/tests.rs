//! Splitting: the same events at any chunking, nothing lost, nothing held beyond the bound.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn split(chunks: &[&[u8]]) -> Vec<Event> {
    let mut splitter = Splitter::new();
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.feed(Bytes::copy_from_slice(chunk), |event| events.push(event));
    }
    events.extend(splitter.finish());
    events
}

fn seen(stream: &[u8]) -> Vec<(Option<String>, Option<String>)> {
    let text = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
    split(&[stream]).iter().map(|event| (event.name().map(Into::into), event.data().map(text))).collect()
}

#[test]
fn every_line_end_ends_lines_and_events() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = "event: a\ndata: 1\n\n: note\ndata:2\n\n\nid: 7\ndata\ndata:  3\n\n".replace('\n', end);
        let data: Vec<_> = seen(stream.as_bytes()).into_iter().filter(|(_, data)| data.is_some()).collect();
        assert_eq!(
            data,
            [(Some("a".into()), Some("1".into())), (None, Some("2".into())), (None, Some("\n 3".into()))],
            "{end:?}"
        );
    }
}

#[test]
fn unknown_fields_and_comments_are_no_data() {
    assert_eq!(seen(b"database: 1\nDATA: 2\n data: 3\n:data: 4\nevents: x\n\n"), [(None, None)]);
}

#[test]
fn a_byte_order_mark_counts_only_at_the_very_beginning() {
    let marked = seen("\u{feff}data: 1\n\n\u{feff}data: 2\n\n".as_bytes());
    assert_eq!(marked, [(None, Some("1".into())), (None, None)]);
}

#[test]
fn whole_events_are_slices_of_their_chunk() {
    let chunk = Bytes::from_static(b"data: 1\n\ndata: 2\r\n\r\n");
    let mut at = chunk.as_ptr();
    Splitter::new().feed(chunk.clone(), |event| {
        assert_eq!(event.raw.as_ptr(), at);
        at = at.wrapping_add(event.raw.len());
    });
    assert_eq!(at, chunk.as_ptr().wrapping_add(chunk.len()));
}

#[test]
fn an_event_of_a_cr_only_stream_is_given_at_its_last_byte() {
    let mut splitter = Splitter::new();
    let mut count = 0;
    splitter.feed(Bytes::from_static(b"data: 1\r\r"), |_| count += 1);
    assert_eq!(count, 1);
}

#[test]
fn a_lone_cr_further_up_does_not_part_a_crlf() {
    let events = split(&[b"data: 1\rdata: 2\n\r\ndata: 3\n\n"]);
    assert_eq!(events[0].raw, "data: 1\rdata: 2\n\r\n");
    assert_eq!(events[1].raw, "data: 3\n\n");
}

#[test]
fn an_event_without_end_is_passed_through_and_the_next_is_read_again() {
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let mut splitter = Splitter::new();
    let (mut given, mut fed, mut opaque) = (0, 0, 0);
    for _ in 0..40 {
        splitter.feed(piece.clone(), |event| {
            given += event.raw.len();
            opaque += usize::from(event.is_opaque() && event.data().is_none());
        });
        fed += piece.len();
        assert!(fed - given <= BOUND && splitter.held.capacity() <= 2 * BOUND);
    }
    assert!(opaque > 0);
    let mut last = Vec::new();
    splitter.feed(Bytes::from_static(b"\n\ndata: 1\n\n"), |event| last.push(event));
    assert!(last[0].is_opaque());
    assert_eq!(last[1].data().as_deref(), Some(&b"1"[..]));
}

#[test]
fn an_event_over_the_bound_is_opaque_also_in_one_chunk() {
    let line = |length: usize| [b"data:".as_slice(), &vec![b'x'; length - 7], b"\n\n"].concat();
    assert!(!split(&[&line(BOUND)])[0].is_opaque());
    assert!(split(&[&line(BOUND + 1)])[0].is_opaque());
}

/// Streams made of what matters to the grammar, cut into pieces.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let token =
        prop::sample::select(vec!["\n", "\r", "\r\n", "data", ":", " ", "data: x", "event: e", "\u{feff}", "{}"]);
    vec(vec(token, 0..6).prop_map(|tokens| tokens.concat().into_bytes()), 0..12)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(pieces in pieces()) {
        let whole = pieces.concat();
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        let events = split(&[&whole]);
        prop_assert_eq!(events.iter().flat_map(|event| event.raw.to_vec()).collect::<Vec<_>>(), whole.clone());
        prop_assert_eq!(&split(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>()), &events);
        prop_assert_eq!(&split(&bytes), &events);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        seen(&bytes);
    }
}
