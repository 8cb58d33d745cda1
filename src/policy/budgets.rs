//! What may be spent: by whom, on what, in which time, and what happens then.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::policy::routing::glob_matches;
use crate::policy::target::{Route, RouteKind};
use crate::units::Cost;

/// One budget of the owner's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Budget {
    /// The owner's name for it; unique.
    pub name: Arc<str>,
    /// Which calls it is for.
    pub only: Only,
    /// Every value of this side has a limit of its own; `None` counts all of its calls together.
    pub each: Option<Side>,
    /// How much may be spent.
    pub limit: Cost,
    /// In which time.
    pub per: Per,
    /// What happens beyond it.
    pub then: Then,
}

impl Budget {
    /// Whether the calls of `spender` count.
    pub fn covers(&self, spender: &Spender<'_>) -> bool {
        Side::ALL.into_iter().all(|side| {
            let glob = self.only.glob(side);
            glob.is_none_or(|glob| spender.value(side).is_some_and(|value| glob_matches(glob, &value)))
        })
    }

    /// Whether it may refuse calls of who has this label and this program, whatever they ask for. What is not known may
    /// be anything.
    pub fn may_refuse(&self, label: Option<&str>, process: Option<&str>) -> bool {
        let may_fit = |side, value: Option<&str>| match (self.only.glob(side), value) {
            (Some(glob), Some(value)) => glob_matches(glob, value),
            _ => true,
        };
        self.then == Then::Refuse && may_fit(Side::Label, label) && may_fit(Side::Process, process)
    }

    /// Whether it looks at this side of a call.
    pub fn looks_at(&self, side: Side) -> bool {
        self.only.glob(side).is_some() || self.each == Some(side)
    }
}

/// Which calls a budget is for: patterns in which `*` stands for any run of characters. A side without one takes every
/// call; a side with one takes no call that lacks it, so that `*` takes those that have any value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Only {
    /// Of the label.
    pub label: Option<Box<str>>,
    /// Of the program's name.
    pub process: Option<Box<str>>,
    /// Of the model that is asked for.
    pub model: Option<Box<str>>,
    /// Of `custom/NAME`, `duplicate/NAME` or `origin/HOST`.
    pub route: Option<Box<str>>,
}

impl Only {
    /// The pattern for one side.
    pub fn glob(&self, side: Side) -> Option<&str> {
        match side {
            Side::Label => self.label.as_deref(),
            Side::Model => self.model.as_deref(),
            Side::Process => self.process.as_deref(),
            Side::Route => self.route.as_deref(),
        }
    }
}

/// What a budget can look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The label.
    Label,
    /// The model that is asked for.
    Model,
    /// The program's name.
    Process,
    /// Where the call goes.
    Route,
}

impl Side {
    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Model => "model",
            Self::Process => "process",
            Self::Route => "route",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Label, Self::Model, Self::Process, Self::Route];
}

/// What a budget needs to know of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spender<'a> {
    /// Its label.
    pub label: Option<&'a str>,
    /// The program's name.
    pub process: Option<&'a str>,
    /// The model that is asked for.
    pub model: Option<&'a str>,
    /// Where it goes.
    pub route: Option<(RouteKind, &'a str)>,
}

impl<'a> Spender<'a> {
    /// Its value on one side.
    pub fn value(&self, side: Side) -> Option<Cow<'a, str>> {
        match side {
            Side::Label => self.label.map(Cow::Borrowed),
            Side::Model => self.model.map(Cow::Borrowed),
            Side::Process => self.process.map(Cow::Borrowed),
            Side::Route => self.route.map(|(kind, name)| Cow::Owned(format!("{}/{name}", kind.name()))),
        }
    }
}

impl<'a> From<&'a Route> for Spender<'a> {
    fn from(route: &'a Route) -> Self {
        Self { route: Some((route.kind, &route.name)), ..Self::default() }
    }
}

/// In which time a limit may be spent. The calendar is that of UTC, as in the books, and everything is counted by whole
/// hours of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Per {
    /// A calendar hour.
    Hour,
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// The last so many hours, and what has passed of this one: nothing leaves it too early.
    Rolling(u16),
}

impl Per {
    /// The hours, counted from 1970, that belong to the time in which `hour` lies.
    pub fn window(self, hour: i64) -> Range<i64> {
        match self {
            Self::Hour => hour..hour.saturating_add(1),
            Self::Day => {
                let first = hour.div_euclid(24).saturating_mul(24);
                first..first.saturating_add(24)
            }
            Self::Month => month(hour).unwrap_or(hour..hour.saturating_add(1)),
            Self::Rolling(hours) => hour.saturating_sub(hours.into())..hour.saturating_add(1),
        }
    }

    /// The hour under which the spending of `hour` is kept: as coarse as the time allows.
    pub fn slot(self, hour: i64) -> i64 {
        match self {
            Self::Rolling(_) => hour,
            Self::Hour | Self::Day | Self::Month => self.window(hour).start,
        }
    }

    /// When spending of `hour` counts no more.
    pub fn leaves(self, hour: i64) -> Timestamp {
        let end = match self {
            Self::Rolling(hours) => hour.saturating_add(i64::from(hours)).saturating_add(1),
            Self::Hour | Self::Day | Self::Month => self.window(hour).end,
        };
        Timestamp::from_second(end.saturating_mul(3600)).unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Display for Per {
    /// As it is written in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour => f.write_str("hour"),
            Self::Day => f.write_str("day"),
            Self::Month => f.write_str("month"),
            Self::Rolling(hours) if hours % 24 == 0 => write!(f, "{}d", hours / 24),
            Self::Rolling(hours) => write!(f, "{hours}h"),
        }
    }
}

/// What happens when a limit is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// Calls that may exceed it are refused before anything is sent.
    Refuse,
    /// It is said once, and calls go on.
    Warn,
}

impl Then {
    /// As it is written in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Warn => "warn",
        }
    }
}

/// The hours of a calendar month.
fn month(hour: i64) -> Option<Range<i64>> {
    let first = Timestamp::from_second(hour.checked_mul(3600)?).ok()?.to_zoned(TimeZone::UTC).date().first_of_month();
    let start = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second().div_euclid(3600));
    Some(start(first)?..start(first.checked_add(1.month()).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second().div_euclid(3600)
    }

    #[test]
    fn windows_are_those_of_the_calendar_or_roll_with_the_hours() {
        for (per, at, from, to) in [
            (Per::Hour, "2026-11-25T13:59:59Z", "2026-11-25T13:00:00Z", "2026-11-25T14:00:00Z"),
            (Per::Day, "2026-11-25T13:00:00Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
            (Per::Day, "1969-12-31T23:00:00Z", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"),
            (Per::Month, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            (Per::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Per::Rolling(24), "2026-11-25T13:30:00Z", "2026-11-24T13:00:00Z", "2026-11-25T14:00:00Z"),
        ] {
            assert_eq!(per.window(hour(at)), hour(from)..hour(to), "{per} {at}");
        }
        assert_eq!(Per::Day.leaves(hour("2026-11-25T13:00:00Z")).to_string(), "2026-11-26T00:00:00Z");
        assert_eq!(Per::Rolling(24).leaves(hour("2026-11-25T13:00:00Z")).to_string(), "2026-11-26T14:00:00Z");
        // Ends of time are no reason to fail.
        for per in [Per::Hour, Per::Day, Per::Month, Per::Rolling(8784)] {
            for hour in [i64::MAX, i64::MIN] {
                let _ = (per.window(hour), per.slot(hour), per.leaves(hour));
            }
        }
    }

    #[test]
    fn spending_leaves_a_window_exactly_when_it_is_said_to() {
        for per in [Per::Hour, Per::Day, Per::Month, Per::Rolling(1), Per::Rolling(36)] {
            for spent in (0..2000).step_by(7).map(|more| hour("2026-01-30T00:00:00Z") + more) {
                let leaves = per.leaves(spent).as_second() / 3600;
                assert!(per.window(leaves - 1).contains(&per.slot(spent)), "{per}");
                assert!(!per.window(leaves).contains(&per.slot(spent)), "{per}");
            }
        }
    }

    #[test]
    fn a_budget_may_refuse_whoever_is_not_known_to_be_another() {
        let budget =
            |only: Only, then| Budget { name: "b".into(), only, each: None, limit: Cost(1), per: Per::Day, then };
        let team = Only { label: Some("team-*".into()), ..Only::default() };
        let curl = Only { process: Some("curl".into()), model: Some("gpt-4o".into()), ..Only::default() };
        for (only, then, label, process, may) in [
            (Only::default(), Then::Refuse, None, None, true),
            (Only::default(), Then::Warn, None, None, false),
            (team.clone(), Then::Refuse, Some("team-a"), None, true),
            (team.clone(), Then::Refuse, Some("other"), None, false),
            (team.clone(), Then::Refuse, None, Some("curl"), true),
            (team, Then::Warn, Some("team-a"), None, false),
            (curl.clone(), Then::Refuse, None, Some("curl"), true),
            (curl.clone(), Then::Refuse, None, Some("python3"), false),
            (curl, Then::Refuse, None, None, true),
        ] {
            assert_eq!(budget(only, then).may_refuse(label, process), may, "{then:?} {label:?} {process:?}");
        }
    }

    #[test]
    fn a_pattern_takes_what_it_fits_and_never_what_lacks_the_side() {
        let budget =
            |only: Only| Budget { name: "b".into(), only, each: None, limit: Cost(1), per: Per::Day, then: Then::Warn };
        let label = |glob: &str| budget(Only { label: Some(glob.into()), ..Only::default() });
        let of = |label| Spender { label, model: Some("gpt-4o"), ..Spender::default() };
        for (glob, value, covers) in [
            ("*", Some("a"), true),
            ("*", None, false),
            ("team-*", Some("team-a"), true),
            ("team-*", Some("Team-a"), false),
            ("a", Some("ab"), false),
        ] {
            assert_eq!(label(glob).covers(&of(value)), covers, "{glob} {value:?}");
        }
        assert!(budget(Only::default()).covers(&Spender::default()));
        let both = Only { model: Some("gpt-*".into()), route: Some("duplicate/*".into()), ..Only::default() };
        let route = Route { kind: RouteKind::Duplicate, name: "eu".into() };
        assert!(!budget(both.clone()).covers(&of(None)));
        assert!(budget(both).covers(&Spender { model: Some("gpt-4o"), ..Spender::from(&route) }));
    }
}
