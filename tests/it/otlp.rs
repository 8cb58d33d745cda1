//! What a collector is told equals the books, says nothing of what was said, and never holds a call up.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tempfile::TempDir;
use tollgate::ledger::entry::Entry;

use crate::bench::admin::ask;
use crate::bench::client::Client;
use crate::bench::collector::{Collector, Manner, spans};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

const CHAT: &str = "/v1/chat/completions";

/// `telemetry` of a configuration.
fn telemetry(collector: &Collector, more: &str) -> String {
    let at = collector.address();
    format!(r#"telemetry: {{ otlp: {{ endpoint: "http://{at}", interval: "1s", {more} }} }}"#)
}

/// Calls of several kinds, `each` of every kind; gives how many were made.
async fn traffic(gate: &TestGate, each: usize) -> usize {
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let said = json!([{"role": "user", "content": "canary-4711 and some words"}]);
    for _ in 0..each {
        for (path, body) in [
            (CHAT, json!({"model": "gpt-4o", "messages": said})),
            (CHAT, json!({"model": "o4-mini", "messages": said, "stream": true})),
            (CHAT, json!({"model": "nobody-knows-its-price", "messages": said})),
            (CHAT, json!({"model": "no-such-model", "messages": said})),
            ("/v1/responses", json!({"model": "gpt-5", "input": "canary-4711", "stream": true})),
            ("/v1/embeddings", json!({"model": "text-embedding-3-small", "input": "canary-4711"})),
        ] {
            client.post(path, body.to_string()).await;
        }
        client.get("/v1/models").await;
    }
    each * 7
}

fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    attributes.iter().find(|one| one.key == name)?.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    match attribute(attributes, name)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{name} is {other:?}"),
    }
}

fn number(attributes: &[KeyValue], name: &str) -> Option<u64> {
    match attribute(attributes, name)? {
        Value::IntValue(number) => Some(u64::try_from(*number).unwrap()),
        other => panic!("{name} is {other:?}"),
    }
}

/// Holds a span against the entry that it was made of.
fn assert_same(span: &Span, entry: &Entry) {
    let of = &span.attributes;
    let usage = entry.usage.unwrap_or_default();
    assert_eq!(number(of, "gen_ai.usage.input_tokens"), usage.input);
    assert_eq!(number(of, "gen_ai.usage.output_tokens"), usage.output);
    assert_eq!(number(of, "gen_ai.usage.cache_read.input_tokens"), usage.cached_input);
    assert_eq!(number(of, "gen_ai.usage.reasoning.output_tokens"), usage.reasoning);
    assert_eq!(text(of, "gen_ai.request.model"), entry.model.asked.as_deref());
    assert_eq!(text(of, "gen_ai.response.model"), entry.model.served.as_deref());
    assert_eq!(text(of, "gen_ai.response.id"), entry.upstream_id.as_deref());
    assert_eq!(text(of, "tollgate.cost_usd"), entry.cost.map(|cost| cost.to_string()).as_deref());
    assert_eq!(number(of, "http.response.status_code"), Some(entry.status.into()));
    assert_eq!(text(of, "error.type"), (entry.status == 404).then_some("404"), "{entry:?}");
    assert_eq!(text(of, "server.address"), Some("api.openai.com"));
    assert_eq!(text(of, "gen_ai.provider.name"), Some("openai"));
    let start = u64::try_from(entry.time.as_nanosecond()).unwrap();
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano - start), (start, entry.duration_ms * 1_000_000));
    assert_eq!(span.status.is_some(), entry.status == 404);
    let operation = text(of, "gen_ai.operation.name").unwrap();
    let name = entry.model.asked.as_ref().map_or("/v1/models".into(), |model| format!("{operation} {model}"));
    assert_eq!(span.name, name);
}

/// The sum of a histogram over all its points that bear a label.
fn spread(metrics: &[Metric], name: &str, label: Option<(&str, &str)>) -> (u64, f64) {
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
    let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
    let bears = |attributes: &[KeyValue]| label.is_none_or(|(name, value)| text(attributes, name) == Some(value));
    let points = histogram.data_points.iter().filter(|point| bears(&point.attributes));
    points.fold((0, 0.0), |(count, sum), point| {
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        (count + point.count, sum + point.sum.unwrap())
    })
}

/// The sum of a counter over all its points.
fn sum(metrics: &[Metric], name: &str) -> f64 {
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name}"));
    let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
    assert!(sum.is_monotonic);
    let values = sum.data_points.iter().map(|point| match point.value.unwrap() {
        number_data_point::Value::AsInt(value) => value as f64,
        number_data_point::Value::AsDouble(value) => value,
    });
    values.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_metrics_equal_the_books() {
    let (upstream, collector) = (Upstream::start(Options::default()), Collector::start());
    let gate = TestGate::start(&upstream, &telemetry(&collector, ""));
    let made = traffic(&gate, 8).await;
    let entries = gate.wait_for_entries(made).await;
    gate.gate.stop();

    let spans = collector.spans();
    assert_eq!(spans.len(), entries.len(), "each entry is one span, and none is lost at the stop");
    for entry in &entries {
        let of = |span: &&Span| text(&span.attributes, "tollgate.id") == Some(&*entry.id);
        assert_same(spans.iter().find(of).unwrap_or_else(|| panic!("no span of {entry:?}")), entry);
    }
    let metrics = collector.metrics();
    let known = |of: fn(&Entry) -> Option<u64>| {
        let all: Vec<u64> = entries.iter().filter_map(of).collect();
        (all.len() as u64, all.iter().sum::<u64>() as f64)
    };
    let usage = "gen_ai.client.token.usage";
    assert_eq!(
        spread(&metrics, usage, Some(("gen_ai.token.type", "input"))),
        known(|entry| entry.usage.and_then(|usage| usage.input))
    );
    assert_eq!(
        spread(&metrics, usage, Some(("gen_ai.token.type", "output"))),
        known(|entry| entry.usage.and_then(|usage| usage.output))
    );
    let calls = entries.iter().filter(|entry| entry.model.asked.is_some()).count() as u64;
    assert_eq!(spread(&metrics, "gen_ai.client.operation.duration", None).0, calls);
    assert_eq!(spread(&metrics, "gen_ai.client.operation.duration", Some(("error.type", "404"))).0, 8);
    assert_eq!(spread(&metrics, "gen_ai.client.operation.time_to_first_chunk", None).0, 16);
    assert_eq!(sum(&metrics, "tollgate.requests") as usize, entries.len());
    assert_eq!(sum(&metrics, "tollgate.unpriced.requests") as u64, 8);
    let cost: i128 = entries.iter().filter_map(|entry| entry.cost).map(|cost| cost.0).sum();
    assert_eq!((sum(&metrics, "tollgate.cost") * 1e12).round() as i128, cost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_learns_neither_what_was_said_nor_any_key() {
    let (upstream, collector) = (Upstream::start(Options::default()), Collector::start());
    let headers = r#"headers: {"authorization": "Bearer canary-collector", "x-tenant": "mine"}"#;
    let gate = TestGate::start(&upstream, &telemetry(&collector, headers));
    let made = traffic(&gate, 1).await;
    gate.wait_for_entries(made).await;
    let config = ask(gate.admin(), "/config").await;
    assert!(!config.text().contains("canary-collector"), "{}", config.text());
    assert_eq!(config.json()["telemetry"]["otlp"]["headers"], json!({"authorization": "***", "x-tenant": "***"}));
    gate.gate.stop();
    let received = collector.received();
    assert!(received.len() >= 2);
    for one in &received {
        assert_eq!(
            (&one.headers["authorization"], &one.headers["x-tenant"]),
            (&"Bearer canary-collector".parse().unwrap(), &"mine".parse().unwrap())
        );
        assert_eq!(one.headers["content-type"], "application/x-protobuf");
        let body = String::from_utf8_lossy(&one.body);
        for secret in ["canary-4711", "sk-client", "canary-collector"] {
            assert!(!body.contains(secret), "{} holds {secret}", one.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_could_not_take_comes_when_it_can() {
    let (upstream, collector) = (Upstream::start(Options::default()), Collector::start());
    collector.be(Manner::Refuses(503));
    let gate = TestGate::start(&upstream, &telemetry(&collector, ""));
    let made = traffic(&gate, 2).await;
    gate.wait_for_entries(made).await;
    collector.wait(|received| !received.is_empty());
    collector.be(Manner::Takes);
    collector.wait(|received| spans(received).len() == made);
    let text = ask(gate.admin(), "/metrics").await.text();
    assert!(text.contains("tollgate_spans_total{tollgate_fate=\"lost\"} 0\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_will_never_take_is_counted_as_lost() {
    for (manner, lost) in [(Manner::Refuses(400), 7), (Manner::TakesAllBut(3), 3)] {
        let (upstream, collector) = (Upstream::start(Options::default()), Collector::start());
        collector.be(manner);
        let gate = TestGate::start(&upstream, &telemetry(&collector, ""));
        let made = traffic(&gate, 1).await;
        gate.wait_for_entries(made).await;
        let ledger = gate.gate.ledger().clone();
        gate.gate.stop();
        let handed = ledger.handed().unwrap();
        // Spans that came in several messages are refused in several.
        let messages = collector.received().iter().filter(|one| one.path == "/v1/traces").count() as u64;
        let lost = if manner == Manner::Refuses(400) { lost } else { lost * messages };
        assert_eq!((handed.sent + handed.lost, handed.lost, handed.missed), (7, lost, 0), "{manner:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_delays_no_call_and_a_stop_only_for_seconds() {
    let (upstream, collector) = (Upstream::start(Options::default()), Collector::start());
    collector.be(Manner::Hangs);
    let gate = TestGate::start(&upstream, &telemetry(&collector, ""));
    let made = traffic(&gate, 1).await;
    collector.wait(|received| !received.is_empty());
    let begun = Instant::now();
    let more = traffic(&gate, 1).await;
    gate.wait_for_entries(made + more).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let ledger = gate.gate.ledger().clone();
    gate.gate.stop();
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(ledger.handed().unwrap().lost as usize, made + more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_over_tls_is_verified_as_any_upstream() {
    for alpn in [Alpn::Http1, Alpn::Http2] {
        for trusted in [true, false] {
            let (upstream, collector) = (Upstream::start(Options::default()), Collector::over_tls(alpn));
            let folder = TempDir::new().unwrap();
            std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
            std::fs::write(folder.path().join("collector.pem"), collector.ca_pem()).unwrap();
            let ca = if trusted { r#"ca: "collector.pem""# } else { "" };
            let text = format!(
                r#"{{listen: {{proxy: "127.0.0.1:0", admin: "127.0.0.1:0"}}, workers: 1, ledger: {{path: null}},
                     upstream: {{ca: "standin.pem", resolve: {{"api.openai.com:443": "{}"}}}},
                     telemetry: {{otlp: {{endpoint: "https://{}/base/", {ca}}}}}}}"#,
                upstream.address(),
                collector.address(),
            );
            let gate = TestGate::from_text(folder, &text);
            let made = traffic(&gate, 1).await;
            gate.wait_for_entries(made).await;
            gate.gate.stop();
            let received = collector.received();
            assert_eq!(spans(&received).len(), if trusted { made } else { 0 }, "{alpn:?} {trusted}");
            assert!(received.iter().all(|one| one.path.starts_with("/base/v1/")), "{received:?}");
        }
    }
}
