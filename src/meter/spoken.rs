//! Which texts of a reply a model wrote, in each dialect: the thorough way, by the whole document.

use serde_json::Value;

use crate::dialect::endpoint::Dialect;
use crate::meter::transcript::Transcript;

/// Takes down what a whole reply says.
pub(super) fn document(dialect: Dialect, document: &Value, out: &mut Transcript) {
    match dialect {
        Dialect::Chat | Dialect::Completion => choices(document, out),
        Dialect::Responses => output(document, out),
        _ => {}
    }
}

/// Takes down what one event of a stream adds.
pub(super) fn event(dialect: Dialect, event: &Value, out: &mut Transcript) {
    match dialect {
        Dialect::Chat | Dialect::Completion => choices(event, out),
        Dialect::Responses => turn(event, out),
        _ => {}
    }
}

/// Of an event of this kind, whether it adds a text and that is all that the model wrote there; `None` where it adds
/// none.
pub(super) fn adds(kind: &[u8]) -> Option<Sure> {
    match kind.strip_prefix(b"response.")?.strip_suffix(b".delta")? {
        b"output_text" | b"refusal" => Some(Sure::Yes),
        b"function_call_arguments"
        | b"custom_tool_call_input"
        | b"mcp_call_arguments"
        | b"code_interpreter_call_code"
        | b"reasoning_text"
        | b"audio.transcript" => Some(Sure::No),
        _ => None,
    }
}

/// Whether a text is what the model wrote, to the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sure {
    Yes,
    /// A form around it, which costs too, is not shown.
    No,
}

fn choices(document: &Value, out: &mut Transcript) {
    for (place, choice) in document["choices"].as_array().into_iter().flatten().enumerate() {
        let index = number(&choice["index"]).unwrap_or(u32::try_from(place).unwrap_or(u32::MAX));
        add(index, &choice["text"], out);
        message(index, &choice["message"], out);
        message(index, &choice["delta"], out);
    }
}

fn message(index: u32, message: &Value, out: &mut Transcript) {
    for name in ["reasoning_content", "reasoning"] {
        doubt(index, &message[name], out);
    }
    match &message["content"] {
        Value::Array(parts) => parts.iter().for_each(|part| add(index, &part["text"], out)),
        content => add(index, content, out),
    }
    add(index, &message["refusal"], out);
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    for call in calls {
        for text in [
            &call["function"]["name"],
            &call["function"]["arguments"],
            &call["custom"]["name"],
            &call["custom"]["input"],
        ] {
            doubt(index, text, out);
        }
    }
    for text in
        [&message["function_call"]["name"], &message["function_call"]["arguments"], &message["audio"]["transcript"]]
    {
        doubt(index, text, out);
    }
    out.doubtful |= !message["audio"].is_null();
}

/// The items of a response.
fn output(response: &Value, out: &mut Transcript) {
    for (place, item) in response["output"].as_array().into_iter().flatten().enumerate() {
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        let thought = item["type"] == "reasoning";
        for part in item["content"].as_array().into_iter().flatten() {
            match thought {
                true => doubt(index, &part["text"], out),
                false => add(index, &part["text"], out),
            }
            add(index, &part["refusal"], out);
        }
        if item["type"] != "message" {
            out.doubtful = true;
            called(index, item, out);
        }
    }
}

/// One event of a response's stream.
fn turn(event: &Value, out: &mut Transcript) {
    let kind = event["type"].as_str().unwrap_or_default();
    let index = number(&event["output_index"]).unwrap_or(0);
    match kind {
        // Its texts come in events of their own.
        "response.output_item.added" if event["item"]["type"] != "message" => {
            out.doubtful = true;
            doubt(index, &event["item"]["name"], out);
        }
        // Some servers send nothing else.
        "response.completed" | "response.incomplete" | "response.failed" if out.texts.is_empty() => {
            output(&event["response"], out);
        }
        kind => match adds(kind.as_bytes()) {
            Some(Sure::Yes) => add(index, &event["delta"], out),
            Some(Sure::No) => doubt(index, &event["delta"], out),
            None => {}
        },
    }
}

/// What an item that is no message was called with.
fn called(index: u32, item: &Value, out: &mut Transcript) {
    for name in ["name", "arguments", "input", "code"] {
        add(index, &item[name], out);
    }
}

fn add(index: u32, text: &Value, out: &mut Transcript) {
    if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
        out.say(index, text);
    }
}

fn doubt(index: u32, text: &Value, out: &mut Transcript) {
    if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
        out.doubtful = true;
        out.say(index, text);
    }
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}
