//! The books of a running gate over HTTP and by the command line.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::bench::admin::{ask, ask_as};
use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

const CONFIG: &str = r#"
    models: [{name: "acme/chat", endpointUrl: "https://models.example.com/v1/chat/completions?key=canary-query",
              apiKey: "canary-key", tokenPricing: {prompt: 0.001, completion: 0.002}}],
    duplicates: [{name: "mirror", url: "https://mirror.example.com", apiKey: "canary-mirror", models: ["mirrored-*"]}],
"#;

/// A gate that has served `calls` chats.
async fn busy(upstream: &Upstream, calls: usize) -> TestGate {
    let gate = TestGate::start(upstream, CONFIG);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for number in 0..calls {
        let model = if number % 2 == 0 { "gpt-4o" } else { "gpt-4o-mini" };
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"one two"}}]}}"#);
        assert_eq!(client.post("/v1/chat/completions", body).await.status, 200);
    }
    gate.wait_for_entries(calls).await;
    gate
}

#[tokio::test]
async fn sums_are_grouped_and_bounded_in_time() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 3).await;
    let stats = ask(gate.admin(), "/stats?by=model,route,client,label,day,hour,endpoint,status&since=1h").await.json();
    assert_eq!(stats["totals"]["requests"], 3);
    let models = stats["by"]["model"].as_array().unwrap();
    let rows: Vec<_> = models.iter().map(|row| (row["key"].as_str().unwrap(), row["requests"].as_u64())).collect();
    assert_eq!(rows, [("gpt-4o", Some(2)), ("gpt-4o-mini", Some(1))]);
    assert_eq!(stats["by"]["route"][0]["key"], "origin/api.openai.com");
    assert_eq!(stats["by"]["status"][0]["key"], "200");
    for by in ["client", "label", "day", "hour", "endpoint"] {
        assert_eq!(stats["by"][by][0]["requests"], 3, "{by}");
    }
    let later = ask(gate.admin(), "/stats?since=2999-01-01T00:00:00Z").await.json();
    assert_eq!(later["totals"]["requests"], 0);
    assert_eq!(ask(gate.admin(), "/stats?by=colour").await.status, 400);
}

#[tokio::test]
async fn entries_are_listed_in_pages_and_in_three_forms() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 5).await;
    let mut ids = Vec::new();
    let mut path = "/entries?limit=2".to_owned();
    loop {
        let page = ask(gate.admin(), &path).await.json();
        ids.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next"].as_str() else { break };
        path = format!("/entries?limit=2&cursor={cursor}");
    }
    let mut booked: Vec<String> = gate.entries().iter().map(|entry| entry.id.to_string()).collect();
    booked.reverse();
    assert_eq!(ids, booked);

    let lines = ask(gate.admin(), "/entries?format=jsonl&model=gpt-4o").await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    let models: Vec<Value> = lines
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["model"]["asked"].clone())
        .collect();
    assert_eq!(models, ["gpt-4o"; 3]);

    let csv = ask(gate.admin(), "/entries?format=csv&limit=1").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8; header=present");
    let text = csv.text();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0].len()), (2, rows[1].len()));
    assert_eq!(rows[1][0], ids[0]);
    assert!(csv.headers.contains_key("x-next-cursor"));
}

#[tokio::test]
async fn what_the_gate_is_can_be_read_and_no_secret_with_it() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 1).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(gate.admin(), path).await.status, 200);
    }
    let models = ask(gate.admin(), "/models").await;
    assert_eq!(models.json()["models"][0]["name"], "acme/chat");
    assert_eq!(models.json()["duplicates"][0]["name"], "mirror");
    let config = ask(gate.admin(), "/config").await;
    assert_eq!(config.json()["duplicates"][0]["url"], "https://mirror.example.com");
    for shown in [models, config, ask(gate.admin(), "/entries").await, ask(gate.admin(), "/stats").await] {
        assert_eq!(shown.status, 200);
        let text = shown.text();
        for secret in ["canary", "sk-client"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert_eq!(ask(gate.admin(), "/ca.pem").await.text(), gate.root_pem());
    assert_eq!(ask(gate.admin(), "/nothing").await.status, 404);
}

#[tokio::test]
async fn another_name_for_the_same_address_reads_nothing() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 1).await;
    let port = gate.admin().port();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), format!("127.0.0.1.nip.io:{port}")] {
        for path in ["/stats", "/entries", "/config", "/ca.pem"] {
            assert_eq!(ask_as(gate.admin(), &host, path).await.status, 403, "{host}");
        }
    }
    assert_eq!(ask_as(gate.admin(), &format!("localhost:{port}"), "/stats").await.status, 200);
}

#[tokio::test]
async fn the_command_line_shows_the_books_as_tables_and_as_json() {
    let upstream = Upstream::start(Options::default());
    let gate = busy(&upstream, 3).await;
    let table = tollgate(gate.admin(), &["stats"]);
    let words: Vec<&str> = table.lines().find(|line| line.starts_with("gpt-4o ")).unwrap().split_whitespace().collect();
    let bill: Vec<_> = upstream.bill().into_iter().filter(|line| line.model == "gpt-4o-2024-08-06").collect();
    let input: u64 = bill.iter().map(|line| line.input).sum();
    let output: u64 = bill.iter().map(|line| line.output).sum();
    assert_eq!((words[1], words[3], words[5]), ("2", &*input.to_string(), &*output.to_string()), "{table}");

    let stats: Value = serde_json::from_str(&tollgate(gate.admin(), &["stats", "--json", "--by", "route"])).unwrap();
    assert_eq!(stats["by"]["route"][0]["requests"], 3);

    let table = tollgate(gate.admin(), &["tail", "-n", "2"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.lines().next().unwrap().starts_with("TIME"));
    let lines = tollgate(gate.admin(), &["tail", "--json"]);
    let ids: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, gate.entries().iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>());
}

/// What the real program prints.
fn tollgate(admin: SocketAddr, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(words)
        .args(["--admin", &admin.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
