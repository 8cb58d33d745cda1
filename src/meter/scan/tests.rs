//! The scanner, held against a full parser.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn scan(chunks: &[&[u8]]) -> Scanner {
    let mut scanner = Scanner::new();
    chunks.iter().for_each(|chunk| scanner.feed(chunk));
    scanner
}

fn parsed(found: Option<Found<'_>>) -> Option<Value> {
    match found? {
        Found::Raw(raw) => Some(serde_json::from_slice(raw).unwrap()),
        Found::TooLong => panic!("too long"),
    }
}

#[track_caller]
fn agrees(scanner: &Scanner, document: &Value) {
    for (name, field) in FIELDS {
        let name = std::str::from_utf8(name).unwrap();
        assert_eq!(parsed(scanner.top(field)).as_ref(), document.get(name), "{name}");
        let inner = document.get("response").filter(|response| response.is_object());
        assert_eq!(
            parsed(scanner.inner(field)).as_ref(),
            inner.and_then(|response| response.get(name)),
            "inner {name}"
        );
    }
}

#[test]
fn members_are_found_at_the_top_and_inside_response_only() {
    let document = json!({"a": {"usage": 1, "response": {"id": 2}}, "choices": [{"id": "no", "text": "\\\"usage\":{\\"}],
        "response": {"id": "r", "x": {"model": "no"}, "usage": {"in": [1, {"}": "]"}]}, "response": {"model": "no"}},
        "model": "m", "usage": null, "error": false});
    for text in [document.to_string(), format!("\u{feff} {}\n", serde_json::to_string_pretty(&document).unwrap())] {
        agrees(&scan(&[text.as_bytes()]), &document);
        agrees(&scan(&text.as_bytes().chunks(1).collect::<Vec<_>>()), &document);
        for at in 0..text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            agrees(&scan(&[before, after]), &document);
        }
    }
}

#[test]
fn a_null_at_the_top_gives_way_to_the_inner_member() {
    let scanner = scan(&[br#"{"usage":null,"response":{"usage":{"a":1},"id":null}}"#]);
    assert_eq!(scanner.find(Field::Usage), Some(Found::Raw(br#"{"a":1}"#)));
    assert_eq!(scanner.find(Field::Id), None);
}

#[test]
fn what_is_no_object_gives_nothing() {
    for text in
        ["", "null", "[{\"usage\":1}]", "<html>{\"usage\":1}", "\"usage\"", "usage: 1", "{usage:1}", "{\"usage\"1}"]
    {
        let scanner = scan(&[text.as_bytes()]);
        assert!(scanner.find(Field::Usage).is_none() && !scanner.is_complete(), "{text}");
    }
}

#[test]
fn a_value_that_is_cut_off_is_not_given() {
    let text = br#"{"id":"x","usage":{"prompt_tokens":12},"model":"m"}"#;
    let cut = scan(&[&text[..37]]);
    assert_eq!((cut.find(Field::Usage), cut.find(Field::Id)), (None, Some(Found::Raw(b"\"x\""))));
    assert!(!cut.is_complete() && scan(&[text]).is_complete());
    assert_eq!(scan(&[br#"{"usage":12"#]).find(Field::Usage), None);
}

#[test]
fn a_long_value_is_reported_but_not_kept() {
    let long = format!(r#"{{"usage":{{"a":"{}"}},"id":"x"}}"#, "y".repeat(1 << 20));
    let scanner = scan(&long.as_bytes().chunks(1000).collect::<Vec<_>>());
    assert_eq!(scanner.find(Field::Usage), Some(Found::TooLong));
    assert_eq!(scanner.find(Field::Id), Some(Found::Raw(b"\"x\"")));
    assert!(scanner.kept.capacity() <= 2 * ROOM);
}

#[test]
fn repeated_members_do_not_make_it_grow() {
    let id = format!(r#""id":"{}","#, "y".repeat(60_000));
    let mut scanner = scan(&[b"{"]);
    for _ in 0..1000 {
        scanner.feed(id.as_bytes());
    }
    scanner.feed(br#""model":"m"}"#);
    assert!(scanner.kept.capacity() <= 2 * ROOM);
    assert!(scanner.is_complete());
}

#[test]
fn the_last_of_repeated_members_wins_as_a_whole() {
    let scanner = scan(&[br#"{"id":1,"response":{"id":2,"model":3},"id":4,"response":{"id":5}}"#]);
    agrees(&scanner, &json!({"id": 4, "response": {"id": 5}}));
    agrees(&scan(&[br#"{"response":{"id":2},"response":[{"id":3}]}"#]), &json!({}));
}

#[test]
fn a_key_with_an_escape_is_no_wanted_key() {
    agrees(&scan(&[br#"{"us\"age":1,"i\\d":2,"\"usage":3}"#]), &json!({}));
}

#[test]
fn a_restart_forgets_the_last_document() {
    let mut scanner = scan(&[br#"{"response":{"usage":{"a":1},"id":"#]);
    scanner.restart();
    scanner.feed(br#"{"model":"m"}"#);
    agrees(&scanner, &json!({"model": "m"}));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\{}\\[\\],:\n\u{e9}\u{1f30a} ]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((keys(), inner), 0..6).prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn keys() -> impl Strategy<Value = String> {
    let known = [
        "id",
        "model",
        "usage",
        "response",
        "error",
        "type",
        "code",
        "object",
        "service_tier",
        "choices",
        "",
        "status",
        "seconds",
        "tool_usage",
        "trained_tokens",
        "background",
        "output",
    ];
    prop_oneof![3 => prop::sample::select(known.to_vec()).prop_map(String::from), 1 => "[a-z\"\\\\{]{0,24}"]
}

proptest! {
    #[test]
    fn it_agrees_with_a_full_parser_at_any_chunking(
        members in vec((keys(), values()), 0..10), sizes in vec(1_usize..40, 1..20), pretty: bool,
    ) {
        let document = Value::from(members.into_iter().collect::<Map<_, _>>());
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let mut scanner = Scanner::new();
        let mut rest = text.as_bytes();
        for size in sizes.into_iter().cycle() {
            if rest.is_empty() { break }
            let (piece, after) = rest.split_at(size.min(rest.len()));
            scanner.feed(piece);
            rest = after;
        }
        prop_assert!(scanner.is_complete());
        agrees(&scanner, &document);
    }

    #[test]
    fn no_bytes_make_it_panic(text in "[{}\\[\\]\",:\\\\a-z0-9 ]{0,120}", raw in vec(any::<u8>(), 0..60)) {
        scan(&[text.as_bytes(), &raw]);
        scan(&[b"{\"usage\":", &raw]);
    }
}
