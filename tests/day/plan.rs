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
    /// Where what it begins is shown later, up to its id.
    pub shown_at: Option<&'static str>,
}

/// One form of call.
struct Form {
    path: &'static str,
    body: String,
    content_type: &'static str,
    shown_at: Option<&'static str>,
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
    let Form { path, body, content_type, shown_at } = form(dice);
    let fault = fault(dice);
    let manner = match dice.below(100) {
        0..5 => Manner::LeavesAtOnce,
        5..20 => Manner::LeavesAfter(1 + dice.below(4)),
        _ => Manner::Stays,
    };
    let alpn = if dice.percent(50) { "h2" } else { "http/1.1" };
    Plan { method: "POST", path: path.into(), body, content_type, fault, manner, alpn, shown_at }
}

/// Asks for what `begun` has begun, of which only the id is known.
pub fn look(begun: &Plan, id: &str, dice: &mut Dice) -> Plan {
    Plan {
        method: "GET",
        path: format!("{}{id}", begun.shown_at.unwrap_or_default()),
        body: String::new(),
        fault: if dice.percent(20) { "under-way".into() } else { String::new() },
        manner: Manner::Stays,
        shown_at: None,
        ..begun.clone()
    }
}

fn form(dice: &mut Dice) -> Form {
    match dice.below(100) {
        0..70 => text(dice),
        70..85 => medium(dice),
        _ => job(dice),
    }
}

/// Sound, pictures, videos.
fn medium(dice: &mut Dice) -> Form {
    let (path, body) = match dice.below(4) {
        0 => {
            let stream = dice.percent(50);
            ("/v1/images/generations", json!({"model": "gpt-image-1", "prompt": "a gate", "n": 1, "stream": stream}))
        }
        1 => ("/v1/audio/speech", json!({"model": "tts-1", "voice": "alloy", "input": "naïve words to be spoken"})),
        2 => ("/v1/videos", json!({"model": "sora-2", "prompt": "a gate", "seconds": "8"})),
        _ => return recording(dice),
    };
    Form { path, body: body.to_string(), content_type: "application/json", shown_at: None }
}

/// A form of which the file comes first.
fn recording(dice: &mut Dice) -> Form {
    let part = |name: &str, value: &str| {
        format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
    let fields = part("model", "gpt-4o-transcribe") + &part("stream", if dice.percent(50) { "true" } else { "false" });
    Form {
        path: "/v1/audio/transcriptions",
        body: format!("{file}{}\r\n{fields}--b0undary--\r\n", "~".repeat(300)),
        content_type: "multipart/form-data; boundary=b0undary",
        shown_at: None,
    }
}

/// What goes on after the reply.
fn job(dice: &mut Dice) -> Form {
    let (path, body, shown_at) = match dice.below(4) {
        0 => ("/v1/responses", json!({"model": "gpt-4o", "input": "some words", "background": true}), "/v1/responses/"),
        1 => (
            "/v1/batches",
            json!({"endpoint": "/v1/chat/completions", "input_file_id": "file-1", "completion_window": "24h"}),
            "/v1/batches/",
        ),
        2 => (
            "/v1/fine_tuning/jobs",
            json!({"model": "gpt-4o-mini", "training_file": "file-1"}),
            "/v1/fine_tuning/jobs/",
        ),
        _ => (
            "/v1/threads/thread_1/runs",
            json!({"assistant_id": "asst_1", "model": "gpt-4o"}),
            "/v1/threads/thread_1/runs/",
        ),
    };
    Form { path, body: body.to_string(), content_type: "application/json", shown_at: Some(shown_at) }
}

fn text(dice: &mut Dice) -> Form {
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
    Form { path, body: body.to_string(), content_type: "application/json", shown_at: None }
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
