//! The books equal the upstream's own bill, to the token and to the pico-dollar.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use tollgate::ledger::entry::{Entry, Outcome};

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::books::Billed;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

/// One form of call: where to, with what, and what is asked of the stand-in.
type Form = (&'static str, Value, &'static str);

const CLIENTS: usize = 16;
const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const RESPONSES: &str = "/v1/responses";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_traffic_of_many_clients_is_booked_as_it_is_billed() {
    for alpn in [Alpn::Http1, Alpn::Http2] {
        let upstream = Upstream::start(Options { alpn, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        let (proxy, root) = (gate.proxy(), gate.root_pem());
        let tasks: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(calls(number, proxy, root.clone()))).collect();
        let mut sent = 0;
        for task in tasks {
            sent += task.await.unwrap();
        }

        let entries = gate.wait_for_entries(sent).await;
        let bill = upstream.bill();
        assert_eq!((entries.len(), bill.len()), (sent, sent), "each call is booked once");
        assert_same(&entries, &bill);
        assert_shown(&ask(gate.admin(), "/stats?by=model,endpoint,route,status").await.json(), &bill);
    }
}

/// Every form of call once over one connection; gives how many there were.
async fn calls(number: usize, proxy: SocketAddr, root: String) -> usize {
    let alpn = if number.is_multiple_of(2) { "http/1.1" } else { "h2" };
    let mut client = Client::intercepted(proxy, "api.openai.com", &root, alpn).await;
    let forms = forms(number);
    let count = forms.len();
    for (path, body, fault) in forms {
        let request = client
            .request(Method::POST, path)
            .header("accept-encoding", "gzip, br, zstd")
            .header("x-standin-fault", fault)
            .body(Full::from(body.to_string()))
            .unwrap();
        let answered = client.send(request).await;
        assert!(answered.status.is_success() && answered.whole, "{path} {fault}: {answered:?}");
    }
    count
}

fn forms(number: usize) -> Vec<Form> {
    let words = "so many words ".repeat(number + 1);
    let said = json!([{"role": "user", "content": words}]);
    let tool = json!([{"type": "function", "function": {"name": "look_up", "parameters": {}}}]);
    vec![
        (CHAT, json!({"model": "gpt-4o", "messages": said}), ""),
        (CHAT, json!({"model": "gpt-4o", "messages": said}), "gzip"),
        (CHAT, json!({"model": "gpt-4o", "messages": said, "n": 2}), "br"),
        (CHAT, json!({"model": "gpt-4o-mini", "messages": said, "tools": tool}), "zstd, chunked"),
        (CHAT, json!({"model": "o4-mini", "messages": said}), "reasoning=300, output=377"),
        (CHAT, json!({"model": "gpt-4o", "messages": said, "service_tier": "priority"}), ""),
        (CHAT, json!({"model": "gpt-5", "messages": said, "service_tier": "flex", "stream": true}), ""),
        (CHAT, json!({"model": "gpt-4o", "messages": said, "stream": true}), "crlf"),
        (CHAT, json!({"model": "gpt-4o", "messages": said, "stream": true, "n": 2}), "input=5000, cached=4096"),
        (CHAT, json!({"model": "gpt-4o-mini", "messages": said, "stream": true, "tools": tool}), ""),
        (
            CHAT,
            json!({"model": "gpt-4o", "messages": said, "stream": true,
                   "stream_options": {"include_usage": true}}),
            "gzip",
        ),
        (CHAT, json!({"model": "o4-mini", "messages": said, "stream": true, "stream_options": null}), ""),
        (COMPLETIONS, json!({"model": "gpt-3.5-turbo-instruct", "prompt": words}), ""),
        (COMPLETIONS, json!({"model": "gpt-3.5-turbo-instruct", "prompt": words, "stream": true, "n": 2}), ""),
        (RESPONSES, json!({"model": "gpt-5", "input": words}), "zstd"),
        (RESPONSES, json!({"model": "gpt-5", "input": words, "stream": true}), "br"),
        (RESPONSES, json!({"model": "gpt-4o", "input": words, "service_tier": "priority", "stream": true}), ""),
        ("/v1/responses/compact", json!({"model": "gpt-5", "input": words}), ""),
        ("/v1/decisions", json!({"model": "gpt-5", "input": words}), "gzip"),
        (EMBEDDINGS, json!({"model": "text-embedding-3-small", "input": [words, "more"]}), ""),
        (EMBEDDINGS, json!({"model": "text-embedding-3-small", "input": words, "encoding_format": "base64"}), "gzip"),
    ]
}

/// Entry by entry where the reply has an id, and in sum for all.
fn assert_same(entries: &[Entry], bill: &[Billed]) {
    let lines: HashMap<&str, &Billed> = bill.iter().map(|line| (line.id.as_str(), line)).collect();
    for entry in entries {
        assert_eq!(entry.outcome, Outcome::Ok, "{entry:?}");
        let Some(id) = entry.upstream_id.as_deref() else { continue };
        let (line, usage) = (lines[id], entry.usage.unwrap());
        assert_eq!((usage.input, usage.output), (Some(line.input), Some(line.output)), "{entry:?}");
        assert_eq!(usage.cached_input.unwrap_or(0), line.cached, "{entry:?}");
        assert_eq!(usage.reasoning.unwrap_or(0), line.reasoning, "{entry:?}");
        assert_eq!(entry.cost.map(|cost| cost.0), Some(cost(line)), "{entry:?}");
        // The reply of a compaction names no model.
        let named = (line.endpoint != "/v1/responses/compact").then_some(&*line.model);
        assert_eq!(entry.model.served.as_deref(), named);
        assert_eq!(entry.tier.served.as_deref(), line.tier.as_deref());
    }
    let known = entries.iter().filter(|entry| entry.upstream_id.is_some()).count();
    assert!(known * 10 > entries.len() * 8, "nearly all replies have an id");
    let booked: i128 = entries.iter().map(|entry| entry.cost.unwrap().0).sum();
    assert_eq!(booked, bill.iter().map(cost).sum::<i128>());
}

/// The sums of `/stats` in the words of the contract.
fn assert_shown(stats: &Value, bill: &[Billed]) {
    let totals = &stats["totals"];
    let sum = |count: fn(&Billed) -> u64| bill.iter().map(count).sum::<u64>();
    let dollars = |pico: i128| format!("{}.{:012}", pico / 1_000_000_000_000, pico % 1_000_000_000_000);
    assert_eq!(totals["requests"], bill.len());
    assert_eq!(totals["errors"], 0);
    assert_eq!(totals["inputTokens"], sum(|line| line.input));
    assert_eq!(totals["cachedInputTokens"], sum(|line| line.cached));
    assert_eq!(totals["outputTokens"], sum(|line| line.output));
    assert_eq!(totals["reasoningTokens"], sum(|line| line.reasoning));
    assert_eq!(totals["totalTokens"], sum(|line| line.input + line.output));
    assert_eq!(totals["costUsd"], dollars(bill.iter().map(cost).sum()));
    assert_eq!(totals["unpricedRequests"], 0);
    assert_eq!(totals["byBasis"], json!({"reported": bill.len(), "counted": 0, "estimated": 0, "none": 0}));
    for by in ["model", "endpoint", "route", "status"] {
        let rows = stats["by"][by].as_array().unwrap();
        let requests: u64 = rows.iter().map(|row| row["requests"].as_u64().unwrap()).sum();
        assert_eq!(requests, bill.len() as u64, "{by}");
    }
    for row in stats["by"]["endpoint"].as_array().unwrap() {
        let lines: Vec<&Billed> = bill.iter().filter(|line| row["key"] == line.endpoint).collect();
        assert_eq!(row["costUsd"], dollars(lines.iter().map(|line| cost(line)).sum()));
        assert_eq!(row["outputTokens"], lines.iter().map(|line| line.output).sum::<u64>());
    }
}

/// Pico-dollars of one line, by prices that are written down here once more.
fn cost(line: &Billed) -> i128 {
    // Pico-dollars a token: dollars a million, times a million.
    let (input, cached, output) = match (&*line.model, line.tier.as_deref().unwrap_or("default")) {
        ("gpt-4o-2024-08-06", "default") => (2_500_000, 1_250_000, 10_000_000),
        ("gpt-4o-2024-08-06", "priority") => (4_250_000, 2_125_000, 17_000_000),
        ("gpt-4o-mini-2024-07-18", "default") => (150_000, 75_000, 600_000),
        ("o4-mini-2025-04-16", "default") => (1_100_000, 275_000, 4_400_000),
        ("gpt-5-2025-08-07", "default") => (1_250_000, 125_000, 10_000_000),
        ("gpt-5-2025-08-07", "flex") => (625_000, 62_500, 5_000_000),
        ("gpt-3.5-turbo-instruct:20230824-v2", _) => (1_500_000, 1_500_000, 2_000_000),
        ("text-embedding-3-small", _) => (20_000, 20_000, 0),
        other => panic!("no price for {other:?}"),
    };
    let [fresh, from_cache, made] = [line.input - line.cached, line.cached, line.output].map(i128::from);
    fresh * input + from_cache * cached + made * output
}

#[tokio::test]
async fn a_priced_custom_embedding_model_is_priced_by_its_input_alone() {
    let upstream = Upstream::start(Options::default());
    let model = format!(
        r#"models: [{{name: "my/embedder", endpointUrl: "{}/e/embeddings", type: "text-embedding",
                      tokenPricing: {{prompt: 0.02, completion: 0.5}}}}]"#,
        upstream.url().replace("127.0.0.1", "localhost")
    );
    let gate = TestGate::start(&upstream, &model);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let answered = client.post(EMBEDDINGS, r#"{"model":"my/embedder","input":"four words are here"}"#).await;
    assert_eq!(answered.status, 200, "{}", answered.text());
    let entries = gate.wait_for_entries(1).await;
    assert_eq!(entries[0].cost.map(|cost| cost.0), Some(4 * 20_000_000), "{:?}", entries[0]);
    assert_eq!(&*entries[0].price_source.clone().unwrap(), "tokenPricing");
}

#[tokio::test]
async fn only_calls_that_may_have_cost_something_are_counted_as_unpriced() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "x"}]}).to_string();
    let posted = |answered: Answered| answered.status.as_u16();
    assert_eq!(posted(client.get("/v1/models").await), 200);
    assert_eq!(posted(client.get("/v1/evals").await), 404);
    assert_eq!(posted(client.post(CHAT, chat("no-such-model")).await), 404);
    assert_eq!(posted(client.post(CHAT, "{").await), 400);
    assert_eq!(posted(client.post(CHAT, chat("nobody-knows-its-price")).await), 200);
    gate.wait_for_entries(5).await;
    let stats = ask(gate.admin(), "/stats").await.json();
    assert_eq!((&stats["totals"]["requests"], &stats["totals"]["unpricedRequests"]), (&json!(5), &json!(1)));
}

#[tokio::test]
async fn what_was_said_is_nowhere_in_the_books() {
    let log = Log::default();
    let written = log.clone();
    let filtered = tracing_subscriber::fmt().with_env_filter("tollgate=trace").with_writer(move || written.clone());
    filtered.init();
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    // The arguments of a tool call echo the prompt, so that the canary is in the reply as well.
    let body = |stream: bool| {
        json!({"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": "canary-4711"}],
               "tools": [{"type": "function", "function": {"name": "f"}}]})
    };
    for stream in [false, true] {
        let answered = client.post(CHAT, body(stream).to_string()).await;
        assert!(stream || answered.text().contains("canary-4711"));
    }
    client.post(CHAT, r#"{"model":"gpt-4o","messages":"canary-4711"#).await;
    client.post("/v1/canary", "canary-4711").await;
    gate.wait_for_entries(4).await;
    for path in ["/entries", "/entries?format=csv", "/entries?format=jsonl", "/stats?by=model,route,client,label"] {
        let shown = ask(gate.admin(), path).await;
        assert_eq!(shown.status, 200);
        assert!(!shown.text().contains("canary-4711"), "{path}");
    }
    assert!(!format!("{:?}", gate.entries()).contains("canary-4711"));
    let log = log.0.lock().unwrap();
    assert!(log.contains("gpt-4o"), "calls are logged");
    assert!(!log.contains("canary-4711"), "{log}");
}

/// What all gates of this process log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
