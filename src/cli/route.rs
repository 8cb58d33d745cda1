//! `tollgate route`: where a call would go, why, and at what price.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Value, json};

use crate::cli::arguments::{ConfigArgs, RouteArgs};
use crate::cli::hub::acquired;
use crate::cli::listing::cell;
use crate::cli::price::{describe_price, quote, shown_price};
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::dialect::bridge::Bridge;
use crate::dialect::endpoint::{Dialect, Endpoint, Socket};
use crate::net::host::HostPort;
use crate::net::secret::masked_query;
use crate::policy::Policy;
use crate::policy::custom::{CustomModel, ModelType};
use crate::policy::routing::Ask;
use crate::policy::target::{Credential, RouteKind, Scheme, Target};
use crate::tokens::kit::Kit;

/// Says where a call would go; sends nothing.
///
/// # Errors
/// A configuration with mistakes, a path that is none, or a call that would be refused.
pub fn run(args: &RouteArgs) -> Result<(), Problem> {
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    let path = args.path.clone().unwrap_or_else(|| usual_path(&loaded.policy, &args.name).to_owned());
    let targets = resolve(&loaded.policy, &args.name, &path).map_err(|error| Problem::usage(error, None))?;
    let custom = targets.first().and_then(|target| target.custom.clone());
    let kit = custom.as_ref().map(|custom| acquired(&loaded.setup, custom)).transpose()?;
    let about = custom.zip(kit);
    let mut out = io::stdout().lock();
    if args.json {
        let shown: Vec<Value> =
            targets.iter().map(|target| shown(&loaded.policy, (&args.name, &path), target)).collect();
        let mut whole = json!({ "model": args.name, "path": path, "targets": shown });
        if let Some((custom, kit)) = &about {
            whole["custom"] = shown_kit(custom, kit);
        }
        writeln!(out, "{whole:#}")?;
        return Ok(());
    }
    for (number, target) in (1..).zip(&targets) {
        if number > 1 {
            writeln!(out, "\nif nothing could be sent there:")?;
        }
        describe(&loaded.policy, (&args.name, &path), target, &mut out)?;
    }
    if let Some((custom, kit)) = &about {
        describe_kit(custom, kit, &mut out)?;
    } else if let Some(name) = likely_meant(&loaded.policy, &args.name) {
        let _ = writeln!(io::stderr(), "hint: there is a custom model `{}`; names must be exact", cell(&name.into()));
    }
    Ok(())
}

/// The custom model that a name which is none may have been meant for.
fn likely_meant<'p>(policy: &'p Policy, model: &str) -> Option<&'p str> {
    let likeness = |known: &str| strsim::jaro_winkler(&model.to_lowercase(), &known.to_lowercase());
    let scored = policy.routing.customs.keys().map(|known| (likeness(known), &**known));
    let (likeness, known) = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > 0.9).then_some(known)
}

/// The path of the calls that programs make of such a model.
fn usual_path(policy: &Policy, model: &str) -> &'static str {
    let kind = policy.routing.customs.get(model).map(|custom| custom.kind);
    let dialect = kind.filter(|kind| *kind == ModelType::TextEmbedding).map_or(Dialect::Chat, ModelType::dialect);
    Endpoint::Call(dialect).name()
}

/// What is known about a custom model beside where its calls go.
fn describe_kit(custom: &CustomModel, kit: &Kit, out: &mut dyn Write) -> io::Result<()> {
    let from = |from: &Option<Arc<str>>| from.as_deref().unwrap_or("-").to_owned();
    let length = kit.length.map(|length| format!("{length} tokens ({})", from(&kit.length_from)));
    let template = match (&kit.template, custom.kind) {
        (Some(_), _) => from(&kit.template_from),
        (None, ModelType::Completion) => "none: messages are written in a plain form".into(),
        (None, _) => "none here: the server has its own".into(),
    };
    let tokenizer = kit.tokenizer.as_ref().map(|_| from(&kit.tokenizer_from));
    writeln!(out, "model at   {}", cell(&masked_query(&custom.model_url).into()))?;
    writeln!(out, "tokenizer  {}", tokenizer.unwrap_or_else(|| "not there: counts are estimates".into()))?;
    if custom.kind != ModelType::TextEmbedding {
        writeln!(out, "template   {template}")?;
    }
    let unknown = || "unknown: calls of any length are sent; `maxSequenceLength` would say".to_owned();
    writeln!(out, "length     {}", length.unwrap_or_else(unknown))?;
    match &kit.missing {
        None => Ok(()),
        Some(missing) => writeln!(out, "missing    {missing}"),
    }
}

fn shown_kit(custom: &CustomModel, kit: &Kit) -> Value {
    json!({
        "type": custom.kind.name(), "typeFrom": custom.kind_from.name(), "modelUrl": masked_query(&custom.model_url),
        "tokenizer": kit.tokenizer_from, "template": kit.template_from, "contextLength": kit.length,
        "contextLengthFrom": kit.length_from, "missing": kit.missing,
    })
}

/// What has to be done so that the server understands the call.
fn translation(target: &Target) -> Option<&'static str> {
    match target.bridge? {
        Bridge::ChatOverCompletion => Some("the messages become a prompt, and the text a chat reply"),
        Bridge::CompletionOverChat => Some("each prompt becomes a message, and the answer a completion"),
    }
}

/// The targets of a call for `model` at `path`, in order.
///
/// # Errors
/// No such path, or a refusal.
pub fn resolve(policy: &Policy, model: &str, path: &str) -> anyhow::Result<Vec<Target>> {
    let path: PathAndQuery = path.parse().with_context(|| format!("`{path}` is not a path"))?;
    let mut endpoint = Endpoint::recognise(&Method::POST, path.path());
    if endpoint == Endpoint::Other {
        endpoint = Socket::recognise(path.path()).map_or(endpoint, Endpoint::Socket);
    }
    if endpoint == Endpoint::Other {
        return Err(anyhow!("`{path}` is not a call that names a model, such as /v1/chat/completions"));
    }
    let host = policy.interception.principal().context("no host is intercepted")?;
    let origin = Target::origin(Scheme::Https, HostPort { host, port: 443 }, path.clone());
    let ask = Ask { endpoint: &endpoint, model: Some(model), path: &path, origin: &origin, draw: 0 };
    Ok(policy.routing.plan(&ask)?)
}

fn describe(policy: &Policy, (model, path): (&str, &str), target: &Target, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "url        {}", target.url())?;
    writeln!(out, "why        {}", cell(&why(target).into()))?;
    writeln!(out, "key        {}", key(&target.credential))?;
    if let Some(custom) = &target.custom {
        writeln!(out, "type       {} ({})", custom.kind.name(), custom.kind_from.explained())?;
    }
    if let Some(translation) = translation(target) {
        writeln!(out, "bridge     {translation}")?;
    }
    if let Some(sent) = &target.model {
        writeln!(out, "model      sent as `{}`", cell(&sent.as_ref().into()))?;
    }
    describe_price(quote(policy, (model, path), target).as_ref(), target, out)
}

fn shown(policy: &Policy, (model, path): (&str, &str), target: &Target) -> Value {
    let price = quote(policy, (model, path), target).map(|quote| shown_price(&quote));
    json!({
        "url": target.url(), "route": target.route, "why": why(target), "key": key(&target.credential),
        "modelSent": target.model.as_deref().unwrap_or(model), "price": price, "translation": translation(target),
    })
}

fn why(target: &Target) -> String {
    let name = &target.route.name;
    match target.route.kind {
        RouteKind::Custom => format!("`{name}` is a custom model"),
        RouteKind::Duplicate => format!("the duplicate `{name}` serves this model"),
        RouteKind::Origin => "no custom model or duplicate serves it: the host that the client asked for".into(),
    }
}

fn key(credential: &Credential) -> &'static str {
    match credential {
        Credential::ApiKey(_) => "the configured key, as api-key",
        Credential::Bearer(_) => "the configured key, as bearer",
        Credential::Clients => "the client's own",
        Credential::ClientsApiKey => "the client's own, as api-key",
        Credential::ClientsBearer => "the client's own, as bearer",
        Credential::None => "none",
    }
}
