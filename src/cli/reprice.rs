//! `tollgate reprice`: the costs in the journal, reckoned anew.

use std::io::{self, Write};

use anyhow::anyhow;
use serde_json::{Value, json};

use crate::cli::arguments::{ConfigArgs, RepriceArgs};
use crate::cli::listing::{cell, dollars, table};
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::gate::repricer::{Trouble, anew};
use crate::units::Cost;

/// Reckons the entries since a moment anew by the present tables, and tells what changed for each model.
///
/// # Errors
/// A configuration with mistakes, a gate that runs on the journal, or a journal that cannot be changed.
pub fn run(args: &RepriceArgs) -> Result<(), Problem> {
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    let Some(journal) = args.ledger.clone().or(loaded.setup.journal) else {
        let hint = "`ledger.path` of the configuration names it, or `--ledger FILE`".to_owned();
        return Err(Problem::usage(anyhow!("there is no journal: the books are in memory only"), [hint]));
    };
    let repriced = anew(&loaded.policy, &journal, &args.since, args.dry_run).map_err(problem)?;
    let mut out = io::stdout().lock();
    let sum = |cost: Cost| cost.to_string();
    if args.json {
        let models: Vec<Value> = (repriced.models.iter())
            .map(|(model, change)| {
                json!({
                    "model": model, "entries": change.entries, "unpricedBefore": change.unpriced,
                    "beforeUsd": sum(change.before), "afterUsd": sum(change.after),
                })
            })
            .collect();
        let shown = json!({
            "dryRun": args.dry_run, "models": models, "same": repriced.same, "kept": repriced.kept,
        });
        writeln!(out, "{shown:#}")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = (repriced.models.iter())
        .map(|(model, change)| {
            let difference = Cost(change.after.0.saturating_sub(change.before.0));
            let money = |cost: Cost| dollars(&sum(cost).into());
            let counts = [change.entries.to_string(), change.unpriced.to_string()];
            let sums = [change.before, change.after, difference].map(money);
            [cell(&model.as_str().into())].into_iter().chain(counts).chain(sums).collect()
        })
        .collect();
    if !rows.is_empty() {
        let header = ["model", "entries", "unpriced before", "before USD", "after USD", "difference"];
        writeln!(out, "{}", table(&header, &rows, 1))?;
    }
    let changed: u64 = repriced.models.values().map(|change| change.entries).sum();
    let verb = if args.dry_run { "would change" } else { "changed" };
    writeln!(out, "{changed} entries {verb}, {} cost what they did", repriced.same)?;
    if repriced.kept > 0 {
        writeln!(out, "{} have no price today and keep what they cost", repriced.kept)?;
    }
    Ok(())
}

fn problem(trouble: Trouble) -> Problem {
    match trouble {
        Trouble::Since(..) => Problem::usage(trouble, None),
        Trouble::Writing(error) => {
            let hint = error.hint();
            Problem::failed(error, hint)
        }
        Trouble::Entries(_) | Trouble::Reading(_) => Problem::failed(trouble, None),
    }
}
