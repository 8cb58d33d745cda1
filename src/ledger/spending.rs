//! What has been spent of each budget, and what calls under way may still spend: running sums, none of them over history.

pub mod account;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use jiff::Timestamp;

use self::account::{Account, Slot};
use crate::ledger::entry::{Client, Entry};
use crate::ledger::filter::NO_NAME;
use crate::ledger::hours::Hours;
use crate::ledger::key::{Key, NO_MODEL, hour_of};
use crate::ledger::totals::Totals;
use crate::policy::budgets::{Budget, Side, Spender, Then};
use crate::policy::target::{Route, RouteKind};
use crate::units::Cost;

/// What has been spent of each budget.
#[derive(Debug)]
pub(crate) struct Spending(Vec<Kept>);

/// One budget with what has been spent of it.
#[derive(Debug)]
struct Kept {
    budget: Arc<Budget>,
    inside: Mutex<Inside>,
}

/// By the value that is counted by itself; all together under the empty one.
#[derive(Debug, Default)]
struct Inside {
    accounts: HashMap<Arc<str>, Account, RandomState>,
    /// In which hour accounts were last looked through for idle ones.
    swept: i64,
}

impl Spending {
    /// Nothing spent yet.
    pub(crate) fn new(budgets: &[Arc<Budget>]) -> Self {
        let kept = |budget: &Arc<Budget>| {
            let mut inside = Inside::default();
            if budget.each.is_none() {
                inside.accounts.insert(Arc::default(), Account::default());
            }
            Kept { budget: Arc::clone(budget), inside: Mutex::new(inside) }
        };
        Self(budgets.iter().map(kept).collect())
    }

    /// Whether there is no budget.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some budget looks at this side of calls.
    pub(crate) fn looks_at(&self, side: Side) -> bool {
        self.0.iter().any(|kept| kept.budget.looks_at(side))
    }

    /// Takes over what the hourly totals know.
    pub(crate) fn restore(&self, hours: &Hours) {
        if !self.is_empty() {
            hours.visit(i64::MIN, i64::MAX, |key, totals| self.take_over(key, totals));
        }
    }

    /// Counts what was booked before this process began.
    pub(crate) fn take_over(&self, key: &Key, totals: &Totals) {
        self.spend(&spender_of(key), key.hour, Slot::of(totals));
    }

    /// Counts what has been booked.
    pub(crate) fn add(&self, entry: &Entry) {
        if self.is_empty() {
            return;
        }
        let mut totals = Totals::default();
        totals.add(entry);
        let spender = spender(&entry.client, entry.model.asked.as_deref(), entry.route.as_ref());
        self.spend(&spender, hour_of(entry.time), Slot::of(&totals));
    }

    fn spend(&self, spender: &Spender<'_>, hour: i64, slot: Slot) {
        if slot == Slot::default() {
            return;
        }
        for kept in self.0.iter().filter(|kept| kept.budget.covers(spender)) {
            let (name, mut inside) = kept.open(spender, hour);
            let Some(account) = inside.accounts.get_mut(&name) else { continue };
            account.add(kept.budget.per, hour, slot);
            if account.spent() >= kept.budget.limit && account.is_news(kept.budget.per) {
                tell(&kept.budget, &name);
            }
        }
    }

    /// Reserves what a call may cost, at every budget that it falls under.
    ///
    /// # Errors
    /// The first budget that refuses it; then nothing is reserved.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        spender: &Spender<'_>,
        most: Cost,
        now: Timestamp,
    ) -> Result<Hold, Box<Exceeded>> {
        let hour = hour_of(now);
        let mut hold = Hold { spending: Arc::clone(self), places: Vec::new(), most };
        for (at, kept) in self.0.iter().enumerate().filter(|(_, kept)| kept.budget.covers(spender)) {
            let budget = &kept.budget;
            let (name, mut inside) = kept.open(spender, hour);
            let Some(account) = inside.accounts.get_mut(&name) else { continue };
            account.turn_to(budget.per, hour);
            let is_spent = account.spent() >= budget.limit;
            if budget.then == Then::Refuse && (is_spent || account.taken().plus(most) > budget.limit) {
                account.refuse(budget.per, hour);
                let is_news = account.is_news(budget.per);
                let resets = account.resets(budget.per);
                drop(inside);
                if is_news {
                    tell(budget, &name);
                }
                // What was reserved at others is given back as `hold` goes.
                return Err(Box::new(Exceeded { budget: Arc::clone(budget), value: name, is_spent, most, resets }));
            }
            account.hold(most);
            drop(inside);
            hold.places.push((at, name));
        }
        Ok(hold)
    }

    /// The state of every budget: in their order, the values of one by what was spent.
    pub(crate) fn list(&self, now: Timestamp) -> Vec<account::Row> {
        let mut rows = Vec::new();
        for Kept { budget, inside } in &self.0 {
            let mut inside = lock(inside);
            let mut of_one: Vec<account::Row> = inside
                .accounts
                .iter_mut()
                .map(|(value, account)| {
                    account.turn_to(budget.per, hour_of(now));
                    account.row(budget, value)
                })
                .collect();
            of_one.sort_by(|a, b| b.spent.cmp(&a.spent).then_with(|| a.value.cmp(&b.value)));
            rows.append(&mut of_one);
        }
        rows
    }
}

impl Kept {
    /// The account that the call belongs to, made if need be.
    fn open(&self, spender: &Spender<'_>, hour: i64) -> (Arc<str>, MutexGuard<'_, Inside>) {
        let mut inside = lock(&self.inside);
        let Some(side) = self.budget.each else { return (Arc::default(), inside) };
        let value = spender.value(side);
        let value = value.as_deref().unwrap_or(NO_NAME);
        if let Some((known, _)) = inside.accounts.get_key_value(value) {
            return (Arc::clone(known), inside);
        }
        if inside.accounts.len() >= MOST && inside.swept != hour {
            inside.swept = hour;
            let per = self.budget.per;
            inside.accounts.retain(|_, account| !account.is_idle(per, hour));
        }
        let name: Arc<str> = if inside.accounts.len() < MOST { value.into() } else { OTHER.into() };
        if let Place::Vacant(place) = inside.accounts.entry(Arc::clone(&name)) {
            place.insert(Account::default());
        }
        (name, inside)
    }
}

/// What a call under way may cost; given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    spending: Arc<Spending>,
    places: Vec<(usize, Arc<str>)>,
    most: Cost,
}

impl Drop for Hold {
    fn drop(&mut self) {
        for (at, name) in &self.places {
            let Some(kept) = self.spending.0.get(*at) else { continue };
            if let Some(account) = lock(&kept.inside).accounts.get_mut(name) {
                account.release(self.most);
            }
        }
    }
}

/// A budget that has no room for a call.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the budget `{}`{} of {} USD per {} {}; it resets at {resets}. The limit is the gate's own (`budgets` in its \
     configuration)",
    budget.name, of_value(value), dollars(budget.limit), budget.per, self.why()
)]
pub struct Exceeded {
    /// The budget.
    pub budget: Arc<Budget>,
    /// The value that is counted by itself; empty where all are counted together.
    pub value: Arc<str>,
    /// The limit is reached by what has been booked, not only by what is reserved.
    pub is_spent: bool,
    /// What was to be reserved.
    pub most: Cost,
    /// When there is room again.
    pub resets: Timestamp,
}

impl Exceeded {
    fn why(&self) -> String {
        if self.is_spent {
            return "is used up".into();
        }
        let most = dollars(self.most);
        let others = if self.most > self.budget.limit { "" } else { " beside what is spent and under way" };
        format!("has no room{others} for this call, which may cost {most} USD (a lower bound on its output helps)")
    }
}

/// Who spends, as budgets see it; what the books call `none` and `unknown` is nothing.
pub(crate) fn spender<'a>(client: &'a Client, model: Option<&'a str>, route: Option<&'a Route>) -> Spender<'a> {
    Spender {
        label: client.label.as_deref().filter(|label| *label != NO_NAME),
        process: client.process.as_deref(),
        model: model.filter(|model| *model != NO_MODEL),
        route: route.map(|route| (route.kind, &*route.name)),
    }
}

fn spender_of(key: &Key) -> Spender<'_> {
    Spender {
        label: Some(&*key.label).filter(|label| *label != NO_NAME),
        process: key.has_process.then_some(&*key.client),
        model: Some(&*key.model).filter(|model| *model != NO_MODEL),
        route: key.route.as_ref().map(|(kind, name): &(RouteKind, Arc<str>)| (*kind, &**name)),
    }
}

fn tell(budget: &Budget, value: &str) {
    tracing::warn!(
        budget = &*budget.name,
        value,
        limit_usd = %dollars(budget.limit),
        per = %budget.per,
        then = budget.then.name(),
        "a budget is used up"
    );
}

fn of_value(value: &str) -> String {
    if value.is_empty() { String::new() } else { format!(" for `{}`", value.escape_debug()) }
}

/// At least two decimals, and no more zeros than that.
fn dollars(cost: Cost) -> String {
    let text = cost.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}.{:0<2}", part.trim_end_matches('0'))
}

fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values of one budget that are counted by themselves; the rest together.
const MOST: usize = 1000;

const OTHER: &str = "other";
