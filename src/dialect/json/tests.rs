//! Spans and cuts, by table and by generated documents.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn values<'d>(doc: &'d str, key: &'static str) -> Option<&'d str> {
    let [member] = members(doc.as_bytes(), &[key]).unwrap();
    member.map(|member| &doc[member.value])
}

fn without(doc: &str, key: &'static str) -> String {
    let [member] = members(doc.as_bytes(), &[key]).unwrap();
    let cut = member.unwrap().cut(doc.as_bytes());
    format!("{}{}", &doc[..cut.start], &doc[cut.end..])
}

#[test]
fn a_value_is_found_wherever_it_stands_and_however_its_key_is_spelled() {
    assert_eq!(values(r#"{"model":"a","n":1}"#, "model"), Some(r#""a""#));
    assert_eq!(values(" {\r\n\t\"n\" : [ {\"model\":0} ] , \"model\"\n:\t null }\n", "model"), Some("null"));
    assert_eq!(values(r#"{"\u006dod\u0065l":-1.50E+02}"#, "model"), Some("-1.50E+02"));
    assert_eq!(values(r#"{"n":{"model":1},"s":"\"model\":2"}"#, "model"), None);
    assert_eq!(values("{}", "model"), None);
}

#[test]
fn what_is_no_object_is_told_apart_from_what_is_no_json() {
    let error = |doc: &[u8]| members(doc, &["model"]).unwrap_err();
    for doc in ["[1]", "1", "null", r#""{}""#] {
        assert_eq!(error(doc.as_bytes()), JsonError::NotObject, "{doc}");
    }
    for doc in ["", "{", r#"{"a":}"#, r#"{"a":1,}"#, "{}{}", r#"{"a":01}"#, "{a:1}", "{1:2}", "model=a", "\u{feff}{}"] {
        assert_eq!(error(doc.as_bytes()), JsonError::NotJson, "{doc}");
    }
    assert_eq!(error(br#"{"model":"a","\u006dodel":"b"}"#), JsonError::Duplicate("model"));
}

#[test]
fn other_duplicates_and_foreign_bytes_in_other_values_do_not_hide_a_member() {
    let doc = b"{\"a\":1,\"a\":\"\xff\",\"s\":\"\\ud800\",\"model\":\"m\"}";
    let [member] = members(doc, &["model"]).unwrap();
    assert_eq!(&doc[member.unwrap().value], b"\"m\"");
}

#[test]
fn deep_nesting_does_not_overflow() {
    let doc = format!("{{\"a\":{}{},\"model\":1}}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(values(&doc, "model"), Some("1"));
}

#[test]
fn a_member_is_cut_with_one_comma_and_the_white_space_that_is_promised() {
    for (doc, left) in [
        (r#"{"usage":1}"#, "{}"),
        (r#"{ "usage" : 1 }"#, "{  }"),
        (r#"{ "usage":1 , "a":2 }"#, r#"{ "a":2 }"#),
        (r#"{"a":2 , "usage" : {"b":[1,2]} }"#, r#"{"a":2  }"#),
        (r#"{"a":",","usage":null,"b":2}"#, r#"{"a":",","b":2}"#),
        (r#"{"a":2,"\u0075sag\u0065":1}"#, r#"{"a":2}"#),
        (r#"{"a":"\"usage\":1,","usage":",}","b":2}"#, r#"{"a":"\"usage\":1,","b":2}"#),
    ] {
        assert_eq!(without(doc, "usage"), left);
    }
}

/// A piece of white space.
fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,3}"
}

/// A value as text, with number forms and escapes that a serialiser would not choose.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,2})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u0075sage\",{}[]:\/""#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[ {}]", items.join(" ,"))),
            inner.prop_map(|item| format!("{{\"usage\" :{item}}}")),
        ]
    })
}

/// A member: key, space before the colon, value and spaces around it.
fn member() -> impl Strategy<Value = (String, String)> {
    ("[a-z]{1,3}", space(), space(), value(), space(), space())
        .prop_map(|(key, a, b, value, c, d)| (key.clone(), format!("{d}\"{key}\"{a}:{b}{value}{c}")))
}

proptest! {
    #[test]
    fn cutting_a_member_leaves_the_other_members_and_every_other_byte(
        others in proptest::collection::vec(member(), 0..5),
        at in any::<proptest::sample::Index>(),
        key in prop_oneof![Just("usage"), Just("\\u0075sage"), Just("us\\u0061g\\u0065")],
        value in value(), spaces in (space(), space(), space(), space()),
    ) {
        let (a, b, c, d) = spaces;
        let mut texts: Vec<String> = others.into_iter().map(|(_, text)| text).collect();
        texts.insert(at.index(texts.len() + 1), format!("{a}\"{key}\"{b}:{c}{value}{d}"));
        let doc = format!("{a}{{{}}}{d}", texts.join(","));

        let [found] = members(doc.as_bytes(), &["usage"]).unwrap();
        let found = found.unwrap();
        prop_assert_eq!(&doc[found.value.clone()], value.as_str());
        let cut = found.cut(doc.as_bytes());
        prop_assert!(cut.start <= found.key.start && found.value.end <= cut.end);
        let around = format!("{}{}", &doc[cut.start..found.key.start], &doc[found.value.end..cut.end]);
        prop_assert!(around.trim().len() <= 1 && around.trim().chars().all(|c| c == ','));

        let left = format!("{}{}", &doc[..cut.start], &doc[cut.end..]);
        let mut wanted: Value = serde_json::from_str(&doc).unwrap();
        wanted.as_object_mut().unwrap().shift_remove("usage");
        prop_assert_eq!(serde_json::from_str::<Value>(&left).unwrap(), wanted);
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(doc in proptest::collection::vec(any::<u8>(), 0..64)) {
        let accepted = members(&doc, &["a"]).is_ok();
        prop_assert!(accepted || serde_json::from_slice::<serde_json::Map<String, Value>>(&doc).is_err());
    }
}
