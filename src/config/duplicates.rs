//! Duplicates: other hosts that serve OpenAI's own API.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::address::Address;
use crate::config::document::Shape;
use crate::config::field::{Field, Fields, shown};
use crate::config::files::Trust;
use crate::config::secrets::secret;
use crate::dialect::azure::is_azure_host;
use crate::net::secret::Secret;
use crate::policy::routing::{AzureVersion, Deployment, Duplicate, DuplicateKind};
use crate::policy::target::{Credential, Destination};

/// A duplicate and what its domain value does not keep.
#[derive(Debug)]
pub(super) struct Listed {
    /// The duplicate.
    pub(super) duplicate: Arc<Duplicate>,
    /// `ca` as written.
    pub(super) ca: Option<String>,
    /// `auth`, given or by kind.
    pub(super) auth: Auth,
}

/// Which header carries the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Auth {
    /// `api-key: K`.
    ApiKey,
    /// `Authorization: Bearer K`.
    Bearer,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Azure,
    Exact,
}

/// All duplicates by ascending priority; those of one priority stay in the order of the text.
pub(super) fn read(top: &Fields<'_>, own: &[SocketAddr]) -> Vec<Listed> {
    let Some(field) = top.find("duplicates") else { return Vec::new() };
    let mut names = HashSet::new();
    let mut listed: Vec<Listed> = field.items().iter().filter_map(|item| duplicate(item, own, &mut names)).collect();
    listed.sort_by_key(|listed| listed.duplicate.priority);
    listed
}

fn duplicate(field: &Field<'_>, own: &[SocketAddr], names: &mut HashSet<String>) -> Option<Listed> {
    let fields = field.fields(&KEYS)?;
    fields.refuse("entra");
    let name = fields.required("name").and_then(|field| unique_name(&field, names));
    let url = fields.required("url");
    let address = url.as_ref().and_then(|field| Address::read(field, own));
    let given_kind =
        fields.given("kind").and_then(|field| field.one_of(&[("exact", Kind::Exact), ("azure", Kind::Azure)]));
    let inferred = address.as_ref().filter(|address| is_azure(address)).map_or(Kind::Exact, |_| Kind::Azure);
    let kind = given_kind.unwrap_or(inferred);
    let base_path = url.zip(address.as_ref()).and_then(|(field, address)| base_path(&field, address, kind));
    let key = fields.given("apiKey").and_then(|field| secret(&field));
    let auth =
        fields.given("auth").and_then(|field| field.one_of(&[("api-key", Auth::ApiKey), ("bearer", Auth::Bearer)]));
    let auth = auth.unwrap_or(if kind == Kind::Azure { Auth::ApiKey } else { Auth::Bearer });
    want_key(&fields, kind);
    let form = duplicate_kind(&fields, kind);
    let models = fields.given("models").and_then(|field| globs(&field));
    let number = |key: &str, least: u64| fields.given(key).and_then(|field| field.whole(least..=1_000_000));
    let (priority, weight) = (number("priority", 0).unwrap_or(1), number("weight", 1).unwrap_or(1));
    let ca = Trust::read(&fields);

    let Address { scheme, at, .. } = address?;
    let duplicate = Duplicate {
        name: name?.into(),
        destination: Destination { scheme, at, dialled: None, roots: ca.as_ref().map(|ca| Arc::clone(&ca.roots)) },
        base_path: base_path?,
        kind: form,
        credential: credential(key, auth),
        models,
        priority: u32::try_from(priority).ok()?,
        weight: u32::try_from(weight).ok()?,
    };
    Some(Listed { duplicate: Arc::new(duplicate), ca: ca.map(|ca| ca.path), auth })
}

/// A name that no other of its kind has.
pub(super) fn unique_name(field: &Field<'_>, names: &mut HashSet<String>) -> Option<String> {
    let name = field.filled_text()?;
    if !names.insert(name.into()) {
        field.wrong(format!("must be unique; `{}` stands before", shown(name)));
    }
    Some(name.into())
}

/// A duplicate never gets the client's own key, so without a key of its own it gets none.
fn want_key(fields: &Fields<'_>, kind: Kind) {
    if fields.given("apiKey").is_some() || fields.given("entra").is_some() {
        return;
    }
    match kind {
        Kind::Azure => fields.field.wrong("lacks the key `apiKey`"),
        Kind::Exact => fields.field.warn("has no `apiKey`; calls go there without a credential"),
    }
}

fn credential(key: Option<Secret>, auth: Auth) -> Credential {
    match (key, auth) {
        (None, _) => Credential::None,
        (Some(key), Auth::ApiKey) => Credential::ApiKey(key),
        (Some(key), Auth::Bearer) => Credential::Bearer(key),
    }
}

/// What stands before `/v1` or, on Azure, before `/openai`.
fn base_path(field: &Field<'_>, address: &Address, kind: Kind) -> Option<String> {
    if address.path.query().is_some() {
        field.wrong_hint("must not hold a query (`?`)", "an Azure API version goes into `apiVersion`");
        return None;
    }
    let path = address.path.path().trim_end_matches('/');
    if kind == Kind::Azure {
        let path = path.strip_suffix("/openai/v1").or_else(|| path.strip_suffix("/openai")).unwrap_or(path);
        if path.contains("/openai/") {
            field.wrong_hint("must end before `/openai/`", "deployments go into `deployments`");
            return None;
        }
        return Some(path.into());
    }
    let Some(before) = path.strip_suffix("/v1") else { return Some(path.into()) };
    field.warn("ends in `/v1`, which every call brings along; it is left out");
    Some(before.into())
}

fn duplicate_kind(fields: &Fields<'_>, kind: Kind) -> DuplicateKind {
    if kind == Kind::Exact {
        for key in ["apiVersion", "deployments"] {
            if let Some(field) = fields.given(key) {
                field.wrong_hint("is for Azure only", "`kind: \"azure\"` makes this duplicate one");
            }
        }
        return DuplicateKind::Exact;
    }
    let version = fields.given("apiVersion").and_then(|field| azure_version(&field));
    let deployments = fields.given("deployments").map(|field| deployments(&field)).unwrap_or_default();
    DuplicateKind::Azure { version: version.unwrap_or_else(|| AzureVersion::V1("v1".into())), deployments }
}

fn azure_version(field: &Field<'_>) -> Option<AzureVersion> {
    let text = field.filled_text()?;
    if ["v1", "preview", "latest"].contains(&text) {
        return Some(AzureVersion::V1(text.into()));
    }
    let date = text.strip_suffix("-preview").unwrap_or(text);
    if date.len() != 10 || date.parse::<jiff::civil::Date>().is_err() {
        let forms = "must be `v1`, `preview`, `latest` or a date such as `2024-10-21` or `2025-04-01-preview`";
        field.wrong(format!("{forms}, not `{}`", shown(text)));
        return None;
    }
    Some(AzureVersion::Dated(text.into()))
}

fn deployments(field: &Field<'_>) -> HashMap<Arc<str>, Deployment> {
    let read = |(model, field): (&str, Field<'_>)| {
        let fields = field.fields(&["deployment", "model"])?;
        let deployment = fields.required("deployment").and_then(|field| path_segment(&field));
        let base = fields.given("model").and_then(|field| field.filled_text());
        Some((model.into(), Deployment { deployment: deployment?.into(), model: base.map(Into::into) }))
    };
    field.members().into_iter().filter_map(read).collect()
}

/// A deployment's name, which becomes a segment of a path.
fn path_segment<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.filled_text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !text.bytes().all(plain) || text.bytes().all(|byte| byte == b'.') {
        field.wrong("must be letters, digits, `-`, `_` and `.` only");
        return None;
    }
    Some(text)
}

fn globs(field: &Field<'_>) -> Option<Vec<Box<str>>> {
    let items = field.items();
    if items.is_empty() && matches!(field.shape(), Shape::List(_)) {
        field.wrong_hint("must name at least one model", "leave it out to serve every model");
        return None;
    }
    Some(items.iter().filter_map(|item| item.filled_text().map(Into::into)).collect())
}

fn is_azure(address: &Address) -> bool {
    address.at.host.name().is_some_and(is_azure_host)
}

const KEYS: [&str; 12] = [
    "name",
    "kind",
    "url",
    "apiKey",
    "auth",
    "entra",
    "apiVersion",
    "deployments",
    "models",
    "priority",
    "weight",
    "ca",
];
