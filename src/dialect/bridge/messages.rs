//! The messages of a chat request as chat templates take them.

use serde_json::{Map, Value};

use super::fates;
use super::refusal::Refused;

/// Reads `messages`.
///
/// An array of text parts becomes one text, its parts joined by a line feed as inference servers do. `developer`
/// becomes `system`, its older name, which every template knows. Members that are null are left out, since templates
/// ask whether there is a `tool_calls`, and not what it is.
pub(super) fn read(raw: &str) -> Result<Vec<Value>, Refused> {
    let wrong = |_| Refused::invalid("messages", "`messages` must be an array of objects");
    let mut messages: Vec<Map<String, Value>> = serde_json::from_str(raw).map_err(wrong)?;
    if messages.is_empty() {
        return Err(Refused::value("messages", "`messages` must not be empty"));
    }
    for (at, message) in messages.iter_mut().enumerate() {
        adapt(message, at)?;
    }
    Ok(messages.into_iter().map(Value::Object).collect())
}

fn adapt(message: &mut Map<String, Value>, at: usize) -> Result<(), Refused> {
    message.retain(|key, value| key == "content" || !value.is_null());
    let role = match message.get("role") {
        None => return Err(Refused::missing(format!("messages[{at}].role"))),
        Some(Value::String(role)) => role.clone(),
        Some(_) => return Err(Refused::invalid(format!("messages[{at}].role"), "a role must be a string")),
    };
    match role.as_str() {
        "tool" | "function" => {
            let message =
                format!("messages of the role `{role}` cannot be translated: the server completes plain text");
            return Err(Refused::unsupported(format!("messages[{at}].role"), message));
        }
        "developer" => {
            message.insert("role".to_owned(), "system".into());
        }
        _ => {}
    }
    for key in ["tool_calls", "function_call", "audio"] {
        if !message.get(key).is_none_or(fates::is_empty) {
            let text = format!("`{key}` of a message cannot be translated: the server completes plain text");
            return Err(Refused::unsupported(format!("messages[{at}].{key}"), text));
        }
        message.shift_remove(key);
    }
    let content = content(message, at, &role)?;
    message.insert("content".to_owned(), content.into());
    Ok(())
}

fn content(message: &mut Map<String, Value>, at: usize, role: &str) -> Result<String, Refused> {
    let path = format!("messages[{at}].content");
    match message.get_mut("content").map_or(Value::Null, Value::take) {
        Value::String(text) => Ok(text),
        Value::Array(parts) => {
            let texts: Result<Vec<_>, _> =
                parts.iter().enumerate().map(|(part_at, part)| part_text(part, &path, part_at)).collect();
            Ok(texts?.join("\n"))
        }
        // An answer that was refused has its text in another place.
        Value::Null if role == "assistant" => {
            Ok(message.get("refusal").and_then(Value::as_str).unwrap_or_default().to_owned())
        }
        Value::Null => Err(Refused::missing(path)),
        _ => Err(Refused::invalid(path, "the content of a message must be a string or an array of parts")),
    }
}

fn part_text<'a>(part: &'a Value, path: &str, at: usize) -> Result<&'a str, Refused> {
    let path = format!("{path}[{at}]");
    let key = match part["type"].as_str() {
        Some("text" | "input_text" | "output_text") => "text",
        Some("refusal") => "refusal",
        Some(_) => {
            let message = "this part of a message is no text and cannot be translated: the server completes plain text";
            return Err(Refused::unsupported(path, message));
        }
        None => return Err(Refused::invalid(path, "a part of a message must be an object with a `type`")),
    };
    part[key].as_str().ok_or_else(|| Refused::invalid(format!("{path}.{key}"), "the text of a part must be a string"))
}
