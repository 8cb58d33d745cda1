//! `tollgate doctor`: whether each runtime of this machine reaches the gate and trusts it, in the environment of `run`.

mod execute;
mod firefox;
mod gate;
mod judge;
mod probes;
mod runtimes;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde_json::json;

use self::gate::Asked;
use self::probes::{Bench, Row};
use self::runtimes::{Kind, Runtime};
use crate::cli::listing::{cell, table};
use crate::cli::problem::Problem;
use crate::cli::run::environment;
use crate::policy::self_test;

/// `tollgate doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Which runtimes; all that are found if absent
    #[arg(value_name = "RUNTIME", value_enum, ignore_case = true)]
    pub runtimes: Vec<Kind>,
    /// Configuration file (JSON5) that the gate runs with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Probes every runtime; whether all that were found work.
///
/// # Errors
/// No gate that could be asked.
pub fn run(args: &DoctorArgs) -> Result<bool, Problem> {
    let now = |name: &str| env::var_os(name);
    let asked = Asked::begin(args.config.clone(), &now)?;
    let host = self_test::host(&asked.loaded.policy.interception);
    let host = host.ok_or_else(|| anyhow!("no host is intercepted (`intercept`), so no program can be led to one"))?;
    let host = host.to_string();
    asked.check(&host)?;
    let prepared = environment::prepare(&asked.loaded, true, &now)?;
    for warning in &prepared.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    let proxy = format!("http://{}", asked.proxy);
    let variables = prepared.variables(&asked.loaded, Some(&proxy), &now);
    let root_file = asked.loaded.setup.certs.join("ca.pem");
    let wanted: Vec<&Runtime> = Kind::value_variants()
        .iter()
        .filter(|kind| args.runtimes.is_empty() || args.runtimes.contains(kind))
        .filter_map(|kind| Runtime::of(*kind))
        .collect();
    let bench = Bench { host, variables, root_file, are_named: !args.runtimes.is_empty() };
    let rows = bench.probe(&wanted)?;
    show(&rows, &asked, args.json)?;
    Ok(rows.iter().all(|row| row.works != Some(false)))
}

fn show(rows: &[Row], asked: &Asked, as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let shown = json!({ "gate": { "proxy": asked.proxy, "runs": asked.runs }, "runtimes": rows });
        return writeln!(out, "{shown:#}");
    }
    match asked.runs {
        true => writeln!(out, "The gate at {} was asked, which runs.\n", asked.proxy)?,
        false => writeln!(out, "No gate runs; one was started at {} for these probes alone.\n", asked.proxy)?,
    }
    if rows.is_empty() {
        return writeln!(out, "No runtime was found on PATH.");
    }
    let word = |works| match works {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let text = |value: &Option<String>| value.as_deref().map_or_else(String::new, |text| cell(&json!(text)));
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let named = [Some(row.runtime.to_owned()), row.version.clone(), row.library.clone()];
            let mut line: Vec<String> = named.iter().map(text).collect();
            line.extend([word(row.works).to_owned(), text(&row.path), text(&row.why)]);
            line
        })
        .collect();
    writeln!(out, "{}", table(&["runtime", "version", "library", "works", "program", "why not"], &lines, usize::MAX))?;
    let mut remedies: Vec<(String, String)> = Vec::new();
    for row in rows {
        let remedy = text(&row.remedy);
        let who = row.runtime.to_owned();
        if !remedy.is_empty() && !remedies.contains(&(who.clone(), remedy.clone())) {
            remedies.push((who, remedy));
        }
    }
    if !remedies.is_empty() {
        writeln!(out, "\nWhat to type:")?;
    }
    remedies.iter().try_for_each(|(who, remedy)| writeln!(out, "  {who:9} {remedy}"))
}
