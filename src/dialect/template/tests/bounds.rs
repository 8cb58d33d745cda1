//! What stops a template that runs, grows or nests without bound. Nothing here is timed: without the bounds these would
//! not end, take all memory, or end the whole program by its stack.

use serde_json::json;

use super::rendered;
use crate::dialect::template::TemplateError;

fn assert_stopped(source: &str) {
    let outcome = rendered(source, &json!([{"role": "user", "content": "x"}]));
    let about: String = source.chars().take(160).collect();
    assert!(matches!(outcome, Err(TemplateError::Unbounded(_))), "{about}: {:?}", outcome.map(|text| text.len()));
}

fn assert_refused(source: &str) {
    let about: String = source.chars().take(160).collect();
    assert!(rendered(source, &json!([])).is_err(), "{about}");
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
        &format!("{big}{{% for i in range(99) %}}{{{{ (s ~ s) | e | length }}}}{{{{ s | wordcount }}}}{{% endfor %}}"),
        &format!("{big}{{{{ '{}' % ((s,) * 1000) }}}}", "%s".repeat(1000)),
        "{{ '%68719476736.18446744004990074880d' % 1 }}",
        "{{ '%18446744073709551615.1d' % 1 }}",
        "{% set s = '%z' * 500000 %}{% for i in range(99999) %}{{ strftime_now(s) }}{% endfor %}",
        "{{ 'a' | center(10**9) }}",
        "{{ '\\t'.expandtabs(10**9) }}",
        "{{ '%*d' % (10**9, 1) }}",
        "{{ '%.*f' % (10**9, 1.5) }}",
        "{{ (1,) * 10**9 }}",
        "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
        "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
        "{% set x %}{% for i in range(9999) %}{% for j in range(9999) %}aaaaaaaaaa{% endfor %}{% endfor %}{% endset %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{{ range(9999) | list | length }}{% endfor %}{% endfor %}",
        "{{ 'a'.center(10**12) }}",
        "{{ 'a'.ljust(10**12) }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ 'a\\nb' | indent(10**10) }}",
        &format!("{big}{{% for i in range(99999) %}}{{{{ [s] | tojson | length }}}}{{% endfor %}}"),
        &format!("{big}{{% for i in range(99999) %}}{{{{ s.strip('b') | length }}}}{{% endfor %}}"),
        &format!("{big}{{% for i in range(99999) %}}{{{{ s.count('b') }}}}{{% endfor %}}"),
        &format!("{big}{{% for i in range(99999) %}}{{{{ s[::-1] | length }}}}{{% endfor %}}"),
    ] {
        assert_stopped(source);
    }
}

#[test]
fn a_wide_format_or_range_is_refused() {
    for source in [
        "{{ '{:>999999999}'.format(1) }}",
        "{{ range(10**9) | list }}",
        "{% for i in range(10**12) %}{% endfor %}",
        "{{ [1] * 10**9 }}",
        "{{ 2 ** 100000000 }}",
        "{{ 9 ** 9 ** 9 }}",
    ] {
        assert_refused(source);
    }
}

#[test]
fn a_value_that_holds_itself_does_not_end_the_stack() {
    for value in ["n", "[n]", "(n,)", "{'a': n}", "[[1, [n]]]", "{'a': n}.items()", "cycler(n)"] {
        for use_of in
            ["{{ n }}", "{{ '' ~ n }}", "{{ n | string }}", "{{ n == n.n }}", "{{ n | tojson }}", "{{ [n] | join }}"]
        {
            assert_refused(&format!("{{% set n = namespace() %}}{{% set n.n = {value} %}}{use_of}"));
        }
    }
}

#[test]
fn a_value_that_is_nested_ever_deeper_is_stopped() {
    for value in [
        "[n.x]",
        "(n.x,)",
        "[[n.x], 1]",
        "{'a': n.x}",
        "dict(a=n.x)",
        "[n.x] | batch(1)",
        "[n.x] | slice(1)",
        "cycler(n.x)",
    ] {
        assert_stopped(&format!(
            "{{% set n = namespace(x=1) %}}{{% for i in range(99999) %}}{{% set n.x = {value} %}}{{% endfor %}}"
        ));
        let set = format!("{{% set x = {} %}}", value.replace("n.x", "x"));
        assert_stopped(&format!("{{% set x = 1 %}}{}", set.repeat(9999)));
    }
    for call in ["m([[[[[[[[x]]]]]]]])", "m({'a': {'a': x}})"] {
        assert_stopped(&format!("{{% macro m(x) %}}{{{{ {call} }}}}{{% endmacro %}}{{{{ m(1) }}}}"));
    }
}

#[test]
fn a_source_that_is_nested_too_deeply_is_stopped_before_it_is_compiled() {
    for (start, again, end) in [
        ("{{ 1", "+1", " }}"),
        ("{{ 1", " ~ 1", " }}"),
        ("{{ 'a' | e", " + 'a'", " }}"),
        ("{{ 1", " and 1", " }}"),
        ("{{ 1", " | abs", " }}"),
        ("{{ a", ".a", " }}"),
        ("{{ a", "[0]", " }}"),
        ("{{ a", "()", " }}"),
        ("{{ ", "-", "1 }}"),
        ("{{ ", "not ", "1 }}"),
        ("{{ ", "(", "1 }}"),
        ("{{ ", "[", "1 }}"),
        ("{{ 'a'", " % 'a'", " }}"),
        ("{{ 1", "**1", " }}"),
        ("{{ 1", " is odd", " }}"),
        ("{% if 1 %}", "{% elif 1 %}", "{% endif %}"),
        ("{% set x = 1", "+1", " %}"),
        ("{% for x in a", ".a", " %}{% endfor %}"),
    ] {
        assert_stopped(&format!("{start}{}{end}", again.repeat(20_000)));
        // What just passes fits the stack of a thread.
        let _ = rendered(&format!("{start}{}{end}", again.repeat(160)), &json!([]));
    }
    assert_refused(&"{% if 1 %}".repeat(5000));
    assert_refused(&"{% for x in y %}".repeat(5000));
}

#[test]
fn a_raw_block_of_openings_without_an_end_is_looked_through_once() {
    // Read as tags, each of these would be read to the end of the source.
    let source = format!("{{% raw %}}{}", "{%\n".repeat(50_000));
    assert_refused(&source);
    let closed = format!("{{% raw %}}{}{{%- endraw -%}} x", "{%".repeat(20_000));
    assert_eq!(rendered(&closed, &json!([])).unwrap(), "{%".repeat(20_000) + "x");
}
