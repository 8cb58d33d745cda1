//! Pictures and videos.

use serde_json::{Value, json};

use super::books::{Billed, Books, Kept, Other};
use super::operation::{Ask, Operation};
use super::script::{Piece, Script};
use super::words;

/// Answers a request for pictures: by tokens, or by the piece where the model is an old one.
pub fn images(ask: &Ask) -> Script {
    let count = number(&ask.document["n"]).unwrap_or(1);
    if ask.model.starts_with("dall-e") || ask.model.is_empty() {
        return by_the_piece(ask, count);
    }
    let text = words::count(&ask.document["prompt"]);
    let edits = ask.operation == Operation::Images("/v1/images/edits");
    let image = if edits { 65 } else { 0 };
    let (input, output) = (text + image, 272 * count);
    let billed = Billed {
        model: ask.served.clone(),
        input,
        endpoint: ask.operation.endpoint(),
        other: Other { image_input: image, image_output: output, ..Other::default() },
        ..Billed::default()
    };
    let details = json!({"text_tokens": text, "image_tokens": image});
    let usage = json!({"input_tokens": input, "input_tokens_details": details, "output_tokens": output,
        "total_tokens": input + output});
    let form = json!({"size": text_or(&ask.document["size"], "1024x1024"), "background": "opaque",
        "quality": text_or(&ask.document["quality"], "low"), "output_format": "png"});
    if !ask.streams() {
        let mut document = form;
        document["created"] = json!(ask.created());
        document["data"] = (0..count).map(|_| json!({"b64_json": PICTURE})).collect();
        document["usage"] = usage;
        document["usage"]["output_tokens_details"] = json!({"text_tokens": 0, "image_tokens": output});
        return Script::whole(&document, output, 0).charged(billed);
    }
    let kind = if edits { "image_edit" } else { "image_generation" };
    let event = |name: &str, more: Value| {
        let mut event = form.clone();
        event["type"] = json!(format!("{kind}.{name}"));
        event["b64_json"] = json!(PICTURE);
        event["created_at"] = json!(ask.created());
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Piece::event(&format!("{kind}.{name}"), &event)
    };
    let pieces = vec![
        event("partial_image", json!({"partial_image_index": 0})).costing(output, 0),
        event("completed", json!({"usage": usage})),
    ];
    Script::stream(pieces).charged(billed)
}

fn by_the_piece(ask: &Ask, count: u64) -> Script {
    let data: Vec<Value> =
        (0..count).map(|number| json!({"url": format!("https://pictures.invalid/{number}")})).collect();
    let billed = Billed {
        model: ask.served.clone(),
        endpoint: ask.operation.endpoint(),
        other: Other { images: count, ..Other::default() },
        ..Billed::default()
    };
    Script::json(200, &json!({"created": ask.created(), "data": data})).charged(billed)
}

/// Answers a request for a video, which is charged by the second.
pub fn video(ask: &Ask, books: &Books) -> Script {
    let asked = number(&ask.document["seconds"]).unwrap_or(4);
    // An extension is told with the whole length, and charged with what was added.
    let whole = if ask.operation == Operation::Videos("extensions") { asked + 8 } else { asked };
    let model = if ask.served.is_empty() { "sora-2" } else { &ask.served };
    let id = ask.id("video_");
    let finished = json!({"id": id, "object": "video", "model": model, "status": "completed", "progress": 100,
        "created_at": ask.created(), "completed_at": ask.created() + 60, "expires_at": null, "error": null,
        "size": text_or(&ask.document["size"], "720x1280"), "seconds": whole.to_string(),
        "remixed_from_video_id": null, "prompt": ask.document["prompt"]});
    let mut under_way = finished.clone();
    under_way["status"] = json!("queued");
    under_way["progress"] = json!(0);
    under_way["completed_at"] = Value::Null;
    let billed = Billed {
        model: model.to_owned(),
        endpoint: ask.operation.endpoint(),
        id: id.clone(),
        other: Other { seconds: asked, ..Other::default() },
        ..Billed::default()
    };
    books.keep(Kept { id, under_way: under_way.clone(), finished });
    if ask.fault.no_usage {
        under_way["seconds"] = Value::Null;
    }
    Script::json(200, &under_way).charged(billed)
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn text_or<'a>(value: &'a Value, other: &'a str) -> &'a str {
    value.as_str().filter(|text| *text != "auto").unwrap_or(other)
}

/// A picture of one point.
const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
