//! Conditions on entries as SQL.

use jiff::Timestamp;
use rusqlite::types::Value;

use crate::ledger::filter::Want;
use crate::ledger::journal::words::Word as _;
use crate::ledger::key::NO_NAME;
use crate::ledger::period::Period;

/// A condition and the values of its places.
pub(super) type Condition = (String, Vec<Value>);

/// Conditions of which all must be fulfilled.
#[derive(Debug)]
pub(super) struct Conditions {
    /// What follows `WHERE`.
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    pub(super) fn add(&mut self, (text, values): Condition) {
        self.text.push_str(" AND ");
        self.text.push_str(&text);
        self.values.extend(values);
    }
}

/// That an entry began in a period.
pub(super) fn ends(period: Period) -> Conditions {
    let mut wanted = Conditions { text: "TRUE".into(), values: Vec::new() };
    for (end, text) in [(period.since, "time_ms >= ?"), (period.until, "time_ms < ?")] {
        if let Some(end) = end {
            wanted.add((text.into(), vec![millisecond_at_or_after(end).into()]));
        }
    }
    wanted
}

/// The file's times are whole milliseconds: a part of one is over at the next.
fn millisecond_at_or_after(time: Timestamp) -> i64 {
    let whole = time.as_millisecond();
    whole + i64::from(Timestamp::from_millisecond(whole).is_ok_and(|start| start < time))
}

/// What [`Want::fits`] says, of a row of `entries`.
pub(super) fn condition(want: &Want) -> Condition {
    let one = |text: &str, value: &str| (text.to_owned(), vec![Value::from(value.to_owned())]);
    let all =
        |text: &str, value: &str| (text.to_owned(), vec![Value::from(value.to_owned()); text.matches('?').count()]);
    match want {
        Want::Client(name) => one("coalesce(client_process, client_agent, client_address) = ?", name),
        Want::Endpoint(endpoint) => one("endpoint = ?", endpoint.name()),
        // `.` follows `-`, so that these are the ids that begin with `ID-`.
        Want::Id(id) => all("(id = ? OR id >= ? || '-' AND id < ? || '.')", id),
        Want::Key(key) => one("client_key = ?", key),
        Want::Label(label) => one(&format!("coalesce(client_label, '{NO_NAME}') = ?"), label),
        Want::Model(model) => all("(model_asked = ? OR model_sent = ? OR model_served = ?)", model),
        Want::Outcome(outcome) => one("outcome = ?", outcome.word()),
        Want::Process(name) => all("(client_process = ? OR client_path = ?)", name),
        Want::Route(name) if &**name == NO_NAME => ("route_kind IS NULL".into(), Vec::new()),
        Want::Route(name) => one("route_kind || '/' || route_name = ?", name),
        Want::Session(id) => all("(session = ? OR id = ?)", id),
        Want::Status(status) => ("status = ?".into(), vec![Value::from(i64::from(*status))]),
    }
}
