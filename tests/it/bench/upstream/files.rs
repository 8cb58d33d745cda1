//! Models, and the operations whose body is a form: uploads and transcriptions.

use serde_json::{Map, Value, json};

use super::operation::Ask;
use super::script::Script;

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

/// The fields of a form that are no files, as texts; `Null` for what is no form.
pub fn document(form: &[u8]) -> Value {
    let Some(boundary) = find(form, b"\r\n").map(|end| &form[..end]) else { return Value::Null };
    let mut fields = Map::new();
    let mut rest = form;
    while let Some((part, after)) = next_part(rest, boundary) {
        rest = after;
        let Some(head) = find(part, b"\r\n\r\n") else { continue };
        let names = String::from_utf8_lossy(&part[..head]).into_owned();
        let Some((_, name)) = names.split_once("name=\"") else { continue };
        if !names.contains("filename=") {
            let value = String::from_utf8_lossy(&part[head + 4..part.len() - 2]).into_owned();
            fields.insert(name.split('"').next().unwrap().to_owned(), value.into());
        }
    }
    Value::Object(fields)
}

fn next_part<'a>(rest: &'a [u8], boundary: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let part = &rest[find(rest, boundary)? + boundary.len()..];
    let end = find(part, boundary)?;
    Some((&part[..end], &part[end..]))
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
