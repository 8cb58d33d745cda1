//! Calls are priced by what served them, by the owner's tables first, and not sent at all where the owner wants that.

use std::fs;
use std::process::Command;

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::ledger::entry::{Entry, Outcome};

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_call_keeps_the_rates_that_it_was_priced_with() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    post(&gate, "api.openai.com", CHAT, "gpt-4o").await;
    let entry = gate.wait_for_entries(1).await.remove(0);
    let rates: Value = serde_json::from_str(entry.rates.as_ref().unwrap().get()).unwrap();
    assert_eq!(
        (&rates["input"], &rates["cachedInput"], &rates["output"]),
        (&json!("2.5"), &json!("1.25"), &json!("10"))
    );
    assert_eq!(source(&entry), Some("litellm-1.109.1:gpt-4o-2024-08-06"));
    assert_eq!((entry.region.asked, entry.region.served), (None, None));
}

#[tokio::test]
async fn a_region_is_booked_and_raises_the_price_where_the_model_has_an_uplift() {
    let upstream = Upstream::start(Options::default());
    let address = upstream.address();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
    fs::write(folder.path().join("mine.json5"), UPLIFTED).unwrap();
    let text = format!(
        r#"{{listen: {{proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}}, workers: 1, pricing: {{files: ["mine.json5"]}},
             upstream: {{ca: "standin.pem", resolve: {{"eu.api.openai.com:443": "{address}",
                                                      "api.openai.com:443": "{address}"}}}}}}"#
    );
    let gate = TestGate::from_text(folder, &text);
    for (number, host) in ["api.openai.com", "eu.api.openai.com"].into_iter().enumerate() {
        post(&gate, host, EMBEDDINGS, "text-embedding-3-small").await;
        let entry = gate.wait_for_entries(number + 1).await.remove(number);
        let region = (number == 1).then_some("eu");
        assert_eq!((entry.region.asked.as_deref(), entry.region.served.as_deref()), (region, region));
        let tokens = entry.usage.and_then(|usage| usage.input).map(i128::from).unwrap();
        let expected = tokens * if number == 1 { 3_300_000 } else { 3_000_000 };
        assert_eq!((source(&entry), entry.cost.map(|cost| cost.0)), (Some(UPLIFTED_SOURCE), Some(expected)));
    }
}

#[tokio::test]
async fn azure_tells_its_region_and_a_deployments_name_proves_nothing() {
    let origin = Upstream::start(Options::default());
    // The deployment bears the name of a model that it is not.
    let azure = Upstream::start(Options { name: "azure", tls: false, ..Options::default() });
    let map = |model: &str| format!(r#"{{ "gpt-4o": {{ deployment: "gpt-4o-mini-2024-07-18"{model} }} }}"#);
    for (model, expected) in [("", None), (r#", model: "gpt-4o-2024-08-06""#, Some("azure/gpt-4o-2024-08-06"))] {
        let gate = TestGate::start(&origin, &azure_with(&azure, &map(model)));
        let answered = post(&gate, "api.openai.com", "/v1/responses", "gpt-4o").await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        let entry = gate.wait_for_entries(1).await.remove(0);
        assert!(entry.usage.is_some());
        assert_eq!(source(&entry).and_then(|source| source.strip_prefix("litellm-1.109.1:")), expected, "{entry:?}");
        assert_eq!(entry.cost.is_some(), expected.is_some());
        let told = answered.headers.get("x-ms-region").is_some();
        assert_eq!(entry.region.served.as_deref(), told.then_some("swedencentral"));
    }
}

#[tokio::test]
async fn a_call_without_a_known_price_is_refused_before_anything_is_sent() {
    let upstream = Upstream::start(Options::default());
    let azure = Upstream::start(Options { name: "azure", tls: false, ..Options::default() });
    let refuse = "pricing: { unknown: 'refuse' }";
    let at = upstream.url().replace("127.0.0.1", "localhost");
    let models = format!(
        r#"{refuse}, models: [
             {{name: "my/free", apiKey: "sk-own", endpointUrl: "{at}/v1/chat/completions"}},
             {{name: "my/paid", apiKey: "sk-own", endpointUrl: "{at}/v1/chat/completions", tokenPricing: {{prompt: 0.1, completion: 0.2}}}}]"#
    );
    let deployments =
        azure_with(&azure, r#"{ "base": { deployment: "d1", model: "gpt-4o" }, "bare": { deployment: "d2" } }"#);
    for (more, model, tier, remedy) in [
        (&models, "gpt-4o", None, None),
        (&models, "nobody-knows-it", None, Some("`pricing.files`")),
        (&models, "gpt-4o", Some("flex"), Some("in the service tier `flex`")),
        (&models, "gpt-4o", Some("auto"), None),
        (&models, "my/paid", None, None),
        (&models, "my/free", None, Some("`tokenPricing`")),
        (&format!("{refuse}, {deployments}"), "base", None, None),
        (&format!("{refuse}, {deployments}"), "bare", None, Some("`deployments`")),
        (&String::new(), "nobody-knows-its-price", None, None),
    ] {
        let gate = TestGate::start(&upstream, more);
        upstream.clear();
        azure.clear();
        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "one two"}]});
        tier.into_iter().for_each(|tier| body["service_tier"] = json!(tier));
        let answered = client.post(CHAT, body.to_string()).await;
        let entry = gate.wait_for_entries(1).await.remove(0);
        let sent = upstream.seen().len() + azure.seen().len();
        let Some(remedy) = remedy else {
            assert_eq!((answered.status, entry.outcome, sent), (StatusCode::OK, Outcome::Ok, 1), "{}", answered.text());
            continue;
        };
        assert_eq!((answered.status, entry.outcome, sent), (StatusCode::BAD_REQUEST, Outcome::Refused, 0), "{model}");
        let error = &answered.json()["error"];
        let named = (&error["type"], &error["code"], &error["param"]);
        assert_eq!(named, (&json!("invalid_request_error"), &json!("unknown_price"), &json!("model")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("`{model}`")) && message.contains(remedy), "{message}");
        assert_eq!((entry.status, entry.attempt), (400, 0));
    }
}

#[tokio::test]
async fn a_journal_is_priced_anew_once_its_gate_has_stopped() {
    let upstream = Upstream::start(Options::default());
    let folder = TempDir::new().unwrap();
    let journal = folder.path().join("ledger.sqlite");
    fs::write(folder.path().join("mine.json5"), "{'gpt-4o': {input: '1', output: '1'}}").unwrap();
    let ledger = format!("ledger: {{path: {:?}}}", journal.display().to_string());
    fs::write(folder.path().join("t.json5"), format!("{{pricing: {{files: ['mine.json5']}}, {ledger}}}")).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.env_clear().current_dir(folder.path()).args(["reprice", "--config", "t.json5"]);
        if !arguments.contains(&"--since") {
            command.args(["--since", "1h"]);
        }
        let output = command.args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let gate = TestGate::start(&upstream, &ledger);
    post(&gate, "api.openai.com", CHAT, "gpt-4o").await;
    post(&gate, "api.openai.com", EMBEDDINGS, "text-embedding-3-small").await;
    let entry = gate.wait_for_entries(2).await.remove(0);
    let usage = entry.usage.unwrap();
    let (before, after) = (entry.cost.unwrap().0, i128::from(usage.total()) * 1_000_000);
    let (code, _, told) = command(&[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("hint: stop that gate first"), "{told}");
    drop(gate);

    let shown = |arguments: &[&str]| -> Value { serde_json::from_str(&command(arguments).1).unwrap() };
    let dollars = |pico: i128| format!("0.{pico:012}");
    let changed = json!([{"model": "gpt-4o", "entries": 1, "unpricedBefore": 0, "beforeUsd": dollars(before),
                          "afterUsd": dollars(after)}]);
    let expected = |dry: bool| json!({"dryRun": dry, "models": changed, "same": 1, "kept": 0});
    assert_eq!(shown(&["--json", "--dry-run"]), expected(true));
    assert_eq!(shown(&["--json"]), expected(false));
    assert_eq!(command(&[]).1, "0 entries changed, 2 cost what they did\n");

    let gate = TestGate::start(&upstream, &ledger);
    let entry = gate.wait_for_entries(2).await.remove(0);
    let first = entry.repriced.as_ref().and_then(|first| first.cost);
    assert_eq!((entry.cost.map(|cost| cost.0), first.map(|cost| cost.0)), (Some(after), Some(before)));
    assert_eq!(source(&entry), Some("mine.json5:gpt-4o"));
    let (code, _, told) = command(&["--since", "soon"]);
    assert!(code == Some(2), "{told}");
}

fn azure_with(azure: &Upstream, deployments: &str) -> String {
    let url = azure.url();
    format!(
        r#"duplicates: [{{ name: "azure", kind: "azure", url: "{url}", apiKey: "azure-own-key", apiVersion: "v1",
                           deployments: {deployments} }}]"#
    )
}

async fn post(gate: &TestGate, host: &str, path: &str, model: &str) -> Answered {
    let mut client = Client::intercepted(gate.proxy(), host, &gate.root_pem(), "h2").await;
    let body = json!({"model": model, "input": "one two three", "messages": [{"role": "user", "content": "one two"}]});
    let request = Request::post(format!("https://{host}{path}")).header("content-type", "application/json");
    let request = request.header("authorization", "Bearer sk-client").body(Full::from(body.to_string())).unwrap();
    client.send(request).await
}

fn source(entry: &Entry) -> Option<&str> {
    entry.price_source.as_deref()
}

const CHAT: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const UPLIFTED: &str = "{'text-embedding-3-small': {input: '3', output: '0', uplift: {eu: '1.1'}}}";
const UPLIFTED_SOURCE: &str = "mine.json5:text-embedding-3-small";
