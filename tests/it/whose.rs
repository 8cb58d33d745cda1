//! Whose call it is: the label, the program and the key's mark are found, and none of it goes any further than the books.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tollgate::ledger::entry::Entry;

use crate::bench::admin::ask;
use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::raw::Raw;
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"one two"}]}"#;
/// `team-a:hidden-password`.
const USER: &str = "Basic dGVhbS1hOmhpZGRlbi1wYXNzd29yZA==";

#[tokio::test]
async fn a_label_is_what_the_call_says_else_the_proxys_user_else_nothing() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let user = format!("Proxy-Authorization: {USER}\r\n");
    for alpn in ["h2", "http/1.1"] {
        let (proxy, root) = (gate.proxy(), gate.root_pem());
        let mut client = Client::intercepted_with(proxy, "api.openai.com", &root, alpn, &user).await;
        client.post(CHAT, BODY).await;
        for label in ["mine", "tëam", ""] {
            let request = client.request(Method::POST, CHAT).header("x-tollgate-label", label.as_bytes());
            client.send(request.body(Full::from(BODY)).unwrap()).await;
        }
        Client::intercepted(proxy, "api.openai.com", &root, alpn).await.post(CHAT, BODY).await;
    }
    let mut client = Client::plain(gate.proxy()).await;
    let absolute = Request::post("http://api.openai.com/v1/chat/completions")
        .header("host", "api.openai.com")
        .header("authorization", "Bearer sk-client")
        .header("proxy-authorization", USER);
    // A plain URL of the host goes to its plain port, where nobody listens here; it is booked all the same.
    client.send(absolute.body(Full::from(BODY)).unwrap()).await;
    let entries = gate.wait_for_entries(11).await;
    let labels: Vec<Option<&str>> = entries.iter().map(|entry| entry.client.label.as_deref()).collect();
    let (user, mine, accented) = (Some("team-a"), Some("mine"), Some("tëam"));
    assert_eq!(labels, [user, mine, accented, user, None, user, mine, accented, user, None, user]);
    for seen in upstream.seen() {
        for name in ["x-tollgate-label", "proxy-authorization"] {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
    }
    assert!(!format!("{entries:?}").contains("hidden"));
}

#[tokio::test]
async fn the_program_is_found_once_for_all_calls_of_a_connection() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let own = std::env::current_exe().unwrap();
    let own = own.to_str();
    let mut calls = 0;
    let begun = std::time::Instant::now();
    let known = loop {
        client.post(CHAT, BODY).await;
        calls += 1;
        let last = gate.wait_for_entries(calls).await.pop().unwrap();
        if last.client.path.is_some() {
            break last;
        }
        assert!(begun.elapsed().as_secs() < 10, "nobody was found");
    };
    assert_eq!(known.client.path.as_deref(), own);
    client.post(CHAT, BODY).await;
    let last = gate.wait_for_entries(calls + 1).await.pop().unwrap();
    assert_eq!((last.client.path.as_deref(), &last.client.process), (own, &known.client.process));
    let shown = ask(gate.admin(), "/stats?by=client").await.json();
    let keys: Vec<&str> =
        shown["by"]["client"].as_array().unwrap().iter().filter_map(|row| row["key"].as_str()).collect();
    assert!(keys.contains(&&*known.client.process.unwrap()), "{keys:?}");
}

#[tokio::test]
async fn one_key_has_one_mark_in_every_form_and_another_at_another_gate() {
    let upstream = Upstream::start(Options::default());
    let gates = [TestGate::start(&upstream, ""), TestGate::start(&upstream, "")];
    let mut marks = Vec::new();
    for gate in &gates {
        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
        for (name, value) in [
            ("authorization", "Bearer sk-one"),
            ("authorization", "Bearer sk-one"),
            ("api-key", "sk-one"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-one"),
            ("authorization", "Bearer sk-two"),
            ("user-agent", "nobody"),
        ] {
            let request = client.bare(Method::POST, CHAT).header(name, value);
            client.send(request.body(Full::from(BODY)).unwrap()).await;
        }
        let entries = gate.wait_for_entries(6).await;
        let of: Vec<_> = entries.iter().map(|entry| entry.client.key.clone()).collect();
        assert!(of[..4].iter().all(|mark| mark.is_some() && *mark == of[0]), "{of:?}");
        assert!(of[4].is_some() && of[4] != of[0] && of[5].is_none(), "{of:?}");
        marks.push(of[0].clone().unwrap());
    }
    assert_ne!(marks[0], marks[1]);
    assert!(marks[0].len() == 16 && marks[0].bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[tokio::test]
async fn whatever_clients_call_themselves_and_their_models_the_books_stay_small_and_safe() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, r#"ledger: { path: null, entries: 50 }, limits: { bodyBytes: "8MiB" }"#);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let models = [
        json!("x".repeat(1 << 20)),
        json!("é".repeat(1 << 19)),
        json!("<img src=x onerror=alert(1)>"),
        json!("=cmd|'/c calc'!A0"),
        json!("\u{1b}[31mred\u{7}\u{0}\n\r\t"),
        json!("\u{202e}txt.exe"),
        json!("__proto__"),
        json!(5),
        json!(["gpt-4o"]),
        json!(null),
        json!({}),
    ];
    for model in &models {
        let body = json!({"model": model, "messages": []}).to_string();
        client.post(CHAT, body).await;
    }
    // Control characters cannot be sent in a field, but in a user name they can: `a ESC [31m NUL b`.
    let user = "Proxy-Authorization: Basic YRtbMzFtAGI6eA==\r\n";
    let mut other = Client::intercepted_with(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2", user).await;
    let agent = "a".repeat(5000);
    let request = other.request(Method::POST, CHAT).header("user-agent", &agent);
    other.send(request.body(Full::from(BODY)).unwrap()).await;
    let request = other.request(Method::POST, CHAT).header("x-tollgate-label", "l".repeat(5000));
    other.send(request.body(Full::from(BODY)).unwrap()).await;
    let entries = gate.wait_for_entries(models.len() + 2).await;
    for entry in &entries {
        let text = serde_json::to_string(entry).unwrap();
        assert!(text.len() < 4096, "{} bytes", text.len());
        for name in names(entry) {
            assert!(name.len() <= 128, "{} bytes", name.len());
        }
    }
    assert_eq!(entries[12].client.label.as_ref().map(|label| label.len()), Some(128));
    for path in ["/entries", "/entries?format=jsonl", "/entries?format=csv", "/stats?by=model,label,client,route"] {
        let shown = ask(gate.admin(), path).await;
        // CSV has no escapes; there such a cell is in quotes.
        let is_plain = !shown.body.contains(&0x1b) && !shown.body.contains(&0);
        assert!(is_plain || path.ends_with("csv"), "{path}");
        assert!(!shown.text().contains("<img") || path.ends_with("csv"), "{path}: {}", shown.text());
        assert!(!shown.text().contains(",=cmd"), "{path}: {}", shown.text());
    }

    for n in 0..1200 {
        let request = client.request(Method::POST, CHAT).header("x-tollgate-label", format!("l{n}"));
        let body = format!(r#"{{"model":"m{n}","messages":[]}}"#);
        client.send(request.body(Full::from(body)).unwrap()).await;
    }
    let shown = ask(gate.admin(), "/stats?by=model,label").await.json();
    for by in ["model", "label"] {
        let rows = shown["by"][by].as_array().unwrap();
        assert!(rows.len() <= 1001, "{by}: {}", rows.len());
        assert!(rows.iter().any(|row| row["key"] == "other"), "{by}");
        let requests: u64 = rows.iter().filter_map(|row| row["requests"].as_u64()).sum();
        assert_eq!(requests, shown["totals"]["requests"].as_u64().unwrap());
    }
    assert_eq!(gate.entries().len(), 50);
}

#[tokio::test]
async fn a_broken_proxy_user_is_no_reason_to_refuse_a_connection() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for value in ["Basic", "Basic !!!", "Digest username=\"x\"", "Basic /////w=="] {
        let mut raw = Raw::open(gate.proxy()).await;
        let head = "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n";
        raw.send(format!("{head}Proxy-Authorization: {value}\r\n\r\n")).await;
        assert_eq!(raw.answer_to("HEAD").await.unwrap().status, 200, "{value}");
    }
}

fn names(entry: &Entry) -> impl Iterator<Item = &str> {
    let (model, client) = (&entry.model, &entry.client);
    let names = [&model.asked, &model.sent, &model.served, &client.label, &client.agent, &client.process, &client.path];
    names.into_iter().filter_map(|name| name.as_deref())
}
