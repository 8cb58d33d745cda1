//! The block of ours in the text of a hosts file: added, found and taken out without touching anything else.

use std::fmt::Write;

/// A hosts file without our blocks, and what was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cleared {
    /// The file as it was, but for what others changed since.
    pub text: String,
    /// The ids of the blocks taken out.
    pub ids: Vec<String>,
    /// Lines that somebody wrote into a block; they stay.
    pub kept: usize,
}

/// The text with a block that leads these names to this machine.
pub fn with_block(text: &str, id: &str, names: &[Box<str>]) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let joined = !text.is_empty() && !text.ends_with('\n');
    let mut with = text.to_owned();
    if joined {
        with.push_str(end);
    }
    let _ = write!(with, "{BEGIN}{id}{}{end}", if joined { JOINED } else { "" });
    for name in names {
        for address in ADDRESSES {
            let _ = write!(with, "{address}\t{name}{end}");
        }
    }
    let _ = write!(with, "{END}{end}");
    with
}

/// The text without any block of ours.
///
/// Of a block that somebody changed, the markers and our own kind of lines go, and what else stands in it stays; one
/// whose end is missing ends before the first line that is not of our kind.
pub fn without_blocks(text: &str) -> Cleared {
    let mut cleared = Cleared { text: String::with_capacity(text.len()), ids: Vec::new(), kept: 0 };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let Some((id, joined)) = begin(line) else {
            cleared.text.push_str(line);
            continue;
        };
        cleared.ids.push(id.to_owned());
        let body = lines.get(at..).unwrap_or_default();
        let next = body.iter().position(|line| begin(line).is_some()).unwrap_or(body.len());
        let end = body.iter().take(next).position(|line| line.trim() == END);
        let length = end.unwrap_or_else(|| body.iter().take(next).take_while(|line| is_ours(line)).count());
        let others: Vec<&str> = body.iter().take(length).copied().filter(|line| !is_ours(line)).collect();
        at += length + usize::from(end.is_some());
        if joined && others.is_empty() && at == lines.len() {
            // The line before it had no end of its own, and got the one that this line has.
            let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
            let unfinished = cleared.text.strip_suffix(end).map_or(cleared.text.len(), str::len);
            cleared.text.truncate(unfinished);
        }
        cleared.kept += others.len();
        cleared.text.extend(others);
    }
    cleared
}

/// The id of the block that begins in this line, and whether the line before it had no end.
fn begin(line: &str) -> Option<(&str, bool)> {
    let rest = line.trim().strip_prefix(BEGIN)?;
    Some(match rest.strip_suffix(JOINED) {
        Some(id) => (id, true),
        None => (rest, false),
    })
}

/// One of our addresses and one name, as we write it.
fn is_ours(line: &str) -> bool {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    line.split_once('\t').is_some_and(|(address, name)| {
        ADDRESSES.contains(&address)
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    })
}

const BEGIN: &str = "# tollgate begin ";
const END: &str = "# tollgate end";
/// Says that the file did not end with its last line's end, so that it can be given back as it was.
const JOINED: &str = " after a line without an end";
/// Both: with one alone, programs would find the other family's real address.
const ADDRESSES: [&str; 2] = ["127.0.0.1", "::1"];

#[cfg(test)]
mod tests;
