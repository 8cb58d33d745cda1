//! Loading the configuration for a command.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::arguments::ConfigArgs;
use crate::cli::problem::Problem;
use crate::config::load::{Loaded, Sources, load, token};
use crate::config::mistake::ConfigError;
use crate::gate::reviser::Loader;
use crate::net::secret::Secret;

/// Loads what `args` say and prints the warnings to standard error.
///
/// # Errors
/// Every mistake of the configuration at once.
pub fn loaded(args: &ConfigArgs) -> Result<Loaded, Problem> {
    loaded_in(args, &|name| env::var(name).ok())
}

/// As [`loaded`], with another environment than that of this process.
///
/// # Errors
/// As [`loaded`].
pub fn loaded_in(args: &ConfigArgs, environment: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Problem> {
    let working_directory = env::current_dir().context("cannot tell the working directory")?;
    let loaded = load_from(args, working_directory, environment)?;
    for warning in &loaded.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok(loaded)
}

/// Loads it again and again, from where `args` say now.
///
/// # Errors
/// No working directory to be told.
pub fn loader(args: &ConfigArgs) -> Result<Loader, Problem> {
    let working_directory = env::current_dir().context("cannot tell the working directory")?;
    let args = args.clone();
    Ok(Loader::new(move || load_from(&args, working_directory.clone(), &|name| env::var(name).ok())))
}

fn load_from(
    args: &ConfigArgs,
    working_directory: PathBuf,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, ConfigError> {
    load(&Sources {
        file: args.config.clone(),
        environment,
        working_directory,
        proxy: args.proxy.clone(),
        admin: args.admin.clone(),
        models: args.models.clone(),
    })
}

/// The configuration, where there is one without mistakes; its warnings are for other commands.
pub(in crate::cli) fn quietly_loaded(file: Option<PathBuf>) -> Option<Loaded> {
    let working_directory = env::current_dir().ok()?;
    let environment = |name: &str| env::var(name).ok();
    let sources =
        Sources { file, environment: &environment, working_directory, proxy: None, admin: None, models: Vec::new() };
    load(&sources).ok()
}

/// The token of the configuration, where there is one; the rest of it is not looked at.
///
/// # Errors
/// A configuration that cannot be read, or a mistake in that section.
pub fn configured_token(file: Option<PathBuf>) -> anyhow::Result<Option<Secret>> {
    let working_directory = env::current_dir().context("cannot tell the working directory")?;
    let environment = |name: &str| env::var(name).ok();
    let sources =
        Sources { file, environment: &environment, working_directory, proxy: None, admin: None, models: Vec::new() };
    Ok(token(&sources)?)
}

/// Certificate files that the user's environment already trusts.
pub fn inherited() -> Vec<PathBuf> {
    const VARIABLES: [&str; 6] = [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "AWS_CA_BUNDLE",
    ];
    let mut files: Vec<PathBuf> = VARIABLES.iter().filter_map(env::var_os).map(PathBuf::from).collect();
    files.sort();
    files.dedup();
    files
}
