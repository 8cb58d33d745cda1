//! What has been spent of one budget in its time, and what is reserved of it.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::ledger::key::hour_start;
use crate::ledger::totals::Totals;
use crate::policy::budgets::{Budget, Only, Per, Side};
use crate::units::Cost;

/// What was spent in an hour or a longer time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Slot {
    cost: Cost,
    unpriced: u64,
    refused: u64,
}

impl Slot {
    /// What these sums say.
    pub(super) fn of(totals: &Totals) -> Self {
        Self { cost: totals.cost, unpriced: totals.unpriced_requests, refused: 0 }
    }

    fn add(&mut self, other: Self) {
        self.cost = self.cost.plus(other.cost);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.refused = self.refused.saturating_add(other.refused);
    }
}

/// The spending of one budget, or of one value of it.
#[derive(Debug)]
pub(super) struct Account {
    slots: BTreeMap<i64, Slot>,
    /// The hour that the sum is for.
    hour: i64,
    window: Range<i64>,
    sum: Slot,
    reserved: Cost,
    open: u64,
    /// In which of its times it was last told that the limit is reached.
    told: Option<i64>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            hour: i64::MIN,
            window: 0..0,
            sum: Slot::default(),
            reserved: Cost::default(),
            open: 0,
            told: None,
        }
    }
}

impl Account {
    /// In how many times something was spent that is remembered.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Makes the sum that of the time in which `hour` lies. A clock that goes back finds what was spent there.
    pub(super) fn turn_to(&mut self, per: Per, hour: i64) {
        if self.hour == hour {
            return;
        }
        self.hour = hour;
        let window = per.window(hour);
        if window == self.window {
            return;
        }
        self.window = window;
        let span = self.window.end.saturating_sub(self.window.start);
        // What is old by a clock that has leapt ahead may count again, so that it goes only for want of room.
        if self.slots.len() as u64 > span.unsigned_abs().saturating_mul(2).saturating_add(SPARE) {
            self.slots = self.slots.split_off(&self.window.start.saturating_sub(span));
        }
        self.sum = Slot::default();
        for slot in self.slots.range(self.window.clone()).map(|(_, slot)| *slot) {
            self.sum.add(slot);
        }
    }

    /// Counts what was spent in `hour`, which may be over.
    pub(super) fn add(&mut self, per: Per, hour: i64, slot: Slot) {
        if hour > self.hour {
            self.turn_to(per, hour);
        }
        let at = per.slot(hour);
        self.slots.entry(at).or_default().add(slot);
        if self.window.contains(&at) {
            self.sum.add(slot);
        }
    }

    /// What has been spent.
    pub(super) fn spent(&self) -> Cost {
        self.sum.cost
    }

    /// What has been spent or is reserved.
    pub(super) fn taken(&self) -> Cost {
        self.sum.cost.plus(self.reserved)
    }

    /// Reserves what a call may cost.
    pub(super) fn hold(&mut self, most: Cost) {
        self.reserved = self.reserved.plus(most);
        self.open += 1;
    }

    /// Gives it back.
    pub(super) fn release(&mut self, most: Cost) {
        self.reserved = Cost(self.reserved.0.saturating_sub(most.0));
        self.open = self.open.saturating_sub(1);
    }

    /// Counts a call that was turned away.
    pub(super) fn refuse(&mut self, per: Per, hour: i64) {
        self.add(per, hour, Slot { refused: 1, ..Slot::default() });
    }

    /// Whether it has not been told yet in this time that the limit is reached; from now on it has.
    pub(super) fn is_news(&mut self, per: Per) -> bool {
        let time = match per {
            Per::Rolling(hours) => self.hour.div_euclid(i64::from(hours.max(1))),
            Per::Hour | Per::Day | Per::Month => self.window.start,
        };
        self.told.replace(time) != Some(time)
    }

    /// When some of what was spent counts no more.
    pub(super) fn resets(&self, per: Per) -> Timestamp {
        let costly = self.slots.range(self.window.clone()).find(|(_, slot)| slot.cost > Cost::default());
        per.leaves(costly.map_or(self.hour, |(hour, _)| *hour))
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_idle(&mut self, per: Per, hour: i64) -> bool {
        self.turn_to(per, hour);
        self.open == 0 && self.sum.cost == Cost::default()
    }

    /// As it is shown.
    pub(super) fn row(&self, budget: &Budget, value: &str) -> Row {
        let state = if self.spent() >= budget.limit {
            State::Spent
        } else if self.taken() >= budget.limit {
            State::Full
        } else {
            State::Open
        };
        Row {
            name: (&*budget.name).into(),
            only: Shown(budget.only.clone()),
            each: budget.each.map(Side::name),
            value: budget.each.map(|_| value.into()),
            limit: budget.limit,
            per: budget.per.to_string(),
            then: budget.then.name(),
            since: hour_start(self.window.start),
            resets: self.resets(budget.per),
            spent: self.spent(),
            reserved: self.reserved,
            open_requests: self.open,
            unpriced_requests: self.sum.unpriced,
            refused_requests: self.sum.refused,
            state,
        }
    }
}

/// The state of a budget, or of one value of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The budget's name.
    pub name: Box<str>,
    /// Which calls it is for.
    #[serde(rename = "match")]
    pub only: Shown,
    /// The side whose values are counted by themselves.
    pub each: Option<&'static str>,
    /// The value that this is about.
    pub value: Option<Box<str>>,
    /// How much may be spent.
    #[serde(rename = "limitUsd")]
    pub limit: Cost,
    /// In which time.
    pub per: String,
    /// What happens beyond it.
    pub then: &'static str,
    /// Since when it is counted.
    pub since: Timestamp,
    /// When what was spent, or the oldest of it, counts no more.
    pub resets: Timestamp,
    /// What has been booked.
    #[serde(rename = "spentUsd")]
    pub spent: Cost,
    /// What calls under way may cost.
    #[serde(rename = "reservedUsd")]
    pub reserved: Cost,
    /// How many are under way.
    pub open_requests: u64,
    /// Calls that cost something nobody knows; they are not in what was spent.
    pub unpriced_requests: u64,
    /// Calls that were turned away since the start of the gate.
    pub refused_requests: u64,
    /// In one word.
    pub state: State,
}

/// The state of a budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// What is reserved takes the rest.
    Full,
    /// There is room.
    Open,
    /// The limit is reached.
    Spent,
}

/// The patterns of a budget, as they are written in the configuration.
#[derive(Clone, Debug)]
pub struct Shown(Only);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Side::ALL.into_iter().filter_map(|side| Some((side.name(), self.0.glob(side)?))))
    }
}

/// Slots that are remembered beside those of the time and the one before.
const SPARE: u64 = 24;
