//! Whatever a custom model's server answers or a client asks: a clear answer, a line in the books, and a gate that goes on.

use http::StatusCode;
use serde_json::{Value, json};
use tollgate::ledger::entry::{Entry, Outcome};

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::replay::{Replay, Say};
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_reply_that_is_none_is_told_as_what_it_is() {
    for (kind, body, says) in [
        ("text/html", "<!DOCTYPE html><p>welcome", "HTML"),
        ("text/plain", "hello", "no JSON"),
        ("application/json", "", "empty"),
        ("application/json", "[1,2]", "no `object`"),
        ("application/json", r#"{"models":["dummy"]}"#, "no `"),
        ("application/json", r#"{"choices":[{"text":"#, "broken"),
        ("text/event-stream", "data: {}\n\n", "stream of events"),
    ] {
        for stream in [false, true] {
            let house = House::answering(reply("200 OK", kind, body));
            for (path, body) in house.calls(stream) {
                let answered = house.ask(path, body).await;
                let text = answered.text();
                if stream && kind != "application/json" {
                    // The head of a stream has gone before its first event could be looked at.
                    assert!(text.starts_with("data: {\"error\":") && !text.contains("[DONE]"), "{kind} {text}");
                } else {
                    assert_eq!(answered.status, StatusCode::BAD_GATEWAY, "{kind} {text}");
                    assert!(text.contains(says), "{kind}: {text}");
                    assert_eq!(answered.json()["error"]["code"], "upstream_unreadable");
                }
            }
            let entries = house.gate.wait_for_entries(2).await;
            assert!(entries.iter().all(|entry| entry.outcome == Outcome::UpstreamError), "{kind}: {entries:#?}");
        }
    }
}

#[tokio::test]
async fn an_error_under_a_status_of_success_is_an_error() {
    let house =
        House::answering(reply("200 OK", "application/json", r#"{"error":{"code":429,"message":"slow down"}}"#));
    for (path, body) in house.calls(false) {
        let answered = house.ask(path, body).await;
        assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(
            (&answered.json()["error"]["message"], &answered.json()["error"]["code"]),
            (&json!("slow down"), &json!("429"))
        );
    }
    assert!(house.gate.wait_for_entries(2).await.iter().all(|entry: &Entry| entry.outcome == Outcome::UpstreamError));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_502() {
    let house = House::answering(Say::Nothing);
    for (path, body) in house.calls(true) {
        let answered = house.ask(path, body).await;
        assert_eq!(
            (answered.status, &answered.json()["error"]["code"]),
            (StatusCode::BAD_GATEWAY, &json!("upstream_closed"))
        );
    }
    assert_eq!(house.gate.wait_for_entries(2).await.len(), 2);
}

#[tokio::test]
async fn a_document_for_a_stream_is_told_as_a_stream() {
    let document = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"hello","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let house = House::answering(reply("200 OK", "application/json", document));
    for (path, body) in house.calls(true) {
        let answered = house.ask(path, body).await;
        assert_eq!(answered.headers["content-type"], "text/event-stream");
        let text = answered.text();
        assert!(text.starts_with("data: {") && text.contains("hello") && text.ends_with("data: [DONE]\n\n"), "{text}");
    }
}

#[tokio::test]
async fn thousands_of_stop_strings_and_very_long_ones_have_a_clear_answer() {
    let document = r#"{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"text":"one stop-4999 two","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let house = House::answering(reply("200 OK", "application/json", document));
    let many: Vec<String> = (0..5000).map(|number| format!("stop-{number}")).collect();
    let ask = |stop: Value| house.ask("/v1/chat/completions", chat(json!({ "stop": stop })));
    let reply = ask(json!(many)).await.json();
    assert_eq!(reply["choices"][0]["message"]["content"], "one ");
    let sent: Value = serde_json::from_slice(&house.server.heard()[0].body).unwrap();
    assert_eq!(sent["stop"].as_array().unwrap().len(), 4, "no server takes more");
    assert_eq!(ask(json!("x".repeat(10_000))).await.status, StatusCode::OK);
    let refused = ask(json!(["x".repeat(1 << 20)])).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("stop")));
}

#[tokio::test]
async fn a_prompt_of_fifty_megabytes_is_refused_where_it_cannot_fit() {
    let house = House::answering(Say::Nothing);
    let long = "lorem ipsum ".repeat(4 << 20);
    for (path, body) in [
        ("/v1/chat/completions", chat(json!({"messages": [{"role": "user", "content": long}]}))),
        ("/v1/completions", json!({"model": "m", "prompt": long}).to_string()),
    ] {
        let answered = house.ask(path, body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{}", answered.text());
        assert_eq!(answered.json()["error"]["code"], "context_length_exceeded");
    }
    assert!(house.server.heard().is_empty());
}

struct House {
    _origin: Upstream,
    server: Replay,
    gate: TestGate,
}

impl House {
    fn answering(say: Say) -> Self {
        let (origin, server) = (Upstream::start(Options::default()), Replay::start(move |_| say.clone()));
        let line = format!(
            "models: [{{name: 'm', endpointUrl: 'http://{}/v1/completions', maxSequenceLength: 4096}}]",
            server.address
        );
        let gate = TestGate::start(&origin, &line);
        Self { _origin: origin, server, gate }
    }

    /// A call in each dialect.
    fn calls(&self, stream: bool) -> [(&'static str, String); 2] {
        let completion = json!({"model": "m", "prompt": "say", "stream": stream}).to_string();
        [("/v1/chat/completions", chat(json!({ "stream": stream }))), ("/v1/completions", completion)]
    }

    async fn ask(&self, path: &str, body: String) -> Answered {
        let mut client =
            Client::intercepted(self.gate.proxy(), "api.openai.com", &self.gate.root_pem(), "http/1.1").await;
        client.post(path, body).await
    }
}

fn chat(more: Value) -> String {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(more) = more else { panic!("{more} is no object") };
    body.as_object_mut().unwrap().extend(more);
    body.to_string()
}

fn reply(status: &str, kind: &str, body: &str) -> Say {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Say::Raw([head.as_bytes(), body.as_bytes()].concat())
}
