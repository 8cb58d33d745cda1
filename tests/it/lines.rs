//! Lines of custom models: whose key goes where, and lines that are posted while the gate runs.

use std::fs;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn the_programs_own_key_goes_only_where_a_line_asks_for_it() {
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let gate = TestGate::start(
        &origin,
        &format!(
            "models: [{{name: 'asks', endpointUrl: '{url}/serve/chat/completions', apiKey: '<OPENAI>'}},
                      {{name: 'silent', endpointUrl: '{url}/serve/chat/completions'}}]",
            url = other.url()
        ),
    );
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for (name, key) in [("asks", Some("Bearer sk-client")), ("silent", None)] {
        assert_eq!(chat(&mut client, name).await.status, StatusCode::OK);
        let seen = other.seen().pop().unwrap();
        assert_eq!(seen.headers.get("authorization").map(|value| value.to_str().unwrap()), key, "{name}");
        assert!(seen.headers.get("cookie").is_none());
    }
}

#[tokio::test]
async fn lines_that_are_posted_hold_for_the_next_call_and_after_a_restart() {
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("models.txt"), "// none yet\n").unwrap();
    let (gate, folder) = gate(&origin, folder);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    chat(&mut client, "late").await;
    assert_eq!((origin.seen().len(), other.seen().len()), (1, 0));
    let line = format!("{{name:'late', endpointUrl:'{}/serve/chat/completions', apiKey:'sk-late-key'}}\n", other.url());
    let answered = post(&gate, &line, "t0ken").await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(answered.json()["models"][0]["name"], "late");
    assert!(!answered.text().contains("sk-late-key"));
    assert_eq!(chat(&mut client, "late").await.status, StatusCode::OK);
    assert_eq!((origin.seen().len(), other.seen().len()), (1, 1));
    assert_eq!(fs::read_to_string(folder.join("models.txt")).unwrap(), line);

    for bad in ["{name:'x'}\n", "{name:'late', endpointUrl:\n'http://127.0.0.1/v1/completions'}\n", "nonsense\n"] {
        let refused = post(&gate, bad, "t0ken").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(refused.json()["error"]["mistakes"][0]["line"].is_u64(), "{}", refused.text());
        assert_eq!(fs::read_to_string(folder.join("models.txt")).unwrap(), line, "nothing changed");
    }
    assert_eq!(chat(&mut client, "late").await.status, StatusCode::OK);
    assert_eq!(other.seen().len(), 2);

    let again = TempDir::new().unwrap();
    fs::copy(folder.join("models.txt"), again.path().join("models.txt")).unwrap();
    let (gate, _) = self::gate(&origin, again);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(chat(&mut client, "late").await.status, StatusCode::OK);
    assert_eq!(other.seen().len(), 3);
}

#[tokio::test]
async fn lines_are_changed_only_by_who_knows_the_token() {
    let (origin, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let (gate, folder) = gate(&origin, folder);
    let line = "{name:'x', endpointUrl:'http://127.0.0.1:9/v1/completions'}\n";
    for token in ["", "wrong", "t0ken2"] {
        assert_eq!(post(&gate, line, token).await.status, StatusCode::UNAUTHORIZED, "{token:?}");
    }
    let mut admin = Client::plain(gate.admin()).await;
    let read = Request::get("/stats").header("host", gate.admin().to_string()).body(Full::default()).unwrap();
    assert_eq!(admin.send(read).await.status, StatusCode::UNAUTHORIZED, "reading needs it too, once there is one");
    assert_eq!(fs::read_to_string(folder.join("models.txt")).unwrap(), "");
    let open = TestGate::start(&origin, "");
    let refused = post(&open, line, "any").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text().contains("admin.token"), "{}", refused.text());
}

fn gate(origin: &Upstream, folder: TempDir) -> (TestGate, std::path::PathBuf) {
    fs::write(folder.path().join("standin.pem"), origin.ca_pem()).unwrap();
    let path = folder.path().to_owned();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1, modelsFile: "models.txt",
             admin: {{ token: "t0ken" }},
             upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{}" }} }} }}"#,
        origin.address()
    );
    (TestGate::from_text(folder, &text), path)
}

async fn post(gate: &TestGate, lines: &str, token: &str) -> Answered {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/config/models")
        .header("host", gate.admin().to_string())
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::copy_from_slice(lines.as_bytes())))
        .unwrap();
    Client::plain(gate.admin()).await.send(request).await
}

async fn chat(client: &mut Client, model: &str) -> Answered {
    let body: Value = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    client.post("/v1/chat/completions", body.to_string()).await
}

fn serving() -> Upstream {
    Upstream::start(Options { name: "custom", tls: false, alpn: Alpn::Http1, cors: false, ..Options::default() })
}
