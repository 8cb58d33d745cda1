//! Brings a new text of the models file into force.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::admin::surface::{Flaw, Rejected, Reviser, Saved};
use crate::config::mistake::Mistake;
use crate::config::revise::{self, ModelLines};
use crate::policy::routing::Routing;
use crate::policy::{Live, Policy};
use crate::tokens::library::Library;

/// Saves a text that has no mistakes, then swaps the custom models of `live` and of the `view`; one text at a time, so
/// that file, policy and view are always of the same one. What the `library` has not of them yet is fetched at once.
pub(super) fn of(lines: ModelLines, live: Live, view: Arc<ArcSwap<Value>>, library: Library) -> Reviser {
    let turn = Mutex::new(());
    Reviser::new(move |text| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let revised = lines.revise(text).map_err(rejected)?;
        let now = live.now();
        let routing = Routing { customs: revised.customs, duplicates: now.routing.duplicates.clone() };
        library.prepare(routing.customs.values());
        live.swap(Policy { routing, ..Policy::clone(&now) });
        let mut shown = Value::clone(&view.load());
        shown["models"] = revised.view;
        view.store(Arc::new(shown));
        Ok(Saved { file: revised.file, warnings: revised.warnings })
    })
}

fn rejected(rejected: revise::Rejected) -> Rejected {
    match rejected {
        revise::Rejected::Mistakes(mistakes) => {
            let flaw = |mistake: Mistake| {
                let Mistake { line, column, message, hint, .. } = mistake;
                Flaw { line, column, message, hint }
            };
            Rejected::Mistakes(mistakes.into_iter().map(flaw).collect())
        }
        revise::Rejected::NoFile => Rejected::NoFile,
        revise::Rejected::Unsaved { source, .. } => Rejected::Unsaved(source),
    }
}
