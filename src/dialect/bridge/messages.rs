//! The messages of a chat request as chat templates take them.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fates;
use super::members::{self, Members};
use super::refusal::Refused;

/// Reads `messages`.
///
/// An array of text parts becomes one text, its parts joined by a line feed as inference servers do. `developer`
/// becomes `system`, its older name, which every template knows. Members that are null are left out, since templates
/// ask whether there is a `tool_calls`, and not what it is.
pub(super) fn read(raw: &str) -> Result<Vec<Value>, Refused> {
    let messages: Vec<Box<RawValue>> = members::read("messages", raw, "an array of objects")?;
    if messages.is_empty() {
        return Err(Refused::value("messages", "`messages` must not be empty"));
    }
    messages.iter().enumerate().map(|(at, message)| message_of(message.get(), &format!("messages[{at}]"))).collect()
}

fn message_of(raw: &str, path: &str) -> Result<Value, Refused> {
    let members = Members::within(path, raw)?;
    let role: String = match members.raw("role") {
        None => return Err(Refused::missing(format!("{path}.role"))),
        Some(role) => members::read(format!("{path}.role"), role, "a string")?,
    };
    if let "tool" | "function" = &*role {
        let message = format!("messages of the role `{role}` cannot be translated: the server completes plain text");
        return Err(Refused::unsupported(format!("{path}.role"), message));
    }
    let mut message = Map::new();
    for (key, raw) in members.iter().filter(|(key, _)| *key != "content") {
        let value: Value = members::read(format!("{path}.{key}"), raw, "JSON")?;
        match key {
            "tool_calls" | "function_call" | "audio" if fates::is_empty(&value) => {}
            "tool_calls" | "function_call" | "audio" => {
                let text = format!("`{key}` of a message cannot be translated: the server completes plain text");
                return Err(Refused::unsupported(format!("{path}.{key}"), text));
            }
            "role" if role == "developer" => drop(message.insert("role".to_owned(), "system".into())),
            _ => drop(message.insert(key.to_owned(), value)),
        }
    }
    let path = format!("{path}.content");
    let content = match members.raw("content") {
        Some(raw) => content(raw, &path)?,
        // An answer that was refused has its text in another place.
        None if role == "assistant" => message.get("refusal").and_then(Value::as_str).unwrap_or_default().to_owned(),
        None => return Err(Refused::missing(path)),
    };
    message.insert("content".to_owned(), content.into());
    Ok(Value::Object(message))
}

fn content(raw: &str, path: &str) -> Result<String, Refused> {
    let kind = "a string or an array of parts";
    if !raw.starts_with('[') {
        return members::read(path.to_owned(), raw, kind);
    }
    let parts: Vec<Box<RawValue>> = members::read(path.to_owned(), raw, kind)?;
    let texts: Result<Vec<String>, Refused> =
        parts.iter().enumerate().map(|(at, part)| part_text(part.get(), &format!("{path}[{at}]"))).collect();
    Ok(texts?.join("\n"))
}

fn part_text(raw: &str, path: &str) -> Result<String, Refused> {
    let part = Members::within(path, raw)?;
    let kind: String = match part.raw("type") {
        None => return Err(Refused::missing(format!("{path}.type"))),
        Some(kind) => members::read(format!("{path}.type"), kind, "a string")?,
    };
    let key = match &*kind {
        "text" | "input_text" | "output_text" => "text",
        "refusal" => "refusal",
        _ => {
            let message = "this part of a message is no text and cannot be translated: the server completes plain text";
            return Err(Refused::unsupported(path.to_owned(), message));
        }
    };
    let path = format!("{path}.{key}");
    match part.raw(key) {
        None => Err(Refused::missing(path)),
        Some(text) => members::read(path, text, "a string"),
    }
}

#[cfg(test)]
mod tests;
