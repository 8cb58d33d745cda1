//! The list of models shows what the owner added beside what the upstream has.

use http::{Method, StatusCode};
use http_body_util::Full;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn the_list_is_the_upstreams_own_with_the_owners_models_at_its_end() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, OWN);
    let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), "h2").await;
    let list = direct.get("/v1/models").await.text();
    // Compressed lists are no different.
    for coding in ["", "gzip", "br", "zstd"] {
        upstream.fault_next(coding);
        let answered = get(&gate, "/v1/models", ("accept-encoding", "gzip, br, zstd")).await;
        assert_eq!(answered.status, StatusCode::OK);
        assert!(!answered.headers.contains_key("content-encoding"));
        assert_eq!(answered.headers["x-ratelimit-limit-requests"], "500", "the reply is still the upstream's");
        let own = answered.text();
        let kept = list.strip_suffix("]}").unwrap();
        let added = own.strip_prefix(kept).and_then(|rest| rest.strip_suffix("]}")).unwrap();
        assert_eq!(added, CARDS.map(|card| format!(",{card}")).concat());
        if let Some(length) = answered.headers.get("content-length") {
            assert_eq!(length, &own.len().to_string());
        }
    }
}

#[tokio::test]
async fn one_model_is_shown_by_whoever_has_it() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, OWN);
    for path in ["/v1/models/databricks%2Fdolly-v2-3b", "/v1/models/databricks/dolly-v2-3b"] {
        let answered = get(&gate, path, ("x-a", "b")).await;
        assert_eq!((answered.status, answered.text().as_str()), (StatusCode::OK, CARDS[0]), "{path}");
    }
    assert!(upstream.seen().is_empty());
    let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), "h2").await;
    for path in ["/v1/models/gpt-4o", "/v1/models/ft%3Agpt-4o%3Aorg", "/v1/models/no-such"] {
        let expected = direct.get(path).await;
        let answered = get(&gate, path, ("x-a", "b")).await;
        assert_eq!((answered.status, answered.text()), (expected.status, expected.text()), "{path}");
    }
}

#[tokio::test]
async fn where_the_upstream_has_no_list_the_owners_models_stand_alone() {
    let mut upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, OWN);
    let alone = format!(r#"{{"object":"list","data":[{}]}}"#, CARDS.join(","));
    for fault in ["status=401", "status=500", "html-error", "cut-head", "short-body"] {
        upstream.fault_next(fault);
        let answered = get(&gate, "/v1/models", ("origin", "https://page.example")).await;
        assert_eq!((answered.status, answered.text()), (StatusCode::OK, alone.clone()), "{fault}");
        assert_eq!(answered.headers["content-type"], "application/json");
        assert_eq!(answered.headers["access-control-allow-origin"], "*");
    }
    upstream.stop();
    let answered = get(&gate, "/v1/models", ("x-a", "b")).await;
    assert_eq!((answered.status, answered.text()), (StatusCode::OK, alone));
    assert!(!answered.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn without_models_of_the_owners_the_list_is_untouched() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), "h2").await;
    for fault in ["", "gzip", "status=401"] {
        let header = ("accept-encoding", "gzip");
        upstream.fault_next(fault);
        let request = direct.request(Method::GET, "/v1/models").header(header.0, header.1);
        let expected = direct.send(request.body(Full::default()).unwrap()).await;
        upstream.fault_next(fault);
        let answered = get(&gate, "/v1/models", header).await;
        assert_eq!((answered.status, answered.body), (expected.status, expected.body), "{fault}");
        assert_eq!(answered.headers.get("content-encoding"), expected.headers.get("content-encoding"));
        assert_eq!(answered.headers.get("content-length"), expected.headers.get("content-length"));
    }
}

#[tokio::test]
async fn a_page_may_read_the_answers_that_the_gate_gives_itself() {
    let upstream = Upstream::start(Options { cors: false, ..Options::default() });
    let gate = TestGate::start(&upstream, OWN);
    for path in ["/v1/models", "/v1/models/databricks%2Fdolly-v2-3b"] {
        let answered = get(&gate, path, ("origin", "https://page.example")).await;
        assert_eq!(answered.status, StatusCode::OK);
        assert_eq!(answered.headers["access-control-allow-origin"], "*", "{path}");
        let answered = get(&gate, path, ("x-a", "b")).await;
        assert!(!answered.headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

async fn get(gate: &TestGate, path: &str, header: (&str, &str)) -> Answered {
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let request = client.request(Method::GET, path).header(header.0, header.1);
    client.send(request.body(Full::default()).unwrap()).await
}

const CARDS: [&str; 3] = [
    r#"{"id":"databricks/dolly-v2-3b","object":"model","created":0,"owned_by":"custom"}"#,
    r#"{"id":"mine","object":"model","created":0,"owned_by":"duplicate"}"#,
    r#"{"id":"on-azure","object":"model","created":0,"owned_by":"azure"}"#,
];
/// The duplicate serves one model only, so that the list is asked of the origin.
const OWN: &str = r#"
  models: [{ name: "databricks/dolly-v2-3b", endpointUrl: "http://127.0.0.1:1/v1/completions" }],
  duplicates: [{ name: "azure", url: "https://res.openai.azure.com", apiKey: "azure-own-key", models: ["on-azure", "mine", "o*"],
                 deployments: { "on-azure": { deployment: "prod-1" }, "gpt-4o": { deployment: "prod-2" } } }]"#;
