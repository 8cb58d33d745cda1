//! The entry of one attempt while it is under way; booked exactly once, whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::dialect::facts::Facts;
use crate::exchange::caller::{bounded, name_program};
use crate::exchange::counting::reckoning::{Reckoning, Written};
use crate::exchange::counting::yardstick::Served;
use crate::exchange::settle;
use crate::ledger::Ledger;
use crate::ledger::entry::{AfterClose, Client, Entry, Ingress, Media, Model, Outcome, Region, Tier};
use crate::ledger::sale::Terms;
use crate::ledger::spending::Hold;
use crate::meter::reading::Reading;
use crate::policy::Policy;
use crate::policy::pricing::rate::Price;
use crate::policy::region;
use crate::policy::target::{Route, RouteKind, Target};
use crate::system::programs::Asked;
use crate::units::Basis;

/// What is known of a call before it is tried anywhere; one attempt after the other is opened from it.
#[derive(Clone, Debug)]
pub struct Booking {
    /// The books.
    pub ledger: Ledger,
    /// The rules of this exchange; its prices are the ones that count.
    pub policy: Arc<Policy>,
    /// The exchange's id.
    pub id: Arc<str>,
    /// When the exchange began.
    pub time: Timestamp,
    /// The same moment on the clock that never jumps.
    pub begun: Instant,
    /// Who called.
    pub client: Client,
    /// Its program, where that is known only later.
    pub program: Asked,
    /// The way in.
    pub ingress: Ingress,
    /// The host that the client asked for.
    pub host: Arc<str>,
    /// The operation.
    pub endpoint: Endpoint,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The model that was asked for.
    pub model: Option<Arc<str>>,
    /// The service tier that was asked for.
    pub tier: Option<Box<str>>,
    /// Bytes of the request body.
    pub bytes_up: u64,
    /// What is reserved for it; goes with its last attempt.
    pub hold: Option<Arc<Hold>>,
    /// What the request says that decides about its price.
    pub facts: Facts,
}

impl Booking {
    /// Opens the entry of attempt `number`, from 1.
    pub fn attempt(&self, number: u32, target: &Target) -> Receipt {
        let sent = target.model.clone().or_else(|| self.model.clone());
        let mut entry = self.entry(number);
        entry.route = Some(target.route.clone());
        entry.model.sent = sent;
        self.open(entry, target)
    }

    /// Opens the entry of turn `number`, from 1, on the connection that is open as attempt `attempt`.
    ///
    /// This is a booking of its own, with the turn's own moment and model; a turn whose model nobody asked for is not
    /// priced by what the target's deployment is.
    pub fn turn(&self, number: u32, attempt: u32, target: &Target) -> Receipt {
        let mut entry = self.entry(attempt);
        let connection = std::mem::replace(&mut entry.id, "".into());
        entry.id = format!("{connection}-t{number}").into();
        entry.session = Some(connection);
        entry.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        entry.route = Some(target.route.clone());
        entry.model.sent.clone_from(&self.model);
        self.open(entry, target)
    }

    fn open(&self, mut entry: Entry, target: &Target) -> Receipt {
        let host = target.destination.at.host.name();
        entry.region.served = host.and_then(region::of_host).map(Into::into);
        self.ledger.begin(&entry);
        Receipt(Some(Box::new(Open {
            entry,
            begun: self.begun,
            ledger: self.ledger.clone(),
            policy: Arc::clone(&self.policy),
            own_price: target.own_price.clone(),
            base_model: target.base_model.clone(),
            on_azure: target.is_on_azure(),
            program: self.program.clone(),
            hold: self.hold.clone(),
            facts: self.facts.clone(),
            uploaded: None,
            deserted: None,
            sent: None,
            reckoning: None,
            ended: false,
        })))
    }

    /// Books a call that was refused before any upstream was asked.
    pub fn refuse(&self, status: u16, reason: &str) {
        let mut entry = self.entry(0);
        entry.status = status;
        entry.outcome = Outcome::Refused;
        entry.error = Some(reason.into());
        entry.duration_ms = millis(self.begun);
        self.ledger.post(entry);
    }

    fn entry(&self, attempt: u32) -> Entry {
        let mut client = self.client.clone();
        name_program(&mut client, &self.program);
        Entry {
            id: if attempt > 1 { format!("{}-{attempt}", self.id).into() } else { Arc::clone(&self.id) },
            session: None,
            time: self.time,
            duration_ms: 0,
            first_byte_ms: None,
            client,
            ingress: self.ingress,
            host: Arc::clone(&self.host),
            endpoint: self.endpoint.clone(),
            stream: self.stream,
            model: Model { asked: self.model.clone(), sent: None, served: None },
            route: None,
            attempt,
            status: 0,
            outcome: Outcome::Unknown,
            usage: None,
            basis: Basis::None,
            raw_usage: None,
            tier: Tier { asked: self.tier.clone(), served: None },
            cost: None,
            region: Region { asked: region::of_host(&self.host).map(Into::into), served: None },
            media: Media::default(),
            price_source: None,
            rates: None,
            repriced: None,
            deferred: false,
            after_close: None,
            upstream_id: None,
            bytes_up: self.bytes_up,
            bytes_down: 0,
            error: None,
        }
    }
}

/// The open entry of one attempt.
///
/// Dropped without [`Receipt::close`], it books that the client went away, and what the upstream had taken in by then:
/// but for a panic, nothing else drops an exchange.
#[derive(Debug)]
pub struct Receipt(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    entry: Entry,
    begun: Instant,
    ledger: Ledger,
    policy: Arc<Policy>,
    own_price: Option<Price>,
    base_model: Option<Arc<str>>,
    on_azure: bool,
    program: Asked,
    hold: Option<Arc<Hold>>,
    facts: Facts,
    /// Bytes of a request body that is passed on as it comes.
    uploaded: Option<Arc<AtomicU64>>,
    /// Says whether the client has left while the reply was awaited.
    deserted: Option<Arc<AtomicBool>>,
    /// Says whether the request has gone to the upstream.
    sent: Option<Arc<AtomicBool>>,
    /// Counts what the upstream does not report.
    reckoning: Option<Reckoning>,
    /// Its duration is known already.
    ended: bool,
}

impl Receipt {
    /// The head of the reply is here.
    pub fn answered(&mut self, status: u16) {
        if let Some(open) = &mut self.0 {
            open.entry.status = status;
            open.entry.first_byte_ms = Some(millis(open.begun));
        }
    }

    /// The reply says where it comes from.
    pub fn placed(&mut self, headers: &HeaderMap) {
        let Some(open) = self.0.as_mut().filter(|open| open.on_azure) else { return };
        let told = headers.get("x-ms-region").and_then(|value| value.to_str().ok()).and_then(region::told);
        if let Some(told) = told {
            open.entry.region.served = Some(told.into());
        }
    }

    /// No reply came; the client is told this status instead.
    pub fn unanswered(&mut self, status: u16) {
        if let Some(open) = &mut self.0 {
            open.entry.status = status;
        }
    }

    /// The request body is passed on as it comes; `count` tells how much has gone at the end.
    pub fn uploading(&mut self, count: Arc<AtomicU64>) {
        if let Some(open) = &mut self.0 {
            open.uploaded = Some(count);
        }
    }

    /// The attempt goes on without its client once `deserted` says that it has left; what succeeds then is booked as
    /// the client's leaving.
    pub fn may_be_deserted(&mut self, deserted: Arc<AtomicBool>) {
        if let Some(open) = &mut self.0 {
            open.deserted = Some(deserted);
        }
    }

    /// Its usage is booked by somebody else.
    pub fn defer(&mut self) {
        if let Some(open) = &mut self.0 {
            open.entry.deferred = true;
        }
    }

    /// What the upstream does not report is counted, if it may have cost something: `sent` says whether the request
    /// has gone out.
    #[must_use]
    pub fn counted_by(mut self, reckoning: Reckoning, sent: Arc<AtomicBool>) -> Self {
        if let Some(open) = &mut self.0 {
            open.reckoning = Some(reckoning);
            open.sent = Some(sent);
        }
        self
    }

    /// What counts the attempt, if anything does; after that nothing does.
    pub fn take_reckoning(&mut self) -> Option<Reckoning> {
        self.0.as_mut().and_then(|open| open.reckoning.take())
    }

    /// The client left, and this became of the upstream.
    pub fn left(&mut self, after: AfterClose) {
        if let Some(open) = &mut self.0 {
            open.entry.after_close = Some(after);
        }
    }

    /// The model that is believed to serve, `told` being what the reply names.
    pub fn served_by(&self, told: Option<&str>) -> Option<Served> {
        let open = self.0.as_ref()?;
        let at_home = open.entry.route.as_ref().is_some_and(|route| route.kind == RouteKind::Origin);
        let model = &open.entry.model;
        let names = [
            (open.base_model.as_deref(), true),
            (told, true),
            (model.sent.as_deref(), at_home),
            (model.asked.as_deref(), at_home),
        ];
        let named = names.into_iter().filter_map(|(name, certain)| Some(Served { name: name?.into(), certain }));
        let mut named: Vec<Served> = named.collect();
        let best = named.iter().position(Served::is_known).unwrap_or(0);
        (best < named.len()).then(|| named.swap_remove(best))
    }

    /// The same entry, for whoever ends it later; what its call took is fixed now.
    #[must_use]
    pub fn handed_over(&mut self) -> Self {
        let mut open = self.0.take();
        if let Some(open) = &mut open {
            open.entry.duration_ms = millis(open.begun);
            open.ended = true;
        }
        Self(open)
    }

    /// More of the reply came.
    pub fn received(&mut self, bytes: usize) {
        if let Some(open) = &mut self.0 {
            open.entry.bytes_down += bytes as u64;
        }
    }

    /// The status so far; 0 before there is one.
    pub fn status(&self) -> u16 {
        self.0.as_ref().map_or(0, |open| open.entry.status)
    }

    /// Books the attempt.
    pub fn close(&mut self, outcome: Outcome, reading: Option<Reading>, error: Option<&str>) {
        if let Some(open) = self.0.take() {
            open.close(outcome, reading, error);
        }
    }

    /// Books that the client left before there was a reply.
    fn abandon(&mut self) {
        let Some(open) = &mut self.0 else { return };
        let says = |flag: &Option<Arc<AtomicBool>>| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        // It would have been read on for, had there been time and room.
        let after = if says(&open.deserted) { AfterClose::GivenUp } else { AfterClose::Cancelled };
        open.entry.after_close.get_or_insert(after);
        if !says(&open.sent) {
            open.reckoning = None;
        }
        let end = End { outcome: Outcome::ClientClosed, reading: Reading::default(), error: None };
        self.conclude(end, Written::default());
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub struct End<'a> {
    /// In one word.
    pub outcome: Outcome,
    /// What the reply said.
    pub reading: Reading,
    /// What went wrong.
    pub error: Option<&'a str>,
}

impl Open {
    fn close(mut self, outcome: Outcome, reading: Option<Reading>, error: Option<&str>) {
        let Self { entry, begun, ledger, facts, program, uploaded, deserted, ended, .. } = &mut self;
        name_program(&mut entry.client, program);
        if let Some(uploaded) = uploaded {
            entry.bytes_up = uploaded.load(Ordering::Relaxed);
        }
        if !*ended {
            entry.duration_ms = millis(*begun);
        }
        let deserted = deserted.as_ref().is_some_and(|deserted| deserted.load(Ordering::Relaxed));
        entry.outcome = if deserted && outcome == Outcome::Ok { Outcome::ClientClosed } else { outcome };
        if deserted {
            entry.after_close.get_or_insert(AfterClose::Drained);
        }
        entry.error = error.map(Into::into);
        let mut reading = reading.unwrap_or_default();
        let shown = settle::settle(entry, &mut reading, facts.begins, ledger);
        let parts: Vec<_> = (2..).zip(shown).map(|(number, shown)| (self.part(number), shown)).collect();
        let ledger = self.ledger.clone();
        self.book(reading);
        parts.into_iter().for_each(|(part, shown)| part.book(shown));
        ledger.end();
    }

    /// One object of the list that this call asked for.
    fn part(&self, number: u32) -> Self {
        let whole = &self.entry;
        let entry = Entry {
            id: format!("{}-{number}", whole.id).into(),
            session: Some(Arc::clone(&whole.id)),
            bytes_up: 0,
            bytes_down: 0,
            ..whole.clone()
        };
        Self {
            entry,
            begun: self.begun,
            ledger: self.ledger.clone(),
            policy: Arc::clone(&self.policy),
            own_price: self.own_price.clone(),
            base_model: self.base_model.clone(),
            on_azure: self.on_azure,
            program: self.program.clone(),
            hold: None,
            facts: Facts::default(),
            uploaded: None,
            deserted: None,
            sent: None,
            reckoning: None,
            ended: true,
        }
    }

    /// Writes the line of what was read.
    fn book(self, reading: Reading) {
        let Self { mut entry, ledger, policy, own_price, base_model, on_azure, facts, hold, .. } = self;
        entry.error = entry.error.or(reading.error).or_else(|| reading.flaw.map(Into::into));
        entry.usage = reading.usage;
        entry.basis = reading.basis;
        entry.raw_usage = reading.raw_usage;
        entry.model.served = reading.served_model.as_deref().map(bounded);
        entry.tier.served = reading.tier;
        entry.upstream_id = reading.upstream_id;
        settle::supplement(&mut entry, &reading.extra, &facts, reading.terminal);
        if entry.endpoint == Endpoint::Call(Dialect::Embeddings)
            && let Some(usage) = &mut entry.usage
        {
            // An embedding has no output tokens, and so its usage does not speak of them.
            usage.output.get_or_insert(0);
        }
        let terms = Terms { own: own_price.as_ref(), base_model: base_model.as_deref(), on_azure };
        if let Some(priced) = entry.price(&policy.prices, terms) {
            entry.cost = Some(priced.cost);
            entry.price_source = Some(priced.source);
            entry.rates = priced.rates;
        }
        log(&entry);
        ledger.post(entry);
        // Only now, so that at no moment neither counts.
        drop(hold);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.close(Outcome::Unknown, None, Some("the gate failed"));
        }
        self.abandon();
    }
}

fn log(entry: &Entry) {
    tracing::info!(
        id = %entry.id,
        endpoint = entry.endpoint.name(),
        model = entry.model.asked.as_deref().unwrap_or("-"),
        route = entry.route.as_ref().map_or("-", |Route { name, .. }| name),
        status = entry.status,
        outcome = ?entry.outcome,
        ms = entry.duration_ms,
        "call"
    );
}

fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use http::uri::PathAndQuery;

    use super::*;
    use crate::ledger::page::Query;
    use crate::net::host::HostPort;
    use crate::policy::target::Scheme;

    fn booking() -> Booking {
        Booking {
            ledger: Ledger::new(10),
            policy: Arc::default(),
            id: "id".into(),
            time: Timestamp::UNIX_EPOCH,
            begun: Instant::now(),
            client: Client {
                address: Ipv4Addr::LOCALHOST.into(),
                process: None,
                path: None,
                agent: None,
                label: None,
                key: None,
            },
            program: Asked::default(),
            ingress: Ingress::Connect,
            host: "api.openai.com".into(),
            endpoint: Endpoint::Other,
            stream: false,
            model: None,
            tier: None,
            bytes_up: 0,
            hold: None,
            facts: Facts::default(),
        }
    }

    #[test]
    fn an_exchange_that_panics_is_not_booked_as_its_clients_doing() {
        let booking = booking();
        let at = HostPort::parse("api.openai.com", 443).unwrap();
        let target = Target::origin(Scheme::Https, at, PathAndQuery::from_static("/"));
        drop(booking.attempt(1, &target));
        let receipt = booking.attempt(2, &target);
        let work = catch_unwind(AssertUnwindSafe(|| {
            let _open = receipt;
            panic!("a bug");
        }));
        assert!(work.is_err());
        let entries = booking.ledger.entries(&Query::default()).entries;
        let outcomes: Vec<Outcome> = entries.iter().map(|kept| kept.entry.outcome).collect();
        assert_eq!(outcomes, [Outcome::Unknown, Outcome::ClientClosed]);
    }
}
