//! `tollgate budget`: whether a limit is reached, as an exit code.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::books::{BooksArgs, GroupArgs, pairs};
use crate::cli::listing::{cell, dollars};
use crate::ledger::since;
use crate::units::Cost;

/// Say whether a limit is reached: exit code 0 under, 1 at or over, 2 error, 3 unknown (no calls, or unpriced ones).
#[derive(Clone, Debug, clap::Args)]
pub struct BudgetArgs {
    /// US dollars in a period: 50/day, 2.50/hour, 300/week, 1000/month (of the calendar, in UTC), 20/24h (rolling), 5000/total
    #[arg(long, value_name = "USD/PERIOD")]
    pub limit: Limit,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only calls of these groups.
    #[command(flatten)]
    pub groups: GroupArgs,
    /// The books that are read.
    #[command(flatten)]
    pub books: BooksArgs,
}

/// So much money in such a period.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limit {
    amount: Cost,
    period: Span,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Span {
    Hour,
    Day,
    Week,
    Month,
    Total,
    /// `24h`, `7d`: back from now.
    Rolling(String),
}

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (amount, period) = text.split_once('/').ok_or(LimitError)?;
        let amount = Cost::parse(amount).filter(|amount| amount.0 >= 0).ok_or(LimitError)?;
        let period = match period {
            "hour" => Span::Hour,
            "day" => Span::Day,
            "week" => Span::Week,
            "month" => Span::Month,
            "total" => Span::Total,
            length if length.starts_with(|first: char| first.is_ascii_digit()) && !length.contains('-') => {
                since::read(length, Timestamp::now()).map_err(|_| LimitError)?;
                Span::Rolling(length.into())
            }
            _ => return Err(LimitError),
        };
        Ok(Self { amount, period })
    }
}

impl Limit {
    /// When the period that lasts at `now` began; `None` is always.
    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let date = now.to_zoned(TimeZone::UTC).date();
        let midnight = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
        match &self.period {
            Span::Hour => Timestamp::from_second(now.as_second().div_euclid(3600) * 3600).ok(),
            Span::Day => midnight(date),
            Span::Week => {
                let gone = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(gone.days()).ok().and_then(midnight)
            }
            Span::Month => midnight(date.first_of_month()),
            Span::Total => None,
            Span::Rolling(length) => since::read(length, now).ok(),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
            Self::Rolling(length) => length,
        })
    }
}

/// Not an amount and a period.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not US dollars and a period such as `50/day`, `2.50/hour`, `1000/month`, `20/24h` or `5000/total`")]
pub struct LimitError;

/// What is known of a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Less was spent.
    Under,
    /// As much was spent, or more.
    Reached,
    /// Nothing was booked, or what some calls cost is unknown.
    Unknown,
}

impl Verdict {
    /// What scripts see.
    pub fn code(self) -> u8 {
        match self {
            Self::Under => 0,
            Self::Reached => 1,
            Self::Unknown => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Under => "under",
            Self::Reached => "reached",
            Self::Unknown => "unknown",
        }
    }
}

/// Says how much of the limit was spent.
///
/// # Errors
/// No books, or a refused question.
pub fn run(args: &BudgetArgs) -> anyhow::Result<Verdict> {
    print(args, Timestamp::now(), &mut io::stdout().lock())
}

/// Writes it to `out`.
///
/// # Errors
/// As [`run`], and whatever writing gives.
pub fn print(args: &BudgetArgs, now: Timestamp, out: &mut dyn Write) -> anyhow::Result<Verdict> {
    let Limit { amount, period } = &args.limit;
    let since = args.limit.since(now).map(|since| since.to_string());
    let mut asked = pairs([("since", since.as_deref())]);
    asked.extend(args.groups.pairs());
    let stats = args.books.stats(&asked)?;
    let totals = &stats["totals"];
    let spent = totals["costUsd"].as_str().and_then(Cost::parse).context("the gate's answer has no `costUsd`")?;
    let count = |name: &str| totals[name].as_u64().with_context(|| format!("the gate's answer has no `{name}`"));
    let (requests, unpriced) = (count("requests")?, count("unpricedRequests")?);
    let verdict = if spent >= *amount {
        Verdict::Reached
    } else if requests == 0 || unpriced > 0 || !stats["missing"].is_null() {
        Verdict::Unknown
    } else {
        Verdict::Under
    };
    let since = cell(&stats["since"]);
    if args.json {
        let told = json!({
            "state": verdict.name(), "limitUsd": amount, "spentUsd": spent, "period": period.to_string(),
            "since": since, "requests": requests, "unpricedRequests": unpriced,
        });
        writeln!(out, "{told}")?;
        return Ok(verdict);
    }
    let [spent, amount] = [spent, *amount].map(|money| dollars(&Value::from(money.to_string())));
    writeln!(out, "{}: {spent} of {amount} USD ({period}) since {since}, {requests} calls", verdict.name())?;
    if unpriced > 0 {
        writeln!(out, "what {unpriced} of the calls cost is unknown")?;
    }
    if let Some(missing) = stats["missing"].as_str() {
        writeln!(out, "not all of the books could be read: {}", cell(&missing.into()))?;
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_exactly_and_their_periods_begin_with_the_calendar() {
        let now: Timestamp = "2026-11-25T13:45:10.5Z".parse().unwrap();
        for (text, pico, since) in [
            ("50/day", 50_000_000_000_000, Some("2026-11-25T00:00:00Z")),
            ("2.50/hour", 2_500_000_000_000, Some("2026-11-25T13:00:00Z")),
            ("300/week", 300_000_000_000_000, Some("2026-11-23T00:00:00Z")),
            ("0.000000000001/month", 1, Some("2026-11-01T00:00:00Z")),
            ("20/24h", 20_000_000_000_000, Some("2026-11-24T13:45:10.5Z")),
            ("5000/total", 5_000_000_000_000_000, None),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit.amount, Cost(pico), "{text}");
            assert_eq!(limit.since(now).map(|since| since.to_string()).as_deref(), since, "{text}");
        }
        for text in
            ["", "50", "50/", "/day", "-1/day", "50/year", "50/days", "1e3/day", "50/2026-11-22T00:00:00Z", "x/day"]
        {
            assert_eq!(text.parse::<Limit>(), Err(LimitError), "{text}");
        }
    }
}
