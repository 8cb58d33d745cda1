//! Where the keys and values of a JSON5 text stand, which its parser does not say.

use std::iter::Peekable;
use std::str::Chars;

/// A place in a text, as editors count.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    /// From 1.
    pub(super) line: usize,
    /// From 1, in characters.
    pub(super) column: usize,
}

/// The places of all keys and all values, both in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Spots {
    /// Where each key begins.
    pub(super) keys: Vec<Position>,
    /// Where each value begins, a container before what it holds.
    pub(super) values: Vec<Position>,
    /// Behind the last character.
    pub(super) end: Position,
}

impl Spots {
    /// Walks `text`, whose first line bears the number `first_line`.
    ///
    /// The text need not be valid: up to its first mistake the walk and the parser agree on what is a bracket, and the
    /// parser goes no further. So the depth is a safe bound for the parser's recursion.
    ///
    /// # Errors
    /// The bracket that nests deeper than `deepest`.
    pub(super) fn find(text: &str, first_line: usize, deepest: usize) -> Result<Self, Position> {
        let mut walk = Walk { rest: text.chars().peekable(), at: Position { line: first_line, column: 1 } };
        let mut spots = Self::default();
        // For each open container, whether it is an object.
        let mut open: Vec<bool> = Vec::new();
        let mut key_follows = false;
        while let Some((at, first)) = walk.token() {
            match first {
                '{' | '[' => {
                    spots.values.push(at);
                    if open.len() == deepest {
                        return Err(at);
                    }
                    open.push(first == '{');
                    key_follows = first == '{';
                }
                '}' | ']' => {
                    open.pop();
                    key_follows = false;
                }
                ',' => key_follows = open.last().copied().unwrap_or(false),
                ':' => key_follows = false,
                _ if key_follows => spots.keys.push(at),
                _ => spots.values.push(at),
            }
        }
        spots.end = walk.at;
        Ok(spots)
    }

    /// Whether there is neither a key nor a value: white space and comments only.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

struct Walk<'a> {
    rest: Peekable<Chars<'a>>,
    at: Position,
}

impl Walk<'_> {
    /// Where the next token begins, and its first character; the walk then stands behind it.
    fn token(&mut self) -> Option<(Position, char)> {
        loop {
            let at = self.at;
            let first = self.step()?;
            match first {
                _ if is_space(first) => {}
                '/' => self.skip_comment(),
                '"' | '\'' => {
                    self.skip_string(first);
                    return Some((at, first));
                }
                '{' | '}' | '[' | ']' | ',' | ':' => return Some((at, first)),
                _ => {
                    self.skip_word();
                    return Some((at, first));
                }
            }
        }
    }

    fn step(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        // CR LF ends one line, not two.
        if ends_line(next) && !(next == '\r' && self.rest.peek() == Some(&'\n')) {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(next)
    }

    fn skip_comment(&mut self) {
        match self.step() {
            Some('/') => while self.step().is_some_and(|next| !ends_line(next)) {},
            Some('*') => {
                let mut star = false;
                while let Some(next) = self.step() {
                    if star && next == '/' {
                        return;
                    }
                    star = next == '*';
                }
            }
            _ => {}
        }
    }

    fn skip_string(&mut self, quote: char) {
        while let Some(next) = self.step() {
            if next == quote {
                return;
            }
            if next == '\\' {
                self.step();
            }
        }
    }

    fn skip_word(&mut self) {
        while let Some(&next) = self.rest.peek() {
            if is_space(next) || "{}[],:/\"'".contains(next) {
                return;
            }
            self.step();
        }
    }
}

/// White space as JSON5 has it: ECMAScript's, with the byte order mark.
fn is_space(character: char) -> bool {
    matches!(character, '\u{9}'..='\u{d}' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}')
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

fn ends_line(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(positions: &[Position]) -> Vec<(usize, usize)> {
        positions.iter().map(|at| (at.line, at.column)).collect()
    }

    #[test]
    fn keys_and_values_are_found_behind_comments_quotes_and_continued_lines() {
        let text = "// {a:1}\r\n{ 'a:b' /* , */ : \"x\\\r\n}\", // {\r\n  $c: [0x1F, -.5e3,], \u{fc}:{}}";
        let spots = Spots::find(text, 1, 8).unwrap();
        assert_eq!(places(&spots.keys), [(2, 3), (4, 3), (4, 23)]);
        assert_eq!(places(&spots.values), [(2, 1), (2, 19), (4, 7), (4, 8), (4, 14), (4, 25)]);
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_and_comments_do_not_count() {
        assert_eq!(Spots::find("[[[", 1, 2).unwrap_err(), Position { line: 1, column: 3 });
        assert!(Spots::find("['[[[', /* [[[ */ [1], // [[[\n ]", 1, 2).is_ok());
        assert!(Spots::find(&"[".repeat(100_000), 1, 128).is_err());
    }

    /// A piece of text between two tokens.
    fn gap() -> impl Strategy<Value = String> {
        proptest::sample::select(vec![
            "",
            " ",
            "\n",
            "\r\n",
            "\t",
            "/* {a:'x'}, */",
            "// it's [\n",
            "\u{a0}",
            "\u{feff}",
        ])
        .prop_map(str::to_owned)
    }

    /// Keys and values as they may be written, none of them a container.
    fn members() -> impl Strategy<Value = Vec<(String, &'static str, [String; 4])>> {
        let value = proptest::sample::select(vec![
            "1",
            "'a\\'b{'",
            "\"x\\\ny:[\"",
            "null",
            "-0x1F",
            "'\u{e9}\u{1f600}'",
            "+.5e-3",
        ]);
        let key = ("[a-z$_][a-z0-9]{0,5}", 0..3u8).prop_map(|(word, quoting)| match quoting {
            0 => word,
            1 => format!("'{word}:,'"),
            _ => format!("\"{word}{{\""),
        });
        proptest::collection::vec((key, value, [gap(), gap(), gap(), gap()]), 0..12)
    }

    /// Where `offset` is in `text`, counted the slow way.
    fn place(text: &str, offset: usize) -> Position {
        let before = text[..offset].replace("\r\n", "\n");
        let line = before.matches('\n').count() + 1;
        Position { line, column: before.chars().rev().take_while(|next| *next != '\n').count() + 1 }
    }

    proptest! {
        #[test]
        fn every_key_and_value_of_a_generated_document_is_found(members in members(), nested in any::<bool>()) {
            let mut text = String::from(if nested { "[{" } else { "{" });
            let mut keys = Vec::new();
            let mut values = if nested { vec![0, 1] } else { vec![0] };
            for (key, value, gaps) in &members {
                text += &gaps[0];
                keys.push(text.len());
                text += key;
                text += &gaps[1];
                text.push(':');
                text += &gaps[2];
                values.push(text.len());
                text += value;
                text += &gaps[3];
                text.push(',');
            }
            text += if nested { "}]" } else { "}" };
            prop_assert!(json5::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            let spots = Spots::find(&text, 1, 8).unwrap();
            let at = |offsets: Vec<usize>| offsets.into_iter().map(|offset| place(&text, offset)).collect::<Vec<_>>();
            prop_assert_eq!(&spots.keys, &at(keys), "{}", text);
            prop_assert_eq!(&spots.values, &at(values), "{}", text);
        }
    }
}
