//! Finds the configuration, reads all of it and says every mistake at once.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::document::Node;
use crate::config::field::{Field, Fields};
use crate::config::home::Home;
use crate::config::mistake::{ConfigError, Mistakes};
use crate::config::pricing::PriceFile;
use crate::config::review::{Review, Source};
use crate::config::revise::ModelLines;
use crate::config::settings::{KEYS, Settings, admin_token};
use crate::config::setup::Setup;
use crate::config::view;
use crate::net::secret::Secret;
use crate::policy::Policy;
use crate::policy::interception::Interception;
use crate::policy::pricing::PriceBook;
use crate::policy::routing::Routing;

/// Where the configuration comes from.
pub struct Sources<'a> {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The environment, by name.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Where the program was started; absolute.
    pub working_directory: PathBuf,
    /// `--proxy`; wins over `listen.proxy`.
    pub proxy: Option<String>,
    /// `--admin`; wins over `listen.admin`.
    pub admin: Option<String>,
    /// `--model`, each a line of the custom-models document; they win over the file's.
    pub models: Vec<String>,
}

/// A configuration without mistakes.
#[derive(Debug)]
pub struct Loaded {
    /// What needs a restart to change.
    pub setup: Setup,
    /// What may change while the gate runs.
    pub policy: Policy,
    /// Everything in force in the shape of the file, defaults included, secrets as `***`.
    pub view: serde_json::Value,
    /// What the custom models are made of, for a new text of the models file.
    pub lines: ModelLines,
    /// The owner's price tables, in the order of the text.
    pub price_files: Vec<PriceFile>,
    /// The file that was read; `None` where the defaults run.
    pub file: Option<PathBuf>,
    /// What works, but perhaps not as meant, each with its place.
    pub warnings: Vec<String>,
}

/// Loads the configuration. Nothing is opened, written or changed.
///
/// Relative paths of what the gate reads (`modelsFile`, `ca`, files of secrets) begin at the folder that the file is at
/// home in; so do those of what it writes (`certs`, `ledger.path`), except with a file in the XDG folders, where they
/// begin at `$XDG_DATA_HOME/tollgate`. Lines given by `--model` begin at the working directory, lines of `modelsFile`
/// at its own folder.
///
/// # Errors
/// A file that cannot be read, or every mistake in what was read.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigError> {
    let home = Home::find(sources)?;
    let review = Review::new(sources.environment);
    let (name, text) = home.file.as_ref().map_or(("", "{}"), |found| (&found.shown, &found.text));
    let node = Node::parse(name, text, 1).unwrap_or_else(|mistake| {
        review.note(mistake);
        Node::empty()
    });
    let source = Source { file: name, folder: &home.reads, may_look: true };
    let settings =
        Field::root(&review, source, &node).fields(&KEYS).map(|top| Settings::read(&top, &review, sources, &home));
    let warnings = review.finish().map_err(ConfigError::Mistakes)?;
    // Without mistakes the text is an object, so there are settings.
    let Some(settings) = settings else { return Err(ConfigError::Mistakes(Mistakes::default())) };
    let view = view::of(&settings);
    let file = home.file.map(|found| found.path);
    let policy = policy(&settings)?;
    let Settings { setup, lines, pricing, .. } = settings;
    Ok(Loaded { setup, policy, view, lines, price_files: pricing.files, file, warnings })
}

/// `admin.token` alone, whatever else stands in the file: for a program that only asks a running gate.
///
/// # Errors
/// A file that cannot be read or is no JSON5, or a mistake in that section.
pub fn token(sources: &Sources<'_>) -> Result<Option<Secret>, ConfigError> {
    let Home { file: Some(found), reads, .. } = Home::find(sources)? else { return Ok(None) };
    let review = Review::new(sources.environment);
    let node = Node::parse(&found.shown, &found.text, 1).map_err(|mistake| ConfigError::Mistakes(mistake.into()))?;
    let field = Field::root(&review, Source { file: &found.shown, folder: &reads, may_look: true }, &node);
    let token = admin_token(&Fields { field });
    review.finish().map_err(ConfigError::Mistakes)?;
    Ok(token)
}

fn policy(settings: &Settings) -> Result<Policy, ConfigError> {
    let customs: HashMap<_, _> =
        settings.models.iter().map(|listed| (Arc::clone(&listed.model.name), Arc::clone(&listed.model))).collect();
    let duplicates = settings.duplicates.iter().map(|listed| Arc::clone(&listed.duplicate)).collect();
    let tables = settings.pricing.tables.iter();
    Ok(Policy {
        auditing: settings.auditing,
        interception: Interception::new(settings.intercept.clone()),
        metering: settings.metering,
        prices: tables.fold(PriceBook::built_in()?, PriceBook::overlaid),
        unpriced: settings.pricing.unpriced,
        routing: Routing { customs, duplicates },
    })
}
