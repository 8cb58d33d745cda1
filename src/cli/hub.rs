//! Models of the Hugging Face hub, for commands that wait for them.

use std::sync::Arc;

use crate::cli::problem::Problem;
use crate::config::setup::Setup;
use crate::policy::custom::CustomModel;
use crate::system::hugging_face::HubSettings;
use crate::system::roots::machine_roots;
use crate::tokens::kit::Kit;
use crate::tokens::library::Library;
use crate::upstream::connect::{Connector, ConnectorParts};

/// What the environment of this process says about the hub.
pub fn hub_settings() -> HubSettings {
    let settings = HubSettings::from_environment(&|name| std::env::var(name).ok());
    HubSettings { shows_progress: true, ..settings }
}

/// All that can be known about a custom model; downloads what is missing.
///
/// # Errors
/// The machine lets nothing be asked.
pub fn acquired(setup: &Setup, model: &Arc<CustomModel>) -> Result<Kit, Problem> {
    let connector = Connector::new(ConnectorParts {
        resolve: setup.upstream.resolve.clone(),
        limit: setup.upstream.connect_timeout,
        shared_roots: setup.upstream.roots.clone(),
        outer: setup.upstream.outer.clone(),
        ..ConnectorParts::new(machine_roots())
    })
    .map_err(anyhow::Error::from)?;
    let library = Library::start(hub_settings(), Arc::new(connector))?;
    let kit = library.acquire(model);
    library.finish();
    Ok(kit)
}
