//! `auditing` and `pinned`: whether a program may go past the books.

use crate::config::amount::duration;
use crate::config::field::Fields;
use crate::policy::auditing::Auditing;

/// Reads both.
pub(super) fn read(top: &Fields<'_>) -> Auditing {
    let default = Auditing::default();
    let words = [(VOLUNTARY, false), (MANDATORY, true)];
    let mandatory = top.find("auditing").and_then(|field| field.one_of(&words));
    let pinned = top.find("pinned").and_then(|field| field.fields(&["bypass"]));
    let bypass = match pinned.as_ref().and_then(|fields| fields.find("bypass")) {
        None => default.bypass,
        Some(_) => pinned.and_then(|fields| fields.given("bypass")).and_then(|field| duration(&field)),
    };
    Auditing { mandatory: mandatory.unwrap_or(default.mandatory), bypass }
}

/// As it is written.
pub(super) fn word(auditing: &Auditing) -> &'static str {
    if auditing.mandatory { MANDATORY } else { VOLUNTARY }
}

const MANDATORY: &str = "mandatory";
const VOLUNTARY: &str = "voluntary";
