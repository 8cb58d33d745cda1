//! What goes on after the call that began it: batches, trainings, runs; and everything that is shown once more.

use serde_json::{Value, json};

use super::books::{Billed, Books, Kept, Other};
use super::operation::Ask;
use super::script::{Piece, Script};
use super::words::Tally;

/// Begins a batch, whose model and requests nobody sees here.
pub fn batch(ask: &Ask, books: &Books) -> Script {
    let tally = Tally { input: 5000 + ask.number, cached: 1200, output: 900, reasoning: 100 };
    let tally = tally.overridden(ask.fault.counts);
    let id = ask.id("batch_");
    let mut under_way = json!({"id": id, "object": "batch", "endpoint": ask.document["endpoint"], "errors": null,
        "input_file_id": ask.document["input_file_id"], "completion_window": "24h", "status": "validating",
        "output_file_id": null, "created_at": ask.created(), "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": null, "model": "gpt-4o-2024-08-06"});
    let mut finished = under_way.clone();
    finished["status"] = json!("completed");
    finished["usage"] = tally.response_usage();
    under_way["usage"] = Tally::default().response_usage();
    books.keep(Kept { id: id.clone(), under_way: under_way.clone(), finished });
    let billed = Billed {
        model: "gpt-4o-2024-08-06".into(),
        input: tally.input,
        cached: tally.cached,
        endpoint: ask.operation.endpoint(),
        id,
        ..Billed::default()
    };
    Script::whole(&under_way, tally.output, tally.reasoning).charged(billed)
}

/// Begins a training.
pub fn training(ask: &Ask, books: &Books) -> Script {
    let id = ask.id("ftjob-");
    let mut under_way = json!({"id": id, "object": "fine_tuning.job", "created_at": ask.created(), "model": ask.served,
        "fine_tuned_model": null, "finished_at": null, "hyperparameters": {"n_epochs": "auto"}, "error": null,
        "organization_id": "org-standin", "result_files": [], "seed": 7, "status": "queued", "trained_tokens": null,
        "training_file": ask.document["training_file"], "validation_file": null});
    let mut finished = under_way.clone();
    finished["status"] = json!("succeeded");
    finished["trained_tokens"] = json!(4321);
    finished["fine_tuned_model"] = json!(format!("ft:{}:standin::1", ask.served));
    under_way["status"] = json!("validating_files");
    books.keep(Kept { id: id.clone(), under_way: under_way.clone(), finished });
    let billed = Billed {
        model: ask.served.clone(),
        endpoint: ask.operation.endpoint(),
        id,
        other: Other { trained: 4321, ..Other::default() },
        ..Billed::default()
    };
    Script::json(200, &under_way).charged(billed)
}

/// Begins a run; as events it ends within the reply.
pub fn run(ask: &Ask, books: &Books) -> Script {
    let tally = Tally { input: 70 + ask.number, cached: 0, output: 9, reasoning: 0 }.overridden(ask.fault.counts);
    let id = ask.id("run_");
    let model = if ask.served.is_empty() { "gpt-4o-2024-08-06" } else { &ask.served };
    let under_way = json!({"id": id, "object": "thread.run", "created_at": ask.created(), "assistant_id": "asst_1",
        "thread_id": "thread_1", "status": "queued", "model": model, "instructions": null, "tools": [], "usage": null});
    let usage = json!({"prompt_tokens": tally.input, "completion_tokens": tally.output,
        "total_tokens": tally.input + tally.output});
    let mut finished = under_way.clone();
    finished["status"] = json!("completed");
    finished["usage"] = usage.clone();
    books.keep(Kept { id: id.clone(), under_way: under_way.clone(), finished: finished.clone() });
    let billed = Billed {
        model: model.to_owned(),
        input: tally.input,
        endpoint: ask.operation.endpoint(),
        id,
        ..Billed::default()
    };
    if !ask.streams() {
        return Script::whole(&under_way, tally.output, 0).charged(billed);
    }
    let step = json!({"id": ask.id("step_"), "object": "thread.run.step", "status": "completed", "model": "no",
        "usage": usage});
    let message = json!({"id": ask.id("msg_"), "object": "thread.message.delta", "delta": {"content": [
        {"index": 0, "type": "text", "text": {"value": "\"usage\":{\"prompt_tokens\":1}"}}]}});
    let pieces = vec![
        Piece::event("thread.created", &json!({"id": "thread_1", "object": "thread", "created_at": ask.created()})),
        Piece::event("thread.run.created", &under_way).costing(tally.output, 0),
        Piece::event(
            "thread.run.step.created",
            &json!({"id": ask.id("step_"), "object": "thread.run.step", "usage": null}),
        ),
        Piece::event("thread.message.delta", &message),
        Piece::event("thread.run.step.completed", &step),
        Piece::event("thread.run.completed", &finished),
        Piece::new("event: done\ndata: [DONE]\n\n"),
    ];
    Script::stream(pieces).charged(billed)
}

/// Shows an object once more: as it is at its end, or under way where the fault says so.
pub fn show(ask: &Ask, id: &str, streams: bool, books: &Books) -> Script {
    let Some(kept) = books.kept(id) else {
        return Script::error(404, "invalid_request_error", "", &format!("No such object: {id}"));
    };
    let document = if ask.fault.under_way { &kept.under_way } else { &kept.finished };
    if !streams {
        return Script::json(200, document);
    }
    let event = |name: &str, number: u64, response: &Value| {
        Piece::event(name, &json!({"type": name, "sequence_number": number, "response": response}))
    };
    let mut pieces = vec![event("response.created", 0, &kept.under_way)];
    if !ask.fault.under_way {
        pieces.push(event("response.completed", 1, document));
    }
    Script::stream(pieces)
}

/// Shows all objects of a kind, newest first.
pub fn list(ask: &Ask, prefix: &str, books: &Books) -> Script {
    let all = books.all_kept(prefix).into_iter();
    let data: Vec<Value> = all.map(|kept| if ask.fault.under_way { kept.under_way } else { kept.finished }).collect();
    let ends = [data.first(), data.last()].map(|one| one.map_or(Value::Null, |one| one["id"].clone()));
    let [first, last] = ends;
    Script::json(200, &json!({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": false}))
}
