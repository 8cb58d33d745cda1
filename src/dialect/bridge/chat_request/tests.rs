use serde_json::json;

use super::*;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn read(more: &str) -> Result<ChatRequest, Refused> {
    let comma = if more.is_empty() { "" } else { "," };
    ChatRequest::read(format!("{{{MESSAGES}{comma}{more}}}").as_bytes())
}

fn fill(include_usage: bool) -> Fill<'static> {
    Fill { model: "mine", prompt: "P", stops: &[], max_tokens: 7, include_usage }
}

fn sent(more: &str) -> String {
    String::from_utf8(read(more).unwrap().completion(&fill(true))).unwrap()
}

fn refused(more: &str) -> (String, &'static str) {
    let refused = read(more).unwrap_err();
    assert!(!refused.message.is_empty());
    (refused.param.into_owned(), refused.code)
}

#[test]
fn every_member_of_the_api_has_its_fate() {
    // As openai-python's `completion_create_params` lists them.
    for name in [
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ] {
        assert!(CHAT.iter().any(|(known, _)| *known == name), "{name} has no fate");
    }
}

#[test]
fn numbers_go_on_as_they_are_written() {
    let numbers = r#""temperature":0.1,"top_p":1e-7,"seed":9007199254740993,"presence_penalty":-0,"min_p":1.50"#;
    let sent = sent(numbers);
    for pair in numbers.split(',') {
        assert!(sent.contains(pair), "{pair} in {sent}");
    }
    let parsed: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!((&parsed["model"], &parsed["prompt"], &parsed["max_tokens"]), (&json!("mine"), &json!("P"), &json!(7)));
    assert!(parsed.get("messages").is_none());
}

#[test]
fn what_cannot_matter_is_dropped_and_null_is_absent() {
    let parsed: Value = serde_json::from_str(&sent(
        r#""metadata":{"a":"b"},"store":true,"reasoning_effort":"low","service_tier":"flex","tools":null,"stop":null,"n":null,"tool_choice":"none","functions":[]"#,
    ))
    .unwrap();
    let mut keys: Vec<&String> = parsed.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["max_tokens", "model", "prompt"]);
}

#[test]
fn what_has_no_counterpart_is_refused_by_its_name() {
    for (more, param) in [
        (r#""tools":[{"type":"function"}]"#, "tools"),
        (r#""tool_choice":"required""#, "tool_choice"),
        (r#""functions":[{"name":"f"}]"#, "functions"),
        (r#""response_format":{"type":"json_schema"}"#, "response_format"),
        (r#""modalities":["text","audio"]"#, "modalities"),
        (r#""web_search_options":{}"#, "web_search_options"),
        (r#""logprobs":true,"top_logprobs":6"#, "top_logprobs"),
        (r#""prompt":"x""#, "prompt"),
    ] {
        assert_eq!(refused(more), (param.to_owned(), "unsupported_parameter"), "{more}");
    }
    let content = |content: &str| {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"a"}},{{"role":"user","content":{content}}}]}}"#);
        ChatRequest::read(body.as_bytes())
    };
    for part in
        [r#"{"type":"image_url","image_url":{"url":"data:,"}}"#, r#"{"type":"input_audio"}"#, r#"{"type":"file"}"#]
    {
        let refused = content(&format!(r#"[{{"type":"text","text":"a"}},{part}]"#)).unwrap_err();
        assert_eq!((&*refused.param, refused.code), ("messages[1].content[1]", "unsupported_parameter"));
    }
    let text = content(r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#).unwrap();
    assert_eq!(text.messages()[1]["content"], "a\nb");
}

#[test]
fn what_is_malformed_is_refused_by_its_name() {
    for (more, param) in [
        (r#""n":0"#, "n"),
        (r#""n":"two""#, "n"),
        (r#""max_tokens":0"#, "max_tokens"),
        (r#""max_completion_tokens":-1"#, "max_completion_tokens"),
        (r#""temperature":"hot""#, "temperature"),
        (r#""stop":7"#, "stop"),
        (r#""stream":"yes""#, "stream"),
    ] {
        let (found, code) = refused(more);
        assert_eq!(found, param, "{more}");
        assert_ne!(code, "unsupported_parameter", "{more}");
    }
    for body in ["", "[]", "{}", r#"{"messages":[]}"#, r#"{"messages":["x"]}"#, r#"{"messages":[{"content":"x"}]}"#] {
        assert!(ChatRequest::read(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn the_least_of_both_limits_holds() {
    assert_eq!(read("").unwrap().max_tokens(), None);
    assert_eq!(read(r#""max_tokens":5,"max_completion_tokens":3"#).unwrap().max_tokens(), Some(3));
}

#[test]
fn stop_strings_are_taken_within_bounds_and_four_go_to_the_server() {
    assert_eq!(read(r#""stop":["a","","b"]"#).unwrap().stops(), [Box::from("a"), Box::from("b")]);
    let many: Vec<String> = (0..5000).map(|number| format!("stop{number}")).collect();
    let request = read(&format!(r#""stop":{}"#, json!(many))).unwrap();
    assert_eq!(request.stops().len(), 5000);
    let own = [Box::from("</s>")];
    let sent: Value = serde_json::from_slice(&request.completion(&Fill { stops: &own, ..fill(false) })).unwrap();
    assert_eq!(sent["stop"], json!(["stop0", "stop1", "stop2", "stop3"]));
    let sent: Value =
        serde_json::from_slice(&read("").unwrap().completion(&Fill { stops: &own, ..fill(false) })).unwrap();
    assert_eq!(sent["stop"], json!(["</s>"]));
    assert!(read(&format!(r#""stop":{}"#, json!("x".repeat(10_000)))).is_ok());
    assert_eq!(refused(&format!(r#""stop":{}"#, json!(["x".repeat(100_000)]))).0, "stop");
    assert_eq!(refused(&format!(r#""stop":{}"#, json!(vec!["x"; 5001]))).0, "stop");
}

#[test]
fn a_stream_is_asked_for_its_usage_beside_the_clients_own_options() {
    let options = |more: &str, usage| {
        let body = read(more).unwrap().completion(&fill(usage));
        serde_json::from_slice::<Value>(&body).unwrap()["stream_options"].clone()
    };
    assert_eq!(options(r#""stream":true"#, true), json!({"include_usage": true}));
    let own = r#""stream":true,"stream_options":{"include_obfuscation":false,"include_usage":false}"#;
    assert_eq!(options(own, true), json!({"include_obfuscation": false, "include_usage": true}));
    assert_eq!(options(r#""stream":false,"stream_options":{"include_usage":true}"#, true), Value::Null);
}

#[test]
fn what_cannot_be_read_is_not_taken_for_nothing() {
    for (more, param) in [
        (r#""tools":[{"a":"\ud800"}]"#, "tools"),
        (r#""functions":[1e400]"#, "functions"),
        (r#""tool_choice":"\ud800""#, "tool_choice"),
        (r#""audio":{"a":1e400}"#, "audio"),
    ] {
        assert_eq!(refused(more), (param.to_owned(), "invalid_type"), "{more}");
    }
}
