//! What is measured beside calls: what goes past the gate, what is under way, the journal, the budgets, the spans.

use crate::ledger::journal::status::{JournalStatus, State};
use crate::ledger::measures::{Labels, Measure, Points, Seen};
use crate::ledger::series::Counts;
use crate::ledger::spending::account::Row;
use crate::ledger::tap::Handed;
use crate::ledger::tunnels::Tunnelled;
use crate::units::Cost;

/// All of them; what the owner has not configured is left out.
pub(super) fn of(seen: &Seen) -> Vec<Measure> {
    let mut all = vec![level("tollgate.open_attempts", "{request}", OPEN, vec![(Vec::new(), seen.open)])];
    all.push(abandoned(seen));
    all.extend(passed_unseen(seen.tunnels));
    all.extend(journal(&seen.journal));
    all.extend(budgets(&seen.budgets));
    all.extend(seen.handed.map(handed));
    all
}

fn abandoned(seen: &Seen) -> Measure {
    let sum = |of: fn(&Counts) -> u64| seen.series.iter().map(|(_, counts)| of(counts)).sum();
    let points = vec![
        one("tollgate.after_close", "cancelled", sum(|counts| counts.cancelled)),
        one("tollgate.after_close", "drained", sum(|counts| counts.drained)),
        one("tollgate.after_close", "given_up", sum(|counts| counts.given_up)),
    ];
    count("tollgate.abandoned", "{request}", ABANDONED, points)
}

fn passed_unseen(tunnels: Tunnelled) -> [Measure; 3] {
    let Tunnelled { connections, bytes_up, bytes_down, unmetered_ai, mtls, pinned, bypassed, webrtc_calls, upgrades } =
        tunnels;
    let gaps = [
        ("bypassed", bypassed),
        ("mtls", mtls),
        ("pinned", pinned),
        ("unmetered_ai", unmetered_ai),
        ("upgrade", upgrades),
        ("webrtc", webrtc_calls),
    ];
    let gaps = gaps.into_iter().map(|(gap, count)| one("tollgate.gap", gap, count)).collect();
    let bytes = vec![one("tollgate.direction", "down", bytes_down), one("tollgate.direction", "up", bytes_up)];
    [
        count("tollgate.tunnels", "{connection}", TUNNELS, vec![(Vec::new(), connections)]),
        count("tollgate.tunnel.io", "By", TUNNEL_BYTES, bytes),
        count("tollgate.gaps", "{connection}", GAPS, gaps),
    ]
}

fn journal(status: &JournalStatus) -> Vec<Measure> {
    if status.state == State::Off {
        return Vec::new();
    }
    let alone = |number| vec![(Vec::new(), number)];
    vec![
        level("tollgate.journal.up", "1", JOURNAL, alone(u64::from(status.state == State::Ok))),
        level("tollgate.journal.pending", "{entry}", PENDING, alone(status.pending)),
        count("tollgate.journal.lost", "{entry}", LOST, alone(status.lost)),
    ]
}

fn budgets(rows: &[Row]) -> Vec<Measure> {
    let amount = |name, help, of: fn(&Row) -> Cost| {
        let points = rows.iter().take(MOST_ROWS).map(|row| (budget(row), of(row))).collect();
        Measure { name, unit: "USD", help, points: Points::Amounts(points) }
    };
    vec![
        amount("tollgate.budget.limit", "What may be spent", |row| row.limit),
        amount("tollgate.budget.spent", "What has been spent in the time that runs", |row| row.spent),
        amount("tollgate.budget.reserved", "What calls under way may cost", |row| row.reserved),
    ]
}

fn budget(row: &Row) -> Labels {
    let mut labels = vec![("tollgate.budget", row.name.to_string()), ("tollgate.per", row.per.clone())];
    labels.extend(row.value.as_ref().map(|value| ("tollgate.value", value.to_string())));
    labels
}

fn handed(handed: Handed) -> Measure {
    let Handed { sent, lost, missed } = handed;
    let points = vec![
        one("tollgate.fate", "dropped", missed),
        one("tollgate.fate", "lost", lost),
        one("tollgate.fate", "sent", sent),
    ];
    count("tollgate.spans", "{span}", SPANS, points)
}

fn one(label: &'static str, value: &str, number: u64) -> (Labels, u64) {
    (vec![(label, value.to_owned())], number)
}

fn count(name: &'static str, unit: &'static str, help: &'static str, points: Vec<(Labels, u64)>) -> Measure {
    Measure { name, unit, help, points: Points::Counts(points) }
}

fn level(name: &'static str, unit: &'static str, help: &'static str, points: Vec<(Labels, u64)>) -> Measure {
    Measure { name, unit, help, points: Points::Levels(points) }
}

/// Budgets, or values of them; the first are those without values.
const MOST_ROWS: usize = 1000;

const ABANDONED: &str = "Attempts whose client left, by what became of the upstream";
const GAPS: &str = "What the books cannot see into, by why";
const JOURNAL: &str = "Whether the journal is written";
const LOST: &str = "Entries that will never be in the journal";
const OPEN: &str = "Attempts under way";
const PENDING: &str = "Entries that are not in the journal yet";
const SPANS: &str = "Spans that the collector took, that it did not take, and that there was no room for";
const TUNNEL_BYTES: &str = "Bytes of tunnels that ended";
const TUNNELS: &str = "Connections that were passed on unseen";
