//! Azure serves a call in its own URL forms, and the client sees what api.openai.com would have given.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn the_dated_form_names_the_deployment_in_the_path_and_leaves_the_body_alone() {
    let (_origin, azure, gate) = started("2024-10-21");
    let answered = post(&gate, "/v1/chat/completions?x=%2F", WHOLE).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let seen = azure.seen().remove(0);
    assert_eq!(seen.path_and_query, "/openai/deployments/prod-4o/chat/completions?x=%2F&api-version=2024-10-21");
    assert_eq!(seen.body, WHOLE.as_bytes());
    assert_eq!(seen.headers["api-key"], "azure-own-key");
    assert!(!seen.headers.contains_key("authorization"));
    // A model that is not in the map is its own deployment.
    post(&gate, "/v1/chat/completions", &WHOLE.replace("gpt-4o", "o3")).await;
    assert!(azure.seen()[1].path_and_query.starts_with("/openai/deployments/o3/chat/completions?"));
}

#[tokio::test]
async fn the_v1_form_names_the_deployment_in_the_body_and_changes_no_other_byte() {
    let (_origin, azure, gate) = started("v1");
    let answered = post(&gate, "/v1/chat/completions", WHOLE).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let seen = azure.seen().remove(0);
    assert_eq!(seen.path_and_query, "/openai/v1/chat/completions");
    assert_eq!(seen.body, WHOLE.replace("\"gpt-4o\"", "\"prod-4o\"").as_bytes());
    assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
    assert_eq!(seen.headers["api-key"], "azure-own-key");
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_model_of_a_form_is_found_before_and_behind_the_file() {
    let model = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n";
    let sound = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n{}\r\n",
        "name=\"model\"\r\n\r\nwhisper-1\r\n".repeat(99)
    );
    for parts in [[model, &sound], [&sound, model]] {
        let body = parts.concat() + "--b--\r\n";
        let rewritten = body.replace(model, &model.replace("whisper-1", "ears"));
        for (version, path, wanted) in [
            ("v1", "/openai/v1/audio/transcriptions", &rewritten),
            ("2024-10-21", "/openai/deployments/ears/audio/transcriptions?api-version=2024-10-21", &body),
        ] {
            let (_origin, azure, gate) = started(version);
            let mut client = connected(&gate).await;
            let mut request =
                client.request(Method::POST, "/v1/audio/transcriptions").body(Full::from(body.clone())).unwrap();
            request.headers_mut().insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
            let answered = client.send(request).await;
            assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
            let seen = azure.seen().remove(0);
            assert_eq!((seen.path_and_query.as_str(), &seen.body[..]), (path, wanted.as_bytes()));
            let entries = gate.wait_for_entries(1).await;
            assert_eq!(entries[0].model.asked.as_deref(), Some("whisper-1"));
        }
    }
}

#[tokio::test]
async fn responses_stand_beside_the_deployments_and_name_theirs_in_the_body() {
    let (_origin, azure, gate) = started("2024-10-21");
    let body = r#"{ "input":"one two three","model":"gpt-4o", "x":1e5 }"#;
    let answered = post(&gate, "/v1/responses", body).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let seen = azure.seen().remove(0);
    assert_eq!(seen.path_and_query, "/openai/responses?api-version=2024-10-21");
    assert_eq!(seen.body, body.replace("gpt-4o", "prod-4o").as_bytes());
    let entry = gate.wait_for_entries(1).await.remove(0);
    let bill = azure.bill().remove(0);
    let usage = entry.usage.expect("usage was reported");
    assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)));
}

#[tokio::test]
async fn a_stream_reaches_the_client_without_azures_first_chunk_and_without_the_usage() {
    for version in ["2024-10-21", "v1"] {
        let (origin, azure, gate) = started(version);
        let mut direct = Client::plain(azure.address()).await;
        let request = direct
            .bare(Method::POST, "/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21")
            .header("api-key", "k");
        let whole = direct.send(request.body(Full::from(STREAMED)).unwrap()).await.text();
        let (preamble, wanted) = whole.split_once("\n\n").unwrap();
        assert!(preamble.contains(r#""choices":[]"#));
        azure.clear();

        let answered = post(&gate, "/v1/chat/completions", STREAMED).await;
        assert_eq!((answered.text().as_str(), answered.whole), (wanted, true), "{version}");
        let openai = Client::direct(origin.address(), "api.openai.com", origin.ca_pem(), "h2").await;
        let openai = { openai }.post("/v1/chat/completions", STREAMED).await;
        assert_eq!(said(&answered), said(&openai), "the events are those of api.openai.com");

        let entry = gate.wait_for_entries(1).await.remove(0);
        let bill = azure.bill().remove(0);
        let usage = entry.usage.expect("usage was asked for");
        assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)));
    }
}

#[tokio::test]
async fn a_version_that_does_not_know_usage_in_streams_is_not_asked_for_it() {
    let (_origin, azure, gate) = started("2024-06-01");
    let answered = post(&gate, "/v1/chat/completions", STREAMED).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(azure.seen()[0].body, STREAMED.as_bytes());
    assert!(!answered.text().contains(r#""choices":[]"#));
}

#[tokio::test]
async fn the_base_model_of_the_map_prices_the_call() {
    let azure = Upstream::start(Options { tls: false, ..Options::default() });
    let origin = Upstream::start(Options::default());
    for base in ["gpt-4o-mini", "gpt-4o-2024-08-06"] {
        let map = format!(r#"deployments: {{ fast: {{ deployment: "prod-1", model: "{base}" }} }}"#);
        let gate = TestGate::start(&origin, &lines(&azure, "v1", &map));
        post(&gate, "/v1/chat/completions", &WHOLE.replace("gpt-4o", "fast")).await;
        let entry = gate.wait_for_entries(1).await.remove(0);
        assert_eq!(entry.model.served.as_deref(), Some("prod-1"));
        assert!(entry.cost.is_some());
        assert_eq!(entry.price_source.unwrap().rsplit(':').next(), Some(&*format!("azure/{base}")));
    }
}

#[tokio::test]
async fn errors_are_relayed_as_they_are() {
    let (_origin, azure, gate) = started("2024-10-21");
    for fault in ["status=429", "status=401", "status=404, chunked", "html-error", "status=500"] {
        azure.clear();
        let mut direct = Client::plain(azure.address()).await;
        azure.fault_next(fault);
        let expected = direct.post("/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21", WHOLE).await;
        azure.clear();
        azure.fault_next(fault);
        let answered = post(&gate, "/v1/chat/completions", WHOLE).await;
        assert_eq!((answered.status, answered.text()), (expected.status, expected.text()), "{fault}");
        for name in ["content-type", "retry-after", "retry-after-ms", "x-ms-region", "apim-request-id", "x-request-id"]
        {
            assert_eq!(answered.headers.get(name), expected.headers.get(name), "{fault}: {name}");
        }
    }
    // Azure's own shape, from Azure itself.
    let answered = post(&gate, "/v1/moderations", r#"{"model":"m","input":"x"}"#).await;
    assert_eq!(answered.text(), r#"{"error":{"code":"404","message":"Resource not found"}}"#);
}

/// An origin, an Azure, and a gate between them.
fn started(version: &str) -> (Upstream, Upstream, TestGate) {
    let origin = Upstream::start(Options::default());
    let azure = Upstream::start(Options {
        name: "azure",
        tls: false,
        deployments: vec![("prod-4o".into(), "gpt-4o".into())],
        ..Options::default()
    });
    let map = r#"deployments: { "gpt-4o": { deployment: "prod-4o", model: "gpt-4o-2024-08-06" },
                                "whisper-1": { deployment: "ears" } }"#;
    let gate = TestGate::start(&origin, &lines(&azure, version, map));
    (origin, azure, gate)
}

fn lines(azure: &Upstream, version: &str, map: &str) -> String {
    format!(
        r#"duplicates: [{{ name: "azure", kind: "azure", url: "{}", apiKey: "azure-own-key",
                           apiVersion: "{version}", {map} }}]"#,
        azure.url()
    )
}

async fn connected(gate: &TestGate) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await
}

async fn post(gate: &TestGate, path: &str, body: &str) -> Answered {
    connected(gate).await.post(path, Bytes::copy_from_slice(body.as_bytes())).await
}

/// What the events of a stream say, without what differs between the two APIs.
fn said(answered: &Answered) -> Vec<String> {
    let text = answered.text();
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    events
        .map(|data| match serde_json::from_str::<serde_json::Value>(data) {
            Err(_) => data.to_owned(),
            Ok(chunk) => {
                let choice = &chunk["choices"][0];
                format!("{} {} {} {}", chunk["object"], chunk["model"], choice["delta"], choice["finish_reason"])
            }
        })
        .collect()
}

const WHOLE: &str = r#"{ "messages":[{"role":"user","content":"gpt 4o"}],
  "temperature":1.0 , "x":12345678901234567890,"model" : "gpt-4o" }"#;
const STREAMED: &str = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"one two three"}]}"#;
