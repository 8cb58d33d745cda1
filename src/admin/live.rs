//! `/stats/live`: the sums as server-sent events, whenever they have changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::admin::answer::{escaped, of_type};
use crate::admin::desk::{Desk, crowded};
use crate::admin::parameters::{self, Pairs};
use crate::admin::surface::Surface;
use crate::ledger::Ledger;
use crate::ledger::tunnels::Tunnelled;

/// The sums of a period now, and again each second in which they have changed.
pub(crate) async fn stats(
    State(surface): State<Arc<Surface>>,
    Extension(desk): Extension<Desk>,
    Query(pairs): Query<Pairs>,
) -> Response {
    if let Err(bad) = parameters::stats(&pairs, Timestamp::now()) {
        return bad.answer();
    }
    let Some(place) = desk.listener() else { return crowded() };
    let feed = Feed { ledger: surface.ledger.clone(), desk, pairs, _place: place, last: None };
    let events =
        stream::unfold(feed, async |feed| feed.next().await.map(|(text, feed)| (Ok::<_, Infallible>(text), feed)));
    of_type("text/event-stream", Body::from_stream(events))
}

/// What one listener has been told.
#[derive(Debug)]
struct Feed {
    ledger: Ledger,
    desk: Desk,
    pairs: Pairs,
    _place: OwnedSemaphorePermit,
    last: Option<Told>,
}

#[derive(Debug)]
struct Told {
    /// Of the books, when they were looked at.
    version: (u64, Tunnelled),
    /// When that was.
    at: Instant,
    /// The answer but for its period, which moves on by itself.
    sums: Value,
}

impl Feed {
    /// The next piece of the stream; `None` where the surface stops.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            if self.last.is_some() && !self.desk.stays_open_for(SECOND).await {
                return None;
            }
            let version = self.ledger.version();
            let rested = self.last.as_ref().is_none_or(|told| told.at.elapsed() >= REST);
            // Without new entries, old ones can still leave the period.
            if !rested && self.last.as_ref().is_some_and(|told| told.version == version) {
                continue;
            }
            let query = parameters::stats(&self.pairs, Timestamp::now()).ok()?;
            let ledger = self.ledger.clone();
            let answer = self.desk.ask(move || serde_json::to_value(ledger.stats(&query)).ok()).await??;
            let mut sums = answer.clone();
            if let Some(members) = sums.as_object_mut() {
                members.remove("since");
                members.remove("until");
            }
            let same = self.last.as_ref().is_some_and(|told| told.sums == sums);
            self.last = Some(Told { version, at: Instant::now(), sums });
            if !same {
                return Some((format!("data: {}\n\n", escaped(&answer.to_string())).into(), self));
            }
            if rested {
                return Some((Bytes::from_static(b": nothing new\n\n"), self));
            }
        }
    }
}

const SECOND: Duration = if cfg!(test) { Duration::from_millis(10) } else { Duration::from_secs(1) };

/// After so long without news, a listener is told that the gate is still there.
const REST: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(15) };
