//! A limit is a limit: also for what runs at once, what fails, and what leaves.

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::gate::{Gate, Surroundings};
use tollgate::ledger::entry::Outcome;

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client};
use crate::bench::gate::{TestGate, loaded};
use crate::bench::raw::{Raw, guard};
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";

/// A call of gpt-4o that may cost a bit more than 0.001 USD, by its 100 tokens of output.
fn chat() -> String {
    json!({"model": "gpt-4o", "max_tokens": 100, "messages": [{"role": "user", "content": "x y z"}]}).to_string()
}

fn budgets(lines: &str) -> String {
    format!("budgets: [{lines}]")
}

async fn client(gate: &TestGate) -> Client {
    Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await
}

async fn state(gate: &TestGate) -> Vec<Value> {
    let shown = ask(gate.admin(), "/budgets").await;
    assert_eq!(shown.status, StatusCode::OK);
    shown.json()["budgets"].as_array().unwrap().clone()
}

/// The first budget, once nothing is reserved of it: that is given back a moment after the entry can be seen.
async fn settled(gate: &TestGate) -> Value {
    guard(async {
        loop {
            let row = state(gate).await.swap_remove(0);
            if row["openRequests"] == 0 {
                return row;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn assert_refused(answered: &Answered, name: &str) {
    assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS, "{}", answered.text());
    assert_eq!(answered.headers["x-should-retry"], "false");
    let error = &answered.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("insufficient_quota"), &json!("insufficient_quota")));
    let message = error["message"].as_str().unwrap();
    for part in [format!("the budget `{name}`"), " USD per day ".into(), "resets at 20".into()] {
        assert!(message.contains(&part), "{message}");
    }
}

#[tokio::test]
async fn of_fifty_calls_at_once_only_the_one_is_sent_that_there_is_room_for() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, &budgets(r#"{name: "all", limit: "0.002", per: "day"}"#));
    upstream.hold();
    let root = gate.root_pem();
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (proxy, root) = (gate.proxy(), root.clone());
            tokio::spawn(async move {
                let mut client = Client::intercepted(proxy, "api.openai.com", &root, "h2").await;
                client.post(CHAT, chat()).await
            })
        })
        .collect();
    // All but the one are answered while it is under way.
    gate.wait_for_entries(49).await;
    let [row] = &*state(&gate).await else { panic!("one budget") };
    assert_eq!(
        (&row["openRequests"], &row["refusedRequests"], &row["spentUsd"]),
        (&json!(1), &json!(49), &json!("0.000000000000"))
    );
    assert_eq!(row["state"], "open");
    upstream.release_all();
    let mut served = 0;
    for call in calls {
        let answered = call.await.unwrap();
        if answered.status == StatusCode::OK {
            served += 1;
        } else {
            assert_refused(&answered, "all");
        }
    }
    assert_eq!((served, upstream.seen().len()), (1, 1));
    let entries = gate.wait_for_entries(50).await;
    let refused = entries.iter().filter(|entry| entry.outcome == Outcome::Refused && entry.status == 429);
    assert_eq!(refused.count(), 49);
    let row = settled(&gate).await;
    let totals = ask(gate.admin(), "/stats").await.json()["totals"].clone();
    assert_eq!((&row["spentUsd"], &row["reservedUsd"]), (&totals["costUsd"], &json!("0.000000000000")));
    assert_ne!(row["spentUsd"], "0.000000000000");
    // What was not used up is there for the next one.
    let small = chat().replace("100", "10");
    assert_eq!(client(&gate).await.post(CHAT, small).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_fails_or_is_left_by_its_client_gives_back_what_was_reserved() {
    let upstream = Upstream::start(Options::default());
    let budget = budgets(r#"{name: "all", limit: 0.002, per: "day"}"#);
    let gate = TestGate::start(&upstream, &format!(r#"metering: {{ onDisconnect: "cancel" }}, {budget}"#));
    let mut count = 0;
    for fault in ["status=500", "cut-head", "status=429"] {
        upstream.fault_next(fault);
        let answered = client(&gate).await.post(CHAT, chat()).await;
        assert!(answered.status != StatusCode::OK && !answered.text().contains("budget"), "{}", answered.text());
        count += 1;
        gate.wait_for_entries(count).await;
        assert_eq!(settled(&gate).await["reservedUsd"], "0.000000000000", "{fault}");
    }
    upstream.hold();
    upstream.release(2);
    let mut leaving = client(&gate).await;
    let body = chat().replace("\"max", "\"stream\":true,\"max");
    let request = leaving.request(Method::POST, CHAT).body(Full::from(body)).unwrap();
    let mut response = leaving.begin(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(state(&gate).await[0]["openRequests"], 1);
    drop((response, leaving));
    gate.wait_for_entries(count + 1).await;
    upstream.release_all();
    assert_eq!(settled(&gate).await["reservedUsd"], "0.000000000000");
}

#[tokio::test]
async fn every_label_has_its_own_limit_and_nothing_is_sent_beyond_it() {
    let upstream = Upstream::start(Options::default());
    let lines = r#"
        {name: "team", match: {label: "team-*"}, each: "label", limit: 0.0012, per: "day"},
        {name: "mini", match: {model: "*-mini"}, limit: 0, per: "day"},
        {name: "told", match: {route: "origin/*"}, limit: 0.000001, per: "day", then: "warn"}"#;
    let gate = TestGate::start(&upstream, &budgets(lines));
    let mut client = client(&gate).await;
    let mut call = async |label: &str, body: String| {
        let mut request = client.request(Method::POST, CHAT);
        if !label.is_empty() {
            request = request.header("x-tollgate-label", label);
        }
        client.send(request.body(Full::from(body)).unwrap()).await
    };
    assert_eq!(call("team-a", chat()).await.status, StatusCode::OK);
    gate.wait_for_entries(1).await;
    assert_refused(&call("team-a", chat()).await, "team");
    assert_eq!(call("team-b", chat()).await.status, StatusCode::OK);
    for _ in 0..3 {
        assert_eq!(call("", chat()).await.status, StatusCode::OK);
    }
    assert_refused(&call("", chat().replace("gpt-4o", "gpt-4o-mini")).await, "mini");
    assert_eq!(upstream.seen().len(), 5);
    gate.wait_for_entries(7).await;
    let rows = state(&gate).await;
    let of = |name: &str, value: &str| {
        rows.iter().find(|row| row["name"] == name && row["value"].as_str().unwrap_or_default() == value).unwrap()
    };
    assert_eq!(
        (&of("team", "team-a")["refusedRequests"], &of("team", "team-b")["refusedRequests"]),
        (&json!(1), &json!(0))
    );
    assert_eq!((&of("told", "")["state"], &of("told", "")["refusedRequests"]), (&json!("spent"), &json!(0)));
    let totals = ask(gate.admin(), "/stats").await.json()["totals"].clone();
    assert_eq!(of("told", "")["spentUsd"], totals["costUsd"]);
    // What reads costs nothing and goes on.
    let mut reader = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(reader.get("/v1/models").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_limit_for_a_program_holds_from_its_first_call_on() {
    let upstream = Upstream::start(Options::default());
    let own = std::env::current_exe().unwrap();
    let name: String = own.file_name().unwrap().to_string_lossy().chars().take(10).collect();
    let line = format!(r#"{{name: "mine", match: {{process: "{name}*"}}, limit: 0, per: "day"}}"#);
    let gate = TestGate::start(&upstream, &budgets(&line));
    for _ in 0..3 {
        assert_refused(&client(&gate).await.post(CHAT, chat()).await, "mine");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_call_without_a_price_passes_and_is_told() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, &budgets(r#"{name: "all", limit: 0.002, per: "day"}"#));
    let body = chat().replace("gpt-4o", "nobody-knows-its-price");
    assert_eq!(client(&gate).await.post(CHAT, body).await.status, StatusCode::OK);
    gate.wait_for_entries(1).await;
    let row = &state(&gate).await[0];
    assert_eq!((&row["unpricedRequests"], &row["spentUsd"]), (&json!(1), &json!("0.000000000000")));
}

#[tokio::test]
async fn what_was_spent_is_known_after_a_restart() {
    let upstream = Upstream::start(Options::default());
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
    let own = std::env::current_exe().unwrap();
    let name: String = own.file_name().unwrap().to_string_lossy().chars().take(10).collect();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
             upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{}" }} }},
             budgets: [
               {{ name: "team", match: {{label: "team-*"}}, each: "label", limit: 0.0012, per: "day" }},
               {{ name: "program", match: {{process: "{name}*"}}, limit: 1, per: "7d" }},
               {{ name: "stranger", match: {{process: "hyper*"}}, limit: 1, per: "month" }},
             ] }}"#,
        upstream.address()
    );
    let mut before = Value::Null;
    for round in 0..2 {
        let gate = Gate::start(loaded(&folder, &text), Surroundings::default()).unwrap();
        let root = gate.authority().root_pem().to_owned();
        let shown = async || ask(gate.admin_address(), "/budgets").await.json()["budgets"].clone();
        let mut client = Client::intercepted(gate.proxy_address(), "api.openai.com", &root, "h2").await;
        let mut call = async |label: &str| {
            // An agent's name is no program's.
            let request = client.request(Method::POST, CHAT).header("user-agent", "hyper/1");
            client.send(request.header("x-tollgate-label", label).body(Full::from(chat())).unwrap()).await
        };
        if round == 0 {
            assert_eq!(call("team-a").await.status, StatusCode::OK);
            // The entry is booked a moment after its last byte.
            while shown().await[0]["reservedUsd"] != "0.000000000000" {
                tokio::task::yield_now().await;
            }
            before = shown().await;
            assert_ne!(before[0]["spentUsd"], "0.000000000000");
            assert_eq!(before[0]["spentUsd"], before[1]["spentUsd"]);
            assert_eq!(before[2]["spentUsd"], "0.000000000000");
        } else {
            assert_eq!(shown().await, before);
            assert_refused(&call("team-a").await, "team");
            assert_eq!(call("team-b").await.status, StatusCode::OK);
        }
        drop(client);
        tokio::task::spawn_blocking(move || gate.stop()).await.unwrap();
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn beyond_a_limit_no_websocket_is_opened_and_no_job_begun() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, &budgets(r#"{name: "none", limit: 0, per: "day"}"#));
    let mut raw = Raw::open(gate.proxy()).await;
    raw.send(
        "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-client\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await;
    let refused = raw.answer().await.unwrap();
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("insufficient_quota"), "{}", refused.text());
    let mut client = client(&gate).await;
    assert_refused(&client.post("/v1/batches", r#"{"input_file_id":"f"}"#).await, "none");
    assert!(upstream.seen().is_empty());
    // What was begun before can be looked at, and stopped.
    for (method, path) in [(Method::GET, "/v1/batches/batch_1"), (Method::POST, "/v1/batches/batch_1/cancel")] {
        let request = client.request(method, path).body(Full::default()).unwrap();
        assert_ne!(client.send(request).await.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
}
