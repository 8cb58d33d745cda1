//! A JSON5 text as a tree whose every key and value knows its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::config::locate::{Position, Spots};
use crate::config::mistake::Mistake;

/// A value and where it begins.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) at: Position,
    /// What it is.
    pub(super) shape: Shape,
}

/// What a value is.
#[derive(Debug, Default)]
pub(super) enum Shape {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number without point or exponent.
    Whole(i128),
    /// Any other number.
    Fraction(f64),
    /// A string.
    Text(String),
    /// `[...]`.
    List(Vec<Node>),
    /// `{...}`, in the order of the text, a repeated key as often as it stands there.
    Object(Vec<Member>),
}

/// A key of an object with its value.
#[derive(Debug)]
pub(super) struct Member {
    /// The key.
    pub(super) key: String,
    /// Where the key begins.
    pub(super) at: Position,
    /// The value.
    pub(super) node: Node,
}

impl Node {
    /// Reads `text`, whose first line bears the number `first_line` in `file`.
    ///
    /// # Errors
    /// The first place that is not JSON5, or that is too large or too deep.
    pub(super) fn parse(file: &str, text: &str, first_line: usize) -> Result<Self, Mistake> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let wrong = |at: Position, message: String| Mistake {
            file: file.into(),
            line: at.line,
            column: at.column,
            path: String::new(),
            message,
            hint: None,
        };
        let start = Position { line: first_line, column: 1 };
        if text.len() > LARGEST {
            return Err(wrong(start, format!("more than {LARGEST} bytes")));
        }
        let spots = Spots::find(text, first_line, DEEPEST)
            .map_err(|at| wrong(at, format!("brackets nest deeper than {DEEPEST} levels")))?;
        let mut node: Self = json5::from_str(text).map_err(|error| {
            let at =
                error.position().map_or(spots.end, |at| Position { line: at.line + first_line, column: at.column + 1 });
            let mut mistake = wrong(at, in_words(&error));
            if spots.is_empty() {
                mistake.hint = Some("an empty object is `{}`".into());
            }
            mistake
        })?;
        node.place(&mut spots.keys.into_iter(), &mut spots.values.into_iter());
        Ok(node)
    }

    /// Whether `line` holds white space and comments only.
    pub(super) fn is_blank(line: &str) -> bool {
        // The parser decides whether the comments are closed: with a value behind them the line must be valid.
        Spots::find(line, 1, DEEPEST).is_ok_and(|spots| spots.is_empty())
            && json5::from_str::<Self>(&format!("{line}\n0")).is_ok()
    }

    /// An object without keys.
    pub(super) fn empty() -> Self {
        Self { at: Position { line: 1, column: 1 }, shape: Shape::Object(Vec::new()) }
    }

    /// A text that stands in no file.
    pub(super) fn argument(text: &str) -> Self {
        Self { at: Position::default(), shape: Shape::Text(text.into()) }
    }

    /// Gives the places, which are in the order of the text, to the tree, which is too.
    fn place(&mut self, keys: &mut dyn Iterator<Item = Position>, values: &mut dyn Iterator<Item = Position>) {
        self.at = values.next().unwrap_or_default();
        match &mut self.shape {
            Shape::List(items) => items.iter_mut().for_each(|item| item.place(keys, values)),
            Shape::Object(members) => {
                for member in members {
                    member.at = keys.next().unwrap_or_default();
                    member.node.place(keys, values);
                }
            }
            _ => {}
        }
    }
}

impl Shape {
    /// The kind of value, as it is called in a mistake.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "true or false",
            Self::Whole(_) => "a number",
            Self::Fraction(number) if number.is_nan() => "NaN",
            Self::Fraction(number) if number.is_infinite() => "Infinity",
            Self::Fraction(_) => "a number with a point or exponent",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = deserializer.deserialize_any(AnyShape)?;
        Ok(Self { at: Position::default(), shape })
    }
}

struct AnyShape;

impl<'de> Visitor<'de> for AnyShape {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Shape, E> {
        Ok(Shape::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Shape, E> {
        Ok(Shape::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Shape, E> {
        Ok(Shape::Whole(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Shape, E> {
        Ok(Shape::Whole(number))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Shape, E> {
        i128::try_from(number).map(Shape::Whole).map_err(|_| E::custom("number too large"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Shape, E> {
        Ok(Shape::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let mut object = Vec::new();
        while let Some((key, node)) = members.next_entry()? {
            object.push(Member { key, at: Position::default(), node });
        }
        Ok(Shape::Object(object))
    }
}

/// What the parser found, in the words of the other messages.
fn in_words(error: &json5::Error) -> String {
    let Some(code) = error.code() else { return "not a number that can be read".into() };
    let text = code.to_string();
    match text.strip_prefix("EOF parsing ") {
        Some("value") => "the text ends where a value should be".into(),
        Some(inside) => {
            let article = if inside.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
            format!("the text ends inside {article} {inside}")
        }
        None => format!("not JSON5: {text}"),
    }
}

/// Bytes of one text.
const LARGEST: usize = 1 << 20;

/// Levels of brackets; the parser recurses, so they must be counted before it runs.
const DEEPEST: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every place in the tree: keys, then values.
    fn places(node: &Node, keys: &mut Vec<Position>, values: &mut Vec<Position>) {
        values.push(node.at);
        match &node.shape {
            Shape::List(items) => items.iter().for_each(|item| places(item, keys, values)),
            Shape::Object(members) => {
                for member in members {
                    keys.push(member.at);
                    places(&member.node, keys, values);
                }
            }
            _ => {}
        }
    }

    /// Pieces of which many strings are valid and many nearly so.
    fn piece() -> impl Strategy<Value = String> {
        let small = proptest::sample::select(vec![
            "{}",
            "[]",
            "{a:1,}",
            "['x',]",
            "{'k\\'':{b:[0x1,-.5]}}",
            "\"\\\r\n[\"",
            "/*[*/1",
            "//{\n2",
            "\u{3000}null",
            "{\\u0061:+1}",
            "+NaN",
            "-Infinity",
            "'",
            "\\",
            "/",
            "{",
            "}",
            "[",
            ",",
            ":",
            "a",
            "\u{2028}",
            "\r",
        ]);
        small.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("{{k:{}}}", items.join(",\n'k':"))),
                (inner.clone(), inner).prop_map(|(one, two)| one + &two),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn whatever_the_parser_accepts_has_a_place_for_every_key_and_value(text in piece()) {
            let spots = Spots::find(&text, 1, DEEPEST).unwrap();
            if let Ok(node) = Node::parse("x", &text, 1) {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                places(&node, &mut keys, &mut values);
                prop_assert_eq!(keys, spots.keys, "{:?}", text);
                prop_assert_eq!(values, spots.values, "{:?}", text);
            }
        }
    }
}
