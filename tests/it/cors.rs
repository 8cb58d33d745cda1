//! Pages in a browser work as with api.openai.com itself, and pages of strangers can spend nothing at the base URL.

use http::{Method, Request};
use http_body_util::Full;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_preflight_is_answered_by_the_gate_whatever_the_upstream_knows_of_it() {
    for (cors, more) in [(true, ""), (false, ""), (false, KEYED)] {
        let upstream = Upstream::start(Options { cors, ..Options::default() });
        let gate = TestGate::start(&upstream, more);
        for alpn in ["http/1.1", "h2"] {
            let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
            for path in ["/v1/chat/completions", "/v1/models", "/v1/anything/else"] {
                // As a browser sends it: no credential, no body.
                let request = bare(&client, Method::OPTIONS, path)
                    .header("origin", PAGE)
                    .header("access-control-request-method", "POST")
                    .header("access-control-request-headers", "authorization,content-type,x-stainless-os")
                    .body(Full::default())
                    .unwrap();
                let answered = client.send(request).await;
                assert_eq!(answered.status, 204, "{path}");
                assert_eq!(answered.headers["access-control-allow-origin"], "*");
                assert_eq!(answered.headers["access-control-allow-methods"], "POST");
                let allowed = &answered.headers["access-control-allow-headers"];
                assert_eq!(allowed, "authorization,content-type,x-stainless-os");
                let age = answered.headers["access-control-max-age"].to_str().unwrap();
                assert!(age.parse::<u32>().unwrap() > 0);
                // With it a browser would demand one origin instead of `*`.
                assert!(!answered.headers.contains_key("access-control-allow-credentials"));
            }
        }
        assert!(upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn an_options_request_that_is_no_preflight_goes_upstream() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let request = bare(&client, Method::OPTIONS, "/v1/models").body(Full::default()).unwrap();
    client.send(request).await;
    assert_eq!(upstream.seen()[0].method, Method::OPTIONS);
}

#[tokio::test]
async fn a_page_can_read_replies_of_whatever_host_served_them() {
    for model in ["gpt-4o", "custom"] {
        let upstream = Upstream::start(Options { cors: false, ..Options::default() });
        let custom = Upstream::start(Options { tls: false, cors: false, ..Options::default() });
        let model_line =
            format!(r#"models: [{{ name: "custom", endpointUrl: "{}/v1/chat/completions" }}]"#, custom.url());
        let gate = TestGate::start(&upstream, &format!("{KEYED}, {model_line}"));
        for alpn in ["http/1.1", "h2"] {
            let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
            for (stream, fault) in [(false, ""), (true, ""), (false, "status=429"), (false, "status=500")] {
                let body = format!(r#"{{"model":"{model}","stream":{stream},"messages":[]}}"#);
                let request = client
                    .request(Method::POST, "/v1/chat/completions")
                    .header("origin", PAGE)
                    .header("x-standin-fault", fault)
                    .body(Full::from(body))
                    .unwrap();
                assert_readable(&client.send(request).await, &format!("{model} {stream} {fault}"));
            }
        }
    }
}

#[tokio::test]
async fn a_reply_of_the_host_itself_keeps_what_that_host_said() {
    let upstream = Upstream::start(Options { cors: false, ..Options::default() });
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let request = client.request(Method::POST, "/v1/chat/completions").header("origin", PAGE);
    let answered = client.send(request.body(Full::from(BODY)).unwrap()).await;
    assert_eq!(answered.status, 200);
    assert!(!answered.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_page_can_read_what_the_gate_itself_answers() {
    let mut upstream = Upstream::start(Options { cors: false, ..Options::default() });
    let model = r#"models: [{ name: "custom", endpointUrl: "http://127.0.0.1:9/v1/chat/completions" }]"#;
    let gate = TestGate::start(&upstream, &format!("{KEYED}, {model}"));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let mut ask = async |method: Method, path: &str, body: &'static str, key: bool| {
        let mut request = bare(&client, method, path).header("origin", PAGE);
        if key {
            request = request.header("authorization", "Bearer sk-client");
        }
        client.send(request.body(Full::from(body)).unwrap()).await
    };
    let one = ask(Method::GET, "/v1/models/custom", "", true).await;
    assert_eq!(one.status, 200);
    assert_readable(&one, "a custom model's card");
    assert_readable(&ask(Method::GET, "/v1/models", "", true).await, "the merged list");
    let keyless = ask(Method::GET, "/v1/models", "", false).await;
    assert_eq!(keyless.status, 200);
    assert_readable(&keyless, "the list without a key");
    upstream.stop();
    for (path, body, key, status) in [
        ("/v1/chat/completions", BODY, false, 401),
        ("/v1/chat/completions", BODY, true, 502),
        ("/v1/embeddings", r#"{"model":"custom","input":"a"}"#, true, 400),
    ] {
        let answered = ask(Method::POST, path, body, key).await;
        assert_eq!(answered.status, status, "{}", answered.text());
        assert_readable(&answered, body);
    }
    assert_readable(&ask(Method::GET, "/v1/models", "", true).await, "the list without an upstream");
}

#[tokio::test]
async fn pages_of_strangers_cannot_spend_a_configured_key_at_the_base_url() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, KEYED);
    let strangers: [&[(&str, &str)]; 8] = [
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1.nip.io")],
        &[("origin", "http://localhost.evil.example:3000")],
        &[("origin", "file://")],
        &[("origin", "chrome-extension://abcdef")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "http://localhost:3000"), ("origin", "https://evil.example")],
    ];
    for stranger in strangers {
        // What a page can send without asking first, and also with the key that the gate would replace.
        for key in [None, Some("Bearer any")] {
            let answered = at_base_url(&gate, Method::POST, stranger, key).await;
            assert_eq!(answered.status, 403, "{stranger:?}: {}", answered.text());
            assert_eq!(answered.json()["error"]["code"], "foreign_page");
            assert!(!answered.headers.contains_key("access-control-allow-origin"), "{stranger:?}");
        }
        let asked = [stranger, &[("access-control-request-method", "POST")]].concat();
        let answered = at_base_url(&gate, Method::OPTIONS, &asked, None).await;
        assert_eq!(answered.status, 403, "{stranger:?}");
        assert!(!answered.headers.contains_key("access-control-allow-origin"), "{stranger:?}");
    }
    assert_eq!(upstream.connections().0, 0);
}

#[tokio::test]
async fn pages_of_this_machine_may_use_the_base_url() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, KEYED);
    for origin in ["http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:5173", "https://localhost"] {
        let page = [("origin", origin)];
        let asked = [("origin", origin), ("access-control-request-method", "POST")];
        let answered = at_base_url(&gate, Method::OPTIONS, &asked, None).await;
        assert_eq!((answered.status.as_u16(), &answered.headers["access-control-allow-origin"] == "*"), (204, true));
        let answered = at_base_url(&gate, Method::POST, &page, Some("Bearer any")).await;
        assert_eq!(answered.status, 200, "{origin}: {}", answered.text());
        assert_readable(&answered, origin);
        // Without any credential nothing is spent, even for them.
        assert_eq!(at_base_url(&gate, Method::POST, &page, None).await.status, 401);
    }
    assert_eq!(upstream.seen().len(), 4);
}

async fn at_base_url(gate: &TestGate, method: Method, fields: &[(&str, &str)], key: Option<&str>) -> Answered {
    let mut client = Client::plain(gate.proxy()).await;
    let mut request = Request::builder()
        .method(method)
        .uri("/v1/chat/completions")
        .header("host", gate.proxy().to_string())
        .header("content-type", "text/plain");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    if let Some(key) = key {
        request = request.header("authorization", key);
    }
    client.send(request.body(Full::from(BODY)).unwrap()).await
}

/// A request without a credential, addressed to api.openai.com.
fn bare(client: &Client, method: Method, path: &str) -> http::request::Builder {
    let builder = Request::builder().method(method);
    match client {
        Client::H1(_) => builder.uri(path).header("host", "api.openai.com"),
        Client::H2(_) => builder.uri(format!("https://api.openai.com{path}")),
    }
}

fn assert_readable(answered: &Answered, about: &str) {
    let allowed: Vec<_> = answered.headers.get_all("access-control-allow-origin").iter().collect();
    assert_eq!(allowed, ["*"], "{about}: {} {:?}", answered.status, answered.headers);
}

const PAGE: &str = "https://page.example";

const KEYED: &str = r#"duplicates: [{ name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror" }]"#;

const BODY: &str = r#"{"messages":[{"role":"user","content":"say something nice"}],"model":"gpt-4o"}"#;
