//! The golden values of OpenAI's cookbook, and what lies beyond its rule.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::tokens::tokenizer::Tokenizer;

fn kit(model: &str) -> Kit {
    Kit { tokenizer: Tokenizer::built_in(model).map(Arc::new), ..Kit::default() }
}

fn chat_of(model: &str, mut body: Value) -> Tally {
    body["model"] = model.into();
    input_tokens(Dialect::Chat, body.to_string().as_bytes(), &kit(model))
}

fn exactly(tokens: u64) -> Tally {
    Tally { tokens, exact: true }
}

#[test]
fn the_cookbooks_messages_have_the_golden_counts() {
    let system = "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.";
    let body = json!({ "messages": [
        {"role": "system", "content": system},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ]});
    let golden = [("gpt-3.5-turbo", 129), ("gpt-4", 129), ("gpt-4o", 124), ("gpt-3.5-turbo-0301", 127)];
    for (model, tokens) in golden {
        assert_eq!(chat_of(model, body.clone()), exactly(tokens), "{model}");
    }
}

#[test]
fn the_cookbooks_tools_have_the_golden_counts() {
    let body = json!({
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
            {"role": "user", "content": "What's the weather like in San Francisco?"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {"type": "object", "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
            }, "required": ["location"]},
        }}],
    });
    for (model, tokens) in [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101)] {
        assert_eq!(chat_of(model, body.clone()), exactly(tokens), "{model}");
    }
}

#[test]
fn what_no_rule_covers_is_not_exact() {
    let text = json!({"role": "user", "content": "hello"});
    let part = |part| json!({"messages": [{"role": "user", "content": [part]}]});
    let bodies = [
        part(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
        part(json!({"type": "file", "file": {"file_id": "f"}})),
        part(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}})),
        json!({"messages": [&text], "response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
        json!({"messages": [&text], "audio": {"voice": "alloy"}}),
        json!({"messages": "hello"}),
        json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}),
    ];
    for body in bodies {
        assert!(!chat_of("gpt-4o", body.clone()).exact, "{body}");
    }
    let plain = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]});
    assert_eq!(chat_of("gpt-4o", plain), chat_of("gpt-4o", json!({"messages": [&text]})));
}

#[test]
fn an_image_counts_by_its_tiles() {
    let url = "data:image/gif;base64,R0lGODlhkAEsAQ==";
    let body = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]});
    assert_eq!(chat_of("gpt-4o", body), Tally { tokens: 3 + 3 + 1 + 85 + 170, exact: false });
}

#[test]
fn prompts_of_every_form_are_counted() {
    let kit = kit("text-davinci-003");
    let count =
        |prompt: Value| input_tokens(Dialect::Completion, json!({ "prompt": prompt }).to_string().as_bytes(), &kit);
    assert_eq!(count(json!("hello world")), exactly(2));
    assert_eq!(count(json!(["hello world", "once upon a time"])), exactly(6));
    assert_eq!(count(json!([1, 2, 3])), exactly(3));
    assert_eq!(count(json!([[1, 2], [3]])), exactly(3));
    assert_eq!(count(json!("<|endoftext|>")), exactly(7));
    assert!(!count(json!({"a": 1})).exact);
    assert!(!count(json!([1, -5])).exact);
    let input = json!({"input": ["hello world"], "model": "text-embedding-3-small"}).to_string();
    assert_eq!(input_tokens(Dialect::Embeddings, input.as_bytes(), &kit), exactly(2));
}

#[test]
fn without_a_tokenizer_or_sense_it_is_an_estimate() {
    let body = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
    let read = r#"[{"role":"user","content":"hello"}]"#;
    assert_eq!(
        input_tokens(Dialect::Chat, body, &Kit::default()),
        estimate(read),
        "what the model does not read is not counted"
    );
    for broken in [&b"not json"[..], b"", b"[]", b"{\"messages\":\xff}"] {
        for dialect in Dialect::ALL {
            assert!(!input_tokens(dialect, broken, &kit("gpt-4o")).exact);
        }
    }
}

#[test]
fn the_rule_for_tools_is_a_guess_where_it_was_not_found_out() {
    let tools = r#"[{"type":"function","function":{"name":"f","description":"d","parameters":{}}}]"#;
    for (model, exact) in [("gpt-4o", true), ("gpt-4", true), ("gpt-3.5-turbo", true), ("gpt-5", false), ("o3", false)]
    {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"tools":{tools}}}"#);
        assert_eq!(input_tokens(Dialect::Chat, body.as_bytes(), &kit(model)).exact, exact, "{model}");
    }
}
