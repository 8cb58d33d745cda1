//! `tollgate top`: the sums of a period, refreshed each second.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::cli::books::{BooksArgs, GroupArgs, pairs};
use crate::cli::listing::unless_closed;
use crate::cli::stats::show;

/// Show sums of a period, once a second, until interrupted.
#[derive(Clone, Debug, clap::Args)]
pub struct TopArgs {
    /// How far back: `1h`, `24h`, or an instant
    #[arg(long, value_name = "WHEN", default_value = "1h")]
    pub since: String,
    /// Groups: model, route, client, label, day, hour, endpoint, status
    #[arg(long, value_name = "GROUP,...", default_value = "model")]
    pub by: String,
    /// The most rows of a table
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub rows: usize,
    /// Only calls of these groups.
    #[command(flatten)]
    pub groups: GroupArgs,
    /// The books that are read.
    #[command(flatten)]
    pub books: BooksArgs,
}

/// Shows the sums; does not return before the gate or the reader goes.
///
/// # Errors
/// No books, or a question that is refused.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let clear = if out.is_terminal() { CLEAR } else { "" };
    let mut refresh = || loop {
        out.write_all(clear.as_bytes())?;
        print(args, &mut out)?;
        std::thread::sleep(PAUSE);
    };
    unless_closed(refresh())
}

/// Writes the sums once, in one piece.
///
/// # Errors
/// As [`run`], and whatever writing gives.
pub fn print(args: &TopArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut asked = pairs([("since", Some(args.since.as_str())), ("by", Some(&args.by))]);
    asked.extend(args.groups.pairs());
    let mut text = Vec::new();
    show(&args.books.stats(&asked)?, args.rows, &mut text)?;
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Cursor to the corner, and everything after it gone.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

const PAUSE: Duration = Duration::from_secs(1);
