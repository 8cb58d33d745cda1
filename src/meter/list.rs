//! Reads the objects of one array of a document as they go by, without keeping the array.

use crate::meter::field::Field;
use crate::meter::reading::{Draft, Reading};
use crate::meter::scan::{Found, Scanner};
use crate::meter::sight::Sight;

/// The array whose objects are read, and what was found in them.
#[derive(Debug)]
pub struct List {
    sight: Sight,
    element: Box<Scanner>,
    place: Place,
    /// What was found since the document began.
    pub(super) found: Contents,
}

/// What an array held.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// Whether there was one.
    pub(super) came: bool,
    /// How many objects.
    pub(super) count: u64,
    /// How many of them are searches of the web.
    pub(super) web_searches: u64,
    /// How many of them are searches of files.
    pub(super) file_searches: u64,
    /// How many different containers the code interpreter ran in.
    pub(super) code_sessions: u64,
    /// The containers themselves, up to a bound.
    containers: Vec<Box<[u8]>>,
    /// What the objects say, up to a bound.
    pub(super) readings: Vec<Reading>,
}

impl List {
    /// The array that matters to `sight`; `None` where none does.
    pub(super) fn of(sight: Sight) -> Option<Self> {
        sight.list().map(|_| Self {
            sight,
            element: Box::new(Scanner::new()),
            place: Place::Between,
            found: Contents::default(),
        })
    }

    /// The key of the array.
    pub(super) fn key(&self) -> &'static [u8] {
        self.sight.list().unwrap_or_default()
    }

    /// Stands before the next document.
    pub(super) fn restart(&mut self) {
        self.found = Contents::default();
    }

    /// Stands before the first object; the last of repeated arrays wins.
    pub(super) fn begin(&mut self) {
        self.found = Contents { came: true, ..Contents::default() };
        self.place = Place::Between;
    }

    /// Takes the next bytes and gives how many of them belong to the array.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        let Some(&first) = bytes.first() else { return 0 };
        match (self.place, first) {
            (Place::Inside, _) => {
                let used = self.element.advance(bytes);
                if self.element.is_complete() {
                    self.place = Place::Between;
                    self.add();
                }
                used
            }
            (_, b'{') => {
                self.element.restart();
                self.place = Place::Inside;
                0
            }
            (_, b' ' | b'\t' | b'\n' | b'\r' | b',') => 1,
            (_, b']') => {
                self.place = Place::Over;
                1
            }
            _ => {
                self.place = Place::Odd;
                0
            }
        }
    }

    /// Whether the array has ended.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// Whether it holds something else than objects.
    pub(super) fn is_odd(&self) -> bool {
        self.place == Place::Odd
    }

    fn add(&mut self) {
        let found = &mut self.found;
        found.count += 1;
        match self.sight {
            Sight::Output => match self.element.top(Field::Kind) {
                Some(Found::Raw(br#""web_search_call""#)) => found.web_searches += 1,
                Some(Found::Raw(br#""file_search_call""#)) => found.file_searches += 1,
                Some(Found::Raw(br#""code_interpreter_call""#)) => found.run_code(self.element.top(Field::Container)),
                _ => {}
            },
            Sight::Jobs | Sight::Runs if found.readings.len() < MOST_READ => {
                let mut draft = Draft::default();
                draft.absorb(&self.element);
                found.readings.push(draft.finish());
            }
            _ => {}
        }
    }
}

impl Contents {
    /// Several calls share a session where they share its container; one that names none has one of its own.
    fn run_code(&mut self, container: Option<Found<'_>>) {
        if let Some(Found::Raw(container)) = container.filter(|found| *found != Found::Raw(b"null")) {
            if self.containers.iter().any(|known| **known == *container) {
                return;
            }
            if self.containers.len() < MOST_READ {
                self.containers.push(container.into());
            }
        }
        self.code_sessions += 1;
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Before an object, a comma or the end of the array.
    Between,
    Inside,
    Odd,
    Over,
}

/// The longest page of a list that the API gives is 100 objects.
const MOST_READ: usize = 128;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scan(sight: Sight, text: &str, size: usize) -> Scanner {
        let mut scanner = Scanner::listing(List::of(sight).unwrap());
        text.as_bytes().chunks(size).for_each(|piece| scanner.feed(piece));
        scanner
    }

    #[test]
    fn only_real_items_are_counted_and_never_text_that_looks_like_one() {
        let fake = r#"{"type":"web_search_call"},{"output":[{"type":"web_search_call"}]}"#;
        let document = json!({
            "output": [
                {"type": "message", "content": [{"type": "web_search_call", "text": fake}]},
                {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": fake}},
                {"id": "fs_1", "queries": ["\"type\":\"file_search_call\""], "type": "file_search_call"},
                {"type": "code_interpreter_call", "container_id": "a"},
                {"type": "code_interpreter_call", "container_id": "b"},
                {"type": "code_interpreter_call", "container_id": "a", "outputs": null},
                {"type": "web_search_call", "id": "ws_2"},
            ],
            "tools": [{"type": "web_search_call"}],
            "usage": 7,
        });
        for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            for size in 1..80 {
                let scanner = scan(Sight::Output, &text, size);
                let found = &scanner.list().unwrap().found;
                let counts = (found.web_searches, found.file_searches, found.code_sessions, found.count);
                assert_eq!(counts, (2, 1, 2, 7), "{size}");
                assert!(scanner.is_complete());
                assert_eq!(scanner.find(Field::Usage), Some(Found::Raw(b"7")));
            }
        }
    }

    #[test]
    fn an_array_of_something_else_does_not_hide_what_follows_it() {
        for output in ["[]", "[ ]", "null", "[1,[{}],\"]\"]", "[{},7]", "\"[\"", "{\"a\":[]}"] {
            let text = format!(r#"{{"output":{output},"usage":{{"input_tokens":1}}}}"#);
            for size in 1..9 {
                let scanner = scan(Sight::Output, &text, size);
                assert!(scanner.is_complete(), "{text}");
                assert_eq!(scanner.find(Field::Usage), Some(Found::Raw(br#"{"input_tokens":1}"#)), "{text}");
            }
        }
    }

    #[test]
    fn a_list_of_any_length_takes_bounded_room() {
        let one = r#"{"id":"batch_1","object":"batch","usage":{"input_tokens":1}},"#;
        let text = format!(r#"{{"object":"list","data":[{}{{}}]}}"#, one.repeat(5000));
        let scanner = scan(Sight::Jobs, &text, 1000);
        let found = &scanner.list().unwrap().found;
        assert_eq!((found.count, found.readings.len()), (5001, MOST_READ));
        assert_eq!(found.readings[0].upstream_id.as_deref(), Some("batch_1"));
    }
}
