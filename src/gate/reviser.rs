//! Brings a new text of the models file into force.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::admin::surface::{Flaw, Rejected, Reviser, Saved};
use crate::config::mistake::{Mistake, Mistakes};
use crate::config::revise::{self, ModelLines};
use crate::policy::routing::Routing;
use crate::policy::{Live, Policy};
use crate::tokens::library::Library;

/// What a new text changes.
pub(super) struct Parts {
    /// The policy in force.
    pub(super) live: Live,
    /// What `/config` shows.
    pub(super) view: Arc<ArcSwap<Value>>,
    /// Where the models' tokenizers come from.
    pub(super) library: Library,
}

/// Saves a text that has no mistakes, then swaps the custom models of `live` and of the `view`; one text at a time, so
/// that file, policy and view are always of the same one.
pub(super) fn of(lines: ModelLines, parts: Parts) -> Reviser {
    let Parts { live, view, library } = parts;
    let turn = Mutex::new(());
    Reviser::new(move |text| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let revised = lines.revise(text).map_err(rejected)?;
        let now = live.now();
        library.prepare(revised.customs.values());
        let routing = Routing { customs: revised.customs, duplicates: now.routing.duplicates.clone() };
        live.swap(Policy { routing, ..Policy::clone(&now) });
        let mut shown = Value::clone(&view.load());
        shown["models"] = revised.view;
        view.store(Arc::new(shown));
        Ok(Saved { file: revised.file, warnings: revised.warnings })
    })
}

fn rejected(rejected: revise::Rejected) -> Rejected {
    match rejected {
        revise::Rejected::Mistakes(Mistakes { first, more }) => {
            let flaw = |mistake: Mistake| {
                let Mistake { line, column, message, hint, .. } = mistake;
                Flaw { line, column, message, hint }
            };
            Rejected::Mistakes { first: first.into_iter().map(flaw).collect(), more }
        }
        revise::Rejected::NoFile => Rejected::NoFile,
        revise::Rejected::Unsaved { source, .. } => Rejected::Unsaved(source),
    }
}
