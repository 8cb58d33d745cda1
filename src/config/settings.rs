//! Every section of the file as domain values.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::config::amount::duration;
use crate::config::auditing;
use crate::config::budgets;
use crate::config::document::Shape;
use crate::config::duplicates;
use crate::config::field::{Field, Fields, shown};
use crate::config::home::Home;
use crate::config::line;
use crate::config::listen::Listen;
use crate::config::load::Sources;
use crate::config::models::Origins;
use crate::config::pricing::Pricing;
use crate::config::review::Review;
use crate::config::revise::ModelLines;
use crate::config::secrets::secret;
use crate::config::setup::Setup;
use crate::config::telemetry::collector;
use crate::config::transport::{Files, limits, set_count, upstream};
use crate::net::host::HostPattern;
use crate::net::secret::Secret;
use crate::policy::auditing::Auditing;
use crate::policy::{Metering, OnDisconnect};

/// All that was read, before it is divided.
pub(super) struct Settings {
    /// What needs a restart to change.
    pub(super) setup: Setup,
    /// `auditing` and `pinned`.
    pub(super) auditing: Auditing,
    /// `metering`.
    pub(super) metering: Metering,
    /// `intercept`.
    pub(super) intercept: Vec<HostPattern>,
    /// Custom models in the order of the text.
    pub(super) models: Vec<line::Listed>,
    /// What they are made of.
    pub(super) lines: ModelLines,
    /// `modelsFile` as written.
    pub(super) models_file: Option<String>,
    /// Duplicates by priority.
    pub(super) duplicates: Vec<duplicates::Listed>,
    /// Files of `upstream` as written.
    pub(super) upstream_files: Files,
    /// `pricing`.
    pub(super) pricing: Pricing,
    /// `telemetry.otlp.ca` as written.
    pub(super) collector_ca: Option<String>,
}

impl Settings {
    /// Reads every section of the object that is the file.
    pub(super) fn read<'a>(top: &Fields<'a>, review: &'a Review<'a>, sources: &Sources<'_>, home: &Home) -> Self {
        let listen = Listen::read(top, review, sources);
        let own = listen.own();
        let (upstream, upstream_files) = upstream(top, &own);
        let mut limits = limits(top);
        let (journal, keep) = ledger(top, &mut limits.entries);
        let pricing = Pricing::read(top);
        let certs = top.given("certs").and_then(|field| field.filled_text()).unwrap_or("certs");
        let (collector, collector_ca) = collector(top, &listen);
        let origins = Origins::read(top, review, sources, &own);
        let setup = Setup {
            proxy: listen.proxy,
            admin: listen.admin,
            keepers: listen.keepers,
            reach: listen.reach,
            transparent: listen.transparent,
            admin_token: admin_token(top),
            certs: home.writes.join(certs),
            state: home.state.clone(),
            journal: journal.map(|path| home.writes.join(path)),
            keep,
            budgets: budgets::read(top),
            upstream,
            limits,
            collector,
            workers: workers(top),
        };
        Self {
            setup,
            auditing: auditing::read(top),
            metering: metering(top),
            intercept: intercept(top),
            models: origins.merged(review),
            models_file: origins.file.as_ref().map(|(name, _)| name.clone()),
            duplicates: duplicates::read(top, &own),
            lines: ModelLines::new(origins, own),
            upstream_files,
            pricing,
            collector_ca,
        }
    }
}

/// `admin.token`.
pub(super) fn admin_token(top: &Fields<'_>) -> Option<Secret> {
    let field = top.find("admin")?.fields(&["token"])?.given("token")?;
    secret(&field)
}

/// The hosts whose connections are opened.
fn intercept(top: &Fields<'_>) -> Vec<HostPattern> {
    let Some(field) = top.find("intercept") else {
        return INTERCEPT.parse().into_iter().collect();
    };
    let items = field.items();
    if items.is_empty() && matches!(field.shape(), Shape::List(_)) {
        field.wrong("must name at least one host");
    }
    items.iter().filter_map(pattern).collect()
}

fn pattern(field: &Field<'_>) -> Option<HostPattern> {
    let text = field.filled_text()?;
    let Ok(pattern) = text.parse::<HostPattern>() else {
        let hint = match text.strip_prefix("*.") {
            Some(name) => format!("subdomains are included; write `{}`", shown(name)),
            None => format!("write it as `{INTERCEPT}`: no address, no port, no URL"),
        };
        field.wrong_hint(&format!("must be a host name, not `{}`", shown(text)), hint);
        return None;
    };
    if !pattern.name().contains('.') && pattern.name() != "localhost" {
        field.warn(&format!("opens the connections to every host below `{}`", pattern.name()));
    }
    Some(pattern)
}

fn metering(top: &Fields<'_>) -> Metering {
    let default = Metering::default();
    let Some(fields) = top.find("metering").and_then(|field| field.fields(&["injectUsage", "onDisconnect"])) else {
        return default;
    };
    let words = [("drain", OnDisconnect::Drain), ("cancel", OnDisconnect::Cancel)];
    let on_disconnect = fields.find("onDisconnect").and_then(|field| field.one_of(&words));
    Metering {
        inject_usage: fields.find("injectUsage").and_then(|field| field.flag()).unwrap_or(default.inject_usage),
        on_disconnect: on_disconnect.unwrap_or(default.on_disconnect),
    }
}

/// `ledger.path` and `ledger.keep`; both may be `null`.
fn ledger(top: &Fields<'_>, entries: &mut usize) -> (Option<String>, Option<Duration>) {
    let (path, keep) = (Some(JOURNAL.into()), Some(KEEP));
    let Some(fields) = top.find("ledger").and_then(|field| field.fields(&["path", "keep", "entries"])) else {
        return (path, keep);
    };
    set_count(&fields, "entries", entries);
    let path = match fields.find("path") {
        None => path,
        Some(_) => fields.given("path").and_then(|field| field.filled_text()).map(Into::into),
    };
    let keep = match fields.find("keep") {
        None => keep,
        Some(_) => fields.given("keep").and_then(|field| duration(&field)),
    };
    (path, keep)
}

fn workers(top: &Fields<'_>) -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let asked = top.given("workers").and_then(|field| field.whole(1..=1024));
    asked.and_then(|count| usize::try_from(count).ok()).unwrap_or(cores)
}

/// The keys of the file.
pub(super) const KEYS: [&str; 17] = [
    "listen",
    "admin",
    "certs",
    "intercept",
    "auditing",
    "pinned",
    "models",
    "modelsFile",
    "duplicates",
    "pricing",
    "metering",
    "ledger",
    "budgets",
    "upstream",
    "limits",
    "telemetry",
    "workers",
];

/// The one host that is opened unless told otherwise.
const INTERCEPT: &str = "api.openai.com";

/// Where the journal is unless told otherwise.
const JOURNAL: &str = "data/ledger.sqlite";

/// How long entries are kept unless told otherwise: a year and a month.
const KEEP: Duration = Duration::from_secs(400 * 86_400);
