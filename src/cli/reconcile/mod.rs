//! `tollgate reconcile`: holds the books against the provider's own usage or cost export, day by day and model by model.

mod compare;
mod decimal;
mod ours;
mod pages;
mod sheet;
mod show;
#[cfg(test)]
mod tests;
mod theirs;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::compare::{Comparison, compare};
use self::ours::Ours;
use self::theirs::Theirs;
use crate::cli::books::BooksArgs;
use crate::cli::listing::unless_closed;

/// Hold the books against OpenAI's usage or cost export
///
/// FILE is what `GET /v1/organization/usage/...` or `GET /v1/organization/costs` answers (one page or several, also as
/// JSON lines), or a CSV export of the dashboard. Days are those of UTC. Ends with 0 where both agree, 1 where they
/// differ, 2 where they cannot be compared.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ReconcileArgs {
    /// The exports; those of one kind are added up
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Only rows of this project; may be repeated
    #[arg(long = "project", value_name = "ID")]
    pub projects: Vec<String>,
    /// Only calls of the books that took this route, such as `origin/api.openai.com`; may be repeated. If absent, all
    /// that went to the host that the program asked for
    #[arg(long = "route", value_name = "ROUTE")]
    pub routes: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which books.
    #[command(flatten)]
    pub books: BooksArgs,
}

/// Prints the comparison; `true` where both agree.
///
/// # Errors
/// A file that is no such export, or books that do not reach back so far; nothing was compared then.
pub fn run(args: &ReconcileArgs) -> anyhow::Result<bool> {
    let compared = reconciled(args)?;
    unless_closed(print(&compared, args.json, &mut io::stdout().lock()).map_err(Into::into))?;
    Ok(compared.is_equal())
}

/// Writes a comparison to `out`.
///
/// # Errors
/// Whatever writing gives.
pub fn print(compared: &Comparison, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json { show::json(compared, out) } else { show::table(compared, out) }
}

/// Reads both sides and compares them.
///
/// # Errors
/// As [`run`].
pub fn reconciled(args: &ReconcileArgs) -> anyhow::Result<Comparison> {
    let mut theirs = Theirs::new(&args.projects);
    for file in &args.files {
        let text = read(file)?;
        if text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with(['{', '[']) {
            pages::read(file, &text, &mut theirs)?;
        } else {
            sheet::read(file, &text, &mut theirs)?;
        }
    }
    let theirs = theirs.finish()?;
    let ours = Ours::read(&args.books, theirs.period())?;
    Ok(compare(&theirs, ours, &args.routes))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let cannot = || format!("cannot read `{}`", path.display());
    let file = File::open(path).with_context(cannot)?;
    file.take(LARGEST + 1).read_to_string(&mut text).with_context(cannot)?;
    if text.len() as u64 > LARGEST {
        anyhow::bail!("`{}` has more than {LARGEST} bytes", path.display());
    }
    Ok(text)
}

/// Bytes of one export.
const LARGEST: u64 = 1 << 30;
