//! Reckons the costs of a journal anew by the configuration of today.

use std::path::Path;

use jiff::Timestamp;

use crate::dialect::azure;
use crate::ledger::entry::Entry;
use crate::ledger::journal::reprice::{RepriceError, Repricing, look, reprice};
use crate::ledger::sale::Terms;
use crate::ledger::since::{self, SinceError};
use crate::net::host::Host;
use crate::policy::Policy;
use crate::policy::pricing::sale::Priced;
use crate::policy::routing::DuplicateKind;
use crate::policy::target::RouteKind;

/// Why nothing was reckoned.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The journal is in use, or cannot be read or written.
    #[error(transparent)]
    Journal(#[from] RepriceError),
    /// The beginning is none.
    #[error("`{0}` is {1}")]
    Since(String, SinceError),
}

/// Reckons all entries from `since` on; only looks where `dry`.
///
/// # Errors
/// A text that is no beginning, a gate that writes the journal, or a journal that cannot be read or written.
pub fn anew(policy: &Policy, journal: &Path, since: &str, dry: bool) -> Result<Repricing, Trouble> {
    let now = Timestamp::now();
    let from = since::read(since, now).map_err(|error| Trouble::Since(since.into(), error))?;
    let price = |entry: &Entry| priced(policy, entry);
    Ok(if dry { look(journal, from, &price)? } else { reprice(journal, (from, now), &price)? })
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
