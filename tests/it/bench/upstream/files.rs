//! Models, and the operations whose body is a form: uploads and transcriptions.

use serde_json::{Value, json};

use super::books::Billed;
use super::operation::Ask;
use super::script::{Piece, Script};
use super::words;

/// Answers `models`, or one of them.
pub fn models(one: Option<&str>) -> Script {
    let Some(name) = one else {
        let list: Vec<Value> = MODELS.iter().map(|name| model(name)).collect();
        return Script::json(200, &json!({"object": "list", "data": list}));
    };
    if name.starts_with("no-such") { missing(name) } else { Script::json(200, &model(name)) }
}

/// The error for a model that is not there.
pub fn missing(name: &str) -> Script {
    let message = format!("The model `{name}` does not exist or you do not have access to it.");
    Script::error(404, "invalid_request_error", "model_not_found", &message)
}

/// Answers an upload.
pub fn upload(ask: &Ask, form: &[u8]) -> Script {
    let size = field(form, "file").map_or(0, <[u8]>::len);
    let purpose = field(form, "purpose").map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned());
    let document = json!({"object": "file", "id": ask.id("file-"), "purpose": purpose, "filename": "upload",
        "bytes": size, "created_at": ask.created(), "expires_at": null, "status": "processed", "status_details": null});
    Script::json(200, &document)
}

/// Answers a transcription: a second of sound is a hundred bytes, and ten tokens.
pub fn transcription(ask: &Ask, form: &[u8]) -> Script {
    let seconds = (field(form, "file").map_or(0, <[u8]>::len) as u64).div_ceil(100);
    let (input, words) = (seconds * 10, words::reply(5, 0));
    let by_time = ask.model.starts_with("whisper");
    let usage = if by_time {
        json!({"type": "duration", "seconds": seconds})
    } else {
        json!({"type": "tokens", "total_tokens": input + 5, "input_tokens": input,
            "input_token_details": {"text_tokens": 0, "audio_tokens": input}, "output_tokens": 5})
    };
    let billed = Billed {
        model: ask.served.clone(),
        input: if by_time { 0 } else { input },
        endpoint: ask.operation.endpoint(),
        ..Billed::default()
    };
    let output = if by_time { 0 } else { 5 };
    if field(form, "stream") != Some(b"true") {
        return Script::whole(&json!({"text": words.concat(), "usage": usage}), output, 0).charged(billed);
    }
    let delta = |word: &String| json!({"type": "transcript.text.delta", "delta": word, "logprobs": []});
    let mut pieces: Vec<Piece> = words.iter().map(|word| Piece::data(&delta(word)).costing(output / 5, 0)).collect();
    let done = json!({"type": "transcript.text.done", "text": words.concat(), "logprobs": [], "usage": usage});
    pieces.push(Piece::data(&done));
    Script::stream(pieces).charged(billed)
}

/// The value of one part of a form body.
pub fn field<'a>(form: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let boundary = &form[..find(form, b"\r\n")?];
    let quoted = format!("name=\"{name}\"");
    let mut rest = form;
    while let Some(start) = find(rest, boundary) {
        let part = &rest[start + boundary.len()..];
        let end = find(part, boundary)?;
        let head = find(&part[..end], b"\r\n\r\n")?;
        if find(&part[..head], quoted.as_bytes()).is_some() {
            return Some(&part[head + 4..end - 2]);
        }
        rest = &part[end..];
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 1_686_935_002, "owned_by": "system"})
}

const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small"];
