//! All custom models: the lines of the file, of `modelsFile` and of `--model`.

use std::cell::Cell;
use std::collections::HashMap;
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
        let lines = Lines { review, own };
        let listed = top.find("models").map(|field| field.items()).unwrap_or_default();
        let field = top.given("modelsFile");
        let named = field.as_ref().and_then(|field| Some((field, field.filled_text()?)));
        let file = named.map(|(field, name)| (name.to_owned(), field.resolve(name)));
        let argument = |(index, line): (usize, &String)| {
            let file = format!("--model #{}", index + 1);
            lines.line(Source { file: &file, folder: &sources.working_directory }, line, 1)
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
}

impl Lines<'_> {
    fn of_file(&self, field: &Field<'_>, (name, path): &(String, PathBuf)) -> Vec<Listed> {
        match read_text(path, LARGEST) {
            Ok(text) => self.of_text(source(name, path), &text),
            Err(error) => {
                field.wrong(format!("names `{}`, which cannot be read: {error}", shown(name)));
                Vec::new()
            }
        }
    }

    /// The lines of a text; blank lines and lines of comments count for nothing.
    pub(super) fn of_text(&self, source: Source<'_>, text: &str) -> Vec<Listed> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines: Vec<&str> = text.lines().collect();
        let tries = Cell::new(MOST_TRIES);
        let mut listed = Vec::new();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let behind = if Node::is_blank(line) { 0 } else { object_behind(&lines[at..], &tries) };
            if behind > 0 {
                self.review.note(spread(source, at + 1, behind + 1, line));
            } else if !Node::is_blank(line) {
                listed.extend(self.line(source, line, at + 1));
            }
            at += behind + 1;
        }
        listed
    }

    /// One line; `number` is the line's in its file.
    fn line(&self, source: Source<'_>, line: &str, number: usize) -> Option<Listed> {
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
    Source { file: name, folder: path.parent().unwrap_or(Path::new("")) }
}

/// How many lines behind the first belong to an object that begins there and is whole only with them.
fn object_behind(lines: &[&str], tries: &Cell<usize>) -> usize {
    let is_open = |text: &str| {
        let parsed = Node::parse("", text, 1);
        parsed.is_err_and(|mistake| mistake.message.starts_with("the text ends"))
    };
    let Some((first, behind)) = lines.split_first().filter(|(first, _)| is_open(first)) else { return 0 };
    let mut text = (*first).to_owned();
    for (count, line) in (1..).zip(behind.iter().take(MOST_BEHIND)) {
        text.push('\n');
        text.push_str(line);
        if !line.contains(['}', '/']) || tries.get() == 0 {
            continue;
        }
        tries.set(tries.get() - 1);
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
const LARGEST: u64 = 16 << 20;

/// Lines that an object is looked for in.
const MOST_BEHIND: usize = 64;

/// How often a text is put together to see whether it is an object; what is left then is told line by line.
const MOST_TRIES: usize = 1000;
