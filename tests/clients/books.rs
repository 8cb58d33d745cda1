//! The gate's books against the stand-in's bill, to the token and the pico-dollar.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::gate::Gate;
use super::upstream::books::{Billed, Seen};

/// Pico-dollars per token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Price {
    input: u64,
    cached: u64,
    output: u64,
}

impl Price {
    /// Pico-dollars of one line of the bill.
    pub fn of(self, line: &Billed) -> u64 {
        (line.input - line.cached) * self.input + line.cached * self.cached + line.output * self.output
    }
}

/// One line, as both sides must have it: id, model, input, cached, output, reasoning, pico-dollars, and what is no
/// text: characters, pictures, seconds, and tokens of sound and of pictures.
///
/// The dollars are 0 for what has no price here.
type Line = (String, String, u64, u64, u64, u64, u64, [u64; 5]);

/// What a model costs by the published prices, or by its line in the configuration of the tests.
pub fn price(served: &str) -> Option<Price> {
    PRICES.iter().find(|(name, _)| *name == served).map(|(_, price)| *price)
}

/// Holds `/entries` and `/stats` against the bill, once all of it has been booked.
pub fn assert_equal(gate: &Gate, bill: &[Billed]) {
    let mut charged: Vec<Line> = bill.iter().map(charge).collect();
    charged.sort();
    let mut booked = booked(gate);
    let patience = Instant::now() + Duration::from_secs(10);
    // The last entry is posted when the last byte has gone, which the client may see first.
    while booked.len() < charged.len() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
        booked = self::booked(gate);
    }
    assert_eq!(booked, charged, "left are the gate's entries, right is the upstream's bill");
    let totals = gate.ask("/stats")["totals"].take();
    let sum = |part: fn(&Line) -> u64| charged.iter().map(part).sum::<u64>();
    let expected = [
        ("inputTokens", sum(|line| line.2)),
        ("cachedInputTokens", sum(|line| line.3)),
        ("outputTokens", sum(|line| line.4)),
        ("reasoningTokens", sum(|line| line.5)),
    ];
    for (name, expected) in expected {
        assert_eq!(totals[name], expected, "{name} of {totals}");
    }
    let all: u64 =
        entries(gate).iter().filter(|entry| !entry["costUsd"].is_null()).map(|entry| pico(&entry["costUsd"])).sum();
    assert_eq!(pico(&totals["costUsd"]), all, "costUsd of {totals}");
    // Nobody reports characters, pictures made by old models, and the sound of a translation.
    let counted = charged.iter().filter(|line| line.7[..2] != [0, 0]).count() + translations(bill);
    assert_eq!(totals["byBasis"]["reported"], charged.len() - counted, "{totals}");
    assert_eq!(totals["byBasis"]["counted"], counted, "{totals}");
}

/// Every call that a client read to its end is booked as such.
pub fn assert_all_ok(gate: &Gate) {
    let document = gate.ask("/entries?limit=1000");
    let served = document["entries"].as_array().unwrap().iter().filter(|entry| entry["basis"] != "none");
    let others: Vec<_> = served.filter(|entry| entry["outcome"] != "ok").collect();
    assert!(others.is_empty(), "{} calls were read to their end, and yet: {:#}", others.len(), others[0]);
}

/// Every key went to the host that it belongs to, and to no other.
pub fn assert_keys_stayed_home(seen: &[Seen]) {
    for request in seen.iter().filter(|request| request.method != http::Method::OPTIONS) {
        let key = match request.host.split(':').next().unwrap() {
            "api.openai.com" => "Bearer sk-client",
            "mirror.example.com" => "Bearer sk-mirror",
            _ => "Bearer sk-custom",
        };
        let sent = request.headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(sent, Some(key), "{} at {}", request.path_and_query, request.host);
    }
}

fn translations(bill: &[Billed]) -> usize {
    bill.iter().filter(|line| line.endpoint == "/v1/audio/translations").count()
}

fn entries(gate: &Gate) -> Vec<Value> {
    let mut document = gate.ask("/entries?limit=1000");
    let Value::Array(entries) = document["entries"].take() else { panic!("no entries: {document}") };
    entries
}

fn booked(gate: &Gate) -> Vec<Line> {
    let mut lines: Vec<Line> = entries(gate).iter().filter(|entry| entry["basis"] != "none").map(book).collect();
    lines.sort();
    lines
}

fn book(entry: &Value) -> Line {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let count = |name: &str| entry["usage"][name].as_u64().unwrap_or(0);
    let model = if entry["model"]["served"].is_null() { &entry["model"]["asked"] } else { &entry["model"]["served"] };
    let is_priced = price(&text(model)).is_some() && entry["endpoint"] != BATCHES;
    (
        text(&entry["upstreamId"]),
        text(model),
        count("input"),
        count("cachedInput"),
        count("output"),
        count("reasoning"),
        if is_priced { pico(&entry["costUsd"]) } else { 0 },
        ["characters", "images", "seconds", "audioInput", "imageOutput"].map(count),
    )
}

fn charge(line: &Billed) -> Line {
    let price = price(&line.model).filter(|_| line.endpoint != BATCHES).unwrap_or_default();
    let cost = price.of(line);
    let other = &line.other;
    let others = [other.characters, other.images, other.seconds, other.audio_input, other.image_output];
    (line.id.clone(), line.model.clone(), line.input, line.cached, line.output, line.reasoning, cost, others)
}

/// A decimal string of dollars with twelve decimals.
fn pico(dollars: &Value) -> u64 {
    let text = dollars.as_str().unwrap_or_else(|| panic!("a call is unpriced: {dollars}"));
    let (whole, part) = text.split_once('.').unwrap();
    assert_eq!(part.len(), 12, "{text}");
    format!("{whole}{part}").parse().unwrap()
}

/// Has prices of its own.
const BATCHES: &str = "/v1/batches";

const PRICES: [(&str, Price); 7] = [
    ("gpt-4o-2024-08-06", Price { input: 2_500_000, cached: 1_250_000, output: 10_000_000 }),
    ("gpt-4.1-2025-04-14", Price { input: 2_000_000, cached: 500_000, output: 8_000_000 }),
    ("o3-2025-04-16", Price { input: 2_000_000, cached: 500_000, output: 8_000_000 }),
    ("gpt-3.5-turbo-instruct:20230824-v2", Price { input: 1_500_000, cached: 1_500_000, output: 2_000_000 }),
    ("text-embedding-3-small", Price { input: 20_000, cached: 20_000, output: 0 }),
    // The token pricing of a custom model knows no cache.
    ("databricks/dolly-v2-3b", Price { input: 200_000, cached: 200_000, output: 400_000 }),
    ("local/chat", Price { input: 1_000_000, cached: 1_000_000, output: 2_000_000 }),
];
