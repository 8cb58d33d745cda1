//! Where the commands that read the books find them: at the running gate, or in the file of its journal.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::admin::parameters::{self, Format, Pairs};
use crate::admin::walk;
use crate::cli::ask::{Door, with_query};
use crate::ledger::csv;
use crate::ledger::journal::alone::Alone;
use crate::ledger::page::Query;

/// Which books are read.
#[derive(Clone, Debug, clap::Args)]
pub struct BooksArgs {
    /// Read this journal instead of asking a gate; one may be writing it
    // The address and the token of a gate may stand in the environment, so that having both is no contradiction.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// The gate that is asked.
    #[command(flatten)]
    pub door: Door,
}

/// Only calls of these groups.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GroupArgs {
    /// Only calls of this client: its process, else its agent, else its address
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
    /// Only calls of this endpoint, such as /v1/responses
    #[arg(long, value_name = "PATH")]
    pub endpoint: Option<String>,
    /// Only calls with this label; `none` for those without
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// Only calls of this model
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Only calls of this route, such as origin/api.openai.com
    #[arg(long, value_name = "KIND/NAME")]
    pub route: Option<String>,
    /// Only calls with this HTTP status
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
}

impl GroupArgs {
    /// As a query has them.
    pub fn pairs(&self) -> Pairs {
        let Self { client, endpoint, label, model, route, status } = self;
        let named = [("client", client), ("endpoint", endpoint), ("label", label), ("model", model)];
        let named = named.into_iter().chain([("route", route), ("status", status)]);
        pairs(named.map(|(name, value)| (name, value.as_deref())))
    }
}

/// Only some calls.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CallArgs {
    /// Only calls of these groups.
    #[command(flatten)]
    pub groups: GroupArgs,
    /// Only the call of this id, with all its attempts: the reply's `x-tollgate-id`
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Only calls with this fingerprint of a key
    #[arg(long, value_name = "FINGERPRINT")]
    pub key: Option<String>,
    /// Only calls that ended so: ok, client_closed, refused, timeout, unknown, upstream_cut, upstream_error
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// Only calls of this program, by its name or path
    #[arg(long, value_name = "PROGRAM")]
    pub process: Option<String>,
    /// Only the connection of this id, with its turns
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
}

impl CallArgs {
    /// As a query has them.
    pub fn pairs(&self) -> Pairs {
        let Self { groups, id, key, outcome, process, session } = self;
        let named = [("id", id), ("key", key), ("outcome", outcome), ("process", process), ("session", session)];
        let mut all = groups.pairs();
        all.extend(pairs(named.map(|(name, value)| (name, value.as_deref()))));
        all
    }
}

/// Pairs of those that have a value.
pub fn pairs<'a>(named: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Pairs {
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect()
}

impl BooksArgs {
    /// Those of a gate at this address that wants no token.
    pub fn at(admin: &str) -> Self {
        Self { ledger: None, door: Door::at(admin) }
    }

    /// What `/stats` answers.
    ///
    /// # Errors
    /// No gate answers, the file is no journal, or the question is refused.
    pub fn stats(&self, pairs: &Pairs) -> anyhow::Result<Value> {
        let Some(file) = &self.ledger else { return self.asked("/stats", pairs) };
        let query = parameters::stats(pairs, Timestamp::now())?;
        Ok(serde_json::to_value(Alone::at(file).stats(&query)?)?)
    }

    /// What `/entries` answers in JSON.
    ///
    /// # Errors
    /// As [`BooksArgs::stats`].
    pub fn entries(&self, pairs: &Pairs) -> anyhow::Result<Value> {
        let Some(file) = &self.ledger else { return self.asked("/entries", pairs) };
        let (query, _) = parameters::entries(pairs, Timestamp::now())?;
        Ok(serde_json::to_value(Alone::at(file).entries(&query)?)?)
    }

    /// Writes what `/entries` answers in CSV or JSON lines, however long it is.
    ///
    /// # Errors
    /// As [`BooksArgs::stats`], and whatever writing gives.
    pub fn export(&self, pairs: &Pairs, out: &mut dyn Write) -> anyhow::Result<()> {
        let Some(file) = &self.ledger else { return self.door.copy(&path("/entries", pairs), out) };
        let (mut query, format) = parameters::entries(pairs, Timestamp::now())?;
        let books = Alone::at(file);
        let mut left = query.limit;
        let mut text = if format == Format::Csv { csv::header() } else { String::new() };
        loop {
            let limit = left.min(PAGE);
            let page = books.entries(&Query { limit, ..query.clone() })?;
            let form = if format == Format::Csv { csv::line } else { walk::line };
            text.extend(page.entries.iter().filter_map(|kept| form(&kept.entry)));
            out.write_all(text.as_bytes())?;
            text.clear();
            left -= limit;
            match page.next {
                Some(next) if left > 0 => query.cursor = Some(next),
                _ => return Ok(()),
            }
        }
    }

    fn asked(&self, at: &str, pairs: &Pairs) -> anyhow::Result<Value> {
        let body = self.door.ask(&path(at, pairs))?;
        serde_json::from_slice(&body).context("the gate's answer is not JSON")
    }
}

fn path(at: &str, pairs: &Pairs) -> String {
    let pairs: Vec<(&str, Option<&str>)> =
        pairs.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
    with_query(at, &pairs)
}

/// Entries that are in memory at once.
const PAGE: usize = 1000;
