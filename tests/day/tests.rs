//! The promise: whatever happens in the course of a day, the difference is nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;
use tollgate::ledger::entry::Entry;

use crate::caller::{Saw, Way};
use crate::dice::Dice;
use crate::plan::{self, Plan};
use crate::process::Home;
use crate::upstream::tls::Alpn;
use crate::upstream::{Options, Upstream};
use crate::verdict::{Tried, judge};

/// How long a day is.
struct Length {
    clients: u64,
    kills: u64,
    restarts: u64,
    /// Attempts between two of them, at most.
    between: u64,
}

#[test]
fn a_morning_with_kills_ends_with_no_difference_between_books_and_bill() {
    live(&Length { clients: 6, kills: 3, restarts: 1, between: 60 }, 1);
}

#[test]
#[ignore = "takes minutes"]
fn a_day_with_two_hundred_kills_ends_with_no_difference_between_books_and_bill() {
    // Both versions of HTTP toward the upstream share them.
    live(&Length { clients: 12, kills: 100, restarts: 1, between: 100 }, 2);
}

fn live(length: &Length, seed: u64) {
    for alpn in [Alpn::Http1, Alpn::Both] {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(day(length, seed, alpn));
    }
}

async fn day(length: &Length, seed: u64, alpn: Alpn) {
    let upstream = Upstream::start(Options { alpn, ..Options::default() });
    let home = Home::new(&upstream);
    let mut dice = Dice::new(seed);
    let mut process = home.start();
    let (proxy, watching) = watch::channel(Some(process.proxy));
    let way = Way::new(watching, &home.root_pem());
    let (over, attempts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let programs: Vec<_> = (0..length.clients)
        .map(|number| {
            let program = Program { way: way.clone(), over: Arc::clone(&over), attempts: Arc::clone(&attempts) };
            tokio::spawn(program.run(number, Dice::new(seed * 1000 + number + 1)))
        })
        .collect();
    let ends = length.kills + length.restarts;
    let apart = ends / (length.restarts + 1);
    for end in 1..=ends {
        // By progress and not by time: the same on a slow machine.
        let until = attempts.load(Ordering::Relaxed) + 1 + dice.below(length.between);
        while attempts.load(Ordering::Relaxed) < until {
            tokio::task::yield_now().await;
        }
        proxy.send_replace(None);
        process = tokio::task::block_in_place(|| {
            if end.is_multiple_of(apart) && end < ends {
                process.stop();
            } else {
                process.kill();
            }
            home.start()
        });
        proxy.send_replace(Some(process.proxy));
    }
    over.store(true, Ordering::Relaxed);
    let mut tried = Vec::new();
    for program in programs {
        tried.extend(program.await.unwrap());
    }
    tokio::task::block_in_place(|| process.stop());

    let exported = home.run(&["export", "--ledger", home.journal().to_str().unwrap(), "--format", "jsonl"]);
    let entries: Vec<Entry> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdict = judge(&tried, &entries, &upstream.bill());
    eprintln!("{verdict}");
    assert!(
        verdict.wrong.is_empty(),
        "{} wrong, the first:\n{}\n{}",
        verdict.wrong.len(),
        verdict.wrong[0],
        home.log()
    );
}

/// A program that calls all day.
struct Program {
    way: Way,
    over: Arc<AtomicBool>,
    attempts: Arc<AtomicU64>,
}

impl Program {
    async fn run(self, number: u64, mut dice: Dice) -> Vec<Tried> {
        let mut tried = Vec::new();
        for call in 0_u64.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let plan = plan::next(&mut dice);
            let saw = self.insist(&plan, &format!("{number}-{call}"), &mut tried).await;
            let Some(id) = saw.id().filter(|_| plan.shown_at.is_some()) else { continue };
            // What is shown twice is booked once.
            for look in 0..2 + dice.below(2) {
                let plan = plan::look(&plan, &id, &mut dice);
                self.insist(&plan, &format!("{number}-{call}-look{look}"), &mut tried).await;
            }
        }
        tried
    }

    /// Calls, and calls again where a library would.
    async fn insist(&self, plan: &Plan, label: &str, tried: &mut Vec<Tried>) -> Saw {
        let mut last = Saw::Nothing;
        for attempt in 0..=RETRIES {
            let label = format!("{label}-{attempt}");
            let saw = self.way.attempt(plan, &label).await;
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let again = is_tried_again(&saw);
            last = saw.clone();
            tried.push(Tried { label, plan: plan.clone(), saw });
            if !again {
                break;
            }
        }
        last
    }
}

/// As OpenAI's libraries do.
fn is_tried_again(saw: &Saw) -> bool {
    match saw {
        Saw::Whole { status, .. } => matches!(status, 408 | 409 | 429 | 500..),
        Saw::Broken | Saw::Nothing => true,
        Saw::Left => false,
    }
}

const RETRIES: u32 = 2;
