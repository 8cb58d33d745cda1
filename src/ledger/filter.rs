//! What lists of entries can be narrowed by.

use crate::dialect::endpoint::Endpoint;
use crate::ledger::entry::{Client, Entry, Outcome};
use crate::ledger::key::NO_NAME;
use crate::ledger::names::shortened;
use crate::policy::target::Route;

/// One condition on entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Want {
    /// Who called: its process, else its agent, else its address.
    Client(Box<str>),
    /// The operation.
    Endpoint(Endpoint),
    /// The entry of this id, and those of the same call's further attempts.
    Id(Box<str>),
    /// The fingerprint of the client's key.
    Key(Box<str>),
    /// The label; `none` is no label.
    Label(Box<str>),
    /// The model under any of its names.
    Model(Box<str>),
    /// How it ended.
    Outcome(Outcome),
    /// The program's name or its path.
    Process(Box<str>),
    /// `custom/NAME`, `duplicate/NAME`, `origin/HOST`, or `none`.
    Route(Box<str>),
    /// The connection of this id and its turns.
    Session(Box<str>),
    /// The HTTP status.
    Status(u16),
}

impl Want {
    /// The condition of this name and value, as a query writes them.
    ///
    /// # Errors
    /// The name is none of [`Want::NAMES`], or no entry can have the value; says what values there are.
    pub fn read(name: &str, value: &str) -> Result<Self, WantError> {
        // Names of strangers are booked shortened.
        let text = || shortened(value).into();
        Ok(match name {
            "client" => Self::Client(text()),
            "endpoint" => Self::Endpoint(Endpoint::named(value).ok_or(WantError::Endpoint)?),
            "id" => Self::Id(text()),
            "key" => Self::Key(text()),
            "label" => Self::Label(text()),
            "model" => Self::Model(text()),
            "outcome" => Self::Outcome(Outcome::named(value).ok_or(WantError::Outcome)?),
            "process" => Self::Process(text()),
            "route" => Self::Route(value.into()),
            "session" => Self::Session(text()),
            "status" => Self::Status(value.parse().map_err(|_| WantError::Status)?),
            _ => return Err(WantError::Name),
        })
    }

    /// The names of all conditions.
    pub const NAMES: [&str; 11] =
        ["client", "endpoint", "id", "key", "label", "model", "outcome", "process", "route", "session", "status"];

    /// Whether an entry fulfils it.
    pub(crate) fn fits(&self, entry: &Entry) -> bool {
        let is = |name: Option<&str>, wanted: &str| name == Some(wanted);
        match self {
            Self::Client(wanted) => client_is(&entry.client, wanted),
            Self::Endpoint(wanted) => entry.endpoint.name() == wanted.name(),
            Self::Id(wanted) => attempt_of(&entry.id, wanted),
            Self::Key(wanted) => is(entry.client.key.as_deref(), wanted),
            Self::Label(wanted) => entry.client.label.as_deref().unwrap_or(NO_NAME) == &**wanted,
            Self::Model(wanted) => {
                let names = [&entry.model.asked, &entry.model.sent, &entry.model.served];
                names.into_iter().any(|name| is(name.as_deref(), wanted))
            }
            Self::Outcome(wanted) => entry.outcome == *wanted,
            Self::Process(wanted) => {
                [&entry.client.process, &entry.client.path].into_iter().any(|name| is(name.as_deref(), wanted))
            }
            Self::Route(wanted) => route_is(entry.route.as_ref(), wanted),
            Self::Session(wanted) => is(entry.session.as_deref(), wanted) || *entry.id == **wanted,
            Self::Status(wanted) => entry.status == *wanted,
        }
    }
}

/// Why something is no condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WantError {
    /// The value is no endpoint.
    #[error("is no endpoint such as `/v1/chat/completions`, `/v1/responses` or `other`")]
    Endpoint,
    /// There is no condition of this name.
    #[error("is not one of the filters")]
    Name,
    /// The value is no outcome.
    #[error("is not one of client_closed, ok, refused, timeout, unknown, upstream_cut, upstream_error")]
    Outcome,
    /// The value is no status.
    #[error("is no HTTP status")]
    Status,
}

fn client_is(client: &Client, wanted: &str) -> bool {
    match (&client.process, &client.agent) {
        (Some(name), _) | (None, Some(name)) => **name == *wanted,
        (None, None) => client.address.to_string() == wanted,
    }
}

fn route_is(route: Option<&Route>, wanted: &str) -> bool {
    match route {
        None => wanted == NO_NAME,
        Some(route) => {
            wanted.split_once('/').is_some_and(|(kind, name)| kind == route.kind.name() && *name == *route.name)
        }
    }
}

/// Whether `id` is `first` or a further attempt of it, `FIRST-2`.
fn attempt_of(id: &str, first: &str) -> bool {
    id.strip_prefix(first).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::entry;

    #[test]
    fn every_condition_fits_what_it_names_and_nothing_else() {
        let mut full = entry("gpt-4o", "2026-11-22T12:00:00Z");
        full.id = "01A-2".into();
        full.session = Some("01".into());
        full.client.process = Some("python".into());
        full.client.path = Some("/usr/bin/python".into());
        full.client.agent = Some("openai".into());
        full.client.label = Some("team".into());
        full.client.key = Some("abcd".into());
        full.model.served = Some("gpt-4o-2024-08-06".into());
        let bare = Entry {
            id: "02".into(),
            endpoint: Endpoint::Other,
            route: None,
            status: 503,
            outcome: Outcome::Refused,
            ..entry("other", "2026-11-22T12:00:00Z")
        };
        for (name, value, fits) in [
            ("client", "python", [true, false]),
            ("client", "openai", [false, false]),
            ("client", "127.0.0.1", [false, true]),
            ("endpoint", "/v1/chat/completions", [true, false]),
            ("endpoint", "other", [false, true]),
            ("id", "01A", [true, false]),
            ("id", "01A-2", [true, false]),
            ("id", "01", [false, false]),
            ("key", "abcd", [true, false]),
            ("label", "team", [true, false]),
            ("label", "none", [false, true]),
            ("model", "gpt-4o", [true, false]),
            ("model", "gpt-4o-2024-08-06", [true, false]),
            ("model", "gpt", [false, false]),
            ("outcome", "ok", [true, false]),
            ("outcome", "refused", [false, true]),
            ("process", "python", [true, false]),
            ("process", "/usr/bin/python", [true, false]),
            ("route", "origin/api.openai.com", [true, false]),
            ("route", "custom/api.openai.com", [false, false]),
            ("route", "none", [false, true]),
            ("session", "01", [true, false]),
            ("session", "02", [false, true]),
            ("status", "200", [true, false]),
            ("status", "503", [false, true]),
        ] {
            let want = Want::read(name, value).unwrap();
            assert_eq!([want.fits(&full), want.fits(&bare)], fits, "{name}={value}");
        }
    }

    #[test]
    fn what_no_entry_can_have_is_no_condition() {
        for (name, value) in [("endpoint", "/v1/nothing"), ("outcome", "fine"), ("status", "ok"), ("colour", "red")] {
            assert!(Want::read(name, value).is_err(), "{name}={value}");
        }
        assert!(Want::NAMES.iter().all(|name| Want::read(name, "x") != Err(WantError::Name)));
    }
}
