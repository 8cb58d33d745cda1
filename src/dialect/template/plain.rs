//! The form of a prompt for models that have no template.
//!
//! ```text
//! Be brief.
//!
//! User: Hello.
//!
//! Assistant: Hello!
//!
//! User: And now?
//!
//! Assistant:
//! ```

use serde_json::Value;

/// The prompt: system texts first and bare, then a block for each message, then the opening of the answer.
///
/// A role that is not known gives its block its own name; a `name` stands in place of `User`.
pub fn write(messages: &[Value]) -> String {
    let mut prompt = String::new();
    for message in messages.iter().filter(|message| is_system(message)) {
        push(&mut prompt, "", &content(&message["content"]));
    }
    for message in messages.iter().filter(|message| !is_system(message)) {
        push(&mut prompt, &speaker(message), &content(&message["content"]));
    }
    push(&mut prompt, "Assistant", "");
    prompt
}

/// Where the answer ends: the beginning of another block.
pub fn stops() -> Vec<Box<str>> {
    ["\nUser:", "\nAssistant:", "\nSystem:"].map(Box::from).into()
}

fn is_system(message: &Value) -> bool {
    message["role"] == "system" || message["role"] == "developer"
}

fn speaker(message: &Value) -> String {
    let one_line = |text: &str| text.split(['\n', '\r', ':']).collect::<Vec<_>>().join(" ").trim().to_owned();
    let name = message["name"].as_str().map(one_line).filter(|name| !name.is_empty());
    match message["role"].as_str() {
        Some("assistant") => "Assistant".to_owned(),
        Some("user") | None => name.unwrap_or_else(|| "User".to_owned()),
        Some("tool" | "function") => name.map_or_else(|| "Tool".to_owned(), |name| format!("Tool {name}")),
        Some(role) => {
            let role = one_line(role);
            let mut letters = role.chars();
            letters.next().map_or_else(|| "User".to_owned(), |first| first.to_uppercase().chain(letters).collect())
        }
    }
}

fn push(prompt: &mut String, speaker: &str, text: &str) {
    let text = text.trim();
    if speaker.is_empty() && text.is_empty() {
        return;
    }
    if !prompt.is_empty() {
        prompt.push_str("\n\n");
    }
    prompt.push_str(speaker);
    if !speaker.is_empty() {
        prompt.push(':');
        prompt.push_str(if text.is_empty() { "" } else { " " });
    }
    prompt.push_str(text);
}

/// The text of a content: itself, or its text parts one after the other.
fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::write;

    fn prompt(messages: &Value) -> String {
        write(messages.as_array().unwrap())
    }

    #[test]
    fn system_texts_stand_first_and_the_answer_is_opened() {
        let messages = json!([
            {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": " Hello! "},
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]},
        ]);
        assert_eq!(
            prompt(&messages),
            "Be brief.\n\nUser: Hello.\n\nAssistant: Hello!\n\nUser: And\nnow?\n\nAssistant:"
        );
        assert_eq!(prompt(&json!([])), "Assistant:");
    }

    #[test]
    fn odd_roles_and_names_give_readable_blocks() {
        let messages = json!([
            {"role": "developer", "content": "Rules."},
            {"role": "user", "name": "Ann\nUser: x", "content": "a"},
            {"role": "tool", "tool_call_id": "1", "content": "b"},
            {"role": "function", "name": "sum", "content": "3"},
            {"role": "critic", "content": null},
            {"role": "", "content": 7},
            "no object",
        ]);
        assert_eq!(
            prompt(&messages),
            "Rules.\n\nAnn User  x: a\n\nTool: b\n\nTool sum: 3\n\nCritic:\n\nUser:\n\nUser:\n\nAssistant:"
        );
    }
}
