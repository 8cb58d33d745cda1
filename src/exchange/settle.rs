//! Whose usage a reply tells: that of its own call, of one that was booked before, or of none yet.

use crate::dialect::endpoint::{Dialect, Endpoint, Job};
use crate::dialect::facts::{self, Facts};
use crate::ledger::Ledger;
use crate::ledger::claims::Claim;
use crate::ledger::entry::{AfterClose, Entry, Outcome};
use crate::meter::extra::Extra;
use crate::meter::reading::Reading;
use crate::units::{Basis, Usage};

/// Takes out of `reading` what is not to be booked on `entry`, and gives the listed objects whose usage shows for the
/// first time: each is to be booked on an entry of its own.
pub fn settle(entry: &mut Entry, reading: &mut Reading, begins: bool, ledger: &Ledger) -> Vec<Reading> {
    if !is_good(entry) {
        if matches!(entry.endpoint, Endpoint::Job(_)) {
            withhold(reading);
        }
        return Vec::new();
    }
    match entry.endpoint {
        Endpoint::Call(Dialect::Responses) if reading.extra.background => {
            if reading.basis != Basis::Reported && reading.upstream_id.is_some() {
                // It goes on without its client, and no guess is needed: its usage can still be asked for.
                reading.usage = None;
                reading.basis = Basis::None;
            }
            defer(entry, reading, ledger);
            Vec::new()
        }
        Endpoint::Call(Dialect::Video | Dialect::VideoExtension) => {
            entry.deferred = reading.extra.seconds.is_none() && reading.upstream_id.is_some();
            Vec::new()
        }
        Endpoint::Job(job) if begins => {
            gauge(job, reading);
            defer(entry, reading, ledger);
            Vec::new()
        }
        Endpoint::Job(job) => {
            if !shows(job, reading, ledger) {
                withhold(reading);
            }
            let mut listed = std::mem::take(&mut reading.extra.listed);
            listed.retain_mut(|one| shows(job, one, ledger));
            listed
        }
        _ => Vec::new(),
    }
}

/// Adds what no reply tells: what the request says of what it wants made, and what was counted in the reply.
pub fn supplement(entry: &mut Entry, extra: &Extra, facts: &Facts, is_whole: bool) {
    let (size, quality) =
        (extra.size.as_ref().or(facts.size.as_ref()), extra.quality.as_ref().or(facts.quality.as_ref()));
    let Endpoint::Call(dialect) = entry.endpoint else {
        if entry.endpoint == Endpoint::Job(Job::Video) && entry.usage.is_some() {
            entry.media.size = size.cloned();
        }
        return;
    };
    if facts::draws(dialect) || facts::films(dialect) {
        entry.media.size = size.cloned();
        entry.media.quality = quality.cloned();
    }
    if let Some(usage) = &mut entry.usage {
        // All that these put out is of one kind, and some of their replies do not say so.
        if facts::draws(dialect) {
            usage.image_output = usage.image_output.or(usage.output);
        } else if dialect == Dialect::Speech {
            usage.audio_output = usage.audio_output.or(usage.output);
        }
    }
    // What the upstream says of tokens, or says wrongly, is not replaced by a count of something else.
    if entry.usage.is_some() || entry.raw_usage.is_some() || !is_good(entry) {
        return;
    }
    let counted = |usage: Usage| Some((usage, Basis::Counted));
    let found = match dialect {
        Dialect::Speech => facts.characters.map(characters).and_then(counted),
        Dialect::Video => extra.seconds.map(|told| (seconds(told), Basis::Reported)),
        // Its reply tells how long the whole is, and what was made is the end of it.
        Dialect::VideoExtension => facts.seconds.filter(|_| is_whole).map(seconds).and_then(counted),
        // A stream may end by an error, and then nobody knows what has been drawn.
        _ if facts::draws(dialect) && !is_whole => None,
        _ if facts::draws(dialect) => extra.pictures.or(facts.pictures).or(Some(1)).map(pictures).and_then(counted),
        _ if facts::hears(dialect) => heard(extra, facts),
        _ => None,
    };
    let Some((usage, basis)) = found else { return };
    entry.usage = Some(usage);
    // Of what broke off nobody knows how much of it is charged.
    let is_known = entry.outcome == Outcome::Ok || is_whole && entry.after_close == Some(AfterClose::Drained);
    entry.basis = if is_known { basis } else { Basis::Estimated };
}

/// The seconds of sound that was sent: by the reply, by the upload, by the captions.
fn heard(extra: &Extra, facts: &Facts) -> Option<(Usage, Basis)> {
    let told = extra.duration.map(|told| (told, true));
    let sent = facts.sound.map(|sound| (sound.seconds, sound.exact));
    let heard = extra.captions.map(|heard| (heard, false));
    let (length, exact) = told.or(sent).or(heard)?;
    Some((seconds(length), if exact { Basis::Counted } else { Basis::Estimated }))
}

/// What goes on after the call that began it: its usage is for the first that shows it.
fn defer(entry: &mut Entry, reading: &mut Reading, ledger: &Ledger) {
    let Some(id) = reading.upstream_id.as_deref() else { return };
    if reading.usage.is_some() && ledger.claim(id) == Claim::Booked {
        withhold(reading);
        entry.deferred = true;
    } else if reading.usage.is_none() && reading.raw_usage.is_none() {
        entry.deferred = true;
    }
}

/// Whether usage shows that is to be booked here and nowhere else.
fn shows(job: Job, reading: &mut Reading, ledger: &Ledger) -> bool {
    gauge(job, reading);
    let (Some(id), true) = (reading.upstream_id.as_deref(), reading.usage.is_some()) else { return false };
    match ledger.claim(id) {
        Claim::Booked => false,
        Claim::Open => true,
        // What nobody here began is booked where only this can show it: another call's reply has told the rest.
        Claim::Fresh => match job {
            Job::Batch | Job::FineTuning | Job::Run => true,
            Job::Response => reading.extra.background,
            Job::Video => false,
        },
    }
}

/// Brings what an object tells of its costs into usage, and leaves none where it has not come to its end.
fn gauge(job: Job, reading: &mut Reading) {
    let extra = &reading.extra;
    let status = extra.status.as_deref().unwrap_or_default();
    let told = match job {
        Job::Batch | Job::Run => {
            if !ENDS.contains(&status) {
                reading.usage = None;
                reading.raw_usage = None;
                reading.basis = Basis::None;
            }
            return;
        }
        Job::Response => return,
        Job::FineTuning => extra.trained.filter(|_| status == "succeeded").map(trained),
        Job::Video => extra.seconds.filter(|_| status != "failed").map(seconds),
    };
    reading.usage = told;
    reading.basis = if told.is_some() { Basis::Reported } else { Basis::None };
}

/// Nothing of it is to be booked, and the entry is not the one to find it by.
fn withhold(reading: &mut Reading) {
    reading.usage = None;
    reading.raw_usage = None;
    reading.basis = Basis::None;
    reading.upstream_id = None;
}

/// Whether the upstream took the call on.
fn is_good(entry: &Entry) -> bool {
    (200..300).contains(&entry.status) && entry.outcome != Outcome::UpstreamError
}

fn characters(characters: u64) -> Usage {
    Usage { characters: Some(characters), ..Usage::default() }
}

fn pictures(images: u64) -> Usage {
    Usage { images: Some(images), ..Usage::default() }
}

fn seconds(seconds: u64) -> Usage {
    Usage { seconds: Some(seconds), ..Usage::default() }
}

fn trained(trained: u64) -> Usage {
    Usage { trained: Some(trained), ..Usage::default() }
}

/// States in which batches and runs have come to their end, and with it their usage.
const ENDS: [&str; 5] = ["cancelled", "completed", "expired", "failed", "incomplete"];

#[cfg(test)]
mod tests;
