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
