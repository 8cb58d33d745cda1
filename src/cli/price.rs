//! What a call would cost, for people and for programs.

use std::io::{self, Write};

use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cli::listing::{cell, dollars};
use crate::dialect::endpoint::Endpoint;
use crate::policy::Policy;
use crate::policy::pricing::sale::Quote;
use crate::policy::target::Target;

/// The prices of a call for `model` at `path` there, as far as they are known before it is made.
pub(crate) fn quote(policy: &Policy, (model, path): (&str, &str), target: &Target) -> Option<Quote> {
    let path = path.split('?').next().unwrap_or(path);
    let endpoint = Endpoint::recognise(&Method::POST, path);
    policy.prices.quote(&target.sale(Some(model), &endpoint, Timestamp::now()))
}

/// One line for what usual calls cost, one for each other tariff; or why nothing is known.
pub(crate) fn describe_price(quote: Option<&Quote>, target: &Target, out: &mut dyn Write) -> io::Result<()> {
    let Some(quote) = quote else {
        let remedy = match (&target.custom, target.is_on_azure()) {
            (Some(_), _) => "; `tokenPricing` would say",
            (None, true) => "; the base model of the deployment (`deployments`) would say",
            (None, false) => "",
        };
        return writeln!(out, "price      unknown: calls are booked as unpriced{remedy}");
    };
    for (number, rates) in tariffs(quote).iter().enumerate() {
        let source = if number == 0 { format!(" ({})", cell(&(*quote.source).into())) } else { String::new() };
        writeln!(out, "{:<11}{}{source}", heading(number, rates), prices(rates, number == 0))?;
    }
    Ok(())
}

/// The same for programs.
pub(crate) fn shown_price(quote: &Quote) -> Value {
    let tariffs = tariffs(quote);
    let usual = |kind: &str| tariffs.first().and_then(|rates| rates.get(kind)).cloned();
    json!({
        "inputUsdPerMillion": usual("input"), "outputUsdPerMillion": usual("output"), "source": quote.source,
        "tariffs": tariffs,
    })
}

fn tariffs(quote: &Quote) -> Vec<Map<String, Value>> {
    quote.tariffs.iter().filter_map(|rates| serde_json::from_str(rates.get()).ok()).collect()
}

/// What a tariff is for.
fn heading(number: usize, rates: &Map<String, Value>) -> String {
    let mut words = Vec::new();
    words.extend(rates.get("tier").map(cell));
    words.extend(rates.get("size").map(cell));
    words.extend(rates.get("above").map(|above| format!(">{above}")));
    if words.is_empty() {
        return if number == 0 { "price".into() } else { String::new() };
    }
    // Long ones keep their distance to what follows.
    words.join(" ") + " "
}

/// `input 2.50, output 10.00 USD per million tokens, webSearch 25.00 USD per thousand`.
fn prices(rates: &Map<String, Value>, with_fees: bool) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    // What comes on top is the same in every tariff.
    let is_told = |kind: &str| !TERMS.contains(&kind) && (with_fees || !FEES.contains(&kind));
    for (kind, dollars_text) in rates.iter().filter(|(kind, _)| is_told(kind)) {
        let unit = UNITS.iter().find(|(known, _)| known == kind).map_or("per million tokens", |(_, unit)| *unit);
        let text = format!("{kind} {}", dollars(dollars_text));
        match groups.iter_mut().find(|(known, _)| *known == unit) {
            Some((_, texts)) => texts.push(text),
            None => groups.push((unit, vec![text])),
        }
    }
    let group = |(unit, texts): &(&str, Vec<String>)| format!("{} USD {unit}", texts.join(", "));
    groups.iter().map(group).collect::<Vec<_>>().join("; ")
}

/// What says when a tariff holds, and is no price.
const TERMS: [&str; 4] = ["above", "region", "size", "tier"];

/// What is charged beside the tokens.
const FEES: [&str; 4] = ["codeSession", "fileSearch", "request", "webSearch"];

/// What is not paid by the million tokens.
const UNITS: [(&str, &str); 7] = [
    ("character", "per million characters"),
    ("codeSession", "per session"),
    ("fileSearch", "per thousand"),
    ("image", "per picture"),
    ("request", "per thousand"),
    ("second", "per second"),
    ("webSearch", "per thousand"),
];
