//! Clients that are passed on unopened for a while, because they do not take the gate's certificate.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// One client, one host, and how long.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bypass {
    /// The file of its program, or its address where no program is known.
    pub client: Arc<str>,
    /// Its label, if it has one.
    pub label: Option<Arc<str>>,
    /// The host whose connections are not opened.
    pub host: Arc<str>,
    /// When it began.
    pub since: Timestamp,
    /// When it ends by itself; connections of it that are open then stay so.
    pub until: Timestamp,
}

/// Those that run.
#[derive(Debug, Default)]
pub(crate) struct Bypasses(Mutex<Vec<Bypass>>);

impl Bypasses {
    /// Notes one more, and forgets those that have ended.
    pub(crate) fn begin(&self, bypass: Bypass) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|running| running.until > bypass.since);
        running.push(bypass);
    }

    /// Those that run at `now`, oldest first.
    pub(crate) fn at(&self, now: Timestamp) -> Vec<Bypass> {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().filter(|bypass| bypass.until > now).cloned().collect()
    }
}
