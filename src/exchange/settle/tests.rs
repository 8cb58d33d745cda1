//! Settling, reply by reply, over books that remember.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ledger::tests::entry;

const NOON: &str = "2026-11-22T12:00:00Z";

/// An object as the meter reads it.
fn object(id: &str, status: &str, input: Option<u64>) -> Reading {
    let usage = input.map(|input| Usage { input: Some(input), output: Some(1), ..Usage::default() });
    Reading {
        usage,
        raw_usage: usage.and_then(|_| serde_json::value::to_raw_value(&json!({"input_tokens": input})).ok()),
        basis: if usage.is_some() { Basis::Reported } else { Basis::None },
        upstream_id: Some(id.into()),
        extra: Extra { status: Some(status.into()), ..Extra::default() },
        ..Reading::default()
    }
}

fn asking(endpoint: Endpoint) -> Entry {
    Entry { endpoint, usage: None, cost: None, basis: Basis::None, ..entry("m", NOON) }
}

/// What one reply to a request for a job adds to the books.
fn shown(ledger: &Ledger, job: Job, mut reading: Reading, begins: bool) -> Vec<Usage> {
    let mut entry = asking(Endpoint::Job(job));
    let listed = settle(&mut entry, &mut reading, begins, ledger);
    entry.usage = reading.usage;
    entry.upstream_id = reading.upstream_id;
    let booked = entry.usage.into_iter().chain(listed.iter().filter_map(|one| one.usage)).collect();
    ledger.post(entry);
    booked
}

#[test]
fn a_job_is_booked_at_its_end_and_not_before() {
    for (job, status, is_end) in [
        (Job::Batch, "validating", false),
        (Job::Batch, "in_progress", false),
        (Job::Batch, "finalizing", false),
        (Job::Batch, "cancelling", false),
        (Job::Batch, "completed", true),
        (Job::Batch, "cancelled", true),
        (Job::Batch, "expired", true),
        (Job::Batch, "failed", true),
        (Job::Run, "queued", false),
        (Job::Run, "requires_action", false),
        (Job::Run, "incomplete", true),
        (Job::Run, "completed", true),
        (Job::Batch, "", false),
    ] {
        let ledger = Ledger::new(10);
        let booked = shown(&ledger, job, object("a", status, Some(7)), false);
        assert_eq!(booked.len(), usize::from(is_end), "{job:?} {status}");
        assert_eq!(shown(&ledger, job, object("a", "completed", Some(7)), false).len(), usize::from(!is_end));
    }
}

#[test]
fn a_training_counts_only_when_it_has_succeeded() {
    for (status, trained, wanted) in [
        ("running", Some(5), None),
        ("failed", Some(5), None),
        ("succeeded", None, None),
        ("succeeded", Some(5), Some(5)),
    ] {
        let mut reading = object("a", status, None);
        reading.extra.trained = trained;
        let booked = shown(&Ledger::new(10), Job::FineTuning, reading, false);
        assert_eq!(booked.first().and_then(|usage| usage.trained), wanted, "{status} {trained:?}");
    }
}

#[test]
fn a_replay_leaves_no_trace_that_a_later_reply_could_be_booked_by() {
    let ledger = Ledger::new(10);
    for _ in 0..3 {
        let mut entry = asking(Endpoint::Job(Job::Response));
        let mut reading = object("a", "completed", Some(7));
        assert!(settle(&mut entry, &mut reading, false, &ledger).is_empty());
        assert!(reading.usage.is_none() && reading.raw_usage.is_none() && reading.upstream_id.is_none());
        assert!(!entry.deferred);
    }
}

#[test]
fn a_background_call_that_was_overtaken_by_a_get_is_not_booked_twice() {
    let ledger = Ledger::new(10);
    let background = || {
        let mut reading = object("a", "completed", Some(7));
        reading.extra.background = true;
        reading
    };
    assert_eq!(shown(&ledger, Job::Response, background(), false).len(), 1);
    let mut entry = asking(Endpoint::Call(Dialect::Responses));
    let mut reading = background();
    settle(&mut entry, &mut reading, false, &ledger);
    assert!(entry.deferred && reading.usage.is_none());
}

#[test]
fn what_goes_on_in_the_background_is_not_guessed_at() {
    let ledger = Ledger::new(10);
    let mut entry = Entry { outcome: Outcome::UpstreamCut, ..asking(Endpoint::Call(Dialect::Responses)) };
    let mut reading = object("a", "queued", Some(3));
    reading.raw_usage = None;
    reading.basis = Basis::Estimated;
    reading.extra.background = true;
    settle(&mut entry, &mut reading, false, &ledger);
    assert_eq!((reading.usage, reading.basis, entry.deferred), (None, Basis::None, true));
    entry.upstream_id = reading.upstream_id;
    ledger.post(entry);
    assert_eq!(shown(&ledger, Job::Response, object("a", "completed", Some(7)), false).len(), 1);
}

#[test]
fn an_error_reply_settles_nothing() {
    let ledger = Ledger::new(10);
    let mut entry = Entry { status: 500, outcome: Outcome::UpstreamError, ..asking(Endpoint::Job(Job::Batch)) };
    let mut reading = object("a", "completed", Some(7));
    settle(&mut entry, &mut reading, false, &ledger);
    assert_eq!(reading.usage, None);
    assert_eq!(shown(&ledger, Job::Batch, object("a", "completed", Some(7)), false).len(), 1);
}

proptest! {
    #[test]
    fn however_often_and_in_whatever_order_it_is_shown_each_job_is_booked_once(
        replies in vec((vec((0_usize..4, any::<bool>()), 1..6), any::<bool>(), any::<bool>()), 1..40),
    ) {
        let ledger = Ledger::new(100);
        let (mut booked, mut told) = ([0_u64; 4], [false; 4]);
        for (objects, in_a_list, begins) in replies {
            let readings: Vec<Reading> = objects
                .iter()
                .map(|&(which, ended)| {
                    let status = if ended { "completed" } else { "in_progress" };
                    object(&which.to_string(), status, Some(10_u64.pow(u32::try_from(which).unwrap())))
                })
                .collect();
            let usages = if in_a_list {
                objects.iter().filter(|(_, ended)| *ended).for_each(|(which, _)| told[*which] = true);
                let list = Reading { extra: Extra { listed: readings, ..Extra::default() }, ..Reading::default() };
                shown(&ledger, Job::Batch, list, false)
            } else {
                let (which, ended) = objects[0];
                told[which] |= ended;
                shown(&ledger, Job::Batch, readings.into_iter().next().unwrap(), begins)
            };
            for usage in usages {
                booked[usage.input.unwrap().ilog10() as usize] += 1;
            }
        }
        prop_assert_eq!(booked, told.map(u64::from));
    }
}
