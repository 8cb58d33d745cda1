//! What is asked in the course of the day, and what shall go wrong with it.

use serde_json::{Value, json};

use crate::dice::Dice;

/// One call as its program means it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The body; empty for a GET.
    pub body: String,
    /// Of the body.
    pub content_type: &'static str,
    /// What is asked of the stand-in.
    pub fault: String,
    /// What the client does.
    pub manner: Manner,
    /// What it may speak.
    pub alpn: &'static str,
}

/// How long a client stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// It reads to the end.
    Stays,
    /// It leaves when it has so many pieces of the reply.
    LeavesAfter(u64),
    /// It leaves before it has anything.
    LeavesAtOnce,
}

/// The next call.
pub fn next(dice: &mut Dice) -> Plan {
    let (path, body, content_type) = form(dice);
    let fault = fault(dice);
    let manner = match dice.below(100) {
        0..5 => Manner::LeavesAtOnce,
        5..20 => Manner::LeavesAfter(1 + dice.below(4)),
        _ => Manner::Stays,
    };
    let alpn = if dice.percent(50) { "h2" } else { "http/1.1" };
    Plan { method: "POST", path: path.into(), body, content_type, fault, manner, alpn }
}

fn form(dice: &mut Dice) -> (&'static str, String, &'static str) {
    let words = "so many words ".repeat(1 + usize::try_from(dice.below(40)).unwrap());
    let said = json!([{"role": "user", "content": words}]);
    let stream = dice.percent(60);
    let model = *dice.pick(&["gpt-4o", "gpt-4o-mini", "gpt-4.1", "o4-mini", "gpt-5"]);
    let (path, body): (_, Value) = match dice.below(100) {
        0..50 => {
            let mut body = json!({"model": model, "messages": said, "stream": stream});
            if dice.percent(20) {
                body["n"] = 2.into();
            }
            if stream && dice.percent(30) {
                body["stream_options"] = json!({"include_usage": true});
            }
            if model == "gpt-4o" && dice.percent(20) {
                body["service_tier"] = "priority".into();
            }
            ("/v1/chat/completions", body)
        }
        50..60 => ("/v1/completions", json!({"model": "gpt-3.5-turbo-instruct", "prompt": words, "stream": stream})),
        60..80 => ("/v1/responses", json!({"model": model, "input": words, "stream": stream})),
        80..90 => ("/v1/embeddings", json!({"model": "text-embedding-3-small", "input": [words, "more"]})),
        90..95 => ("/v1/chat/completions", json!({"model": "local/chat", "messages": said, "stream": stream})),
        _ => ("/v1/completions", json!({"model": "databricks/dolly-v2-3b", "prompt": words, "stream": stream})),
    };
    (path, body.to_string(), "application/json")
}

fn fault(dice: &mut Dice) -> String {
    let pace = if dice.percent(50) { format!("pace={}", 1 + dice.below(8)) } else { String::new() };
    let coding = *dice.pick(&["", "", "", "gzip", "br", "zstd", "chunked", "crlf"]);
    let wrong = match dice.below(100) {
        0..3 => "status=429".to_owned(),
        3..6 => "status=500".into(),
        6..8 => "html-error".into(),
        8..10 => "cut-head".into(),
        10..13 => format!("cut-after={}", dice.below(4)),
        13..15 => format!("reset-stream={}", dice.below(4)),
        15..17 => format!("error-after={}", dice.below(4)),
        17..18 => "goaway".into(),
        18..20 => "close".into(),
        20..26 => format!("input={}, cached={}", 2000 + dice.below(1000), dice.below(1500)),
        _ => String::new(),
    };
    let parts: Vec<String> = [pace, coding.into(), wrong].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}
