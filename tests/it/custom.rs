//! A custom model is served by its own endpoint, with its own key and price and nothing of the client's identity.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use tollgate::ledger::entry::Outcome;
use tollgate::policy::target::RouteKind;
use tollgate::units::Cost;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_custom_model_is_asked_at_its_address_and_learns_nothing_of_the_client() {
    for (tls, alpn) in [(false, Alpn::Http1), (true, Alpn::Http1), (true, Alpn::Http2)] {
        let (origin, other) = (Upstream::start(Options::default()), serving(tls, alpn));
        let path = "/serve/x%2Fy/chat/completions?tenant=a%2Fb&x";
        let gate = TestGate::trusting(
            &origin,
            &other,
            &format!(
                r#"models: [{{ name: "org/mine", endpointUrl: "{}{path}", apiKey: "sk-own-key", ca: "other.pem" }}]"#,
                other.url()
            ),
        );
        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
        let answered = call(&mut client, "/v1/chat/completions?of=the-client", WHOLE).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        assert_eq!(answered.json()["model"], "org/mine");

        let seen = &other.seen()[0];
        assert_eq!((seen.path_and_query.as_str(), &seen.body[..]), (path, WHOLE.as_bytes()));
        assert_eq!(seen.host, other.address().to_string());
        assert_eq!(seen.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer sk-own-key"]);
        for name in OF_THE_CLIENT {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
        assert_eq!(seen.headers["openai-beta"], "assistants=v2");
        assert!(origin.seen().is_empty());
    }
}

#[tokio::test]
async fn without_a_key_of_its_own_it_gets_none_and_the_client_needs_none() {
    let (origin, other) = (Upstream::start(Options::default()), serving(false, Alpn::Http1));
    let gate = TestGate::start(&origin, &line(&other, "/serve/chat/completions", ""));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    assert_eq!(call(&mut client, "/v1/chat/completions", WHOLE).await.status, StatusCode::OK);
    let bare = client.bare(Method::POST, "/v1/chat/completions").body(Full::from(WHOLE)).unwrap();
    assert_eq!(client.send(bare).await.status, StatusCode::OK);
    assert_eq!(other.seen().len(), 2);
    for seen in other.seen() {
        assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("api-key"));
    }
}

#[tokio::test]
async fn whole_or_streamed_the_reply_is_the_endpoints_own_and_costs_what_its_line_says() {
    let (origin, other) = (Upstream::start(Options::default()), serving(false, Alpn::Http1));
    let price = "tokenPricing: { prompt: 0.000123457, completion: 0.002 }";
    let gate = TestGate::start(&origin, &line(&other, "/serve/chat/completions", price));
    let mut direct = Client::plain(other.address()).await;
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for (count, body) in [(1, WHOLE), (2, STREAMED)] {
        other.clear();
        let expected = direct.post("/serve/chat/completions", body).await;
        other.clear();
        let answered = client.post("/v1/chat/completions", body).await;
        assert_eq!((answered.text(), answered.whole), (expected.text(), true));

        let entry = gate.wait_for_entries(count).await.remove(count - 1);
        let bill = other.bill().remove(0);
        let usage = entry.usage.expect("usage was reported");
        assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)));
        let pico = i128::from(bill.input) * 123_457 + i128::from(bill.output) * 2_000_000;
        assert_eq!(entry.cost, Some(Cost(pico)));
        let route = entry.route.expect("it was routed");
        assert_eq!((route.kind, &*route.name), (RouteKind::Custom, "org/mine"));
    }
}

#[tokio::test]
async fn any_other_name_goes_on_to_the_origin() {
    let (origin, other) = (Upstream::start(Options::default()), serving(false, Alpn::Http1));
    let gate = TestGate::start(&origin, &line(&other, "/serve/chat/completions", ""));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for name in ["org/Mine", "mine", "org/mine ", "org/mine-2"] {
        let body = WHOLE.replace("org/mine", name);
        assert_eq!(client.post("/v1/chat/completions", body).await.status, StatusCode::OK, "{name}");
    }
    assert_eq!((origin.seen().len(), other.seen().len()), (4, 0));
    // The name may be escaped as JSON allows; it is the same name.
    let body = WHOLE.replace("org/mine", r"org\/m\u0069ne");
    client.post("/v1/chat/completions", body.clone()).await;
    assert_eq!(other.seen()[0].body, body.as_bytes());
}

#[tokio::test]
async fn a_call_that_the_endpoint_does_not_answer_is_refused_clearly_and_nothing_is_sent() {
    let (origin, other) = (Upstream::start(Options::default()), serving(false, Alpn::Http1));
    let gate = TestGate::start(&origin, &line(&other, "/serve/completions", "apiKey: \"sk-own-key\""));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let answered = client.post("/v1/responses", r#"{"model":"org/mine","input":"say"}"#).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert_eq!(answered.headers["x-should-retry"], "false");
    let error = &answered.json()["error"];
    assert_eq!(error["type"], "invalid_request_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("org/mine") && message.contains("completion"), "{message}");

    let entries = gate.wait_for_entries(1).await;
    assert_eq!((entries.len(), entries[0].outcome, entries[0].status), (1, Outcome::Refused, 400));
    assert_eq!(entries[0].attempt, 0);
    assert!(origin.seen().is_empty() && other.seen().is_empty());
    let fitting = client.post("/v1/completions", r#"{"model":"org/mine","prompt":"say"}"#).await;
    assert_eq!(fitting.status, StatusCode::OK);
    assert_eq!(other.seen()[0].path_and_query, "/serve/completions");
}

fn serving(tls: bool, alpn: Alpn) -> Upstream {
    Upstream::start(Options { name: "custom", tls, alpn, cors: false, ..Options::default() })
}

fn line(other: &Upstream, path: &str, more: &str) -> String {
    format!(r#"models: [{{ name: "org/mine", endpointUrl: "{}{path}", {more} }}]"#, other.url())
}

async fn call(client: &mut Client, path: &str, body: &'static str) -> Answered {
    let request =
        OF_THE_CLIENT.iter().fold(client.request(Method::POST, path), |request, name| request.header(*name, "x"));
    let request = request.header("openai-beta", "assistants=v2");
    client.send(request.body(Full::from(Bytes::from_static(body.as_bytes()))).unwrap()).await
}

const WHOLE: &str = r#"{"model":"org/mine","messages":[{"role":"user","content":"one two three"}]}"#;
const STREAMED: &str = r#"{"model":"org/mine","stream":true,"messages":[{"role":"user","content":"one two"}]}"#;
const OF_THE_CLIENT: [&str; 6] =
    ["api-key", "cookie", "openai-organization", "openai-project", "proxy-authorization", "x-tollgate-label"];
