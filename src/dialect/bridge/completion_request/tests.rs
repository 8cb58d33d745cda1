use serde_json::{Value, json};

use super::*;

fn read(body: &Value) -> Result<CompletionRequest, Refused> {
    CompletionRequest::read(body.to_string().as_bytes())
}

fn refused(body: &Value) -> String {
    read(body).unwrap_err().param.into_owned()
}

#[test]
fn every_member_of_the_api_has_its_fate() {
    for name in [
        "model",
        "prompt",
        "best_of",
        "echo",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "n",
        "presence_penalty",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "suffix",
        "temperature",
        "top_p",
        "user",
    ] {
        assert!(COMPLETION.iter().any(|(known, _)| *known == name), "{name} has no fate");
    }
}

#[test]
fn a_prompt_in_any_form_becomes_one_message_each() {
    let text = |text: &str| Prompt::Text(text.into());
    let tokens = |ids: &[u32]| Prompt::Tokens(ids.into());
    for (prompt, expected) in [
        (json!("a"), vec![text("a")]),
        (json!(["a", "b"]), vec![text("a"), text("b")]),
        (json!([1, 2]), vec![tokens(&[1, 2])]),
        (json!([[1], [2, 3]]), vec![tokens(&[1]), tokens(&[2, 3])]),
    ] {
        assert_eq!(read(&json!({"prompt": prompt})).unwrap().prompts(), expected);
    }
    for prompt in [
        json!(null),
        json!([]),
        json!(7),
        json!([-1]),
        json!([4_294_967_296_u64]),
        json!([[1.5]]),
        json!(vec!["x"; 2049]),
    ] {
        assert_eq!(refused(&json!({"prompt": prompt})), "prompt", "{prompt}");
    }
    assert_eq!(refused(&json!({})), "prompt");
    let sent =
        read(&json!({"prompt": "é\n\"", "temperature": 0.5, "top_k": 4})).unwrap().chat("mine", "é\n\"", 16, false);
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(
        sent,
        json!({"model": "mine", "messages": [{"role": "user", "content": "é\n\""}], "max_tokens": 16,
        "temperature": 0.5, "top_k": 4})
    );
}

/// What becomes of a member, alone beside a prompt.
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
    ("model", &[]),
    ("prompt", &[]),
    ("max_tokens", &[("9", Gone), ("0", Unsupported), ("-1", Wrong), ("18446744073709551616", Wrong), ("1.5", Wrong)]),
    ("n", &[("3", Same), ("0", Wrong), ("129", Wrong), ("\"3\"", Wrong)]),
    (
        "stop",
        &[
            ("\"x\"", These(r#"{"stop":["x"]}"#)),
            (r#"["a","b","","a","c","d","e"]"#, These(r#"{"stop":["a","b","c","d"]}"#)),
            ("7", Wrong),
            (r#"["\ud800"]"#, Wrong),
        ],
    ),
    ("stream", &[("true", Same), ("false", Gone), ("0", Wrong)]),
    ("stream_options", &[(r#"{"include_usage":true}"#, Gone), ("[]", Wrong)]),
    (
        "logprobs",
        &[
            ("0", These(r#"{"logprobs":true,"top_logprobs":0}"#)),
            ("5", These(r#"{"logprobs":true,"top_logprobs":5}"#)),
            ("6", Wrong),
            ("true", Wrong),
        ],
    ),
    ("echo", &[("true", Gone), ("false", Gone), ("\"yes\"", Wrong)]),
    ("best_of", &[("1", Gone), ("2", Unsupported), ("0", Wrong), ("129", Wrong), ("-1", Wrong)]),
    ("suffix", &[("\"\"", Gone), ("\"x\"", Unsupported)]),
    ("temperature", &[("0.50", Same), ("\"1\"", Wrong)]),
    ("top_p", &[("1e-7", Same), ("[]", Wrong)]),
    ("frequency_penalty", &[("-2", Same), ("{}", Wrong)]),
    ("presence_penalty", &[("0.1", Same), ("\"\"", Wrong)]),
    ("logit_bias", &[(r#"{"50256":-100}"#, Same), ("[]", Wrong)]),
    ("seed", &[("9007199254740993", Same), ("1.5", Wrong)]),
    ("user", &[("\"me\"", Same), ("7", Wrong)]),
    ("messages", &[("[]", Unsupported)]),
    ("prompt_embeds", &[("\"x\"", Unsupported)]),
    ("max_completion_tokens", &[("9", Unsupported)]),
    ("top_logprobs", &[("0", Unsupported)]),
    ("tools", &[("[]", Gone), ("[{}]", Unsupported)]),
    ("functions", &[("[]", Gone), ("[{}]", Unsupported)]),
    ("tool_choice", &[("\"none\"", Gone), ("\"auto\"", Gone), ("\"required\"", Unsupported)]),
    ("function_call", &[("\"none\"", Gone), ("\"auto\"", Gone), (r#"{"name":"f"}"#, Unsupported)]),
    ("audio", &[("{}", Gone), (r#"{"voice":"ash"}"#, Unsupported)]),
    ("modalities", &[(r#"["text"]"#, Gone), (r#"["audio"]"#, Unsupported)]),
    ("moderation", &[("false", Gone), (r#"{"model":"m"}"#, Unsupported)]),
    ("web_search_options", &[("{}", Unsupported)]),
    ("parallel_tool_calls", &[("true", Gone)]),
    ("metadata", &[(r#"{"a":"b"}"#, Same)]),
    ("prediction", &[(r#"{"type":"content","content":"x"}"#, Same)]),
    ("prompt_cache_key", &[("\"k\"", Same)]),
    ("prompt_cache_options", &[("{}", Same)]),
    ("prompt_cache_retention", &[("\"24h\"", Same)]),
    ("reasoning_effort", &[("\"low\"", Same)]),
    ("response_format", &[(r#"{"type":"json_object"}"#, Same)]),
    ("safety_identifier", &[("\"s\"", Same)]),
    ("service_tier", &[("\"flex\"", Same)]),
    ("store", &[("true", Same)]),
    ("verbosity", &[("\"low\"", Same)]),
    ("include_stop_str_in_output", &[("false", Gone), ("true", Unsupported)]),
    ("prompt_logprobs", &[("0", Unsupported)]),
    ("return_token_ids", &[("false", Gone), ("true", Unsupported)]),
];

#[test]
fn every_member_goes_its_way_and_null_is_absent() {
    assert!(COMPLETION.iter().all(|(name, _)| ROWS.iter().any(|(row, _)| row == name)), "a member has no row here");
    let with = |member: &str| CompletionRequest::read(format!(r#"{{"prompt":"P",{member}}}"#).as_bytes());
    let sent = |member: &str| {
        let body = String::from_utf8(with(member).unwrap().chat("mine", "P", 7, false)).unwrap();
        let form = r#"{"model":"mine","messages":[{"role":"user","content":"P"}],"max_tokens":7"#;
        format!("{{{}", body.strip_prefix(form).unwrap().trim_start_matches(','))
    };
    for (name, ways) in ROWS {
        for (value, becomes) in *ways {
            let member = format!("{name:?}:{value}");
            match becomes {
                Same => assert_eq!(sent(&member), format!("{{{member}}}")),
                Gone => assert_eq!(sent(&member), "{}", "{member}"),
                These(members) => assert_eq!(sent(&member), *members, "{member}"),
                Unsupported | Wrong => {
                    let refused = with(&member).unwrap_err();
                    assert!(refused.param == *name && refused.message.contains(name), "{refused} for {member}");
                    assert_eq!(refused.code == "unsupported_parameter", matches!(becomes, Unsupported), "{member}");
                }
            }
        }
        if *name != "prompt" {
            assert_eq!(sent(&format!("{name:?}:null")), "{}", "{name}");
        }
    }
    let extras = r#""top_k":40,"min_p":0.10,"repetition_penalty":1.1,"guided_json":{"a":[1]}"#;
    assert_eq!(sent(extras), format!("{{{extras}}}"), "a server's own members");
}

#[test]
fn what_is_given_twice_or_cannot_be_read_is_named_for_what_it_is() {
    for (body, param, says) in [
        (r#"{"prompt":"a","prompt":"b"}"#, "prompt", "twice"),
        (r#"{"prompt":"\ud800"}"#, "prompt", "surrogate"),
        (r#"{"prompt":["a","\ud800"]}"#, "prompt", "surrogate"),
        (r#"{"prompt":{}}"#, "prompt", "must be"),
        (r#"{"prompt":["a",1]}"#, "prompt", "must be"),
        (r#"{"prompt":[[]]}"#, "prompt", "empty"),
        (r#"{"prompt":[]}"#, "prompt", "empty"),
        (r#"{"prompt":"a","max_tokens":18446744073709551616}"#, "max_tokens", "too large"),
        (r#"{"prompt":"a","n":3,"best_of":2}"#, "best_of", "less than `n`"),
        (r#"{"prompt":"a","n":3,"best_of":0}"#, "best_of", "less than `n`"),
        (r#"{"prompt":"a","n":3,"best_of":4}"#, "best_of", "more than `n`"),
        (r#"{"prompt":"a","stop":{"a":1}}"#, "stop", "must be"),
    ] {
        let refused = CompletionRequest::read(body.as_bytes()).unwrap_err();
        assert_eq!(refused.param, param, "{body}");
        assert!(refused.message.contains(&format!("`{param}`")) && refused.message.contains(says), "{refused}");
    }
    let many = format!(r#"{{"prompt":{}}}"#, json!(vec!["x"; 2048]));
    assert_eq!(CompletionRequest::read(many.as_bytes()).unwrap().prompts().len(), 2048);
    assert_eq!(read(&json!({"prompt": "a", "n": 2, "best_of": 2})).unwrap().n(), 2);
}

#[test]
fn an_echo_is_the_gates_own_and_needs_no_probabilities() {
    assert!(read(&json!({"prompt": "a", "echo": true})).unwrap().echo());
    assert!(!read(&json!({"prompt": "a", "echo": false, "logprobs": 1})).unwrap().echo());
    assert!(read(&json!({"prompt": "a", "echo": true, "logprobs": null})).is_ok());
    assert_eq!(refused(&json!({"prompt": "a", "echo": true, "logprobs": 0})), "echo");
}

#[test]
fn the_defaults_of_completions_are_said_and_probabilities_asked_for() {
    let request = read(&json!({"prompt": "a", "logprobs": 2, "n": 3, "best_of": 3})).unwrap();
    assert_eq!((request.max_tokens(), request.n(), request.echo()), (16, 3, false));
    let sent: Value = serde_json::from_slice(&request.chat("m", "a", 16, false)).unwrap();
    assert_eq!((&sent["logprobs"], &sent["top_logprobs"], &sent["n"]), (&json!(true), &json!(2), &json!(3)));
    let streamed = read(&json!({"prompt": "a", "stream": true, "echo": true})).unwrap();
    assert!(streamed.echo());
    let sent: Value = serde_json::from_slice(&streamed.chat("m", "a", 16, true)).unwrap();
    assert_eq!((&sent["stream"], &sent["stream_options"]), (&json!(true), &json!({"include_usage": true})));
    assert!(sent.get("echo").is_none());
}

#[test]
fn what_has_no_counterpart_is_refused_by_its_name() {
    for (more, param) in [
        (json!({"suffix": "x"}), "suffix"),
        (json!({"best_of": 2}), "best_of"),
        (json!({"logprobs": 6}), "logprobs"),
        (json!({"echo": true, "logprobs": 1}), "echo"),
        (json!({"messages": []}), "messages"),
        (json!({"tools": [1]}), "tools"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"n": 129}), "n"),
    ] {
        let mut body = json!({"prompt": "a"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(refused(&body), param, "{more}");
    }
}
