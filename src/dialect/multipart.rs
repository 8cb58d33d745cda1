//! Where the fields of a multipart form lie in its bytes (RFC 7578, boundaries by RFC 2046).

use std::ops::Range;

use memchr::memmem::{self, Finder};

/// The field that was asked for is in the form twice, so two readers could take it differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the form field `{0}` is given twice")]
pub struct Repeated(pub &'static str);

/// The boundary that a `content-type` names; `None` where the body is no form, or its boundary is missing or
/// given twice.
pub fn boundary(content_type: &str) -> Option<Vec<u8>> {
    let media = content_type.split(';').next().unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(content_type.as_bytes(), b"boundary").filter(|boundary| !boundary.is_empty())
}

/// Finds the values of the fields in `wanted`, in that order, as byte offsets into `body`.
///
/// Files are no fields, whatever their name. A broken form gives the fields up to where it breaks. The time is linear
/// in the length of the body for every boundary.
pub fn fields<const N: usize>(
    body: &[u8],
    boundary: &[u8],
    wanted: &[&'static str; N],
) -> Result<[Option<Range<usize>>; N], Repeated> {
    let mut found = [const { None }; N];
    for part in parts(body, boundary).filter(|part| !part.is_file) {
        if let Some(index) = wanted.iter().position(|wanted| wanted.as_bytes() == part.name)
            && found[index].replace(part.value).is_some()
        {
            return Err(Repeated(wanted[index]));
        }
    }
    Ok(found)
}

/// The parts of a form in their order, up to where it breaks; those without a name are passed over.
pub fn parts<'b>(body: &'b [u8], boundary: &[u8]) -> Parts<'b> {
    let delimiter = [b"\r\n--", boundary].concat();
    let form = Form { body, delimiter: Finder::new(&delimiter).into_owned() };
    let line = form.first();
    Parts { form, line }
}

/// One part of a form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: Vec<u8>,
    /// Whether it has a name of a file.
    pub is_file: bool,
    /// Where its value lies in the body.
    pub value: Range<usize>,
}

/// What [`parts`] gives.
#[derive(Debug)]
pub struct Parts<'b> {
    form: Form<'b>,
    line: Option<Line>,
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        loop {
            let Line { end, last: false, .. } = self.line.take()? else { return None };
            let next = self.form.next(end)?;
            let part = part(self.form.body, end..next.start);
            self.line = Some(next);
            if part.is_some() {
                return part;
            }
        }
    }
}

/// A line that parts the form.
#[derive(Debug)]
struct Line {
    /// Where the line break before it starts, which belongs to it.
    start: usize,
    /// Where its own line break starts.
    end: usize,
    /// It closes the form.
    last: bool,
}

#[derive(Debug)]
struct Form<'b> {
    body: &'b [u8],
    delimiter: Finder<'static>,
}

impl Form<'_> {
    /// The first line; text may stand before it.
    fn first(&self) -> Option<Line> {
        let bare = &self.delimiter.needle()[2..];
        if self.body.starts_with(bare)
            && let Some(line) = self.line(0, bare.len())
        {
            return Some(line);
        }
        self.next(0)
    }

    /// The first line that starts at `from` or later.
    fn next(&self, mut from: usize) -> Option<Line> {
        loop {
            let start = from + self.delimiter.find(self.body.get(from..)?)?;
            // A boundary holds no line break, so that no other match can start inside this one.
            from = start + self.delimiter.needle().len();
            if let Some(line) = self.line(start, from) {
                return Some(line);
            }
        }
    }

    /// The line whose boundary ends at `boundary_end`; `None` where that was only the beginning of other text.
    fn line(&self, start: usize, boundary_end: usize) -> Option<Line> {
        let rest = self.body.get(boundary_end..)?;
        let (rest, last) = match rest.strip_prefix(b"--") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = &rest[padding..];
        let ends = rest.starts_with(b"\r\n") || (last && rest.is_empty());
        ends.then(|| Line { start, end: self.body.len() - rest.len(), last })
    }
}

/// The part that lies in `at`, which starts with the line break of its delimiter.
fn part(body: &[u8], at: Range<usize>) -> Option<Part> {
    let bytes = body.get(at.clone())?;
    let blank = memmem::find(bytes, b"\r\n\r\n")?;
    let disposition = bytes[..blank].split(|byte| *byte == b'\n').find_map(|header| {
        let colon = memchr::memchr(b':', header)?;
        let (name, value) = header.split_at(colon);
        name.trim_ascii().eq_ignore_ascii_case(b"content-disposition").then_some(&value[1..])
    })?;
    let is_file = parameter(disposition, b"filename").is_some() || parameter(disposition, b"filename*").is_some();
    let name = parameter(disposition, b"name")?;
    Some(Part { name, is_file, value: at.start + blank + 4..at.end })
}

/// The value of a header's parameter, quoted or not; `None` where it is missing or given twice.
fn parameter(header: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    let mut rest = &header[memchr::memchr(b';', header)?..];
    while let Some(after) = rest.trim_ascii_start().strip_prefix(b";") {
        let length = after.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        let Some(tail) = tail.strip_prefix(b"=") else {
            rest = tail;
            continue;
        };
        let (value, tail) = match tail.trim_ascii_start().strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => {
                let (value, tail) = tail.split_at(memchr::memchr(b';', tail).unwrap_or(tail.len()));
                (value.trim_ascii().to_vec(), tail)
            }
        };
        if name.trim_ascii().eq_ignore_ascii_case(wanted) && found.replace(value).is_some() {
            return None;
        }
        rest = tail;
    }
    found
}

/// The text up to the closing quote, and what follows it. A backslash escapes a quote or itself; before anything else
/// it is a backslash, as browsers write it in file names.
fn unquoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [b'\\', escaped @ (b'"' | b'\\'), tail @ ..] => {
                value.push(*escaped);
                rest = tail;
            }
            [b'"', tail @ ..] => return (value, tail),
            [byte, tail @ ..] => {
                value.push(*byte);
                rest = tail;
            }
            [] => return (value, rest),
        }
    }
}

#[cfg(test)]
mod tests;
