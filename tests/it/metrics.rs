//! `/metrics` reads as Prometheus reads it, equals the books, and stays bounded whatever strangers call their models.

use std::collections::BTreeMap;

use serde_json::json;
use tollgate::ledger::entry::Entry;

use crate::bench::admin::ask;
use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

/// One line: a name, its labels and its number.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text form as Prometheus documents it, and panics where it is not that.
fn parsed(text: &str) -> Vec<Sample> {
    assert!(text.ends_with('\n'));
    let mut kinds = BTreeMap::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(kinds.insert(name, kind).is_none(), "{name} is declared twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, labels, number) = sample(line);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let kind = kinds.get(family.filter(|family| kinds.contains_key(family)).unwrap_or(&name));
        assert!(kind.is_some(), "{name} is not declared");
        samples.push((name, labels, number));
    }
    samples
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte)), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line:?}"));
    (name.into(), labels, number.replace("+Inf", "inf").parse().unwrap_or_else(|_| panic!("{line:?}")))
}

/// The text up to the quote that ends it, escapes undone, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match letters.next().unwrap().1 {
                'n' => '\n',
                letter @ ('\\' | '"') => letter,
                other => panic!("\\{other} is no escape"),
            }),
            letter => value.push(letter),
        }
    }
    panic!("{text:?} has no end")
}

/// The sum of all samples of a name that bear a label.
fn sum(samples: &[Sample], name: &str, label: Option<(&str, &str)>) -> f64 {
    let bears = |labels: &BTreeMap<String, String>| {
        label.is_none_or(|(name, value)| labels.get(name).is_some_and(|found| found == value))
    };
    samples.iter().filter(|(found, labels, _)| found == name && bears(labels)).map(|(_, _, number)| number).sum()
}

async fn traffic(gate: &TestGate, models: &[&str]) -> Vec<Entry> {
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for model in models {
        for stream in [false, true] {
            let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two"}]});
            client.post("/v1/chat/completions", body.to_string()).await;
        }
    }
    gate.wait_for_entries(models.len() * 2).await
}

#[tokio::test]
async fn the_numbers_equal_the_books() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let entries =
        traffic(&gate, &["gpt-4o", "gpt-4o-mini", "o4-mini", "no-such-model", "nobody-knows-its-price"]).await;
    let answered = ask(gate.admin(), "/metrics").await;
    assert_eq!(answered.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let samples = parsed(&answered.text());
    let total = |of: fn(&Entry) -> Option<u64>| entries.iter().filter_map(of).sum::<u64>() as f64;
    for (kind, expected) in [
        ("input", total(|entry| entry.usage.and_then(|usage| usage.input))),
        ("output", total(|entry| entry.usage.and_then(|usage| usage.output))),
    ] {
        let label = Some(("gen_ai_token_type", kind));
        assert!(expected > 0.0);
        assert_eq!(sum(&samples, "gen_ai_client_token_usage_sum", label), expected);
    }
    assert_eq!(sum(&samples, "gen_ai_client_operation_duration_seconds_count", None), 10.0);
    assert_eq!(sum(&samples, "gen_ai_client_operation_duration_seconds_bucket", Some(("le", "+Inf"))), 10.0);
    assert_eq!(sum(&samples, "gen_ai_client_operation_duration_seconds_count", Some(("error_type", "404"))), 2.0);
    let streams = entries.iter().filter(|entry| entry.stream && entry.first_byte_ms.is_some()).count() as f64;
    assert_eq!(sum(&samples, "gen_ai_server_time_to_first_token_seconds_count", None), streams);
    assert_eq!(sum(&samples, "tollgate_requests_total", None), 10.0);
    assert_eq!(sum(&samples, "tollgate_requests_total", Some(("tollgate_route", "origin/api.openai.com"))), 10.0);
    assert_eq!(sum(&samples, "tollgate_requests_total", Some(("tollgate_basis", "reported"))), 8.0);
    assert_eq!(sum(&samples, "tollgate_unpriced_requests_total", None), 2.0);
    let cost: i128 = entries.iter().filter_map(|entry| entry.cost).map(|cost| cost.0).sum();
    assert_eq!((sum(&samples, "tollgate_cost_usd_total", None) * 1e12).round() as i128, cost);
    assert_eq!(sum(&samples, "tollgate_tunnels_total", None), 0.0);
    assert_eq!(sum(&samples, "tollgate_journal_up", None), 1.0);
    assert_eq!(sum(&samples, "tollgate_journal_lost_total", None), 0.0);
}

#[tokio::test]
async fn names_that_strangers_choose_break_no_line_and_no_bound() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let long = "x".repeat(1000);
    let names =
        ["a\"} 1\nevil 1", "back\\slash\\", "<img onerror>", "=cmd|x", "\u{1b}[31m", "\u{202e}rtl", "__proto__", &long];
    traffic(&gate, &names).await;
    let samples = parsed(&ask(gate.admin(), "/metrics").await.text());
    for name in names {
        let label = Some(("gen_ai_request_model", &name[..name.len().min(128)]));
        assert_eq!(sum(&samples, "tollgate_requests_total", label), 2.0, "{name:?}");
    }
    assert!(samples.iter().all(|(_, labels, _)| labels.values().all(|value| value.len() <= 128 + "duplicate/".len())));
}

#[tokio::test]
async fn a_reader_that_asks_for_openmetrics_gets_it() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    traffic(&gate, &["gpt-4o"]).await;
    let at = gate.admin();
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let request = http::Request::get("/metrics").header("host", at.to_string()).header("accept", accept);
    let answered = Client::plain(at).await.send(request.body(http_body_util::Full::default()).unwrap()).await;
    assert!(
        answered.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = answered.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("# TYPE tollgate_cost_usd counter\n# UNIT tollgate_cost_usd usd\n"), "{text}");
}

#[tokio::test]
async fn what_is_under_way_and_what_is_spent_of_a_budget_are_told() {
    let upstream = Upstream::start(Options::default());
    let budgets = r#"budgets: [{name: "team", limit: 50, per: "day", then: "refuse"}]"#;
    let gate = TestGate::start(&upstream, budgets);
    let under_way = async || parsed(&ask(gate.admin(), "/metrics").await.text());
    assert_eq!(sum(&under_way().await, "tollgate_open_attempts", None), 0.0);
    upstream.hold();
    let (proxy, root) = (gate.proxy(), gate.root_pem());
    let call = tokio::spawn(async move {
        let mut client = Client::intercepted(proxy, "api.openai.com", &root, "h2").await;
        client.post("/v1/chat/completions", CHAT_OF_ONE_WORD).await.status
    });
    upstream.until_seen(1).await;
    assert_eq!(sum(&under_way().await, "tollgate_open_attempts", None), 1.0);
    upstream.release_all();
    assert_eq!(call.await.unwrap(), 200);
    let entries = gate.wait_for_entries(1).await;
    let begun = std::time::Instant::now();
    let mut samples = under_way().await;
    // The attempt is over a moment after it is booked.
    while sum(&samples, "tollgate_open_attempts", None) > 0.0 {
        assert!(begun.elapsed().as_secs() < 10, "{samples:?}");
        samples = under_way().await;
    }
    let of = Some(("tollgate_budget", "team"));
    assert_eq!(sum(&samples, "tollgate_budget_limit_usd", of), 50.0);
    let spent = (sum(&samples, "tollgate_budget_spent_usd", of) * 1e12).round() as i128;
    assert_eq!(spent, entries[0].cost.unwrap().0);
}

const CHAT_OF_ONE_WORD: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"word"}]}"#;
