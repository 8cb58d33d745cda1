//! The thread that sends what was posted, and never holds up who posts it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::ledger::Ledger;
use crate::ledger::tap::Posted;
use crate::net::secret::Secret;
use crate::otlp::attributes::resource;
use crate::otlp::collector::{Collector, Refused};
use crate::otlp::report::{self, Period};
use crate::otlp::spans;
use crate::policy::Live;
use crate::policy::target::Destination;
use crate::upstream::connect::Connector;

/// Where to send, and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to connect.
    pub destination: Destination,
    /// The path before `/v1/traces` and `/v1/metrics`.
    pub base_path: Box<str>,
    /// Further headers of every request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Between two reports of the metrics.
    pub interval: Duration,
    /// `service.name`.
    pub service: Box<str>,
}

/// What is sent, and by whose connections.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The books.
    pub ledger: Ledger,
    /// The policy, which knows where routes lead.
    pub live: Live,
    /// Makes the connections.
    pub connector: Arc<Connector>,
}

/// The running thread; cheap to ask to stop, and silent where there is none.
#[derive(Debug, Default)]
pub struct Exporter(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts to send; entries posted before are in the metrics only.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(settings: Settings, sources: Sources) -> io::Result<Self> {
        let Settings { destination, base_path, headers, interval, service } = settings;
        let Sources { ledger, live, connector } = sources;
        let Some(posted) = ledger.listen(ROOM) else { return Ok(Self::default()) };
        let instance = format!("{}-{}", ledger.started().as_nanosecond(), std::process::id());
        let desk = Desk {
            collector: Collector::new(connector, destination, base_path, headers),
            resource: resource(&service, &instance),
            interval,
            posted,
            ledger,
            live,
            waiting: Vec::new(),
            health: Health::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = thread::Builder::new().name("otlp".into()).spawn(move || runtime.block_on(desk.serve(stopped)))?;
        Ok(Self(Mutex::new(Some(Running { stop, thread }))))
    }

    /// Sends what is left, for a few seconds at most, and ends.
    pub fn finish(&self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            stop.send_replace(true);
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Desk {
    collector: Collector,
    resource: Resource,
    interval: Duration,
    posted: Posted,
    ledger: Ledger,
    live: Live,
    /// Spans that are being sent, or will be sent again.
    waiting: Vec<Span>,
    health: Health,
}

/// How it goes, so that a change of it is told once.
#[derive(Debug, Default)]
struct Health {
    down: bool,
    rejecting: bool,
    /// Consecutive failures.
    failures: u32,
    /// Nothing is sent before.
    not_before: Option<Instant>,
    /// Dropped spans that were told already.
    told: u64,
}

impl Desk {
    async fn serve(mut self, mut stopped: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK.min(self.interval));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = Instant::now();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stopped.changed() => break,
            }
            // A stop must not wait for a collector that is slow to answer.
            tokio::select! {
                () = self.round(&mut reported) => {}
                _ = stopped.changed() => break,
            }
        }
        self.health.not_before = None;
        let _ = timeout(LAST_WORDS, self.last_round()).await;
        self.count_what_is_left();
    }

    async fn round(&mut self, reported: &mut Instant) {
        if self.health.not_before.is_none_or(|moment| moment <= Instant::now()) {
            self.send_spans().await;
        }
        let healthy = self.health.not_before.is_none_or(|moment| moment <= Instant::now());
        if healthy && reported.elapsed() >= self.interval {
            *reported = Instant::now();
            self.report().await;
        }
        self.tell_drops();
    }

    async fn last_round(&mut self) {
        self.send_spans().await;
        self.report().await;
    }

    /// Sends spans until none are left or the collector does not take them.
    async fn send_spans(&mut self) {
        loop {
            let policy = self.live.now();
            while self.waiting.len() < BATCH
                && let Some(kept) = self.posted.next()
            {
                self.waiting.push(spans::span(&kept.entry, &policy));
            }
            if self.waiting.is_empty() {
                return;
            }
            let count = self.waiting.len() as u64;
            let message = spans::request(self.resource.clone(), self.waiting.clone()).encode_to_vec();
            match self.collector.post("/v1/traces", &Bytes::from(message)).await {
                Ok(answer) => {
                    self.waiting.clear();
                    let said = ExportTraceServiceResponse::decode(answer).unwrap_or_default().partial_success;
                    let said = said.unwrap_or_default();
                    let rejected = u64::try_from(said.rejected_spans).unwrap_or(0).min(count);
                    self.posted.tell(count - rejected, rejected);
                    self.taken(rejected, &said.error_message);
                }
                Err(refused) => {
                    if refused.again.is_none() {
                        self.waiting.clear();
                        self.posted.tell(0, count);
                    }
                    return self.failed(&refused);
                }
            }
        }
    }

    async fn report(&mut self) {
        let period = Period { since: self.ledger.started(), until: Timestamp::now() };
        let measures = self.ledger.measures(&self.live.now());
        let message = report::request(self.resource.clone(), measures, period).encode_to_vec();
        match self.collector.post("/v1/metrics", &Bytes::from(message)).await {
            Ok(answer) => {
                let said = ExportMetricsServiceResponse::decode(answer).unwrap_or_default().partial_success;
                let said = said.unwrap_or_default();
                self.taken(u64::try_from(said.rejected_data_points).unwrap_or(0), &said.error_message);
            }
            // The next report tells the same sums and more.
            Err(refused) => self.failed(&refused),
        }
    }

    fn taken(&mut self, rejected: u64, why: &str) {
        let health = &mut self.health;
        if health.down {
            tracing::info!(collector = %self.collector.url(), "the collector takes metrics and spans again");
        }
        if rejected > 0 && !health.rejecting {
            let why: String = why.chars().take(LONGEST_REASON).collect();
            tracing::warn!(collector = %self.collector.url(), rejected, ?why, "the collector takes only a part");
        }
        *health = Health { rejecting: rejected > 0, told: health.told, ..Health::default() };
    }

    fn failed(&mut self, refused: &Refused) {
        let health = &mut self.health;
        if !health.down {
            let (collector, cause) = (self.collector.url(), &refused.cause);
            tracing::warn!(%collector, %cause, "the collector takes no metrics and spans; calls go on as before");
        }
        health.down = true;
        let pause = LEAST_PAUSE.saturating_mul(1 << health.failures.min(8)).min(LONGEST_PAUSE);
        health.failures = health.failures.saturating_add(1);
        health.not_before = Some(Instant::now() + pause.max(refused.again.unwrap_or_default()));
    }

    /// Tells of spans that found no room, once per tick at most and only of new ones.
    fn tell_drops(&mut self) {
        let missed = self.posted.handed().missed;
        if missed > self.health.told.saturating_mul(2) {
            let more = missed - self.health.told;
            tracing::warn!(dropped = more, "spans were dropped: they come faster than the collector takes them");
            self.health.told = missed;
        }
    }

    fn count_what_is_left(&mut self) {
        let mut left = std::mem::take(&mut self.waiting).len() as u64;
        while self.posted.next().is_some() {
            left += 1;
        }
        self.posted.tell(0, left);
        let handed = self.posted.handed();
        if handed.lost + handed.missed > 0 {
            let (sent, lost, dropped) = (handed.sent, handed.lost, handed.missed);
            tracing::warn!(sent, lost, dropped, "not every span reached the collector");
        }
    }
}

/// Entries that may wait: about 8 MB.
const ROOM: usize = 8192;

/// Spans of one request.
const BATCH: usize = 512;

/// Between two looks for new entries.
const TICK: Duration = Duration::from_secs(1);

const LEAST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// For what is left when the gate stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Characters of a collector's message in the log.
const LONGEST_REASON: usize = 200;
