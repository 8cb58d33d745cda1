//! `tollgate stats`: sums of a period.

use std::io::{self, Write};

use serde_json::Value;

use crate::admin::answer::escaped;
use crate::cli::books::{BooksArgs, GroupArgs, pairs};
use crate::cli::budgets;
use crate::cli::listing::{cell, dollars, table, unless_closed};

/// Sum up tokens, cost and errors of a period.
#[derive(Clone, Debug, clap::Args)]
pub struct StatsArgs {
    /// Beginning of the period: `30m`, `24h`, `7d`, or an instant
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub since: String,
    /// End of the period; now if left out
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// Groups: model, route, client, label, day, hour, endpoint, status
    #[arg(long, value_name = "GROUP,...", default_value = "model")]
    pub by: String,
    /// Print JSON, as `/stats` has it
    #[arg(long)]
    pub json: bool,
    /// Only calls of these groups.
    #[command(flatten)]
    pub groups: GroupArgs,
    /// The books that are read.
    #[command(flatten)]
    pub books: BooksArgs,
}

/// Prints the statistics.
///
/// # Errors
/// No books, or a question that is refused.
pub fn run(args: &StatsArgs) -> anyhow::Result<()> {
    unless_closed(print(args, &mut io::stdout().lock()))
}

/// Writes the statistics to `out`.
///
/// # Errors
/// As [`run`], and whatever writing gives.
pub fn print(args: &StatsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let since = Some(args.since.as_str());
    let mut asked = pairs([("since", since), ("until", args.until.as_deref()), ("by", Some(&args.by))]);
    asked.extend(args.groups.pairs());
    let stats = args.books.stats(&asked)?;
    if args.json {
        return Ok(writeln!(out, "{}", escaped(&stats.to_string()))?);
    }
    show(&stats, usize::MAX, out)?;
    if args.books.ledger.is_none() {
        let state = args.books.door.ask("/budgets")?;
        budgets::show(&serde_json::from_slice(&state)?, out)?;
    }
    Ok(())
}

/// A time stamp without its fraction: the books are not read to the nanosecond.
fn to_the_second(stamp: &str) -> String {
    match (stamp.split_once('.'), stamp.ends_with('Z')) {
        (Some((whole, _)), true) => format!("{whole}Z"),
        _ => stamp.to_owned(),
    }
}

/// Writes the answer of `/stats` as tables of at most so many rows.
pub(crate) fn show(stats: &Value, most: usize, out: &mut dyn Write) -> io::Result<()> {
    let [since, until] = ["since", "until"].map(|end| to_the_second(&cell(&stats[end])));
    writeln!(out, "{since} to {until}")?;
    let no_groups = serde_json::Map::new();
    let groups = stats["by"].as_object().unwrap_or(&no_groups);
    if groups.is_empty() {
        writeln!(out, "\n{}", table(&header(""), &[row("total", &stats["totals"])], 1).trim_fmt())?;
    }
    for (by, rows) in groups {
        let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
        let mut lines: Vec<Vec<String>> =
            rows.iter().take(most).map(|group| row(&cell(&group["key"]), group)).collect();
        if rows.len() > most {
            lines.push(vec![format!("and {} more", rows.len() - most)]);
        }
        lines.push(row("total", &stats["totals"]));
        writeln!(out, "\n{}", table(&header(by), &lines, 1).trim_fmt())?;
    }
    let tunnels = &stats["tunnels"];
    if tunnels["connections"].as_u64().is_some_and(|count| count > 0) {
        let [count, up, down] = ["connections", "bytesUp", "bytesDown"].map(|name| cell(&tunnels[name]));
        writeln!(out, "\ntunnels since the start: {count}, {up} bytes up, {down} bytes down")?;
    }
    for bypass in stats["bypasses"].as_array().map_or(&[][..], Vec::as_slice) {
        let [client, host, until] = ["client", "host", "until"].map(|name| cell(&bypass[name]));
        let until = to_the_second(&until);
        writeln!(out, "\nunmetered until {until}: {client} to {host}, which did not take the gate's certificate")?;
    }
    if let Some(missing) = stats["missing"].as_str() {
        writeln!(out, "\nnot all of the books could be read: {}", cell(&missing.into()))?;
    }
    Ok(())
}

fn header(by: &str) -> [&str; 11] {
    [by, "requests", "errors", "input", "cached", "output", "reasoning", "cost usd", "unpriced", "p50 ms", "p95 ms"]
}

fn row(key: &str, sums: &Value) -> Vec<String> {
    let mut cells = vec![key.to_owned()];
    let counts = ["requests", "errors", "inputTokens", "cachedInputTokens", "outputTokens", "reasoningTokens"];
    cells.extend(counts.map(|name| cell(&sums[name])));
    cells.push(dollars(&sums["costUsd"]));
    cells.push(cell(&sums["unpricedRequests"]));
    cells.extend(["p50", "p95"].map(|rank| cell(&sums["latencyMs"][rank])));
    cells
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;
    use crate::admin::surface::{Rejected, Reloader, Reviser, Unchanged};
    use crate::ledger::Ledger;

    /// A gate's admin surface on a thread of its own; gives its address.
    pub(crate) fn surface(ledger: Ledger) -> String {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let surface = crate::admin::surface::Surface {
                    ledger,
                    root: "".into(),
                    config: std::sync::Arc::default(),
                    policy: crate::policy::Live::new(crate::policy::Policy::default()),
                    proxy: ([127, 0, 0, 1], 8484).into(),
                    ready: std::sync::Arc::default(),
                    token: None,
                    reviser: Reviser::new(|_| Err(Rejected::NoFile)),
                    reloader: Reloader::new(|| Err(Unchanged::Nowhere)),
                };
                crate::admin::serve(listener, surface, std::future::pending()).await
            })
        });
        told.recv().unwrap().to_string()
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: StatsArgs,
    }

    fn printed(line: &[&str], admin: &str) -> anyhow::Result<String> {
        let line = [&["stats"], line, &["--admin", admin]].concat();
        let mut out = Vec::new();
        print(&Line::try_parse_from(line)?.args, &mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn the_sums_are_printed_as_a_table_or_as_they_came() {
        let ledger = Ledger::new(10);
        for _ in 0..3 {
            ledger.post(crate::ledger::tests::entry("gpt-4o", "2026-11-22T12:00:00Z"));
        }
        ledger.tunnel_opened();
        ledger.tunnel_closed(7, 8);
        let admin = surface(ledger);
        let period = ["--since", "2026-11-22T00:00:00Z", "--until", "2026-11-23T00:00:00Z"];
        let table = printed(&period, &admin).unwrap();
        let expected = "\
2026-11-22T00:00:00Z to 2026-11-23T00:00:00Z

MODEL   REQUESTS  ERRORS  INPUT  CACHED  OUTPUT  REASONING   COST USD  UNPRICED  P50 MS  P95 MS
gpt-4o         3       0     57       0      30          0  0.0004425         0      12      12
total          3       0     57       0      30          0  0.0004425         0      12      12

tunnels since the start: 1, 7 bytes up, 8 bytes down
";
        assert_eq!(table, expected);
        let json = printed(&[&period[..], &["--json"]].concat(), &admin).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["totals"]["requests"], 3);
    }

    #[test]
    fn what_the_gate_refuses_is_said_in_its_words() {
        let error = printed(&["--since", "yesterday"], &surface(Ledger::new(1))).unwrap_err().to_string();
        assert!(error.starts_with("`since` is not a period"), "{error}");
    }
}
