//! Operations with small replies: decisions, compaction, counting, moderation, and the ways to a conversation.

use http::StatusCode;
use serde_json::{Value, json};

use super::books::{Billed, Other};
use super::operation::Ask;
use super::script::{Piece, Script};
use super::words::{self, Tally};

/// Answers a decision.
pub fn decision(ask: &Ask) -> Script {
    let tally = Tally::of(words::count(&ask.document["input"]), 1, &ask.model).overridden(ask.fault.counts);
    let written = tally.input / 2;
    let mut usage = tally.response_usage();
    usage["input_tokens_details"]["cache_write_tokens"] = json!(written);
    let document = json!({"answers": [{"type": "predicate", "name": null, "probability": 0.75}],
        "model": ask.served, "usage": usage});
    let billed = Billed {
        model: ask.served.clone(),
        input: tally.input,
        cached: tally.cached,
        endpoint: ask.operation.endpoint(),
        other: Other { cache_write: written, ..Other::default() },
        ..Billed::default()
    };
    Script::whole(&document, tally.output, tally.reasoning).charged(billed)
}

/// Answers a compaction, which names no model.
pub fn compaction(ask: &Ask) -> Script {
    let tally = Tally::of(words::count(&ask.document["input"]), 3, &ask.model).overridden(ask.fault.counts);
    let id = ask.id("resp_");
    let document = json!({"id": id, "object": "response.compaction", "created_at": ask.created(),
        "output": [{"id": ask.id("cmp_"), "type": "compaction", "encrypted_content": "gAAAA="}],
        "usage": tally.response_usage()});
    let billed = Billed {
        model: ask.served.clone(),
        input: tally.input,
        cached: tally.cached,
        endpoint: ask.operation.endpoint(),
        id,
        ..Billed::default()
    };
    Script::whole(&document, tally.output, tally.reasoning).charged(billed)
}

/// Answers how many tokens a response would take in; free.
pub fn input_tokens(ask: &Ask) -> Script {
    let count = words::count(&ask.document["input"]);
    Script::json(200, &json!({"object": "response.input_tokens", "input_tokens": count}))
}

/// Answers a moderation; free.
pub fn moderation(ask: &Ask) -> Script {
    let model = if ask.model.is_empty() { "omni-moderation-latest" } else { &ask.model };
    let result = json!({"flagged": false, "categories": {"violence": false}, "category_scores": {"violence": 0.01}});
    Script::json(200, &json!({"id": ask.id("modr-"), "model": model, "results": [result]}))
}

/// Answers what leads to a conversation; free.
pub fn realtime(ask: &Ask, path: &str) -> Script {
    if path.ends_with("/calls") {
        let mut script = Script::json(201, &Value::Null);
        script.status = StatusCode::CREATED;
        script.content_type = "application/sdp";
        script.pieces = vec![Piece::new("v=0\r\n")];
        return script;
    }
    let session =
        json!({"type": "realtime", "object": "realtime.session", "id": ask.id("sess_"), "model": "gpt-realtime"});
    Script::json(200, &json!({"value": "ek_standin", "expires_at": ask.created() + 600, "session": session}))
}
