//! Secrets: written out, from the environment or from a file; never shown.

use std::path::Path;

use crate::config::document::Shape;
use crate::config::field::{Field, nearest};
use crate::config::files::read_text;
use crate::net::secret::{MASK, Secret};

/// Reads a secret: a text, `{env: "NAME"}` or `{file: "PATH"}`.
///
/// No message shows what stands in the field, since a key may stand in the wrong place.
pub(super) fn secret(field: &Field<'_>) -> Option<Secret> {
    let text = match field.shape() {
        Shape::Text(text) => text.clone(),
        Shape::Object(_) => looked_up(field)?,
        _ => {
            field.wrong_kind(FORMS);
            return None;
        }
    };
    let text = text.trim();
    if text.is_empty() {
        field.wrong("is an empty secret");
        return None;
    }
    if text == MASK {
        field.wrong_hint("is what is shown in the place of a secret", "write the secret itself");
        return None;
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        field.wrong("is a secret with a character that no header can carry, such as a line break");
        return None;
    }
    Some(Secret::new(text))
}

/// The text behind `{env: ...}` or `{file: ...}`.
fn looked_up(field: &Field<'_>) -> Option<String> {
    let Shape::Object(members) = field.shape() else { return None };
    let [member] = members.as_slice() else {
        field.wrong(format!("must be {FORMS}"));
        return None;
    };
    let Shape::Text(name) = &member.node.shape else {
        field.wrong(format!("must be {FORMS}"));
        return None;
    };
    match &*member.key {
        "env" | "file" if !field.may_look() => None,
        "env" => from_environment(field, name),
        "file" => from_file(field, name),
        other => {
            let word = nearest(other, ["env", "file"].into_iter());
            let hint = word.map_or_else(|| format!("use {FORMS}"), |word| format!("did you mean `{word}`?"));
            field.wrong_hint("is an object with an unknown key", hint);
            None
        }
    }
}

fn from_environment(field: &Field<'_>, name: &str) -> Option<String> {
    let value = (field.review.environment)(name);
    if value.is_none() {
        // A name in capitals is a name; anything else may be a key that was put here by mistake.
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let shown = if name.len() <= 64 && name.bytes().all(plain) { format!(" `{name}`") } else { String::new() };
        field.wrong(format!("names the environment variable{shown}, which is not set"));
    }
    value
}

fn from_file(field: &Field<'_>, name: &str) -> Option<String> {
    let path = field.resolve(name);
    match read_text(&path, LARGEST) {
        Ok(text) => {
            if readable_by_others(&path) {
                field.warn("names a file that other users of this machine can read");
            }
            Some(text)
        }
        Err(error) => {
            let is_path = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
            let shown = if is_path { format!(" `{name}`") } else { String::new() };
            field.wrong(format!("names the file{shown}, which cannot be read: {error}"));
            None
        }
    }
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> bool {
    false
}

const FORMS: &str = "a text, `{env: \"NAME\"}` or `{file: \"PATH\"}`";

/// Bytes of a secret's file.
const LARGEST: u64 = 64 << 10;
