//! `tollgate check`: the configuration, without starting anything.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::arguments::CheckArgs;
use crate::cli::listing::cell;
use crate::cli::problem::Problem;
use crate::cli::route::resolve;
use crate::cli::sources::loaded;
use crate::config::pricing::PriceFile;
use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::policy::Policy;
use crate::policy::custom::CustomModel;

/// Says what the configuration means, or every mistake in it.
///
/// # Errors
/// The mistakes.
pub fn run(args: &CheckArgs) -> Result<(), Problem> {
    let loaded = loaded(&args.config)?;
    let routes = routes(&loaded.policy);
    let tables = &loaded.price_files;
    let mut out = io::stdout().lock();
    if args.json {
        let shown: Vec<_> = routes.iter().map(shown).collect();
        let file = loaded.file.as_deref();
        let tables: Vec<_> = tables.iter().map(|table| json!({ "file": table.name, "models": table.models })).collect();
        let shown = json!({
            "file": file, "config": loaded.view, "routes": shown, "priceFiles": tables, "warnings": loaded.warnings,
        });
        writeln!(out, "{shown:#}")?;
        return Ok(());
    }
    match &loaded.file {
        Some(file) => writeln!(out, "{} is fine", file.display())?,
        None => writeln!(out, "no configuration file; the defaults are fine")?,
    }
    writeln!(out, "proxy   {}", loaded.setup.proxy)?;
    writeln!(out, "admin   {}", loaded.setup.admin)?;
    if let Some(at) = loaded.setup.transparent {
        writeln!(out, "transparent {at}")?;
    }
    writeln!(out, "certs   {}", loaded.setup.certs.display())?;
    for host in loaded.policy.interception.hosts() {
        writeln!(out, "opens   {host} and what lies below it")?;
    }
    for PriceFile { name, models } in tables {
        writeln!(out, "prices  {name}: {models} models")?;
    }
    for Resolved { model, path, url, custom } in routes {
        let kind = custom.map(|custom| format!(" ({}, {})", custom.kind.name(), custom.kind_from.explained()));
        // Lines can be posted by others, and a name may hold anything.
        let model = cell(&model.into());
        writeln!(out, "route   {model} {path} -> {url}{}", kind.unwrap_or_default())?;
    }
    Ok(())
}

/// A configured name and the place that it leads to.
struct Resolved {
    model: String,
    path: &'static str,
    /// Or why there is none.
    url: String,
    custom: Option<Arc<CustomModel>>,
}

fn shown(route: &Resolved) -> Value {
    let Resolved { model, path, url, custom } = route;
    let mut shown = json!({ "model": model, "path": path, "url": url });
    if let Some(custom) = custom {
        shown["type"] = custom.kind.name().into();
        shown["typeFrom"] = custom.kind_from.name().into();
    }
    shown
}

/// Every configured name with the place that it leads to.
fn routes(policy: &Policy) -> Vec<Resolved> {
    let routing = &policy.routing;
    let mut names: Vec<(String, Dialect)> =
        routing.customs.values().map(|custom| (custom.name.to_string(), custom.kind.dialect())).collect();
    for duplicate in &routing.duplicates {
        let globs = duplicate.models.iter().flatten().map(|glob| (glob.to_string(), Dialect::Chat));
        names.extend(globs);
        if duplicate.models.is_none() {
            names.push(("*".into(), Dialect::Chat));
        }
    }
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    names.dedup_by(|(a, _), (b, _)| a == b);
    let resolved = |(model, dialect): (String, Dialect)| {
        let path = Endpoint::Call(dialect).name();
        let (url, custom) = match resolve(policy, &model, path) {
            Ok(targets) => targets.first().map(|target| (target.url(), target.custom.clone())).unwrap_or_default(),
            Err(error) => (error.to_string(), None),
        };
        Resolved { model, path, url, custom }
    };
    names.into_iter().map(resolved).collect()
}
