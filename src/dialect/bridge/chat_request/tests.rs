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

/// What becomes of a member, alone beside `messages`.
#[derive(Clone, Copy)]
enum Becomes {
    /// It goes on as it came.
    Same,
    /// Nothing.
    Gone,
    /// These members.
    These(&'static str),
    /// It has no counterpart.
    Unsupported,
    /// It is none in any API.
    Wrong,
}

use Becomes::{Gone, Same, These, Unsupported, Wrong};

/// Every member of the table, each with values for every way that it can go.
const ROWS: &[(&str, &[(&str, Becomes)])] = &[
    ("messages", &[]),
    ("model", &[]),
    ("max_completion_tokens", &[("9", Gone), ("0", Wrong), ("-1", Wrong), ("\"9\"", Wrong), ("9.5", Wrong)]),
    ("max_tokens", &[("9", Gone), ("0", Wrong), ("18446744073709551616", Wrong), ("[]", Wrong)]),
    ("n", &[("1", Same), ("128", Same), ("129", Wrong), ("0", Wrong), ("1.0", Wrong), ("\"1\"", Wrong)]),
    (
        "stop",
        &[
            ("\"x\"", These(r#"{"stop":["x"]}"#)),
            (r#"["x","","x","y"]"#, These(r#"{"stop":["x","y"]}"#)),
            ("[]", Gone),
            ("\"\"", Gone),
            ("[1]", Wrong),
            ("{}", Wrong),
            (r#""\ud800""#, Wrong),
        ],
    ),
    ("stream", &[("true", Same), ("false", Gone), ("1", Wrong), ("\"true\"", Wrong)]),
    ("stream_options", &[(r#"{"include_usage":true}"#, Gone), ("true", Wrong), (r#"{"a":1,"a":2}"#, Wrong)]),
    ("logprobs", &[("true", These(r#"{"logprobs":1}"#)), ("false", Gone), ("2", Wrong)]),
    ("top_logprobs", &[("0", Gone), ("1", Wrong), ("21", Wrong), ("true", Wrong)]),
    ("chat_template_kwargs", &[(r#"{"a":1}"#, Gone), ("1", Wrong), (r#"{"a":"\udc00"}"#, Wrong)]),
    ("temperature", &[("0.50", Same), ("2", Same), ("-1", Same), ("\"1\"", Wrong), ("true", Wrong)]),
    ("top_p", &[("1e-7", Same), ("[]", Wrong)]),
    ("frequency_penalty", &[("-2", Same), ("{}", Wrong)]),
    ("presence_penalty", &[("0.1", Same), ("\"\"", Wrong)]),
    ("logit_bias", &[(r#"{"50256":-100}"#, Same), ("[]", Wrong)]),
    ("seed", &[("9007199254740993", Same), ("-1", Same), ("1.5", Wrong), ("1e3", Wrong), ("1E3", Wrong)]),
    ("user", &[("\"me\"", Same), ("7", Wrong)]),
    ("metadata", &[(r#"{"a":"b"}"#, Gone)]),
    ("parallel_tool_calls", &[("false", Gone)]),
    ("prediction", &[(r#"{"type":"content","content":"x"}"#, Gone)]),
    ("prompt_cache_key", &[("\"k\"", Gone)]),
    ("prompt_cache_options", &[("{}", Gone)]),
    ("prompt_cache_retention", &[("\"24h\"", Gone)]),
    ("reasoning_effort", &[("\"low\"", Gone)]),
    ("safety_identifier", &[("\"s\"", Gone)]),
    ("service_tier", &[("\"flex\"", Gone)]),
    ("store", &[("true", Gone)]),
    ("verbosity", &[("\"low\"", Gone)]),
    ("tools", &[("[]", Gone), ("[{}]", Unsupported), ("7", Unsupported)]),
    ("functions", &[("[]", Gone), ("[{}]", Unsupported)]),
    (
        "tool_choice",
        &[
            ("\"none\"", Gone),
            ("\"auto\"", Gone),
            ("\"required\"", Unsupported),
            (r#"{"type":"function"}"#, Unsupported),
        ],
    ),
    ("function_call", &[("\"none\"", Gone), ("\"auto\"", Gone), (r#"{"name":"f"}"#, Unsupported)]),
    ("audio", &[("{}", Gone), (r#"{"voice":"ash"}"#, Unsupported)]),
    ("modalities", &[(r#"["text"]"#, Gone), (r#"["text","audio"]"#, Unsupported), ("\"text\"", Unsupported)]),
    ("moderation", &[("false", Gone), (r#"{"model":"m"}"#, Unsupported)]),
    (
        "response_format",
        &[(r#"{"type":"text"}"#, Gone), (r#"{"type":"json_object"}"#, Unsupported), ("\"text\"", Unsupported)],
    ),
    ("web_search_options", &[("{}", Unsupported)]),
    ("add_generation_prompt", &[("true", Gone), ("false", Unsupported)]),
    ("continue_final_message", &[("false", Gone), ("true", Unsupported)]),
    ("chat_template", &[("\"\"", Gone), ("\"x\"", Unsupported)]),
    ("documents", &[("[]", Gone), (r#"[{"text":"x"}]"#, Unsupported)]),
    ("prompt", &[("\"x\"", Unsupported), ("\"\"", Unsupported)]),
    ("suffix", &[("\"\"", Gone), ("\"x\"", Unsupported)]),
    ("echo", &[("false", Gone), ("true", Unsupported)]),
    ("best_of", &[("1", Unsupported)]),
    ("include_stop_str_in_output", &[("false", Gone), ("true", Unsupported)]),
    ("prompt_logprobs", &[("0", Unsupported)]),
    ("return_token_ids", &[("false", Gone), ("true", Unsupported)]),
];

#[test]
fn every_member_goes_its_way_and_null_is_absent() {
    assert!(CHAT.iter().all(|(name, _)| ROWS.iter().any(|(row, _)| row == name)), "a member has no row here");
    for (name, ways) in ROWS {
        for (value, becomes) in *ways {
            let member = format!("{name:?}:{value}");
            let sent = match becomes {
                Same => format!("{{{member}}}"),
                Gone => "{}".to_owned(),
                These(members) => (*members).to_owned(),
                Unsupported => {
                    assert_eq!(refused(&member), ((*name).to_owned(), "unsupported_parameter"), "{member}");
                    continue;
                }
                Wrong => {
                    let (param, code) = refused(&member);
                    assert!(param.starts_with(name), "{param} for {member}");
                    assert!(matches!(code, "invalid_type" | "invalid_value"), "{code} for {member}");
                    continue;
                }
            };
            let body = String::from_utf8(read(&member).unwrap().completion(&fill(false))).unwrap();
            let rest = body.strip_prefix(r#"{"model":"mine","prompt":"P","max_tokens":7"#).unwrap();
            assert_eq!(format!("{{{}", rest.trim_start_matches(',')), sent, "{member}");
        }
        if *name != "messages" {
            let member = format!("{name:?}:null");
            let body = String::from_utf8(read(&member).unwrap().completion(&fill(false))).unwrap();
            assert_eq!(body, r#"{"model":"mine","prompt":"P","max_tokens":7}"#, "{member}");
        }
    }
}

#[test]
fn a_servers_own_members_go_on_as_they_came() {
    for member in [r#""top_k":40"#, r#""min_p":0.10"#, r#""repetition_penalty":1.1"#, r#""guided_json":{"a":[1]}"#] {
        assert!(sent(member).contains(member), "{member}");
    }
}

#[test]
fn tools_that_must_not_be_called_are_left_out() {
    let none =
        r#""tools":[{"type":"function"}],"tool_choice":"none","functions":[{"name":"f"}],"function_call":"none""#;
    assert_eq!(sent(none), sent(""));
    for (more, param) in [
        (r#""tools":[{}],"tool_choice":"auto""#, "tools"),
        (r#""tools":[{}],"function_call":"none""#, "tools"),
        (r#""functions":[{}],"tool_choice":"none""#, "functions"),
        (r#""tools":[],"tool_choice":"required""#, "tool_choice"),
    ] {
        assert_eq!(refused(more), (param.to_owned(), "unsupported_parameter"), "{more}");
    }
}

#[test]
fn log_probabilities_are_asked_for_even_where_no_alternatives_are() {
    for (more, asked, shown) in [
        (r#""logprobs":true"#, json!(1), 0),
        (r#""logprobs":true,"top_logprobs":0"#, json!(1), 0),
        (r#""logprobs":true,"top_logprobs":1"#, json!(1), 1),
        (r#""logprobs":true,"top_logprobs":5"#, json!(5), 5),
        (r#""logprobs":false,"top_logprobs":0"#, Value::Null, 0),
        ("", Value::Null, 0),
    ] {
        let parsed: Value = serde_json::from_str(&sent(more)).unwrap();
        assert_eq!((&parsed["logprobs"], read(more).unwrap().alternatives()), (&asked, shown), "{more}");
    }
    assert_eq!(refused(r#""logprobs":false,"top_logprobs":2"#), ("top_logprobs".to_owned(), "invalid_value"));
    assert_eq!(refused(r#""logprobs":true,"top_logprobs":6"#), ("top_logprobs".to_owned(), "unsupported_parameter"));
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
fn what_is_given_twice_or_beyond_all_bounds_is_named_for_what_it_is() {
    for (more, param, says) in [
        (r#""n":1,"n":2"#, "n", "twice"),
        (r#""stop":null,"stop":"x""#, "stop", "twice"),
        (r#""top_k":1,"top_k":1"#, "top_k", "twice"),
        (r#""messages":[]"#, "messages", "twice"),
        (r#""stream_options":{"include_usage":true,"include_usage":false}"#, "stream_options.include_usage", "twice"),
        (r#""max_tokens":18446744073709551616"#, "max_tokens", "too large"),
        (r#""max_completion_tokens":99999999999999999999"#, "max_completion_tokens", "too large"),
        (r#""max_tokens":-18446744073709551616"#, "max_tokens", "1 or more"),
        (r#""max_tokens":0"#, "max_tokens", "1 or more"),
        (r#""n":18446744073709551616"#, "n", "from 1 to 128"),
        (r#""n":-1"#, "n", "from 1 to 128"),
        (r#""n":1.5"#, "n", "whole number"),
        (r#""stop":["\ud800"]"#, "stop", "surrogate"),
        (r#""stop":"\ud800x""#, "stop", "surrogate"),
        (r#""chat_template_kwargs":{"a":"\udead"}"#, "chat_template_kwargs", "surrogate"),
        (r#""chat_template_kwargs":{"a":1e400}"#, "chat_template_kwargs", "out of range"),
        (
            r#""chat_template_kwargs":{"add_generation_prompt":false}"#,
            "chat_template_kwargs.add_generation_prompt",
            "always opens",
        ),
        (r#""chat_template_kwargs":{"messages":[]}"#, "chat_template_kwargs.messages", "own members"),
    ] {
        let refused = read(more).unwrap_err();
        assert_eq!(refused.param, param, "{more}");
        assert!(refused.message.contains(&format!("`{param}`")) && refused.message.contains(says), "{refused}");
        assert!(!refused.message.contains(" at line "), "{refused}");
    }
    let most = read(r#""max_tokens":18446744073709551615"#).unwrap();
    assert_eq!(most.max_tokens(), Some(u64::MAX));
    for body in ["", "[]", "7", "{", "\u{feff}{}", r#"{"messages":[}"#] {
        let refused = ChatRequest::read(body.as_bytes()).unwrap_err();
        assert_eq!((&*refused.param, refused.code), ("body", "invalid_type"), "{body}");
    }
    let missing = ChatRequest::read(br#"{"messages":null}"#).unwrap_err();
    assert_eq!((&*missing.param, missing.code), ("messages", "missing_required_parameter"));
    assert_eq!(
        ChatRequest::read(b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}").unwrap_err().param,
        "body"
    );
}

#[test]
fn the_least_of_both_limits_holds() {
    assert_eq!(read("").unwrap().max_tokens(), None);
    assert_eq!(read(r#""max_tokens":5,"max_completion_tokens":3"#).unwrap().max_tokens(), Some(3));
    assert_eq!(read(r#""max_tokens":3,"max_completion_tokens":5"#).unwrap().max_tokens(), Some(3));
    assert_eq!(read(r#""max_tokens":5"#).unwrap().max_tokens(), Some(5));
    assert_eq!(read(r#""max_completion_tokens":4"#).unwrap().max_tokens(), Some(4));
}

#[test]
fn what_the_template_and_the_reply_need_is_told() {
    let request = read(r#""chat_template_kwargs":{"b":1,"a":[true]},"n":3,"stop":["x","x"]"#).unwrap();
    assert_eq!(request.variables(), json!({"b": 1, "a": [true]}).as_object());
    assert_eq!(request.n(), 3);
    assert_eq!(request.stops(), [Box::from("x"), Box::from("x")]);
    let plain = read("").unwrap();
    assert_eq!((plain.variables(), plain.n(), plain.stops().len()), (None, 1, 0));
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
    assert_eq!(
        options(own, false),
        json!({"include_obfuscation": false, "include_usage": false}),
        "not the gate's to add"
    );
    assert_eq!(options(r#""stream":true"#, false), Value::Null);
    assert_eq!(sent(own).matches("include_usage").count(), 1, "said once");
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
