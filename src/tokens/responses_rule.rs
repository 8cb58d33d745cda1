//! Tokens of the input of a call of the responses API: nobody has published its rule, so that of chats is taken.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::images;
use super::tally::Tally;
use super::tokenizer::{Sitting, Specials};

/// Tokens of the input, never exact; `None` where the body is no object. What the server keeps of earlier calls is not
/// among them.
pub(crate) fn count(body: &[u8], model: Option<&str>, tokenizer: &Sitting<'_>) -> Option<Tally> {
    let call: Call<'_> = serde_json::from_slice(body).ok()?;
    let text = |text: &str| tokenizer.count(text, Specials::Text).tokens;
    let mut tokens = FORM_OF_CALL;
    if let Some(instructions) = &call.instructions {
        tokens += FORM_OF_ITEM + text("system") + value(instructions, model, &text);
    }
    tokens += match &call.input {
        Some(Value::String(input)) => FORM_OF_ITEM + text("user") + text(input),
        Some(Value::Array(items)) => items.iter().map(|item| FORM_OF_ITEM + value(item, model, &text)).sum(),
        _ => 0,
    };
    let beside = [call.tools, call.text].into_iter().flatten();
    // Tools are told in a shorter form than this; the plain form of an answer needs no telling.
    tokens += beside.filter(|raw| raw.get().len() > LONGEST_PLAIN).map(|raw| text(raw.get())).sum::<u64>();
    Some(Tally { tokens, exact: false })
}

/// All texts in a value but the names of its kinds and its ids; pictures by what is known of their size.
fn value(of: &Value, model: Option<&str>, text: &impl Fn(&str) -> u64) -> u64 {
    match of {
        Value::String(letters) => text(letters),
        Value::Array(parts) => parts.iter().map(|part| value(part, model, text)).sum(),
        Value::Object(members) => {
            let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
            if kind == "input_image" {
                return image(of, model);
            }
            if FILES.contains(&kind) {
                return 0;
            }
            let told = members.iter().filter(|(name, _)| !UNTOLD.contains(&name.as_str()));
            told.map(|(_, member)| value(member, model, text)).sum()
        }
        _ => 0,
    }
}

fn image(part: &Value, model: Option<&str>) -> u64 {
    let size = part["image_url"].as_str().and_then(images::size_of);
    images::tokens(model.unwrap_or_default(), size, part["detail"] == "low").unwrap_or(UNKNOWN_IMAGE)
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    instructions: Option<Value>,
    #[serde(default, borrow)]
    tools: Option<&'a RawValue>,
    #[serde(default, borrow)]
    text: Option<&'a RawValue>,
}

/// Members that no model reads.
const UNTOLD: [&str; 6] = ["type", "id", "call_id", "status", "annotations", "encrypted_content"];
/// Parts of which nobody knows what they count as.
const FILES: [&str; 2] = ["input_file", "input_audio"];
/// As with chats.
const FORM_OF_CALL: u64 = 3;
const FORM_OF_ITEM: u64 = 3;
/// `{"format":{"type":"text"},"verbosity":"medium"}` is no more than this.
const LONGEST_PLAIN: usize = 64;
/// An image of which nothing is known: one of about a thousand by a thousand, in tiles.
const UNKNOWN_IMAGE: u64 = 765;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::endpoint::Dialect;
    use crate::tokens::kit::Kit;
    use crate::tokens::prompt::input_tokens;
    use crate::tokens::tokenizer::Tokenizer;

    fn of(body: &Value) -> Tally {
        let kit = Kit { tokenizer: Tokenizer::built_in("gpt-4o").map(Into::into), ..Kit::default() };
        input_tokens(Dialect::Responses, body.to_string().as_bytes(), &kit)
    }

    #[test]
    fn every_form_of_input_is_counted_as_the_same_chat_would_be_and_marked_as_a_guess() {
        // "hello world" is two tokens, a role one.
        assert_eq!(of(&json!({"input": "hello world"})), Tally { tokens: 3 + 3 + 1 + 2, exact: false });
        let parts = json!([{"type": "input_text", "text": "hello world"}]);
        let message = json!({"type": "message", "role": "user", "content": parts});
        assert_eq!(of(&json!({"input": [message]})).tokens, 9);
        let told = json!({"instructions": "hello world", "input": [{"role": "user", "content": "hello world"}]});
        assert_eq!(of(&told).tokens, 9 + 6);
        let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "hello world"});
        assert_eq!(of(&json!({"input": [result]})).tokens, 3 + 3 + 2);
        let picture = json!({"type": "input_image", "image_url": "https://example.com/a.png"});
        assert_eq!(of(&json!({"input": [{"role": "user", "content": [picture]}]})).tokens, 3 + 3 + 1 + 765);
        let tools =
            json!([{"type": "function", "name": "look_up", "description": "Looks something up", "parameters": {}}]);
        assert!(of(&json!({"input": "hello world", "tools": tools})).tokens > 9 + 10);
        assert_eq!(of(&json!({"input": "hello world", "text": {"format": {"type": "text"}}})).tokens, 9);
    }
}
