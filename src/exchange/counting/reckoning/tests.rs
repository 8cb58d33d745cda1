//! What is counted to the token, and what is only an estimate.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::meter::Meter;
use crate::meter::sight::Sight;

const SAID: &str = "tiktoken is great!";

fn served(name: &str) -> Option<Served> {
    Some(Served { name: name.into(), certain: true })
}

fn call() -> Value {
    json!({"model": "prod", "messages": [{"role": "user", "content": "hello world"}]})
}

fn reckoning(dialect: Dialect, body: &Value) -> Reckoning {
    let body = Bytes::from(body.to_string());
    Reckoning { clerks: Clerks::new(1), yardstick: Yardstick::Model, input: Input::of(dialect, &body) }
}

/// What the meter takes down of a whole chat with this message.
fn heard(message: &Value) -> Transcript {
    let mut meter = Meter::json().taking_down(Dialect::Chat);
    meter.feed(&Bytes::from(json!({"choices": [{"index": 0, "message": message}]}).to_string()));
    *meter.finish().transcript.unwrap()
}

fn written(model: &str) -> Written {
    Written { transcript: heard(&json!({"content": SAID})), whole: true, served: served(model) }
}

fn counts(counted: Counted) -> (Option<u64>, Option<u64>, Basis) {
    (counted.usage.input, counted.usage.output, counted.basis)
}

fn count(body: &Value, written: Written) -> (Option<u64>, Option<u64>, Basis) {
    counts(reckoning(Dialect::Chat, body).count(&written.read()))
}

#[test]
fn a_plain_chat_is_counted_to_the_token_by_the_model_that_served_it() {
    // 3 for the call, 3 for the message, 1 for the role, 2 for the words: whatever the deployment is called.
    assert_eq!(count(&call(), written("gpt-4o-2024-08-06")), (Some(9), Some(6), Basis::Counted));
    assert_eq!(count(&call(), written("ft:gpt-4o-mini-2024-07-18:org::id")).2, Basis::Counted);
}

#[test]
fn what_is_not_sure_to_the_token_is_an_estimate() {
    let told = |name: &str, value: Value| {
        let mut body = call();
        body[name] = value;
        body
    };
    let part = json!([{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]);
    let picture = json!({"messages": [{"role": "user", "content": part}]});
    let tool = json!({"tool_calls": [{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}]});
    let uncertain = Some(Served { name: "gpt-4o".into(), certain: false });
    for (what, body, written) in [
        ("partial", call(), Written { whole: false, ..written("gpt-4o") }),
        ("asked for elsewhere", call(), Written { served: uncertain, ..written("gpt-4o") }),
        ("nobody knows the model", call(), Written { served: None, ..written("gpt-4o") }),
        ("unknown name", call(), written("prod-4o")),
        ("newer than the table", call(), written("gpt-6")),
        ("thinks", call(), written("o4-mini")),
        ("thinks too", call(), written("gpt-5-2025-08-07")),
        ("picture", picture, written("gpt-4o")),
        ("tools", told("tools", json!([{"type": "function", "function": {"name": "f"}}])), written("gpt-4o")),
        ("stop", told("stop", json!("\n")), written("gpt-4o")),
        ("format", told("response_format", json!({"type": "json_schema", "json_schema": {}})), written("gpt-4o")),
        ("calls a tool", call(), Written { transcript: heard(&tool), ..written("gpt-4o") }),
        ("thoughts", call(), Written { transcript: heard(&json!({"reasoning_content": SAID})), ..written("gpt-4o") }),
    ] {
        let (input, output, basis) = count(&body, written);
        assert_eq!(basis, Basis::Estimated, "{what}");
        assert!(input > Some(3) && output > Some(0), "{what}");
    }
}

#[test]
fn what_could_not_be_read_is_unknown_and_not_zero() {
    let unread = Written { transcript: Transcript::unread(), whole: false, served: served("gpt-4o") };
    assert_eq!(count(&call(), unread), (Some(9), None, Basis::Estimated));
}

#[test]
fn a_text_that_was_left_out_is_estimated_by_its_bytes() {
    let mut long = written("gpt-4o").read();
    long.transcript.texts.leave_out(4000);
    assert_eq!(count(&call(), long), (Some(9), Some(1006), Basis::Estimated));
}

#[test]
fn an_embedding_is_its_input_alone() {
    let body = json!({"model": "text-embedding-3-small", "input": ["hello world", "hello world"]});
    let written = Written { whole: true, served: served("text-embedding-3-small"), ..Written::default() };
    let counted = reckoning(Dialect::Embeddings, &body).count(&written);
    assert_eq!(counts(counted), (Some(4), Some(0), Basis::Counted));
}

#[test]
fn an_echoed_prompt_is_not_paid_as_output() {
    let body = json!({"model": "davinci-002", "prompt": "hello world", "echo": true});
    let transcript = Texts::default();
    let mut written = Written { transcript: transcript.into(), whole: true, served: served("davinci-002") };
    written.transcript.texts.add(0, "hello world is great");
    let counted = reckoning(Dialect::Completion, &body).count(&written);
    assert_eq!(counts(counted), (Some(2), Some(2), Basis::Estimated));
}

#[test]
fn where_too_much_waits_it_is_guessed_at_once_without_a_look_at_any_document() {
    let reckoning = reckoning(Dialect::Chat, &call());
    reckoning.clerks.finish();
    let (done, seen) = std::sync::mpsc::channel();
    reckoning.hand(written("gpt-4o"), move |reckoning, written| done.send(reckoning.count(&written)).unwrap());
    let guess = seen.try_recv().expect("it was done at once");
    assert_eq!(guess.basis, Basis::Estimated);
    let bytes = call().to_string().len() as u64;
    assert_eq!(guess.usage.input, Some(bytes.div_ceil(4)));
    assert!(guess.usage.output > Some(0));
}

#[test]
fn tools_that_a_reply_shows_are_kept_beside_the_count() {
    let body = json!({"model": "gpt-4o", "input": "x"});
    let output = json!([{"type": "web_search_call"}, {"type": "message", "content": [{"text": "hello world"}]}]);
    let mut meter = Meter::json().seeing(Sight::Output).taking_down(Dialect::Responses);
    meter.feed(&Bytes::from(json!({"id": "x", "output": output, "usage": null}).to_string()));
    let mut reading = meter.finish();
    let transcript = *reading.transcript.take().unwrap();
    let written = Written { transcript, whole: true, served: served("gpt-4o") };
    reckoning(Dialect::Responses, &body).count(&written.read()).fill(&mut reading);
    let usage = reading.usage.unwrap();
    assert_eq!((usage.output, usage.web_searches, reading.basis), (Some(2), Some(1), Basis::Estimated));
}
