//! Walks a document and collects every mistake on the way.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::config::document::{Member, Node, Shape};
use crate::config::locate::Position;
use crate::config::mistake::Mistake;
use crate::config::review::{Review, Source};

/// A value with its place and its path.
#[derive(Clone)]
pub(super) struct Field<'a> {
    /// The reading that it belongs to.
    pub(super) review: &'a Review<'a>,
    source: Source<'a>,
    node: &'a Node,
    path: String,
}

impl<'a> Field<'a> {
    /// The value of a whole text.
    pub(super) fn root(review: &'a Review<'a>, source: Source<'a>, node: &'a Node) -> Self {
        Self { review, source, node, path: String::new() }
    }

    /// The same value under another path.
    #[must_use]
    pub(super) fn called(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// What it is.
    pub(super) fn shape(&self) -> &'a Shape {
        &self.node.shape
    }

    /// `file:line:column`.
    pub(super) fn place(&self) -> String {
        let Position { line, column } = self.node.at;
        format!("{}:{line}:{column}", self.source.file)
    }

    /// A path from this text, made absolute.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.source.folder.join(path)
    }

    /// Whether this text may make the gate read what the value names; a mistake where not, said before anything is read.
    pub(super) fn may_look(&self) -> bool {
        if !self.source.may_look {
            let predicate = "names something that the gate would have to read, which lines that are sent must not do";
            let remedy = "write this line into the models file yourself; as it stands there it may be sent again";
            self.wrong_hint(predicate, remedy);
        }
        self.source.may_look
    }

    /// Notes a mistake; `predicate` follows the path: "must be a text".
    pub(super) fn wrong(&self, predicate: impl AsRef<str>) {
        self.note(self.node.at, predicate.as_ref(), None);
    }

    /// As [`Field::wrong`], with what may have been meant.
    pub(super) fn wrong_hint(&self, predicate: &str, hint: impl Into<String>) {
        self.note(self.node.at, predicate, Some(hint.into()));
    }

    /// Notes that the value is of another kind than `expected`. The value itself is not shown: it may be a secret.
    pub(super) fn wrong_kind(&self, expected: &str) {
        self.wrong(format!("must be {expected}, not {}", self.shape().name()));
    }

    /// Notes something that works, but perhaps not as meant.
    pub(super) fn warn(&self, predicate: &str) {
        self.review.warn(format!("{}: {} {predicate}", self.place(), self.subject()));
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&'a str> {
        if let Shape::Text(text) = self.shape() {
            return Some(text);
        }
        self.wrong_kind("a text");
        None
    }

    /// A text that is not empty, without white space around it.
    pub(super) fn filled_text(&self) -> Option<&'a str> {
        let text = self.text()?.trim();
        if text.is_empty() {
            self.wrong("must not be empty");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        if let Shape::Flag(flag) = self.shape() {
            return Some(*flag);
        }
        self.wrong_kind("true or false");
        None
    }

    /// A whole number within `range`.
    pub(super) fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Shape::Whole(number) = self.shape() else {
            self.wrong_kind("a whole number");
            return None;
        };
        let number = u64::try_from(*number).ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.wrong(format!("must be from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let hint = nearest(text, words.iter().map(|(word, _)| *word)).map(|word| format!("did you mean `{word}`?"));
        self.note(self.node.at, &format!("must be {}, not `{}`", all.join(" or "), shown(text)), hint);
        None
    }

    /// The items of a list; none where it is no list.
    pub(super) fn items(&self) -> Vec<Self> {
        let Shape::List(items) = self.shape() else {
            self.wrong_kind("a list");
            return Vec::new();
        };
        let path = |index: usize| format!("{}[{index}]", self.path);
        items.iter().enumerate().map(|(index, node)| Self { node, path: path(index), ..self.clone() }).collect()
    }

    /// The members of an object whose keys are the owner's to choose; none where it is no object.
    pub(super) fn members(&self) -> Vec<(&'a str, Self)> {
        let Shape::Object(members) = self.shape() else {
            self.wrong_kind("an object");
            return Vec::new();
        };
        self.refuse_repeated_keys();
        let field = |key: &str, node| Self { node, path: format!("{}[\"{}\"]", self.path, shown(key)), ..self.clone() };
        members.iter().map(|member| (&*member.key, field(&member.key, &member.node))).collect()
    }

    /// An object with none but `known` keys.
    pub(super) fn fields(&self, known: &[&str]) -> Option<Fields<'a>> {
        let Shape::Object(members) = self.shape() else {
            self.wrong_kind("an object");
            return None;
        };
        self.refuse_repeated_keys();
        for member in members.iter().filter(|member| !known.contains(&&*member.key)) {
            self.review.note(Mistake {
                path: self.below(&shown(&member.key)),
                message: self.unknown(member),
                hint: meant(member, known),
                ..self.mistake(member.at)
            });
        }
        Some(Fields { field: self.clone() })
    }

    /// An object from a text that other programs read too: unknown and repeated keys are told, but do no harm.
    pub(super) fn fields_among(&self, known: &[&str]) -> Option<Fields<'a>> {
        let Shape::Object(members) = self.shape() else {
            self.wrong_kind("an object");
            return None;
        };
        let mut seen = HashSet::new();
        for member in members {
            let Position { line, column } = member.at;
            let warn = |what: String| self.review.warn(format!("{}:{line}:{column}: {what}", self.source.file));
            if !known.contains(&&*member.key) {
                let hint = meant(member, known).map_or_else(String::new, |hint| format!("; {hint}"));
                warn(format!("{} is ignored{hint}", self.unknown(member)));
            } else if !seen.insert(&*member.key) {
                warn(format!("key `{}` stands twice; this one counts", member.key));
            }
        }
        Some(Fields { field: self.clone() })
    }

    fn unknown(&self, member: &Member) -> String {
        let place = if self.path.is_empty() { String::new() } else { format!(" in {}", self.path) };
        format!("unknown key `{}`{place}", shown(&member.key))
    }

    fn refuse_repeated_keys(&self) {
        let Shape::Object(members) = self.shape() else { return };
        let mut seen = HashMap::new();
        for member in members {
            let Some(first) = seen.insert(&*member.key, member.at) else { continue };
            let key = shown(&member.key);
            self.review.note(Mistake {
                path: self.below(&key),
                message: format!("key `{key}` stands twice"),
                hint: Some(format!("the other one is at {}:{}", first.line, first.column)),
                ..self.mistake(member.at)
            });
        }
    }

    fn note(&self, at: Position, predicate: &str, hint: Option<String>) {
        let message = format!("{} {predicate}", self.subject());
        self.review.note(Mistake { message, hint, ..self.mistake(at) });
    }

    fn mistake(&self, at: Position) -> Mistake {
        Mistake {
            file: self.source.file.into(),
            line: at.line,
            column: at.column,
            path: self.path.clone(),
            message: String::new(),
            hint: None,
        }
    }

    fn subject(&self) -> &str {
        if self.path.is_empty() { "the text" } else { &self.path }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }
}

/// An object whose keys are known.
pub(super) struct Fields<'a> {
    /// The object itself.
    pub(super) field: Field<'a>,
}

impl<'a> Fields<'a> {
    /// The value of `key`, also where it is `null`.
    pub(super) fn find(&self, key: &str) -> Option<Field<'a>> {
        let Shape::Object(members) = self.field.shape() else { return None };
        let member = members.iter().rev().find(|member| member.key == key)?;
        Some(Field { node: &member.node, path: self.field.below(key), ..self.field.clone() })
    }

    /// The value of `key`, unless it is `null`.
    pub(super) fn given(&self, key: &str) -> Option<Field<'a>> {
        self.find(key).filter(|field| !matches!(field.shape(), Shape::Null))
    }

    /// The value of `key`, unless it is one that JavaScript takes for false: programs that read the same lines see
    /// nothing in it.
    pub(super) fn truthy(&self, key: &str) -> Option<Field<'a>> {
        self.find(key).filter(|field| match field.shape() {
            Shape::Null | Shape::Flag(false) | Shape::Whole(0) => false,
            Shape::Fraction(number) => *number != 0.0 && !number.is_nan(),
            Shape::Text(text) => !text.is_empty(),
            _ => true,
        })
    }

    /// The value of `key`; a mistake where there is none.
    pub(super) fn required(&self, key: &str) -> Option<Field<'a>> {
        let field = self.find(key);
        if field.is_none() {
            let hint = self.mistyped(key).map(|typed| format!("`{}` is no key; did you mean `{key}`?", shown(typed)));
            self.field.note(self.field.node.at, &format!("lacks the key `{key}`"), hint);
        }
        field
    }

    /// The key that stands where `key` may have been meant.
    fn mistyped(&self, key: &str) -> Option<&'a str> {
        let Shape::Object(members) = self.field.shape() else { return None };
        members.iter().map(|member| &*member.key).find(|typed| nearest(typed, std::iter::once(key)).is_some())
    }

    /// Refuses a `key` that is set, because what it asks for cannot be done yet.
    pub(super) fn refuse(&self, key: &str) {
        if let Some(field) = self.given(key) {
            field.wrong_hint("is not available yet", "leave it `null`");
        }
    }
}

/// A text from outside, safe on a terminal and not too long.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

/// What an unknown key may have been meant to be.
fn meant(member: &Member, known: &[&str]) -> Option<String> {
    nearest(&member.key, known.iter().copied()).map(|word| format!("did you mean `{word}`?"))
}

/// The word that a mistyped one may have been.
pub(super) fn nearest<'w>(typed: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    if typed.len() > 64 {
        return None;
    }
    let typed = typed.to_lowercase();
    let score = |word: &str| strsim::damerau_levenshtein(&typed, &word.to_lowercase());
    let (distance, word) = words.map(|word| (score(word), word)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + word.len() / 4).then_some(word)
}
