//! Brings new texts into force while the gate runs: of the models file, and of the whole configuration.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::admin::surface::{Flaw, Rejected, Reloaded, Reloader, Reviser, Saved, Unchanged};
use crate::ca::authority::Authority;
use crate::config::change;
use crate::config::load::Loaded;
use crate::config::mistake::{ConfigError, Mistake, Mistakes};
use crate::config::revise::{self, ModelLines, Revised};
use crate::config::setup::Setup;
use crate::net::host::Host;
use crate::policy::interception::Interception;
use crate::policy::routing::Routing;
use crate::policy::{Live, Policy};
use crate::tokens::library::Library;

/// Loads the configuration once more, from where it was loaded at the start.
pub struct Loader(Box<Load>);

type Load = dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync;

impl Loader {
    /// Wraps what does it.
    pub fn new(load: impl Fn() -> Result<Loaded, ConfigError> + Send + Sync + 'static) -> Self {
        Self(Box::new(load))
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loader")
    }
}

/// What new texts change.
pub(super) struct Parts {
    /// The policy in force.
    pub(super) live: Live,
    /// What `/config` shows.
    pub(super) view: Arc<ArcSwap<Value>>,
    /// Where the models' tokenizers come from.
    pub(super) library: Library,
    /// What can be intercepted.
    pub(super) authority: Authority,
    /// What the gate was built from, which stays.
    pub(super) setup: Setup,
    /// What the custom models are made of.
    pub(super) lines: ModelLines,
    /// Where the whole configuration comes from.
    pub(super) loader: Option<Loader>,
}

/// Both ways to change the texts; one text at a time, so that file, policy and view are always of the same one.
pub(super) fn of(parts: Parts) -> (Reviser, Reloader) {
    let lines = Mutex::new(parts.lines.clone());
    let shared = Arc::new((parts, lines));
    let other = Arc::clone(&shared);
    let reviser = Reviser::new(move |text| {
        let (parts, lines) = &*shared;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        parts.revise(lines.revise(text).map_err(rejected)?)
    });
    let reloader = Reloader::new(move || {
        let (parts, lines) = &*other;
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Loader(load)) = &parts.loader else { return Err(Unchanged::Nowhere) };
        let loaded = load().map_err(unchanged)?;
        *lines = loaded.lines.clone();
        Ok(parts.replace(loaded))
    });
    (reviser, reloader)
}

impl Parts {
    /// Swaps the custom models.
    fn revise(&self, revised: Revised) -> Result<Saved, Rejected> {
        let now = self.live.now();
        self.library.prepare(revised.customs.values());
        let routing = Routing { customs: revised.customs, duplicates: now.routing.duplicates.clone() };
        self.live.swap(Policy { routing, ..Policy::clone(&now) });
        let mut shown = Value::clone(&self.view.load());
        shown["models"] = revised.view;
        self.view.store(Arc::new(shown));
        Ok(Saved { file: revised.file, warnings: revised.warnings })
    }

    /// Swaps the policy, and says what it takes a restart for.
    fn replace(&self, loaded: Loaded) -> Reloaded {
        let Loaded { setup, mut policy, view: after, warnings, .. } = loaded;
        let before = self.view.load_full();
        let mut needs_restart = change::fixed((&self.setup, &before), (&setup, &after));
        let mut after = change::in_force(&before, &after);
        let (opened, closed): (Vec<_>, Vec<_>) =
            policy.interception.hosts().iter().cloned().partition(|host| self.may_open(host.name()));
        for host in &closed {
            needs_restart.push(format!(
                "intercept: the certificate authority is not for `{}`; run `tollgate ca renew` first",
                host.name()
            ));
        }
        if !closed.is_empty() {
            after["intercept"] = opened.iter().map(ToString::to_string).collect();
            policy.interception = Interception::new(opened);
        }
        self.library.prepare(policy.routing.customs.values());
        self.live.swap(policy);
        self.view.store(Arc::new(after));
        Reloaded { needs_restart, warnings }
    }

    /// Whether the authority answers for a name and what lies below it.
    fn may_open(&self, name: &str) -> bool {
        let below = |permitted: &String| {
            name.strip_suffix(permitted.as_str()).is_some_and(|left| left.is_empty() || left.ends_with('.'))
        };
        matches!(name.parse(), Ok(Host::Name(_))) && self.authority.permitted().iter().any(below)
    }
}

fn flaws(Mistakes { first, more }: Mistakes, names_file: bool) -> (Vec<Flaw>, usize) {
    let flaw = |mistake: Mistake| {
        let Mistake { file, line, column, message, hint, .. } = mistake;
        Flaw { file: names_file.then_some(file), line, column, message, hint }
    };
    (first.into_iter().map(flaw).collect(), more)
}

fn rejected(rejected: revise::Rejected) -> Rejected {
    match rejected {
        revise::Rejected::Mistakes(mistakes) => {
            let (first, more) = flaws(mistakes, false);
            Rejected::Mistakes { first, more }
        }
        revise::Rejected::NoFile => Rejected::NoFile,
        revise::Rejected::Unsaved { source, .. } => Rejected::Unsaved(source),
    }
}

fn unchanged(error: ConfigError) -> Unchanged {
    match error {
        ConfigError::Mistakes(mistakes) => {
            let (first, more) = flaws(mistakes, true);
            Unchanged::Mistakes { first, more }
        }
        ConfigError::Unreadable { ref source, .. } => Unchanged::Unreadable(format!("{error}: {source}")),
        ConfigError::Prices(_) => Unchanged::Unreadable(error.to_string()),
    }
}
