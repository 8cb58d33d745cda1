use super::*;
use crate::dialect::endpoint::Dialect::{Chat, Completion};
use crate::dialect::reply::bench::plan;
use crate::dialect::reply::join::join;

fn read(document: &str, plan: &ReplyPlan) -> WholeReply {
    WholeReply::read(Bytes::copy_from_slice(document.as_bytes()), plan).unwrap()
}

fn written(document: &str, plan: &ReplyPlan) -> Value {
    let usage = Usage { input: Some(5), output: Some(2), ..Usage::default() };
    serde_json::from_slice(&read(document, plan).write(Some(&usage))).unwrap()
}

const CHAT: &str = r#"{ "id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","x":1.50,"choices":[{"index":0,"message":{"role":"assistant","content":"one two","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
const TEXT: &str = r#"{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":" one two","index":0,"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;

#[test]
fn where_nothing_is_odd_not_a_byte_changes() {
    for (document, dialect) in [(CHAT, Chat), (TEXT, Completion)] {
        let plan = ReplyPlan { stops: vec!["three".into()], ..plan(dialect, dialect) };
        let reply = read(document, &plan);
        assert!(reply.reports_usage());
        assert_eq!(reply.write(None), document);
    }
    let tools = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let reply = read(tools, &plan(Chat, Chat));
    assert_eq!(reply.texts().iter().collect::<String>(), "f{}", "what tools are called with is written too");
    assert_eq!(reply.write(None), tools);
}

#[test]
fn what_servers_do_differently_comes_out_in_openais_form() {
    for (odd, path, wanted) in [
        (CHAT.replace("\"chat.completion\"", "\"chat.completion.chunk\""), "/object", json!("chat.completion")),
        (CHAT.replace("\"stop\"", "\"\""), "/choices/0/finish_reason", json!("stop")),
        (CHAT.replace("\"stop\"", "\"eos_token\""), "/choices/0/finish_reason", json!("stop")),
        (CHAT.replace("\"chatcmpl-1\"", "\"\""), "/id", json!("chatcmpl-own")),
        (CHAT.replace("\"created\":1,", ""), "/created", json!(1_700_000_000)),
        (CHAT.replace("\"model\":\"m\",", ""), "/model", json!("mine")),
        (CHAT.replace("\"index\":0,", ""), "/choices/0/index", json!(0)),
        (CHAT.replace("\"role\":\"assistant\",", ""), "/choices/0/message/role", json!("assistant")),
        (CHAT.replace("\"one two\"", "null"), "/choices/0/message/content", json!("")),
        (TEXT.replace("\"text\":\" one two\",", ""), "/choices/0/text", json!("")),
    ] {
        let dialect = if odd.contains("text_completion") { Completion } else { Chat };
        let out = written(&odd, &plan(dialect, dialect));
        assert_eq!(out.pointer(path), Some(&wanted), "{odd}");
        if dialect == Chat {
            assert_eq!(out["x"], 1.5, "what is merely more stays");
        }
    }
}

#[test]
fn usage_that_counts_nothing_gives_way_to_what_was_counted() {
    let counted = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    let own = r#""usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    for odd in [
        CHAT.replace(&format!(",{own}"), ""),
        CHAT.replace(own, "\"usage\":null"),
        CHAT.replace(own, r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#),
    ] {
        assert!(!read(&odd, &plan(Chat, Chat)).reports_usage());
        assert_eq!(written(&odd, &plan(Chat, Chat))["usage"], counted);
        let unknown: Value = serde_json::from_slice(&read(&odd, &plan(Chat, Chat)).write(None)).unwrap();
        assert!(unknown.get("usage").is_none());
    }
}

#[test]
fn a_completion_becomes_a_chat_and_a_chat_a_completion() {
    let out = written(TEXT, &ReplyPlan { trims_start: true, ..plan(Completion, Chat) });
    assert_eq!(
        (&out["id"], &out["object"], &out["model"]),
        (&json!("chatcmpl-1"), &json!("chat.completion"), &json!("m"))
    );
    assert_eq!(
        out["choices"][0],
        json!({"index": 0, "message": {"role": "assistant", "content": "one two", "refusal": null},
        "logprobs": null, "finish_reason": "length"})
    );
    assert_eq!(out["usage"]["total_tokens"], 3);
    let out = written(CHAT, &ReplyPlan { echo: Some("ask ".into()), first_index: 6, ..plan(Chat, Completion) });
    assert_eq!((&out["id"], &out["object"]), (&json!("cmpl-1"), &json!("text_completion")));
    assert_eq!(
        out["choices"][0],
        json!({"text": "ask one two", "index": 6, "logprobs": null, "finish_reason": "stop"})
    );
    let refused = CHAT.replace("\"one two\",\"refusal\":null", "null,\"refusal\":\"I may not\"");
    assert_eq!(written(&refused, &plan(Chat, Completion))["choices"][0]["text"], "I may not");
}

#[test]
fn a_stop_string_that_the_server_let_pass_is_enforced_with_its_probabilities() {
    let probabilities =
        r#"{"tokens":[" one"," t","wo"],"token_logprobs":[-1.0,-2.0,-3.0],"top_logprobs":null,"text_offset":[0,4,6]}"#;
    let document = TEXT.replace("\"logprobs\":null", &format!("\"logprobs\":{probabilities}"));
    let stops = ReplyPlan { stops: vec!["two".into(), " tw".into()], ..plan(Completion, Completion) };
    let reply = read(&document, &stops);
    assert_eq!(reply.texts().iter().collect::<String>(), " one two", "what was written is counted all the same");
    let out: Value = serde_json::from_slice(&reply.write(None)).unwrap();
    let choice = &out["choices"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!(" one"), &json!("stop")));
    assert_eq!(choice["logprobs"]["tokens"], json!([" one"]));
    let out = written(&document, &ReplyPlan { asked: Chat, ..stops });
    assert_eq!(out["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_reply_is_told_as_what_it_is() {
    let tell = |body: &str| WholeReply::read(Bytes::copy_from_slice(body.as_bytes()), &plan(Chat, Chat)).unwrap_err();
    assert_eq!(tell(" \n"), Unreadable::Empty);
    assert_eq!(tell("<!DOCTYPE html>"), Unreadable::Foreign("HTML"));
    assert_eq!(tell("data: {}\n\n"), Unreadable::Foreign("a stream of events"));
    assert_eq!(tell("hello"), Unreadable::Foreign("text that is no JSON"));
    assert_eq!(tell("{\"choices\":["), Unreadable::Foreign("JSON that is broken"));
    assert_eq!(tell("[1]"), Unreadable::OtherJson("object"));
    assert_eq!(tell("{\"models\":[]}"), Unreadable::OtherJson("chat.completion"));
    for error in [r#"{"error":"no"}"#, r#"{"detail":"no"}"#, r#"{"object":"error","message":"no"}"#] {
        let Unreadable::Error(body) = tell(error) else { panic!("{error}") };
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["message"], "no");
    }
    // A message beside choices is none.
    assert!(
        WholeReply::read(Bytes::from(CHAT.replace("{ \"id\"", "{\"message\":\"hi\",\"id\"")), &plan(Chat, Chat))
            .is_ok()
    );
    // An error that says nothing is none.
    assert!(
        WholeReply::read(Bytes::from(CHAT.replace("{ \"id\"", "{\"error\":null,\"id\"")), &plan(Chat, Chat)).is_ok()
    );
}

#[test]
fn a_whole_reply_can_be_told_as_a_stream() {
    let asks = ReplyPlan { asks_usage: true, ..plan(Chat, Chat) };
    let out = String::from_utf8(read(CHAT, &asks).write_stream(None).to_vec()).unwrap();
    let events: Vec<&str> = out.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[..3], [&json!({"role": "assistant", "content": ""}), &json!({"content": "one two"}), &json!({})]);
    assert_eq!((&chunks[2]["choices"][0]["finish_reason"], &chunks[3]["choices"]), (&json!("stop"), &json!([])));
    assert_eq!(chunks[3]["usage"]["total_tokens"], 3);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    let tools =
        CHAT.replace("\"content\":\"one two\"", r#""content":null,"tool_calls":[{"id":"a"},{"id":"b","index":5}]"#);
    let out = String::from_utf8(read(&tools, &plan(Chat, Chat)).write_stream(None).to_vec()).unwrap();
    assert!(out.contains(r#"{"id":"a","index":0}"#) && out.contains(r#"{"id":"b","index":5}"#), "{out}");
    let out = String::from_utf8(read(CHAT, &plan(Chat, Completion)).write_stream(None).to_vec()).unwrap();
    assert!(!out.contains("usage") && out.contains("\"text\":\"one two\"") && out.ends_with("data: [DONE]\n\n"));
}

#[test]
fn several_completions_become_one() {
    let second = ReplyPlan { first_index: 1, ..plan(Chat, Completion) };
    let parts = [read(CHAT, &plan(Chat, Completion)).write(None), read(CHAT, &second).write(None)];
    let all: Value = serde_json::from_slice(&join(&parts).unwrap()).unwrap();
    let indexes: Vec<&Value> = all["choices"].as_array().unwrap().iter().map(|choice| &choice["index"]).collect();
    assert_eq!(indexes, [&json!(0), &json!(1)]);
    assert_eq!(all["usage"], json!({"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}));
    let silent = [parts[0].clone(), Bytes::from_static(b"{\"choices\":[]}")];
    assert!(serde_json::from_slice::<Value>(&join(&silent).unwrap()).unwrap().get("usage").is_none());
    assert!(join(&[parts[0].clone(), Bytes::from_static(b"[]")]).is_none() && join(&[]).is_none());
}

#[test]
fn what_is_written_loosely_is_read_and_written_strictly() {
    for (odd, path, wanted) in [
        (CHAT.replace("1.50", "NaN"), "/x", Value::Null),
        (CHAT.replace("one two", "one \\ud83d two"), "/choices/0/message/content", json!("one \u{fffd} two")),
        (CHAT.replace("one two", "one\ntwo"), "/choices/0/message/content", json!("one\ntwo")),
        (format!("\u{feff}{CHAT}"), "/choices/0/message/content", json!("one two")),
        (
            CHAT.replace("\"one two\"", r#"[{"type":"text","text":"one"},{"type":"text","text":" two"}]"#),
            "/choices/0/message/content",
            json!("one two"),
        ),
    ] {
        assert_eq!(written(&odd, &plan(Chat, Chat)).pointer(path), Some(&wanted), "{odd}");
    }
    let mixed = r#"{"choices":[{"message":{"role":"assistant","content":"one"}},{"text":"two"}]}"#;
    for served in [Chat, Completion] {
        let out = written(mixed, &plan(served, Chat));
        assert_eq!(
            (&out["choices"][0]["message"]["content"], &out["choices"][1]["message"]["content"]),
            (&json!("one"), &json!("two"))
        );
        let out = written(mixed, &plan(served, Completion));
        assert_eq!((&out["choices"][0]["text"], &out["choices"][1]["text"]), (&json!("one"), &json!("two")));
    }
}

#[test]
fn usage_is_told_whole_though_a_server_leaves_a_part_out() {
    let own = r#""usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    for partial in [r#"{"prompt_tokens":1,"completion_tokens":2}"#, r#"{"prompt_tokens":1,"total_tokens":3}"#] {
        let odd = CHAT.replace(own, &format!("\"usage\":{partial}"));
        assert!(read(&odd, &plan(Chat, Chat)).reports_usage());
        let told = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
        assert_eq!(written(&odd, &plan(Chat, Chat))["usage"], told);
    }
    let asks = ReplyPlan { asks_usage: true, ..plan(Chat, Chat) };
    let silent = CHAT.replace(&format!(",{own}"), "");
    let out = String::from_utf8(read(&silent, &asks).write_stream(None).to_vec()).unwrap();
    assert!(!out.contains("\"choices\":[]"), "a chunk of usage without usage is none: {out}");
}

#[test]
fn a_stop_string_of_white_space_is_met_where_white_space_is_left_out() {
    let plan = ReplyPlan { trims_start: true, stops: vec!["\n\n[[".into()], ..plan(Completion, Chat) };
    for (text, shown) in [("\\n\\n[[A]] x", ""), (" a\\n\\n[[b", "a"), ("\\n\\na", "a")] {
        assert_eq!(
            written(&TEXT.replace(" one two", text), &plan)["choices"][0]["message"]["content"],
            shown,
            "{text}"
        );
    }
}

#[test]
fn no_more_alternatives_are_shown_than_were_asked_for() {
    let lists = r#"{"tokens":["x"],"token_logprobs":[-1],"top_logprobs":[{"x":-1,"y":-2}],"text_offset":[0]}"#;
    let document = TEXT.replace("\"logprobs\":null", &format!("\"logprobs\":{lists}"));
    for alternatives in [0, 1, 2] {
        let out = written(&document, &ReplyPlan { alternatives, ..plan(Completion, Chat) });
        let entry = &out["choices"][0]["logprobs"]["content"][0];
        assert_eq!((entry["top_logprobs"].as_array().unwrap().len(), &entry["logprob"]), (alternatives, &json!(-1)));
    }
}
