//! What templates render, construct by construct, and what stops them.

mod bounds;
mod constructs;
mod strangers;

use jiff::civil::date;
use serde_json::{Map, Value, json};

use super::{Conversation, Template, TemplateError};

fn specials() -> Map<String, Value> {
    let Value::Object(map) = json!({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "add_bos_token": true})
    else {
        unreachable!()
    };
    map
}

fn rendered(source: &str, messages: &Value) -> Result<String, TemplateError> {
    rendered_with(source, messages.as_array().unwrap(), None)
}

fn rendered_with(
    source: &str,
    messages: &[Value],
    variables: Option<&Map<String, Value>>,
) -> Result<String, TemplateError> {
    let template = Template::compile(source, &specials())?;
    template.render_whole(&Conversation { messages, tools: None, variables, now: date(2024, 7, 4).at(9, 5, 3, 0) })
}

#[test]
fn each_construct_comes_out_as_the_original_writes_it() {
    let messages = json!([{"role": "user", "content": " Hé <b> "}, {"role": "assistant", "content": "x", "n": 1.5}]);
    for (source, text) in [
        ("{{ true }} {{ none }} {{ false }}", "True None False"),
        ("{{ [1, 'a', none, true, 1.0] }} {{ {'a': 'it\\'s'} }}", "[1, 'a', None, True, 1.0] {'a': \"it's\"}"),
        ("{{ messages[0] | tojson }}", "{\"role\": \"user\", \"content\": \" Hé <b> \"}"),
        (
            "{{ messages[1] | tojson(indent=2) }}",
            "{\n  \"role\": \"assistant\",\n  \"content\": \"x\",\n  \"n\": 1.5\n}",
        ),
        ("{{ {'b': 1, 'a': [] } | tojson(sort_keys=true, separators=(',', ':')) }}", "{\"a\":[],\"b\":1}"),
        ("{{ 'é\\n' | tojson(ensure_ascii=true) }}", "\"\\u00e9\\n\""),
        (
            "{% for m in messages[::-1] %}{{ m.role }}{{ loop.previtem.role if loop.previtem is defined }},{% endfor %}",
            "assistant,userassistant,",
        ),
        (
            "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "013",
        ),
        ("a\n  {% generation %}\nb\n  {% endgeneration %}\nc\n", "a\nb\nc"),
        ("a {%- generation -%} b {%- endgeneration -%} c", "abc"),
        (
            "{{ 7 // 2 }} {{ 7 % 3 }} {{ -7 // 2 }} {{ 6 / 2 }} {{ 'ab' * 2 }} {{ 1 ~ 'x' ~ none }}",
            "3 1 -4 3.0 abab 1xNone",
        ),
        ("{{ \"it's <|im_end|> ÉTÉ 3a\".title() }}", "It'S <|Im_End|> Été 3A"),
        ("{{ missing }}{{ missing is defined }}{{ messages[0].missing is none }}", "FalseFalse"),
        ("{{ none is iterable }}{{ 'a' is iterable }}{{ 'a' is sequence }}{{ 1 is sequence }}", "FalseTrueTrueFalse"),
        ("{{ '{\n' | indent(4, first=true) }}{{ 'a\n\nb' | indent(2) }}", "    {\na\n\n  b"),
        ("{{ strftime_now('%d %b %Y') }}", "04 Jul 2024"),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{{ bos_token }}{{ eos_token }}{{ documents }}{{ add_generation_prompt }}", "<s></s>NoneTrue"),
        ("{{ messages[0].content.strip() | upper }}|{{ messages[0]['content'] | trim }}", "HÉ <B>|Hé <b>"),
        (
            "{{ 'a b  c'.split() }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'xay'.partition('a') | list }}",
            "['a', 'b', 'c'] ['a,b', 'c'] ['x', 'a', 'y']",
        ),
        (
            "{{ 'abc'.removeprefix('a') }}{{ '-'.join(['x', 'y']) }}{{ '5'.zfill(3) }}{{ 'a'.center(4) }}|",
            "bcx-y005 a  |",
        ),
    ] {
        assert_eq!(rendered(source, &messages).as_deref(), Ok(text), "{source}");
    }
}

#[test]
fn what_the_original_refuses_is_refused() {
    let messages = json!([{"role": "user", "content": "x"}]);
    let raised = TemplateError::Raised("no 1".to_owned());
    assert_eq!(
        rendered("{% macro m() %}{{ raise_exception('no ' ~ 1) }}{% endmacro %}{{ m() }}", &messages),
        Err(raised)
    );
    for source in [
        "{{ missing.field }}",
        "{{ messages[0].append(1) }}",
        "{{ 'a' + 1 }}",
        "{{ missing | tojson }}",
        "{{ 'a'.index('b') }}",
        "{% if %}",
        "{{ f(",
        "{% for %}",
    ] {
        assert!(
            matches!(rendered(source, &messages), Err(TemplateError::Broken(_))),
            "{source}: {:?}",
            rendered(source, &messages)
        );
    }
}

#[test]
fn the_begin_token_that_a_server_adds_again_is_dropped() {
    let template = Template::compile("{{ bos_token }}{{ bos_token }}x", &specials()).unwrap();
    let conversation =
        Conversation { messages: &[], tools: None, variables: None, now: date(2024, 1, 1).at(0, 0, 0, 0) };
    assert_eq!(template.render(&conversation).as_deref(), Ok("<s>x"));
    assert_eq!(template.render_whole(&conversation).as_deref(), Ok("<s><s>x"));
    assert_eq!(template.stops(), ["</s>".into()]);
    assert!(!template.trims_start());
}

#[test]
fn no_begin_token_is_dropped_where_the_tokenizer_adds_none_or_the_template_writes_none() {
    let conversation =
        Conversation { messages: &[], tools: None, variables: None, now: date(2024, 1, 1).at(0, 0, 0, 0) };
    let rendered = |source: &str, specials: Value| {
        Template::compile(source, specials.as_object().unwrap()).unwrap().render(&conversation).unwrap()
    };
    let adds_none = json!({"bos_token": "<s>", "add_bos_token": false});
    assert_eq!(rendered("{{ bos_token }}x", adds_none), "<s>x");
    assert_eq!(rendered("x{{ bos_token }}", json!({"bos_token": {"content": "<s>"}})), "x<s>");
    assert_eq!(rendered("<s>x", json!({"bos_token": ""})), "<s>x");
    assert_eq!(rendered("<s>x", json!({"bos_token": null})), "<s>x");
}

#[test]
fn a_special_token_is_a_text_or_an_object_with_one() {
    let specials = json!({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null});
    let template =
        Template::compile("{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}", specials.as_object().unwrap());
    let conversation =
        Conversation { messages: &[], tools: None, variables: None, now: date(2024, 1, 1).at(0, 0, 0, 0) };
    assert_eq!(template.unwrap().render_whole(&conversation).as_deref(), Ok("<s>|</s>|False"));
}

#[test]
fn reasoning_names_and_tool_roles_reach_the_template() {
    let source = "{% for m in messages %}{{ m.role }}/{{ m.name }}/{{ m.reasoning_content }}/{{ m.thinking }}/\
                  {{ m.tool_call_id }}/{{ m.tool_calls[0].function.name if m.tool_calls }};{% endfor %}";
    let messages = json!([
        {"role": "user", "name": "Ann", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning": "hm", "tool_calls": [{"function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "c"},
    ]);
    let text = "user/Ann////;assistant//hm/hm//f;tool////1/;";
    assert_eq!(rendered(source, &messages).as_deref(), Ok(text));
}

#[test]
fn a_message_of_parts_can_be_told_from_a_text() {
    let source = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}\
                  {% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";
    let messages = json!([
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "{{ c }}"}]},
    ]);
    assert_eq!(rendered(source, &messages).as_deref(), Ok("a[b][{{ c }}]"));
}

#[test]
fn what_a_template_raises_is_told_in_its_own_words() {
    let source = "{{ raise_exception('Conversation roles must alternate <user>/\"assistant\"') }}";
    let error = rendered(source, &json!([])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's chat template refuses these messages: Conversation roles must alternate <user>/\"assistant\""
    );
}

#[test]
fn variables_reach_the_template() {
    let template =
        Template::compile("{{ enable_thinking }}{{ add_generation_prompt }}{{ tools[0].name }}", &specials()).unwrap();
    let (tools, variables) = (json!([{"name": "t"}]), json!({"enable_thinking": false, "add_generation_prompt": 7}));
    let conversation = Conversation {
        messages: &[],
        tools: Some(&tools),
        variables: variables.as_object(),
        now: date(2024, 1, 1).at(0, 0, 0, 0),
    };
    assert_eq!(template.render(&conversation).as_deref(), Ok("False7t"));
}

#[test]
fn the_plain_form_has_stops_and_trims() {
    let template = Template::plain();
    assert!(template.trims_start() && template.stops().contains(&"\nUser:".into()));
    let messages = [json!({"role": "user", "content": "Hello."})];
    let conversation =
        Conversation { messages: &messages, tools: None, variables: None, now: date(2024, 1, 1).at(0, 0, 0, 0) };
    assert_eq!(template.render(&conversation).as_deref(), Ok("User: Hello.\n\nAssistant:"));
}
