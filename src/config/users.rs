//! `listen.users`: who may come in from other machines.

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::duplicates::unique_name;
use crate::config::field::Field;
use crate::config::secrets::secret;
use crate::net::keepers::Keepers;
use crate::net::secret::Secret;

/// All of them.
pub(super) fn read(field: &Field<'_>) -> Keepers {
    let mut names = HashSet::new();
    Keepers::new(field.items().iter().filter_map(|item| user(item, &mut names)))
}

fn user(field: &Field<'_>, names: &mut HashSet<String>) -> Option<(Arc<str>, Secret)> {
    let fields = field.fields(&["name", "password"])?;
    let name = fields.required("name").and_then(|field| name(&field, names));
    let password = fields.required("password").and_then(|field| password(&field));
    Some((name?, password?))
}

/// A name that is a label, and survives the way through a URL and a header.
fn name(field: &Field<'_>, names: &mut HashSet<String>) -> Option<Arc<str>> {
    let name = unique_name(field, names)?;
    if name.len() > LONGEST_NAME || name.contains(|letter: char| letter == ':' || letter.is_control()) {
        field.wrong(format!("must be a label: at most {LONGEST_NAME} bytes, and no `:` or control character"));
        return None;
    }
    Some(name.into())
}

fn password(field: &Field<'_>) -> Option<Secret> {
    let password = secret(field)?;
    if password.reveal().len() > LONGEST_PASSWORD {
        field.wrong(format!("must have at most {LONGEST_PASSWORD} bytes: SOCKS5 takes no more"));
        return None;
    }
    Some(password)
}

/// Bytes of a label that the books take.
const LONGEST_NAME: usize = 128;
/// Bytes, by RFC 1929.
const LONGEST_PASSWORD: usize = 255;
