//! The effective configuration, in the shape of the file and without its secrets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use http::HeaderName;
use serde_json::{Map, Number, Value, json};

use crate::config::amount::{duration_text, rate_text, size_text};
use crate::config::auditing;
use crate::config::budgets;
use crate::config::duplicates::{self, Auth};
use crate::config::line::{self, CLIENTS_KEY};
use crate::config::settings::Settings;
use crate::config::setup::{CollectorSetup, UpstreamSetup};
use crate::config::transport::Files;
use crate::net::limits::Limits;
use crate::net::secret::{MASK, Secret, masked_query};
use crate::policy::custom::ModelKey;
use crate::policy::outer::OuterProxy;
use crate::policy::pricing::rate::Rate;
use crate::policy::routing::{AzureVersion, DuplicateKind};
use crate::policy::{OnDisconnect, Unpriced};

/// Everything that is in force, defaults included.
pub(super) fn of(settings: &Settings) -> Value {
    let Settings { setup, pricing, .. } = settings;
    let on_disconnect = match settings.metering.on_disconnect {
        OnDisconnect::Cancel => "cancel",
        OnDisconnect::Drain => "drain",
    };
    let unknown = match pricing.unpriced {
        Unpriced::Book => "unpriced",
        Unpriced::Refuse => "refuse",
    };
    let files: Vec<&str> = pricing.files.iter().map(|file| &*file.name).collect();
    json!({
        "listen": {
            "proxy": setup.proxy.to_string(),
            "admin": setup.admin.to_string(),
            "transparent": setup.transparent.map(|at| at.to_string()),
            "users": setup.keepers.names().map(|name| json!({ "name": name, "password": MASK })).collect::<Vec<_>>(),
            "reach": setup.reach.places().iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "admin": { "token": setup.admin_token.as_ref().map(mask) },
        "certs": path(&setup.certs),
        "intercept": settings.intercept.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "auditing": auditing::word(&settings.auditing),
        "pinned": { "bypass": settings.auditing.bypass.map(duration_text) },
        "models": models(&settings.models),
        "modelsFile": settings.models_file,
        "duplicates": settings.duplicates.iter().map(duplicate).collect::<Vec<_>>(),
        "pricing": { "files": files, "unknown": unknown },
        "metering": { "injectUsage": settings.metering.inject_usage, "onDisconnect": on_disconnect },
        "ledger": {
            "path": setup.journal.as_deref().map(path),
            "keep": setup.keep.map(duration_text),
            "entries": setup.limits.entries,
        },
        "budgets": budgets::view(&setup.budgets),
        "upstream": upstream(&setup.upstream, &settings.upstream_files),
        "limits": limits(&setup.limits),
        "telemetry": { "otlp": setup.collector.as_ref().map(|to| collector(to, settings.collector_ca.as_deref())) },
        "workers": setup.workers,
    })
}

fn upstream(setup: &UpstreamSetup, files: &Files) -> Value {
    // Sorted, so that two answers can be compared.
    let resolve: BTreeMap<String, String> =
        setup.resolve.iter().map(|(at, address): (_, &SocketAddr)| (at.to_string(), address.to_string())).collect();
    json!({
        "ca": files.ca,
        "proxy": setup.outer.as_ref().map(|proxy| outer(proxy, files.proxy_ca.as_deref())),
        "connectTimeout": duration_text(setup.connect_timeout),
        "firstByteTimeout": duration_text(setup.first_byte_timeout),
        "idleTimeout": duration_text(setup.idle_timeout),
        "resolve": resolve,
        "nameServers": setup.name_servers.as_ref().map(|servers| servers.iter().map(ToString::to_string).collect::<Vec<_>>()),
    })
}

fn outer(proxy: &OuterProxy, ca: Option<&str>) -> Value {
    json!({
        "url": format!("{}://{}", proxy.kind.name(), proxy.at),
        "user": proxy.login.as_ref().map(|login| &login.user),
        "password": proxy.login.as_ref().map(|login| mask(&login.password)),
        "noProxy": proxy.bypass.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "ca": ca,
    })
}

fn limits(limits: &Limits) -> Value {
    json!({
        "connections": limits.connections,
        "headerBytes": size_text(limits.header_bytes as u64),
        "headers": limits.headers,
        "bodyBytes": size_text(limits.body_bytes as u64),
        "headerTimeout": duration_text(limits.header_timeout),
        "handshakeTimeout": duration_text(limits.handshake_timeout),
        "drainTimeout": duration_text(limits.drain_timeout),
    })
}

fn collector(setup: &CollectorSetup, ca: Option<&str>) -> Value {
    json!({
        "endpoint": setup.destination.url(&setup.base_path),
        "headers": headers(&setup.headers),
        "interval": duration_text(setup.interval),
        "service": setup.service,
        "ca": ca,
    })
}

fn headers(headers: &[(HeaderName, Secret)]) -> Map<String, Value> {
    headers.iter().map(|(name, value)| (name.to_string(), mask(value))).collect()
}

/// The custom models, each as a line that would have the same effect.
pub(super) fn models(listed: &[line::Listed]) -> Value {
    listed.iter().map(model).collect()
}

fn model(listed: &line::Listed) -> Value {
    let model = &listed.model;
    let mut shown = Map::new();
    shown.insert("name".into(), json!(model.name));
    shown.insert("endpointUrl".into(), json!(model.destination.url(&masked_query(model.path.as_str()))));
    shown.insert("modelUrl".into(), json!(masked_query(&model.model_url)));
    insert_some(&mut shown, "maxSequenceLength", model.max_sequence_length.map(|length| json!(length)));
    let price = model.price.as_ref();
    let pricing = price.map(|price| json!({ "prompt": dollars(price.input), "completion": dollars(price.output) }));
    insert_some(&mut shown, "tokenPricing", pricing);
    let key = match &model.api_key {
        ModelKey::None => None,
        ModelKey::Clients => Some(json!(CLIENTS_KEY)),
        ModelKey::Own(secret) => Some(mask(secret)),
    };
    insert_some(&mut shown, "apiKey", key);
    shown.insert("type".into(), json!(model.kind.name()));
    insert_some(&mut shown, "maxOutputTokens", model.max_output_tokens.map(|most| json!(most)));
    insert_some(&mut shown, "stop", (!model.stop.is_empty()).then(|| json!(model.stop)));
    let template = match &listed.template_file {
        Some(file) => Some(json!({ "file": file })),
        None => model.chat_template.as_ref().map(|text| json!(text)),
    };
    insert_some(&mut shown, "chatTemplate", template);
    let headers = headers(&model.headers);
    insert_some(&mut shown, "headers", (!headers.is_empty()).then_some(Value::Object(headers)));
    shown.insert("normalize".into(), json!(model.normalize));
    insert_some(&mut shown, "timeout", model.timeout.map(|time| json!(duration_text(time))));
    insert_some(&mut shown, "ca", listed.ca.as_ref().map(|ca| json!(ca)));
    Value::Object(shown)
}

fn duplicate(listed: &duplicates::Listed) -> Value {
    let duplicate = &listed.duplicate;
    let mut shown = Map::new();
    shown.insert("name".into(), json!(duplicate.name));
    let (kind, azure) = match &duplicate.kind {
        DuplicateKind::Exact => ("exact", None),
        DuplicateKind::Azure { version, deployments } => ("azure", Some((version, deployments))),
    };
    shown.insert("kind".into(), json!(kind));
    shown.insert("url".into(), json!(duplicate.destination.url(&duplicate.base_path)));
    insert_some(&mut shown, "apiKey", duplicate.credential.secret().map(mask));
    shown.insert("auth".into(), json!(if listed.auth == Auth::ApiKey { "api-key" } else { "bearer" }));
    if let Some((AzureVersion::Dated(version) | AzureVersion::V1(version), deployments)) = azure {
        shown.insert("apiVersion".into(), json!(version));
        let one = |deployment: &crate::policy::routing::Deployment| json!({ "deployment": deployment.deployment, "model": deployment.model });
        let all: BTreeMap<&str, Value> = deployments.iter().map(|(model, to)| (&**model, one(to))).collect();
        shown.insert("deployments".into(), json!(all));
    }
    insert_some(&mut shown, "models", duplicate.models.as_ref().map(|models| json!(models)));
    shown.insert("priority".into(), json!(duplicate.priority));
    shown.insert("weight".into(), json!(duplicate.weight));
    insert_some(&mut shown, "ca", listed.ca.as_ref().map(|ca| json!(ca)));
    Value::Object(shown)
}

fn insert_some(shown: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        shown.insert(key.into(), value);
    }
}

fn mask(_secret: &Secret) -> Value {
    json!(MASK)
}

/// A number as exact as JSON's readers allow.
fn dollars(rate: Rate) -> Value {
    rate_text(rate).parse::<Number>().map_or(Value::Null, Value::Number)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
