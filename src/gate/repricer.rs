//! Reckons the costs of a journal anew by the configuration of today.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use crate::dialect::azure;
use crate::ledger::entry::Entry;
use crate::ledger::journal::read::{ReadError, Reader};
use crate::ledger::journal::reprice::{NewPrice, RepriceError, reprice};
use crate::ledger::sale::Terms;
use crate::ledger::since::{self, SinceError};
use crate::net::host::Host;
use crate::policy::Policy;
use crate::policy::pricing::sale::Priced;
use crate::policy::routing::DuplicateKind;
use crate::policy::target::RouteKind;
use crate::units::Cost;

/// What changed, or would.
#[derive(Clone, Debug, Default)]
pub struct Repricing {
    /// By the model that was asked for.
    pub models: BTreeMap<String, Change>,
    /// Entries that cost what they did.
    pub same: u64,
    /// Entries that have a cost and would have none today; they keep theirs.
    pub kept: u64,
}

/// What changed for one model.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// Entries with another cost.
    pub entries: u64,
    /// Those of them that had none before.
    pub unpriced: u64,
    /// What they cost before.
    pub before: Cost,
    /// What they cost now.
    pub after: Cost,
}

/// Why nothing was reckoned.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The journal cannot be read.
    #[error(transparent)]
    Reading(#[from] ReadError),
    /// The journal is in use, or cannot be written.
    #[error(transparent)]
    Writing(#[from] RepriceError),
    /// An entry of the journal cannot be read.
    #[error("the journal cannot be read: {0}")]
    Entries(#[from] rusqlite::Error),
    /// The beginning is none.
    #[error("`{0}` is {1}")]
    Since(String, SinceError),
}

/// Reckons all entries from `since` on anew, all of them or none; an entry that would have no price keeps its cost.
///
/// Where it is `dry`, it only looks, also into a journal that a gate writes.
///
/// # Errors
/// A text that is no beginning, a gate that writes the journal, or a journal that cannot be read or written.
pub fn anew(policy: &Policy, journal: &Path, since: &str, dry: bool) -> Result<Repricing, Trouble> {
    let from = since::read(since, Timestamp::now()).map_err(|error| Trouble::Since(since.into(), error))?;
    let mut repricing = Repricing::default();
    if !dry {
        reprice(journal, Some(from), |entry| repricing.note(entry, priced(policy, entry)))?;
        return Ok(repricing);
    }
    let reader = Reader::open(journal)?;
    let mut last = i64::MIN;
    loop {
        let rest = "WHERE seq > ? AND time_ms >= ? ORDER BY seq LIMIT ?";
        let part = reader.entries(rest, &[&last, &from.as_millisecond(), &PART])?;
        let Some((seq, _)) = part.last() else { return Ok(repricing) };
        last = i64::try_from(*seq).unwrap_or(i64::MAX);
        for (_, entry) in &part {
            repricing.note(entry, priced(policy, entry));
        }
    }
}

impl Repricing {
    /// Notes what an entry costs today; gives the new price where it is another one.
    fn note(&mut self, entry: &Entry, priced: Option<Priced>) -> Option<NewPrice> {
        let Some(priced) = priced else {
            self.kept += u64::from(entry.cost.is_some());
            return None;
        };
        if entry.cost == Some(priced.cost) {
            self.same += 1;
            return None;
        }
        let model = entry.model.asked.as_deref().or(entry.model.served.as_deref()).unwrap_or("unknown");
        let change = self.models.entry(model.into()).or_default();
        change.entries += 1;
        change.unpriced += u64::from(entry.cost.is_none());
        change.before = change.before.plus(entry.cost.unwrap_or_default());
        change.after = change.after.plus(priced.cost);
        Some(NewPrice { cost: Some(priced.cost), source: Some(priced.source), rates: priced.rates })
    }
}

/// What an entry costs today; `None` where today's configuration does not know where it went.
fn priced(policy: &Policy, entry: &Entry) -> Option<Priced> {
    let route = entry.route.as_ref()?;
    let asked = entry.model.asked.as_deref();
    match route.kind {
        RouteKind::Custom => {
            let custom = policy.routing.customs.get(&route.name)?;
            let terms = Terms { own: custom.price.as_ref(), base_model: None, on_azure: custom.is_on_azure() };
            entry.price(&policy.prices, terms)
        }
        RouteKind::Duplicate => {
            let duplicate = policy.routing.duplicates.iter().find(|duplicate| duplicate.name == route.name)?;
            let deployment = asked.and_then(|model| duplicate.deployment(model));
            let base_model = deployment.and_then(|deployment| deployment.model.as_deref());
            let on_azure = matches!(duplicate.kind, DuplicateKind::Azure { .. });
            entry.price(&policy.prices, Terms { own: None, base_model, on_azure })
        }
        RouteKind::Origin => {
            let host = route.name.parse::<Host>().ok();
            let on_azure = host.as_ref().and_then(Host::name).is_some_and(azure::is_azure_host);
            entry.price(&policy.prices, Terms { on_azure, ..Terms::default() })
        }
    }
}

/// Entries that are in memory at a time.
const PART: i64 = 2000;
