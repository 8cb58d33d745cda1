//! `tollgate route`: where a call would go, why, and at what price.

use std::io::{self, Write};

use anyhow::{Context, anyhow};
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Value, json};

use crate::cli::arguments::{ConfigArgs, RouteArgs};
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::dialect::endpoint::Endpoint;
use crate::net::host::HostPort;
use crate::policy::Policy;
use crate::policy::pricing::Sale;
use crate::policy::routing::Ask;
use crate::policy::target::{Credential, RouteKind, Scheme, Target};
use crate::units::Usage;

/// Says where a call would go; sends nothing.
///
/// # Errors
/// A configuration with mistakes, a path that is none, or a call that would be refused.
pub fn run(args: &RouteArgs) -> Result<(), Problem> {
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    let targets = resolve(&loaded.policy, &args.name, &args.path).map_err(|error| Problem::usage(error, None))?;
    let mut out = io::stdout().lock();
    if args.json {
        let shown: Vec<Value> = targets.iter().map(|target| shown(&loaded.policy, &args.name, target)).collect();
        writeln!(out, "{:#}", json!({ "model": args.name, "path": args.path, "targets": shown }))?;
        return Ok(());
    }
    for (number, target) in (1..).zip(&targets) {
        if number > 1 {
            writeln!(out, "\nif nothing could be sent there:")?;
        }
        describe(&loaded.policy, &args.name, target, &mut out)?;
    }
    Ok(())
}

/// The targets of a call for `model` at `path`, in order.
///
/// # Errors
/// No such path, or a refusal.
pub fn resolve(policy: &Policy, model: &str, path: &str) -> anyhow::Result<Vec<Target>> {
    let path: PathAndQuery = path.parse().with_context(|| format!("`{path}` is not a path"))?;
    let endpoint = Endpoint::recognise(&Method::POST, path.path());
    if endpoint == Endpoint::Other {
        return Err(anyhow!("`{path}` is not a call that names a model, such as /v1/chat/completions"));
    }
    let host = policy.interception.principal().context("no host is intercepted")?;
    let origin = Target::origin(Scheme::Https, HostPort { host, port: 443 }, path.clone());
    let ask = Ask { endpoint: &endpoint, model: Some(model), path: &path, origin: &origin, draw: 0 };
    Ok(policy.routing.plan(&ask)?)
}

fn describe(policy: &Policy, model: &str, target: &Target, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "url    {}", target.url())?;
    writeln!(out, "why    {}", why(target))?;
    writeln!(out, "key    {}", key(&target.credential))?;
    if let Some(sent) = &target.model {
        writeln!(out, "model  sent as `{sent}`")?;
    }
    match price(policy, model, target) {
        None => writeln!(out, "price  unknown: calls are booked as unpriced"),
        Some((input, output, source)) => {
            writeln!(out, "price  input {input}, output {output} USD per million tokens ({source})")
        }
    }
}

fn shown(policy: &Policy, model: &str, target: &Target) -> Value {
    let price = price(policy, model, target).map(|(input, output, source)| {
        json!({ "inputUsdPerMillion": input, "outputUsdPerMillion": output, "source": source })
    });
    json!({
        "url": target.url(), "route": target.route, "why": why(target), "key": key(&target.credential),
        "modelSent": target.model.as_deref().unwrap_or(model), "price": price,
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

/// What a million tokens of input and of output cost, in short calls, and by which table.
fn price(policy: &Policy, model: &str, target: &Target) -> Option<(String, String, String)> {
    // One token at a time, so that a price for long inputs is not met.
    let of = |usage: Usage| {
        policy.prices.cost(&Sale {
            own: target.own_price.as_ref(),
            base_model: target.base_model.as_deref(),
            served: None,
            asked: Some(model),
            tier: None,
            usage: &usage,
        })
    };
    let thousand = 1000;
    let input = of(Usage { input: Some(thousand), output: Some(0), ..Usage::default() })?;
    let output = of(Usage { input: Some(0), output: Some(thousand), ..Usage::default() })?;
    let million = |cost: crate::units::Cost| crate::units::Cost(cost.0 * 1000).to_string();
    Some((million(input.cost), million(output.cost), input.source.to_string()))
}
