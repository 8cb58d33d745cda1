//! What the sums are kept apart by.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::dialect::endpoint::Endpoint;
use crate::ledger::entry::Entry;
use crate::ledger::filter::{NO_NAME, WantError};
use crate::ledger::names::{Names, shortened};
use crate::policy::budgets::{Budget, Side};
use crate::policy::target::RouteKind;

/// One cell of the hourly totals.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key {
    /// Hours since 1970.
    pub(crate) hour: i64,
    pub(crate) model: Arc<str>,
    pub(crate) route: Option<(RouteKind, Arc<str>)>,
    pub(crate) client: Arc<str>,
    /// `client` is the name of a program, and no agent or address.
    pub(crate) has_process: bool,
    pub(crate) label: Arc<str>,
    pub(crate) endpoint: &'static str,
    pub(crate) status: u16,
}

impl Key {
    /// The text that this key has in one dimension.
    pub(crate) fn text(&self, by: By) -> String {
        match by {
            By::Model => self.model.to_string(),
            By::Route => match &self.route {
                Some((kind, name)) => format!("{}/{name}", kind.name()),
                None => NO_NAME.into(),
            },
            By::Client => self.client.to_string(),
            By::Label => self.label.to_string(),
            By::Day => hour_start(self.hour).to_zoned(TimeZone::UTC).date().to_string(),
            By::Hour => hour_start(self.hour).to_string(),
            By::Endpoint => self.endpoint.into(),
            By::Status => self.status.to_string(),
        }
    }

    /// Whether this key has that text in one dimension.
    pub(crate) fn has(&self, by: By, text: &str) -> bool {
        match by {
            By::Model => *self.model == *text,
            By::Client => *self.client == *text,
            By::Label => *self.label == *text,
            By::Endpoint => self.endpoint == text,
            By::Day | By::Hour | By::Route | By::Status => self.text(by) == text,
        }
    }
}

/// A dimension to group by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum By {
    /// Who called: its process, else its agent, else its address.
    Client,
    /// The UTC day, `2026-11-22`.
    Day,
    /// The operation's path, or `other`.
    Endpoint,
    /// The start of the UTC hour, `2026-11-22T14:00:00Z`.
    Hour,
    /// The label, or `none`.
    Label,
    /// The model that the client asked for, or `unknown`.
    Model,
    /// `custom/NAME`, `duplicate/NAME`, `origin/HOST`, or `none`.
    Route,
    /// The HTTP status.
    Status,
}

impl By {
    /// The dimension of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == name)
    }

    /// As it is written in a query and in the answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Day => "day",
            Self::Endpoint => "endpoint",
            Self::Hour => "hour",
            Self::Label => "label",
            Self::Model => "model",
            Self::Route => "route",
            Self::Status => "status",
        }
    }

    /// The name of a group of this dimension, as its rows have it.
    ///
    /// # Errors
    /// No group can have that name; says which names there are.
    pub fn group(self, name: &str) -> Result<Box<str>, String> {
        let day = || name.parse::<Date>().map(|day| day.to_string());
        // Within an hour there is no group: half of one would be taken for the whole.
        let whole_hour = |time: &Timestamp| time.as_nanosecond() % 3_600_000_000_000 == 0;
        let hour = || name.parse::<Timestamp>().ok().filter(whole_hour).map(|hour| hour.to_string());
        let status = || name.parse::<u16>().map(|status| status.to_string());
        Ok(match self {
            Self::Client | Self::Label | Self::Model => shortened(name).into(),
            Self::Day => day().map_err(|_| "is no day such as `2026-11-22`")?.into(),
            Self::Endpoint => Endpoint::named(name).ok_or_else(|| WantError::Endpoint.to_string())?.name().into(),
            Self::Hour => hour().ok_or("is no hour such as `2026-11-22T14:00:00Z`")?.into(),
            Self::Route => name.into(),
            Self::Status => status().map_err(|_| WantError::Status.to_string())?.into(),
        })
    }

    /// Whether its names are lost where sums are folded.
    pub(crate) fn is_folded(self) -> bool {
        match self {
            Self::Client | Self::Label | Self::Model | Self::Route => true,
            Self::Day | Self::Endpoint | Self::Hour | Self::Status => false,
        }
    }

    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Client, Self::Day, Self::Endpoint, Self::Hour, Self::Label, Self::Model, Self::Route, Self::Status];
}

/// The bounded names of every dimension that strangers can fill.
#[derive(Debug)]
pub(crate) struct Registry {
    models: Names,
    routes: Names,
    clients: Names,
    labels: Names,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { models: Names::new(), routes: Names::new(), clients: Names::new(), labels: Names::new() }
    }

    /// From now on, what these budgets look at is kept apart from all other names.
    pub(crate) fn keep(&self, budgets: &[Arc<Budget>]) {
        let sides = [
            (Side::Label, &self.labels),
            (Side::Model, &self.models),
            (Side::Process, &self.clients),
            (Side::Route, &self.routes),
        ];
        for (side, names) in sides {
            let globs = budgets.iter().filter_map(|budget| budget.only.glob(side));
            // A route is looked at with its kind, which is no part of its name here.
            names.keep(globs.map(|glob| {
                if side == Side::Route { glob.split_once('/').map_or("*", |(_, name)| name) } else { glob }
            }));
        }
    }

    /// The cell that an entry belongs to.
    pub(crate) fn key(&self, entry: &Entry) -> Key {
        let client = match (&entry.client.process, &entry.client.agent) {
            (Some(name), _) | (None, Some(name)) => self.clients.admit(name),
            (None, None) => self.clients.admit(&entry.client.address.to_string()),
        };
        Key {
            hour: hour_of(entry.time),
            model: self.models.admit(entry.model.asked.as_deref().unwrap_or(NO_MODEL)),
            route: entry.route.as_ref().map(|route| (route.kind, self.routes.admit(&route.name))),
            client,
            has_process: entry.client.process.is_some(),
            label: self.labels.admit(entry.client.label.as_deref().unwrap_or(NO_NAME)),
            endpoint: entry.endpoint.name(),
            status: entry.status,
        }
    }

    /// A key of the journal under the names of this process: those beyond the bound are `other`, as everywhere.
    pub(crate) fn known(&self, key: &Key) -> Key {
        Key {
            model: self.models.admit(&key.model),
            route: key.route.as_ref().map(|(kind, name)| (*kind, self.routes.admit(name))),
            client: self.clients.admit(&key.client),
            label: self.labels.admit(&key.label),
            ..*key
        }
    }

    /// The cell for everything of one hour that no longer gets a cell of its own.
    pub(crate) fn coarse(&self, key: &Key) -> Key {
        Key {
            model: self.models.folded(&key.model),
            route: key.route.as_ref().map(|(kind, name)| (*kind, self.routes.folded(name))),
            client: self.clients.folded(&key.client),
            label: self.labels.folded(&key.label),
            ..*key
        }
    }
}

/// The hour that an instant lies in, counted from 1970.
pub(crate) fn hour_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3600)
}

/// When an hour begins.
pub(crate) fn hour_start(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(3600)).unwrap_or(Timestamp::MIN)
}

/// What stands for no model.
pub(crate) const NO_MODEL: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_under_every_spelling_of_its_name() {
        for (by, spelt, name) in [
            (By::Status, "0200", "200"),
            (By::Day, "20261122", "2026-11-22"),
            (By::Day, "2026-11-22T00:00", "2026-11-22"),
            (By::Hour, "2026-11-22T15:00:00+01:00", "2026-11-22T14:00:00Z"),
            (By::Hour, "2026-11-22T14:00Z", "2026-11-22T14:00:00Z"),
            (By::Endpoint, "/v1/batches", "/v1/batches"),
        ] {
            assert_eq!(by.group(spelt).as_deref(), Ok(name), "{spelt}");
        }
        for (by, name) in [(By::Hour, "2026-11-22T14:30:00Z"), (By::Day, "today"), (By::Status, "70000")] {
            assert!(by.group(name).is_err(), "{name}");
        }
    }
}
