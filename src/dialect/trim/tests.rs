//! Trimming: only what the client must not see goes; the rest stays byte for byte.

use super::*;
use crate::dialect::rewrite::Rewriter;

const BOTH: Trim = Trim { usage: true, empty_chunks: true };
const USAGE_ONLY: Trim = Trim { usage: true, empty_chunks: false };
const EMPTY_ONLY: Trim = Trim { usage: false, empty_chunks: true };

fn trimmed(trim: Trim, stream: &str) -> String {
    let mut rewriter = Rewriter::new(trim);
    let mut out: Vec<u8> = rewriter.feed(Bytes::copy_from_slice(stream.as_bytes()), |_| {}).flatten().collect();
    out.extend(rewriter.finish(|_| {}).into_iter().flatten());
    String::from_utf8(out).unwrap()
}

fn data(trim: Trim, json: &str) -> String {
    let out = trimmed(trim, &format!("data: {json}\n\n"));
    out.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap_or(&out).to_owned()
}

#[test]
fn a_member_goes_with_one_comma_and_nothing_else() {
    for (json, left) in [
        (r#"{"usage":null}"#, "{}"),
        (r#"{ "usage" : null }"#, "{  }"),
        (r#"{"usage":null,"choices":[1]}"#, r#"{"choices":[1]}"#),
        (r#"{"usage": {"a":[1,{}]} , "choices": [1]}"#, r#"{"choices": [1]}"#),
        (r#"{"a": 1, "usage": null, "choices":[{}]}"#, r#"{"a": 1, "choices":[{}]}"#),
        (r#"{"choices":[{}] , "usage" : null  }"#, r#"{"choices":[{}]  }"#),
        (r#"{"usage":null,"usage":{},"choices":[1]}"#, r#"{"choices":[1]}"#),
        (r#"{"choices":[1],"usage":1,"usage":2}"#, r#"{"choices":[1]}"#),
        (r#"{"usage":null,"usage":null}"#, "{}"),
    ] {
        assert_eq!(data(USAGE_ONLY, json), left, "{json}");
    }
}

#[test]
fn a_chunk_with_choices_keeps_everything_but_usage() {
    let json = r#"{"id":"x","choices":[{"delta":{"content":"\"usage\":null"},"usage":7}],"usage":{"prompt_tokens":1}}"#;
    let left = r#"{"id":"x","choices":[{"delta":{"content":"\"usage\":null"},"usage":7}]}"#;
    assert_eq!(data(USAGE_ONLY, json), left);
    assert_eq!(data(EMPTY_ONLY, json), json);
}

#[test]
fn the_usage_chunk_goes_however_it_is_written() {
    for json in [
        r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
        "{ \"choices\" : [ \t] , \"usage\" : { } }",
        r#"{"usage":{},"choices":null}"#,
        r#"{"id":"x","usage":{"prompt_tokens":1}}"#,
    ] {
        assert_eq!(data(USAGE_ONLY, json), "", "{json}");
    }
}

#[test]
fn empty_chunks_go_unless_they_carry_what_the_client_asked_for() {
    let filter = r#"{"choices": [ ],"prompt_filter_results":[]}"#;
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
    let null = r#"{"choices":[],"usage":null}"#;
    assert_eq!([data(EMPTY_ONLY, filter), data(EMPTY_ONLY, usage), data(EMPTY_ONLY, null)], ["", usage, ""]);
    assert_eq!([data(BOTH, filter), data(BOTH, usage), data(BOTH, null)], ["", "", ""]);
    assert_eq!(data(USAGE_ONLY, filter), filter);
}

#[test]
fn errors_ends_and_what_is_no_chunk_are_kept() {
    for json in [
        "[DONE]",
        r#"{"error":{"message":"about \"usage\""},"choices":[]}"#,
        r#"{"choices":[],"usage":{}"#,
        r#"["usage",{"choices":[]}]"#,
        r#""usage""#,
        r#"{"choices":[{"delta":{"content":"a"}}],"x":{"usage":1,"choices":[]}}"#,
    ] {
        assert_eq!(data(BOTH, json), json);
    }
    assert_eq!(
        data(USAGE_ONLY, r#"{"error":{"code":5},"usage":null,"choices":[]}"#),
        r#"{"error":{"code":5},"choices":[]}"#
    );
}

#[test]
fn comments_names_and_the_order_of_fields_stay() {
    let stream = ": a\r\nevent: e\r\ndata:{\"usage\":null,\r\nid: 4\r\ndata: \"choices\":[2]}\r\n\r\n: ping\r\n\r\n";
    let left = ": a\r\nevent: e\r\ndata:{\r\nid: 4\r\ndata: \"choices\":[2]}\r\n\r\n: ping\r\n\r\n";
    assert_eq!(trimmed(USAGE_ONLY, stream), left);
}
