//! Messages that anyone may send: nothing in them is ever taken for a part of the template.

use jiff::civil::date;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::specials;
use crate::dialect::template::{Conversation, Template, TemplateError};

const EVERYTHING: &str = include_str!("../../../../tests/fixtures/templates/everything.jinja");
const STRICT: &str = include_str!("../../../../tests/fixtures/templates/strict.jinja");
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}\
    {% if message.content is string %}{{ message['content'] }}{% elif message.content %}\
    {% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}";

/// Texts of any letters, and of what means something to a template.
fn text() -> impl Strategy<Value = String> {
    let syntax = prop::sample::select(vec![
        "{{ 7 * 7 }}",
        "{% raw %}",
        "{% endraw %}",
        "{%- endfor %}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ bos_token }}",
        "{% set x = 1 %}",
        "{% generation %}",
        "\r\n",
        "\n",
        "\0",
        "\u{1b}",
        "\u{85}",
        "\u{2028}",
        "<|im_end|>",
        "'",
        "\"",
        "\\",
    ]);
    let piece = prop_oneof![syntax.prop_map(str::to_owned), any::<String>(), "[ -~]{0,9}"];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn message() -> impl Strategy<Value = Value> {
    let role = prop_oneof![Just("user"), Just("assistant"), Just("system"), Just("tool"), Just("developer")];
    let role = prop_oneof![4 => role.prop_map(str::to_owned), 1 => text()];
    let part = text().prop_map(|text| json!({"type": "text", "text": text}));
    let content = prop_oneof![
        4 => text().prop_map(Value::from),
        1 => prop::collection::vec(part, 0..3).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<f64>().prop_map(Value::from),
        1 => text().prop_map(|text| json!({text: [null, true, {}]})),
    ];
    (role, content, text()).prop_map(|(role, content, name)| json!({"role": role, "content": content, "name": name}))
}

fn render(source: &str, messages: &[Value]) -> Result<String, TemplateError> {
    let variables = json!({"tools": [{"function": {"name": "f"}}]});
    let conversation =
        Conversation { messages, tools: None, variables: variables.as_object(), now: date(2024, 7, 4).at(9, 5, 3, 0) };
    Template::compile(source, &specials())?.render_whole(&conversation)
}

proptest! {
    #[test]
    fn no_messages_make_a_template_fail_otherwise_than_by_an_error(messages in prop::collection::vec(message(), 0..5)) {
        for source in [EVERYTHING, STRICT, CHATML] {
            let outcome = render(source, &messages);
            prop_assert!(!matches!(outcome, Err(TemplateError::Unbounded(_))), "{outcome:?}");
        }
        Template::plain().render(&Conversation { messages: &messages, tools: None, variables: None, now: date(2024, 7, 4).at(0, 0, 0, 0) }).unwrap();
    }

    #[test]
    fn content_comes_out_letter_by_letter(texts in prop::collection::vec((text(), text()), 0..4)) {
        let messages: Vec<Value> = texts.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
        let whole: String = texts.iter().map(|(role, text)| format!("<|im_start|>{role}\n{text}<|im_end|>\n")).collect();
        prop_assert_eq!(render(CHATML, &messages).unwrap(), whole);
    }

    #[test]
    fn json_of_a_text_is_read_back_as_that_text(text in text(), key in text()) {
        let messages = [json!({"role": "user", "content": text, "a": {(key): text}})];
        for filter in ["tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(sort_keys=true)"] {
            let written = render(&format!("{{{{ messages[0] | {filter} }}}}"), &messages).unwrap();
            let read: Map<String, Value> = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(Value::from(read), messages[0].clone());
        }
    }

    #[test]
    fn no_source_makes_the_compiler_fail_otherwise_than_by_an_error(source in text()) {
        let _ = render(&source, &[]);
    }
}
