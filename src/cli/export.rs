//! `tollgate export`: the entries of a period as CSV or JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::books::{BooksArgs, CallArgs, pairs};
use crate::cli::listing::unless_closed;

/// Write calls as CSV or JSON lines, newest first.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// The form
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Beginning of the period: `30m`, `24h`, `7d`, or an instant; everything if left out
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// End of the period; now if left out
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// File to write; standard output if left out
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only some calls.
    #[command(flatten)]
    pub calls: CallArgs,
    /// The books that are read.
    #[command(flatten)]
    pub books: BooksArgs,
}

/// In which form calls are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum ExportFormat {
    /// One header line and one line a call, safe in a spreadsheet
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// Writes the entries; a file appears only when all of them are in it.
///
/// # Errors
/// No books, a refused question, or a file that cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let Some(path) = &args.output else { return unless_closed(print(args, &mut io::stdout().lock())) };
    let written = format!("cannot write `{}`", path.display());
    let mut part = path.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let whole = || {
        let mut out = BufWriter::new(File::create(&part).context(written.clone())?);
        print(args, &mut out)?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .context(written.clone())?;
        std::fs::rename(&part, path).context(written.clone())
    };
    let outcome = whole();
    if outcome.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    outcome
}

/// Writes the entries to `out`.
///
/// # Errors
/// As [`run`], and whatever writing gives.
pub fn print(args: &ExportArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let format = match args.format {
        ExportFormat::Csv => "csv",
        ExportFormat::Jsonl => "jsonl",
    };
    let mut asked = pairs([
        ("since", args.since.as_deref()),
        ("until", args.until.as_deref()),
        ("format", Some(format)),
        ("limit", Some("all")),
    ]);
    asked.extend(args.calls.pairs());
    args.books.export(&asked, out)?;
    Ok(out.flush()?)
}
