use serde_json::json;

use super::*;

#[test]
fn messages_come_as_templates_take_them() {
    for (came, expected) in [
        (r#"{"role":"user","content":"a","name":"me"}"#, json!({"role": "user", "name": "me", "content": "a"})),
        (r#"{"role":"developer","content":"a"}"#, json!({"role": "system", "content": "a"})),
        (r#"{"role":"critic","content":""}"#, json!({"role": "critic", "content": ""})),
        (r#"{"role":"user","content":[]}"#, json!({"role": "user", "content": ""})),
        (
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"},{"type":"output_text","text":"c"},{"type":"refusal","refusal":"d"}]}"#,
            json!({"role": "user", "content": "a\nb\nc\nd"}),
        ),
        (
            r#"{"role":"assistant","content":null,"tool_calls":[],"function_call":null,"audio":null,"refusal":"no"}"#,
            json!({"role": "assistant", "refusal": "no", "content": "no"}),
        ),
        (r#"{"role":"assistant"}"#, json!({"role": "assistant", "content": ""})),
        (
            r#"{"role":"assistant","content":"a","reasoning_content":"r","name":null}"#,
            json!({"role": "assistant", "reasoning_content": "r", "content": "a"}),
        ),
    ] {
        assert_eq!(read(&format!("[{came}]")).unwrap(), [expected], "{came}");
    }
    assert_eq!(read(r#"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#).unwrap().len(), 2);
}

#[test]
fn a_message_that_has_no_counterpart_or_is_none_is_named() {
    let long = "k".repeat(1000);
    for (second, param, code) in [
        ("\"x\"", "", "invalid_type"),
        ("null", "", "invalid_type"),
        (r#"{"content":"x"}"#, ".role", "missing_required_parameter"),
        (r#"{"role":null,"content":"x"}"#, ".role", "missing_required_parameter"),
        (r#"{"role":7,"content":"x"}"#, ".role", "invalid_type"),
        (r#"{"role":"tool","content":"x"}"#, ".role", "unsupported_parameter"),
        (r#"{"role":"function","content":"x"}"#, ".role", "unsupported_parameter"),
        (r#"{"role":"user"}"#, ".content", "missing_required_parameter"),
        (r#"{"role":"user","content":null}"#, ".content", "missing_required_parameter"),
        (r#"{"role":"user","content":7}"#, ".content", "invalid_type"),
        (r#"{"role":"user","content":{}}"#, ".content", "invalid_type"),
        (r#"{"role":"user","content":["x"]}"#, ".content[0]", "invalid_type"),
        (r#"{"role":"user","content":[{"text":"x"}]}"#, ".content[0].type", "missing_required_parameter"),
        (r#"{"role":"user","content":[{"type":"text"}]}"#, ".content[0].text", "missing_required_parameter"),
        (r#"{"role":"user","content":[{"type":"text","text":7}]}"#, ".content[0].text", "invalid_type"),
        (
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}"#,
            ".content[1]",
            "unsupported_parameter",
        ),
        (r#"{"role":"user","content":[{"type":"input_audio"}]}"#, ".content[0]", "unsupported_parameter"),
        (r#"{"role":"user","content":[{"type":"file"}]}"#, ".content[0]", "unsupported_parameter"),
        (r#"{"role":"assistant","tool_calls":[{}]}"#, ".tool_calls", "unsupported_parameter"),
        (r#"{"role":"assistant","function_call":{"name":"f"}}"#, ".function_call", "unsupported_parameter"),
        (r#"{"role":"assistant","audio":{"id":"a"}}"#, ".audio", "unsupported_parameter"),
        (r#"{"role":"user","content":"a","content":"b"}"#, ".content", "invalid_value"),
        (r#"{"role":"user","role":"user","content":"b"}"#, ".role", "invalid_value"),
        (r#"{"role":"user","content":null,"content":"b"}"#, ".content", "invalid_value"),
        (r#"{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}"#, ".content[0].text", "invalid_value"),
        (r#"{"role":"user","content":"\ud800"}"#, ".content", "invalid_type"),
        (r#"{"role":"user","content":"x\udfffy"}"#, ".content", "invalid_type"),
        (r#"{"role":"user","content":[{"type":"text","text":"\ud83d?"}]}"#, ".content[0].text", "invalid_type"),
        (r#"{"role":"\ud800","content":"x"}"#, ".role", "invalid_type"),
        (r#"{"role":"user","content":"x","extra":{"a":"\ud800"}}"#, ".extra", "invalid_type"),
        (r#"{"role":"user","content":"x","extra":1e400}"#, ".extra", "invalid_type"),
        (&format!(r#"{{"{long}":1,"{long}":2}}"#), &format!(".{}", &long[..64]), "invalid_value"),
    ] {
        let refused = read(&format!(r#"[{{"role":"user","content":"secret"}},{second}]"#)).unwrap_err();
        assert_eq!((&*refused.param, refused.code), (&*format!("messages[1]{param}"), code), "{second}");
        assert!(
            refused.message.contains(&format!("messages[1]{param}")) || code == "unsupported_parameter",
            "{refused}"
        );
        assert!(!refused.message.contains("secret"));
    }
    for (all, code) in [("[]", "invalid_value"), ("{}", "invalid_type"), ("\"x\"", "invalid_type")] {
        let refused = read(all).unwrap_err();
        assert_eq!((&*refused.param, refused.code), ("messages", code), "{all}");
    }
}
