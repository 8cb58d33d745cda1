//! How the sums of a period are found: in the list, in the hourly totals, and in the journal.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ledger::hours::Hours;
use crate::ledger::journal::archive::{Archive, ArchiveError};
use crate::ledger::key::Registry;
use crate::ledger::period::Period;
use crate::ledger::ring::{Kept, Ring, Snapshot};
use crate::ledger::stats::StatsQuery;
use crate::ledger::tally::Tally;

/// Where the sums come from.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// `None` where only the journal has them.
    pub(crate) hours: Option<&'a Hours>,
    pub(crate) ring: &'a Ring,
    pub(crate) registry: &'a Registry,
    /// `None` where the books are in memory only.
    pub(crate) archive: Option<&'a Archive>,
}

/// What was added up.
#[derive(Debug)]
pub(crate) struct Reckoned<'a> {
    pub(crate) tally: Tally<'a>,
    /// The period that the sums are of.
    pub(crate) period: Period,
    /// Why the period was widened or names were lost, though there is a journal.
    pub(crate) missing: Option<ArchiveError>,
    /// Whether the period is the one that was asked for, and every name in it known.
    pub(crate) whole: bool,
}

/// Adds up a period: from the listed entries while none of it is missing there, else from the hourly totals and, for the
/// parts of hours at its ends, from the journal.
pub(crate) fn reckon<'a>(query: &'a StatsQuery, sources: &Sources<'_>) -> Reckoned<'a> {
    let asked = Period { since: query.since, until: query.until };
    let listed = sources.ring.snapshot();
    let mut reckoned = if listed.is_whole_from(query.since) {
        let mut tally = Tally::new(query);
        within(&listed, asked).for_each(|kept| tally.add_entry(&kept.key, &kept.entry));
        Reckoned { tally, period: asked, missing: None, whole: true }
    } else {
        match sources.archive.map(|archive| exact(query, asked, (sources, archive), &listed)) {
            Some(Ok(tally)) => Reckoned { tally, period: asked, missing: None, whole: true },
            Some(Err(error)) => Reckoned { missing: Some(error), ..coarse(query, asked, sources.hours) },
            None => coarse(query, asked, sources.hours),
        }
    };
    let Reckoned { tally, period, .. } = &mut reckoned;
    within(&listed, *period).for_each(|kept| tally.time(&kept.key, &kept.entry));
    reckoned
}

fn within(listed: &Snapshot, period: Period) -> impl Iterator<Item = &Arc<Kept>> {
    listed.kept.iter().filter(move |kept| period.has(&kept.entry))
}

/// What memory alone knows of a period whose entries are gone.
fn coarse<'a>(query: &'a StatsQuery, asked: Period, hours: Option<&Hours>) -> Reckoned<'a> {
    let mut tally = Tally::new(query);
    let period = asked.widened();
    let (first, past) = period.hours();
    if let Some(hours) = hours {
        hours.visit(first, past, |key, totals| tally.add(key, totals));
    }
    Reckoned { tally, period, missing: None, whole: false }
}

/// The same to the instant and under all names, with the journal's help.
fn exact<'a>(
    query: &'a StatsQuery,
    asked: Period,
    (sources, archive): (&Sources<'_>, &Archive),
    listed: &Snapshot,
) -> Result<Tally<'a>, ArchiveError> {
    let mut tally = Tally::new(query);
    let (whole, edges) = asked.split();
    for edge in edges {
        let recent: Vec<&Arc<Kept>> = within(listed, edge).collect();
        recent.iter().for_each(|kept| tally.add_entry(&kept.key, &kept.entry));
        if listed.is_whole_from(edge.since) {
            continue;
        }
        let known: HashSet<&str> = recent.iter().map(|kept| &*kept.entry.id).collect();
        archive.visit_entries(edge, sources.registry, &known, |key, totals| tally.add(key, totals))?;
    }
    let Some((first, past)) = whole else { return Ok(tally) };
    let named = match sources.hours {
        Some(hours) if query.needs_names() => hours.named_from().clamp(first, past),
        Some(_) => first,
        None => past,
    };
    if named > first {
        archive.visit_hours(first, named, sources.registry, |key, totals| tally.add(key, totals))?;
    }
    if let Some(hours) = sources.hours {
        hours.visit(named, past, |key, totals| tally.add(key, totals));
    }
    Ok(tally)
}
