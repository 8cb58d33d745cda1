//! Stop strings, found in a text that comes in pieces.

use std::collections::{HashMap, VecDeque};

/// Stop strings as one automaton (Aho and Corasick, 1975): each byte of a text is looked at once, however many there
/// are and however long.
///
/// Our own, because what may go out follows from the depth of the state, which the libraries keep to themselves.
#[derive(Debug)]
pub struct Stops {
    /// Where a byte leads from a state; a state without the edge falls back.
    edges: HashMap<(u32, u8), u32>,
    states: Vec<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The state of the longest end of this state's text that is a beginning of a stop string too.
    fallback: u32,
    /// Bytes of the longest beginning of a stop string that the text ends in.
    depth: u32,
    /// Bytes of the longest stop string that ends here; 0 if none does.
    ends: u32,
}

impl Stops {
    /// An automaton for these texts; empty ones are passed over, and so are those beyond all bounds, which a server
    /// that takes them enforces by itself.
    pub fn new(stops: &[Box<str>]) -> Self {
        let mut made = Self { edges: HashMap::new(), states: vec![State::default()] };
        let mut room = MOST_BYTES;
        for stop in stops.iter().filter(|stop| !stop.is_empty()) {
            let Some(rest) = room.checked_sub(stop.len()) else { continue };
            room = rest;
            made.add(stop.as_bytes());
        }
        made.fall_back(stops);
        made
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.states.len() == 1
    }

    /// Where a text ends: at the beginning of the stop string that is complete first, and of several that are complete
    /// at the same place, of the longest.
    pub fn cut(&self, text: &str) -> Option<usize> {
        let mut state = 0;
        text.bytes().enumerate().find_map(|(at, byte)| {
            state = self.step(state, byte);
            let ends = self.states[state as usize].ends as usize;
            (ends > 0).then(|| at + 1 - ends)
        })
    }

    /// Whether a text holds no stop string and does not end in the beginning of one.
    pub fn lets_pass(&self, text: &str) -> bool {
        let mut state = 0;
        let free = |byte| {
            state = self.step(state, byte);
            self.states[state as usize].ends == 0
        };
        text.bytes().all(free) && state == 0
    }

    fn add(&mut self, stop: &[u8]) {
        let mut at = 0;
        for (depth, byte) in (1_u32..).zip(stop) {
            at = match self.edges.get(&(at, *byte)) {
                Some(next) => *next,
                None => {
                    let next = u32::try_from(self.states.len()).unwrap_or(0);
                    self.edges.insert((at, *byte), next);
                    self.states.push(State { depth, ..State::default() });
                    next
                }
            };
        }
        self.states[at as usize].ends = self.states[at as usize].depth;
    }

    /// Finds every state's fallback, shorter texts first.
    fn fall_back(&mut self, stops: &[Box<str>]) {
        let mut waiting: VecDeque<(u32, u32, usize)> = VecDeque::new();
        // Every edge is on the way of some stop string, so walking all of them side by side meets each state.
        for (number, _) in stops.iter().enumerate().filter(|(_, stop)| !stop.is_empty()) {
            waiting.push_back((0, 0, number));
        }
        let mut met = vec![false; self.states.len()];
        while let Some((parent, done, number)) = waiting.pop_front() {
            let Some(&byte) = stops[number].as_bytes().get(done as usize) else { continue };
            let Some(&state) = self.edges.get(&(parent, byte)) else { continue };
            if !std::mem::replace(&mut met[state as usize], true) && parent != 0 {
                let fallback = self.step(self.states[parent as usize].fallback, byte);
                let ends = self.states[fallback as usize].ends;
                let this = &mut self.states[state as usize];
                this.fallback = fallback;
                if this.ends == 0 {
                    this.ends = ends;
                }
            }
            waiting.push_back((state, done + 1, number));
        }
    }

    fn step(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            if let Some(next) = self.edges.get(&(state, byte)) {
                return *next;
            }
            if state == 0 {
                return 0;
            }
            state = self.states[state as usize].fallback;
        }
    }
}

/// Watches one choice's text for stop strings.
#[derive(Clone, Debug, Default)]
pub struct StopWatch {
    state: u32,
    /// The end of the text, which may be the beginning of a stop string.
    held: String,
    /// Bytes of `held` that have gone out; they are left in for a while so that not every piece moves the rest.
    gone: usize,
}

impl StopWatch {
    /// Takes the next piece and gives what can go out; the rest may be the beginning of a stop string.
    pub fn feed(&mut self, piece: &str, stops: &Stops) -> Passed {
        if stops.is_empty() {
            return Passed { text: piece.to_owned(), stopped: false };
        }
        let before = self.held.len();
        self.held.push_str(piece);
        for (at, byte) in piece.bytes().enumerate() {
            self.state = stops.step(self.state, byte);
            let ends = stops.states[self.state as usize].ends as usize;
            if ends > 0 {
                let end = before + at + 1 - ends;
                let text = self.held[self.gone..end].to_owned();
                self.clear();
                return Passed { text, stopped: true };
            }
        }
        // A stop string begins with a whole letter, so that what is before it ends with one.
        let end = self.held.len() - stops.states[self.state as usize].depth as usize;
        let text = self.held[self.gone..end].to_owned();
        self.gone = end;
        if self.gone > self.held.len() / 2 {
            self.held.drain(..self.gone);
            self.gone = 0;
        }
        Passed { text, stopped: false }
    }

    /// Whether nothing is held back.
    pub fn is_idle(&self) -> bool {
        self.held.len() == self.gone
    }

    /// What was held back and turned out to be no stop string.
    pub fn finish(&mut self) -> String {
        let rest = self.held[self.gone..].to_owned();
        self.clear();
        rest
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What may go out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// Text before any stop string.
    pub text: String,
    /// A stop string was met; nothing more of this choice goes out.
    pub stopped: bool,
}

/// In all; each is some hundred bytes of memory.
const MOST_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stops(texts: &[&str]) -> Vec<Box<str>> {
        texts.iter().map(|text| (*text).into()).collect()
    }

    /// What goes out of a text in pieces, and whether it was stopped.
    fn passed<'a>(pieces: impl IntoIterator<Item = &'a str>, stops: &Stops) -> (String, bool) {
        let (mut watch, mut out) = (StopWatch::default(), String::new());
        for piece in pieces {
            let passed = watch.feed(piece, stops);
            out.push_str(&passed.text);
            if passed.stopped {
                return (out, true);
            }
        }
        out.push_str(&watch.finish());
        (out, false)
    }

    /// The same by trying every end and every stop string.
    fn naive(text: &str, stops: &[Box<str>]) -> Option<usize> {
        (1..=text.len()).filter(|end| text.is_char_boundary(*end)).find_map(|end| {
            let fitting = stops.iter().filter(|stop| !stop.is_empty() && text[..end].ends_with(&***stop));
            fitting.map(|stop| stop.len()).max().map(|length| end - length)
        })
    }

    #[test]
    fn a_text_ends_before_the_stop_string_that_is_complete_first() {
        for (text, texts, expected) in [
            ("one two", &["two"][..], Some(4)),
            ("one two", &["three", ""], None),
            ("abcd", &["abcde", "c"], Some(2)),
            ("abcd", &["bc", "abc"], Some(0)),
            ("aab", &["ab"], Some(1)),
            ("日本語", &["本"], Some(3)),
            ("a\n\nUser: b", &["\nUser:"], Some(2)),
            ("", &["x"], None),
        ] {
            assert_eq!(Stops::new(&stops(texts)).cut(text), expected, "{text:?} {texts:?}");
        }
    }

    #[test]
    fn no_more_is_held_back_than_may_be_the_beginning_of_a_stop_string() {
        let stops = Stops::new(&stops(&["<|end|>", "\n\n"]));
        let mut watch = StopWatch::default();
        for (piece, goes) in
            [("a<|e", "a"), ("x", "<|ex"), ("b\n", "b"), ("c", "\nc"), ("<|end", ""), ("|", ""), ("<", "<|end|")]
        {
            assert_eq!(watch.feed(piece, &stops).text, goes, "{piece:?}");
        }
        assert!(!watch.is_idle());
        assert_eq!(watch.finish(), "<");
        assert!(watch.is_idle());
    }

    #[test]
    fn thousands_of_candidates_and_very_long_ones_are_followed_in_one_pass() {
        let many: Vec<Box<str>> = (0..5000).map(|number| format!("stop-{number:04}!").into()).collect();
        let stops_of_many = Stops::new(&many);
        let text = "stop-499 ".repeat(20_000) + "stop-4999! and more";
        let pieces = text.as_bytes().chunks(3).map(|piece| std::str::from_utf8(piece).unwrap());
        let (out, stopped) = passed(pieces, &stops_of_many);
        assert!(stopped);
        assert_eq!(out.len(), 9 * 20_000);
        let long: Box<str> = ("a".repeat(9_999) + "b").into();
        let stops_of_long = Stops::new(&[long]);
        let text = "a".repeat(200_000) + "b";
        let pieces = text.as_bytes().chunks(2).map(|piece| std::str::from_utf8(piece).unwrap());
        assert_eq!(passed(pieces, &stops_of_long), ("a".repeat(190_001), true));
    }

    #[test]
    fn stop_strings_beyond_all_bounds_take_no_memory() {
        let long = "ab".repeat(MOST_BYTES);
        let stops = Stops::new(&stops(&[&long, "ac", "abx"]));
        assert!(stops.states.len() < 10);
        assert_eq!((stops.cut("ababac"), stops.cut("ababx"), stops.cut(&long)), (Some(4), Some(2), None));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_neither_does_the_way_of_searching(
            text in "[ab日]{0,30}", texts in proptest::collection::vec("[ab日]{0,4}", 0..5), cuts in proptest::collection::vec(0_usize..40, 0..6)
        ) {
            let texts: Vec<Box<str>> = texts.into_iter().map(Into::into).collect();
            let compiled = Stops::new(&texts);
            let expected = naive(&text, &texts);
            prop_assert_eq!(compiled.cut(&text), expected);
            let mut places: Vec<usize> = cuts.into_iter().filter(|at| text.is_char_boundary(*at)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &text[pair[0]..pair[1]]);
            let (out, stopped) = passed(pieces, &compiled);
            prop_assert_eq!(out, &text[..expected.unwrap_or(text.len())]);
            prop_assert_eq!(stopped, expected.is_some());
        }
    }
}
