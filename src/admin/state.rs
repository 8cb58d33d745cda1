//! What the gate is: its models, configuration, health and root certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::extract::connect_info::ConnectInfo;
use axum::response::Response;
use http::StatusCode;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::admin::answer::{json as as_json, of_type, refusal};
use crate::admin::guard::Reached;
use crate::admin::surface::Surface;
use crate::policy::Policy;
use crate::policy::custom::CustomModel;
use crate::policy::pac;
use crate::policy::routing::{Duplicate, DuplicateKind};
use crate::policy::target::Destination;

/// The paths of the surface.
pub(crate) async fn index() -> Response {
    of_type(PLAIN, INDEX)
}

/// No such path.
pub(crate) async fn unknown() -> Response {
    refusal(StatusCode::NOT_FOUND, "no such path; `/` lists them")
}

/// The configuration, secrets masked.
pub(crate) async fn config(State(surface): State<Arc<Surface>>) -> Response {
    as_json(&**surface.config.load())
}

/// The custom models by name, and the duplicates in their order.
pub(crate) async fn models(State(surface): State<Arc<Surface>>) -> Response {
    let policy = surface.policy.now();
    let mut shown = listed(&policy);
    let duplicates: Vec<Value> = policy.routing.duplicates.iter().map(|duplicate| other(duplicate)).collect();
    shown["duplicates"] = duplicates.into();
    as_json(&shown)
}

/// The custom models by name, as a member of an object.
pub(crate) fn listed(policy: &Policy) -> Value {
    let mut customs: Vec<&Arc<CustomModel>> = policy.routing.customs.values().collect();
    customs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let customs: Vec<Value> = customs.into_iter().map(|model| custom(model)).collect();
    json!({ "models": customs })
}

/// The process answers; what the books on disk lack is told in a second line.
pub(crate) async fn health(State(surface): State<Arc<Surface>>) -> Response {
    of_type(PLAIN, with_alarm("ok", &surface))
}

/// The gate takes calls, also while its books on disk lack something.
pub(crate) async fn readiness(State(surface): State<Arc<Surface>>) -> Response {
    if surface.ready.load(Ordering::Acquire) {
        return of_type(PLAIN, with_alarm("ready", &surface));
    }
    let mut response = of_type(PLAIN, "not ready\n");
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn with_alarm(word: &str, surface: &Surface) -> String {
    surface.ledger.journal().alarm().map_or_else(|| format!("{word}\n"), |alarm| format!("{word}\n{alarm}\n"))
}

/// The root certificate, PEM.
pub(crate) async fn root_pem(State(surface): State<Arc<Surface>>) -> Response {
    of_type("application/x-pem-file", surface.root.to_string())
}

/// The root certificate, DER, in the type that makes systems offer to install it.
pub(crate) async fn root_der(State(surface): State<Arc<Surface>>) -> Response {
    match CertificateDer::from_pem_slice(surface.root.as_bytes()) {
        Ok(der) => of_type("application/x-x509-ca-cert", der.to_vec()),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the root certificate cannot be read"),
    }
}

/// The script by which browsers find their proxy. A proxy that listens everywhere is where this surface was reached.
pub(crate) async fn pac(State(surface): State<Arc<Surface>>, ConnectInfo(reached): ConnectInfo<Reached>) -> Response {
    let proxy = match reached.0 {
        Some(reached) if surface.proxy.ip().is_unspecified() => SocketAddr::new(reached.ip(), surface.proxy.port()),
        _ => surface.proxy,
    };
    let policy = surface.policy.now();
    of_type(pac::TYPE, pac::script(&policy.interception, policy.auditing, proxy))
}

fn custom(model: &CustomModel) -> Value {
    // A query can carry a key, so that only its presence is shown.
    let query = if model.path.query().is_some() { "?***" } else { "" };
    json!({
        "name": model.name,
        "type": model.kind.name(),
        "typeFrom": model.kind_from.name(),
        "endpointUrl": format!("{}{}{query}", base(&model.destination), model.path.path()),
        "key": model.api_key.name(),
        "priced": model.price.is_some(),
        "contextLength": model.max_sequence_length,
        "normalize": model.normalize,
    })
}

fn other(duplicate: &Duplicate) -> Value {
    let kind = match duplicate.kind {
        DuplicateKind::Azure { .. } => "azure",
        DuplicateKind::Exact => "exact",
    };
    json!({
        "name": duplicate.name,
        "kind": kind,
        "url": format!("{}{}", base(&duplicate.destination), duplicate.base_path),
        "models": duplicate.models,
    })
}

/// Scheme, host and port, the usual port left out.
fn base(destination: &Destination) -> String {
    let Destination { scheme, at, .. } = destination;
    if at.port == scheme.default_port() {
        format!("{}://{}", scheme.name(), at.host)
    } else {
        format!("{}://{at}", scheme.name())
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

const INDEX: &str = "\
Tollgate, admin surface

/stats?since=24h&until=&by=model,route,client,label,day,hour,endpoint,status
           of certain groups only: &model=&label=...
/stats/live   the same as server-sent events, whenever it has changed
/entries?since=&until=&limit=100&cursor=&format=json|jsonl|csv
           of certain calls only: &model=&label=&client=&process=&route=&endpoint=&status=&outcome=&key=&session=&id=
/budgets   what may be spent, what has been, and when it resets
/metrics   for Prometheus
/models
/config    secrets masked
/config/models    POST of the lines of the models file, with `Authorization: Bearer TOKEN` (`admin.token`)
/reload           POST, with the same: reads the configuration anew
/healthz   the process answers
/readyz    calls are taken
/proxy.pac for browsers: intercepted hosts to the gate, all else past it
/ca.pem    root certificate for clients to trust
/ca.crt    the same, DER
";
