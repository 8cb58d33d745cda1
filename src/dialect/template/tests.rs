//! What templates render, construct by construct, and what stops them.

use std::time::Instant;

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
    let template = Template::compile(source, &specials())?;
    let messages = messages.as_array().unwrap();
    template.render_whole(&Conversation {
        messages,
        tools: None,
        variables: None,
        now: date(2024, 7, 4).at(9, 5, 3, 0),
    })
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
fn a_template_that_runs_or_grows_without_bound_is_stopped() {
    let double =
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
    let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}";
    let big = "{% set s = 'a' * 1000000 %}";
    for source in [
        double,
        nested,
        "{{ 'a' * 10**9 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in range(99999) %}{% for b in range(999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}{% endfor %}",
        &format!("{big}{{{{ s.replace('a', s) }}}}"),
        &format!("{big}{{{{ s | replace('a', s) }}}}"),
        &format!("{big}{{{{ s.join(s) }}}}"),
        &format!("{big}{{{{ ([s] * 10000) | join(s) }}}}"),
        &format!("{big}{{{{ ''.join([s] * 10000) }}}}"),
        &format!("{big}{{{{ ('{{0}}' * 10000).format(s) }}}}"),
        "{{ 'a'.center(10**12) }}",
        "{{ 'a'.ljust(10**12) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ 'a\\nb' | indent(10**10) }}",
        &format!("{big}{{% for i in range(99999) %}}{{{{ [s] | tojson | length }}}}{{% endfor %}}"),
        &format!("{big}{{% for i in range(99999) %}}{{{{ s.strip('b') | length }}}}{{% endfor %}}"),
        &format!("{big}{{% for i in range(99999) %}}{{{{ s.count('b') }}}}{{% endfor %}}"),
        &format!("{big}{{% for i in range(99999) %}}{{{{ s[::-1] | length }}}}{{% endfor %}}"),
    ] {
        let start = Instant::now();
        let outcome = rendered(source, &json!([{"role": "user", "content": "x"}]));
        assert!(matches!(outcome, Err(TemplateError::Unbounded(_))), "{source}: {:?}", outcome.map(|text| text.len()));
        assert!(start.elapsed().as_secs() < 20, "{source}: {:?}", start.elapsed());
    }
}

#[test]
fn a_wide_format_or_range_is_refused() {
    for source in [
        "{{ '{:>999999999}'.format(1) }}",
        "{{ range(10**9) | list }}",
        "{{ [1] * 10**9 }}",
        "{{ 2 ** 100000000 }}",
        "{% set n = namespace() %}{% set n.n = n %}{{ n | tojson }}",
    ] {
        assert!(rendered(source, &json!([])).is_err(), "{source}");
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
