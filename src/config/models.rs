//! All custom models: the lines of the file, of `modelsFile` and of `--model`.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::document::Node;
use crate::config::field::{Field, Fields, shown};
use crate::config::files::read_text;
use crate::config::line::Listed;
use crate::config::load::Sources;
use crate::config::mistake::Mistake;
use crate::config::review::{Review, Source};

/// The lines of every origin, in the order in which they count.
#[derive(Clone, Debug)]
pub(super) struct Origins {
    /// Of `models`.
    pub(super) listed: Vec<Listed>,
    /// Of `modelsFile`.
    pub(super) filed: Vec<Listed>,
    /// Of `--model`.
    pub(super) argued: Vec<Listed>,
    /// `modelsFile` as written, and where it is.
    pub(super) file: Option<(String, PathBuf)>,
}

impl Origins {
    /// Reads them all.
    pub(super) fn read<'a>(
        top: &Fields<'a>,
        review: &'a Review<'a>,
        sources: &Sources<'_>,
        own: &[SocketAddr],
    ) -> Self {
        let lines = Lines { review, own, known: None };
        let listed = top.find("models").map(|field| field.items()).unwrap_or_default();
        let field = top.given("modelsFile");
        let named = field.as_ref().and_then(|field| Some((field, field.filled_text()?)));
        let file = named.map(|(field, name)| (name.to_owned(), field.resolve(name)));
        let argument = |(index, line): (usize, &String)| {
            let file = format!("--model #{}", index + 1);
            lines.line(Source { file: &file, folder: &sources.working_directory, may_look: true }, line, 1)
        };
        Self {
            listed: listed.iter().filter_map(|line| Listed::read(line, own)).collect(),
            filed: field.zip(file.as_ref()).map(|(field, file)| lines.of_file(&field, file)).unwrap_or_default(),
            argued: sources.models.iter().enumerate().filter_map(argument).collect(),
            file,
        }
    }

    /// Each name once: the last line of a name wins, and a warning tells both places.
    pub(super) fn merged(&self, review: &Review<'_>) -> Vec<Listed> {
        let all = self.listed.iter().chain(&self.filed).chain(&self.argued);
        let mut kept: Vec<Listed> = Vec::new();
        let mut places = HashMap::new();
        for line in all {
            match places.get(&line.model.name) {
                None => {
                    places.insert(Arc::clone(&line.model.name), kept.len());
                    kept.push(line.clone());
                }
                Some(&index) => {
                    let (name, before, now) = (shown(&line.model.name), &kept[index].place, &line.place);
                    review.warn(format!("{now}: model `{name}` stands at {before} too; this one counts"));
                    kept[index] = line.clone();
                }
            }
        }
        kept
    }
}

/// Reads lines, each a JSON5 object of its own.
pub(super) struct Lines<'a> {
    /// The reading that they belong to.
    pub(super) review: &'a Review<'a>,
    /// Where the gate itself listens.
    pub(super) own: &'a [SocketAddr],
    /// Lines, without white space around them, that alone may make the gate read what they name; `None`: any may.
    pub(super) known: Option<&'a HashSet<&'a str>>,
}

impl Lines<'_> {
    fn of_file(&self, field: &Field<'_>, (name, path): &(String, PathBuf)) -> Vec<Listed> {
        match read_text(path, LARGEST) {
            Ok(text) => self.of_text(source(name, path), &text),
            Err(error) => {
                let predicate = format!("names `{}`, which cannot be read: {error}", shown(name));
                if error.kind() == io::ErrorKind::NotFound {
                    field.wrong_hint(&predicate, "make an empty file if there are no lines yet");
                } else {
                    field.wrong(predicate);
                }
                Vec::new()
            }
        }
    }

    /// The lines of a text; blank lines and lines of comments count for nothing.
    pub(super) fn of_text(&self, source: Source<'_>, text: &str) -> Vec<Listed> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let budget = Cell::new(MOST_READ_AGAIN);
        let mut listed = Vec::new();
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            if Node::is_blank(line) {
                continue;
            }
            match object_behind(line, lines.clone().map(|(_, line)| line), &budget) {
                0 => listed.extend(self.line(source, line, number)),
                behind => {
                    self.review.note(spread(source, number, behind + 1, line));
                    lines.nth(behind - 1);
                }
            }
        }
        listed
    }

    /// One line; `number` is the line's in its file.
    fn line(&self, source: Source<'_>, line: &str, number: usize) -> Option<Listed> {
        let source = Source { may_look: self.known.is_none_or(|known| known.contains(line.trim())), ..source };
        match Node::parse(source.file, line, number) {
            Ok(node) => Listed::read(&Field::root(self.review, source, &node), self.own),
            Err(mut mistake) => {
                if line.trim_end().ends_with(',') {
                    mistake.hint = Some("a line is one object, without a comma behind it".into());
                }
                self.review.note(mistake);
                None
            }
        }
    }
}

/// What a models file is called in messages, and where paths in it begin.
pub(super) fn source<'a>(name: &'a str, path: &'a Path) -> Source<'a> {
    Source { file: name, folder: path.parent().unwrap_or(Path::new("")), may_look: true }
}

/// How many lines `behind` the first belong to an object that begins there and is whole only with them.
fn object_behind<'t>(first: &str, behind: impl Iterator<Item = &'t str>, budget: &Cell<usize>) -> usize {
    let is_open = |text: &str| {
        let parsed = Node::parse("", text, 1);
        parsed.is_err_and(|mistake| mistake.message.starts_with("the text ends"))
    };
    if !is_open(first) {
        return 0;
    }
    let mut text = first.to_owned();
    for (count, line) in (1..).zip(behind.take(MOST_BEHIND)) {
        text.push('\n');
        text.push_str(line);
        if !line.contains(['}', '/']) {
            continue;
        }
        let Some(left) = budget.get().checked_sub(text.len()) else { break };
        budget.set(left);
        let whole = text.trim_end().strip_suffix(',').unwrap_or(&text);
        if Node::parse("", whole, 1).is_ok() {
            return count;
        }
    }
    0
}

fn spread(source: Source<'_>, number: usize, count: usize, line: &str) -> Mistake {
    Mistake {
        file: source.file.into(),
        line: number,
        column: 1 + line.chars().take_while(|letter| letter.is_whitespace()).count(),
        path: String::new(),
        message: format!("an object runs over {count} lines; in this file each stands on one line"),
        hint: Some("join the lines".into()),
    }
}

/// Bytes of `modelsFile`.
pub(super) const LARGEST: u64 = 16 << 20;

/// Lines that an object is looked for in.
const MOST_BEHIND: usize = 64;

/// Bytes that are read again to see whether lines together are an object; what is left then is told line by line.
const MOST_READ_AGAIN: usize = 4 << 20;
