//! One line of the custom-models document: an object that becomes a custom model.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;

use crate::config::address::Address;
use crate::config::amount::{duration, rate};
use crate::config::document::Shape;
use crate::config::extras::{ChatTemplate, chat_template, headers, stops};
use crate::config::field::{Field, Fields};
use crate::config::files::Trust;
use crate::config::secrets::secret;
use crate::policy::custom::{CustomModel, KindFrom, ModelKey, ModelType};
use crate::policy::pricing::rate::{Price, Rate};
use crate::policy::target::{Destination, Scheme};

/// A custom model and where it was defined.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// The model.
    pub(super) model: Arc<CustomModel>,
    /// `ca` as written.
    pub(super) ca: Option<String>,
    /// The file of `chatTemplate` as written.
    pub(super) template_file: Option<String>,
    /// `file:line:column`.
    pub(super) place: String,
}

impl Listed {
    /// Reads one object; `None` where it has mistakes.
    ///
    /// The document's own keys mean what they mean to its program: a value that JavaScript takes for false is as none,
    /// and an unknown key does no harm.
    pub(super) fn read(field: &Field<'_>, own: &[SocketAddr]) -> Option<Self> {
        let fields = field.fields_among(&KEYS)?;
        let name = fields.required("name").and_then(|field| field.filled_text());
        let url = fields.required("endpointUrl");
        let address = url.as_ref().and_then(|field| Address::read(field, own));
        let price = fields.truthy("tokenPricing").and_then(|field| price(&field));
        let max_sequence_length = fields.truthy("maxSequenceLength").and_then(|field| length(&field));
        let given_type = fields.truthy("type").map(|field| field.one_of(&TYPES));
        let model_url = fields.truthy("modelUrl").map(|field| model_url(&field));
        let own_key = fields.truthy("apiKey").map(|field| own_key(&field));
        let ca = Trust::read(&fields);
        let max_output_tokens = fields.truthy("maxOutputTokens").and_then(|field| length(&field));
        let stop = fields.truthy("stop").map(|field| stops(&field)).unwrap_or_default();
        let template = fields.truthy("chatTemplate").and_then(|field| chat_template(&field));
        let headers = fields.truthy("headers").map(|field| headers(&field)).unwrap_or_default();
        let normalize = fields.given("normalize").and_then(|field| field.flag()).unwrap_or(true);
        let timeout = fields.truthy("timeout").and_then(|field| duration(&field));

        let (name, url, address) = (name?, url?, address?);
        let (kind, kind_from) = match given_type {
            Some(given) => (given?, KindFrom::Line),
            None => told_by_path(&url, &address.path),
        };
        let api_key = match own_key {
            Some(key) => key?,
            None if is_openai(&address) => ModelKey::Clients,
            None => ModelKey::None,
        };
        warn_of_clear_text(&url, &address, &api_key);
        let Address { scheme, at, path } = address;
        let destination = Destination { scheme, at, dialled: None, roots: ca.as_ref().map(|ca| Arc::clone(&ca.roots)) };
        let bare = CustomModel::new(name, destination, path);
        let model_url_given = model_url.is_some();
        let (chat_template, template_file) = template.map_or((None, None), ChatTemplate::parts);
        let model = CustomModel {
            api_key,
            kind,
            kind_from,
            price,
            model_url: model_url.map_or(Some(bare.model_url.clone()), |given| given.map(Into::into))?,
            model_url_given,
            max_sequence_length,
            max_output_tokens,
            stop,
            chat_template,
            headers,
            normalize,
            timeout,
            ..bare
        };
        Some(Self { model: Arc::new(model), ca: ca.map(|ca| ca.path), template_file, place: field.place() })
    }
}

/// `{prompt, completion}` in US dollars for 1000 tokens.
fn price(field: &Field<'_>) -> Option<Price> {
    let fields = field.fields_among(&["prompt", "completion"])?;
    let member = |fields: &Fields<'_>, key: &str| match fields.given(key) {
        Some(field) => rate(&field),
        None => {
            field.warn(&format!("has no `{key}`; such tokens cost nothing"));
            Some(Rate(0))
        }
    };
    let (input, output) = (member(&fields, "prompt"), member(&fields, "completion"));
    Some(Price::new(input?, output?))
}

/// A number of tokens, also where it was written as `1e3` or as a text.
fn length(field: &Field<'_>) -> Option<u64> {
    let number = match field.shape() {
        Shape::Whole(number) => u64::try_from(*number).ok(),
        Shape::Fraction(number) if number.is_finite() && number.fract() == 0.0 => {
            format!("{number:.0}").parse::<u64>().ok()
        }
        Shape::Fraction(number) if number.is_finite() => None,
        Shape::Text(text) => text.trim().parse::<u64>().ok(),
        other => {
            let predicate = format!("must be a whole number of tokens such as `4096`, not {}", other.name());
            field.wrong_hint(&predicate, LENGTH_UNKNOWN);
            return None;
        }
    };
    let number = number.filter(|number| (1..=MOST_TOKENS).contains(number));
    if number.is_none() {
        field.wrong_hint(&format!("must be a whole number of tokens from 1 to {MOST_TOKENS}"), LENGTH_UNKNOWN);
    }
    number
}

/// `apiKey`: a secret, or the word for the key that the client sends.
fn own_key(field: &Field<'_>) -> Option<ModelKey> {
    match field.shape() {
        Shape::Text(text) if text.trim() == CLIENTS_KEY => Some(ModelKey::Clients),
        _ => secret(field).map(ModelKey::Own),
    }
}

/// Whether the endpoint is OpenAI's own, which the client's key is for in any case.
fn is_openai(address: &Address) -> bool {
    let name = address.at.host.name();
    address.scheme == Scheme::Https && address.at.port == 443 && name.is_some_and(|name| name == "api.openai.com")
}

/// A key that travels through a network unencrypted can be read on its way.
fn warn_of_clear_text(url: &Field<'_>, address: &Address, key: &ModelKey) {
    let host = &address.at.host;
    let is_near = match host {
        crate::net::host::Host::Address(address) => address.is_loopback(),
        crate::net::host::Host::Name(name) => &**name == "localhost" || name.ends_with(".localhost"),
    };
    if *key == ModelKey::Clients && address.scheme == Scheme::Http && !is_near {
        url.warn("gets the client's own key over an unencrypted connection");
    }
}

/// Where tokenizer and configuration come from, without one final slash.
fn model_url(field: &Field<'_>) -> Option<String> {
    let text = field.filled_text()?;
    let outcome = match text.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(()),
        Some(_) => Err("must be a folder's whole path behind `file://`, such as `file:///models/mine`"),
        None => match Address::parse(text) {
            Ok(_) => Ok(()),
            Err("must be an http or https URL") => Err("must be an http, https or file URL"),
            Err(predicate) => Err(predicate),
        },
    };
    match outcome {
        Ok(()) => Some(text.strip_suffix('/').unwrap_or(text).into()),
        Err(predicate) => {
            field.wrong(predicate);
            None
        }
    }
}

fn told_by_path(url: &Field<'_>, path: &PathAndQuery) -> (ModelType, KindFrom) {
    if let Some(kind) = inferred_type(path.path()) {
        return (kind, KindFrom::Path);
    }
    // The document's program looks for it in the whole URL, so that an address behind a forwarder's query counts there.
    let (kind, reason) = match path.query().and_then(within) {
        Some(kind) => (kind, " because of its query"),
        None => (ModelType::Completion, ""),
    };
    let kind_name = kind.name();
    url.warn(&format!(
        "does not tell the model's type by its path; `{kind_name}` is assumed{reason}, `type` would say"
    ));
    (kind, KindFrom::Assumed)
}

/// What an endpoint's path says: its last segments, with or without `/v1` or a deployment before them, else what the
/// document's program looks for, which may stand anywhere.
fn inferred_type(path: &str) -> Option<ModelType> {
    let end = path.trim_end_matches('/');
    KINDS.into_iter().find(|kind| end.ends_with(kind.dialect().path())).or_else(|| within(path))
}

/// The first type whose path below `/v1` is part of the text.
fn within(text: &str) -> Option<ModelType> {
    KINDS.into_iter().find(|kind| text.contains(&format!("/v1{}", kind.dialect().path())))
}

const KINDS: [ModelType; 3] = [ModelType::ChatCompletion, ModelType::Completion, ModelType::TextEmbedding];

const KEYS: [&str; 14] = [
    "name",
    "endpointUrl",
    "modelUrl",
    "tokenPricing",
    "maxSequenceLength",
    "apiKey",
    "type",
    "ca",
    "stop",
    "chatTemplate",
    "maxOutputTokens",
    "headers",
    "normalize",
    "timeout",
];

const TYPES: [(&str, ModelType); 3] = [
    ("completion", ModelType::Completion),
    ("chat-completion", ModelType::ChatCompletion),
    ("text-embedding", ModelType::TextEmbedding),
];

/// The word of the document for the key that the client sends.
pub(super) const CLIENTS_KEY: &str = "<OPENAI>";

const MOST_TOKENS: u64 = 1 << 40;

const LENGTH_UNKNOWN: &str = "leave the key out where there is no such number";
