//! Records of the spool: framed so that a torn end or a damaged middle costs no other record.

use std::ops::Range;

use serde::Serialize;

/// What a record says of its entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mark {
    /// The attempt ended, and this is its entry.
    Closed,
    /// The attempt is about to be made.
    Open,
}

/// One record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Record<'a> {
    /// What it says.
    pub(super) mark: Mark,
    /// The place of a closed entry in the order of closing.
    pub(super) seq: u64,
    /// The entry as JSON.
    pub(super) entry: &'a [u8],
}

/// A record with its head before it.
pub(super) fn framed(mark: Mark, seq: u64, entry: &impl Serialize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(USUAL);
    frame.extend_from_slice(&[0; HEAD]);
    if serde_json::to_writer(&mut frame, entry).is_err() {
        // An entry always has a JSON; without one there is nothing that could be told later.
        frame.truncate(HEAD);
    }
    let length = u32::try_from(frame.len() - HEAD).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(match mark {
        Mark::Closed => CLOSED,
        Mark::Open => OPEN,
    });
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8..16].copy_from_slice(&seq.to_le_bytes());
    let sum = checksum(&frame[..16], &frame[HEAD..]);
    frame[16..HEAD].copy_from_slice(&sum.to_le_bytes());
    frame
}

/// The entry in a frame.
pub(super) fn payload(frame: &[u8]) -> &[u8] {
    frame.get(HEAD..).unwrap_or_default()
}

/// All sound records, and where bytes lie that are none.
pub(super) fn records(bytes: &[u8]) -> (Vec<Record<'_>>, Vec<Range<usize>>) {
    let (mut found, mut flaws) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        if let Some((record, length)) = record(&bytes[at..]) {
            found.push(record);
            at += length;
            continue;
        }
        // A text in JSON never holds the first byte of a head, and so the next head is where one looks right.
        let next = (at + 1..bytes.len()).find(|next| bytes[*next] == OPEN[0] && record(&bytes[*next..]).is_some());
        let past = next.unwrap_or(bytes.len());
        flaws.push(at..past);
        at = past;
    }
    (found, flaws)
}

/// The record that bytes begin with, and its length with its head.
fn record(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let mark = match head.first_chunk::<4>()? {
        CLOSED => Mark::Closed,
        OPEN => Mark::Open,
        _ => return None,
    };
    let length = usize::try_from(u32::from_le_bytes(head[4..8].try_into().ok()?)).ok()?;
    let seq = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let entry = rest.get(..length)?;
    let sum = u32::from_le_bytes(head[16..HEAD].try_into().ok()?);
    (checksum(&head[..16], entry) == sum).then_some((Record { mark, seq, entry }, HEAD + length))
}

fn checksum(head: &[u8], entry: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(head);
    sum.update(entry);
    sum.sum()
}

/// Mark, length, place, checksum.
const HEAD: usize = 20;

const CLOSED: &[u8; 4] = b"\x1eTGc";
const OPEN: &[u8; 4] = b"\x1eTGo";

/// Bytes of a usual record.
const USUAL: usize = 1400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Three records, and where each of them ends.
    fn three() -> (Vec<u8>, [usize; 3]) {
        let mut bytes = framed(Mark::Open, 0, &"first");
        let first = bytes.len();
        bytes.extend(framed(Mark::Closed, 7, &"se\u{1e}TGcond"));
        let second = bytes.len();
        bytes.extend(framed(Mark::Closed, 8, &""));
        let third = bytes.len();
        (bytes, [first, second, third])
    }

    #[test]
    fn a_spool_that_is_cut_anywhere_keeps_all_whole_records_before_the_cut() {
        let (bytes, ends) = three();
        let (all, flaws) = records(&bytes);
        assert_eq!((all.len(), flaws.len(), all[1].seq, all[1].mark), (3, 0, 7, Mark::Closed));
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (found, flaws) = records(&bytes[..cut]);
            assert_eq!(found, all[..whole], "cut at {cut}");
            assert_eq!(flaws.is_empty(), cut == 0 || ends.contains(&cut), "cut at {cut}");
            // What the next process writes after the torn end is found.
            let more = [&bytes[..cut], &framed(Mark::Open, 0, &"later")].concat();
            assert_eq!(records(&more).0.len(), whole + 1, "cut at {cut}");
        }
    }

    #[test]
    fn any_bit_that_flips_costs_its_own_record_and_no_other() {
        let (bytes, ends) = three();
        let all = records(&bytes).0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let hit = ends.iter().position(|end| at < *end).unwrap();
                let (found, flaws) = records(&damaged);
                let sound: Vec<_> = (0..3).filter(|number| *number != hit).map(|number| all[number]).collect();
                assert_eq!((found, flaws.len()), (sound, 1), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_and_a_segment_twice_are_read() {
        let (bytes, _) = three();
        assert_eq!(records(&[&bytes[..], &[0; 4096]].concat()).0.len(), 3);
        assert_eq!(records(&[&bytes[..], &bytes[..]].concat()).0.len(), 6);
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            records(&bytes);
        }
    }
}
