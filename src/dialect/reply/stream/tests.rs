use serde_json::{Value, json};

use super::*;
use crate::dialect::endpoint::Dialect::{Chat, Completion};
use crate::dialect::reply::bench::{SOUND, chunks, plan, sent, strictly};

#[test]
fn where_nothing_is_odd_not_a_byte_changes() {
    assert_eq!(sent(SOUND, &plan(Chat, Chat)), SOUND);
    // Also with stop strings that it does not meet.
    let watched = ReplyPlan { stops: vec!["three".into(), "zz".into()], ..plan(Chat, Chat) };
    assert_eq!(sent(SOUND, &watched), SOUND);
    let usage = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
    let with_usage = SOUND.replace("data: [DONE]", &format!("{usage}\n\ndata: [DONE]"));
    assert_eq!(sent(&with_usage, &ReplyPlan { asks_usage: true, ..plan(Chat, Chat) }), with_usage);
    assert_eq!(sent(&with_usage, &plan(Chat, Chat)), SOUND, "usage that only the gate asked for");
    let nulls = with_usage.replace("\"finish_reason\":null}]}", "\"finish_reason\":null}],\"usage\":null}");
    assert_eq!(sent(&nulls, &plan(Chat, Chat)), SOUND);
    let mut reply = ReplyStream::new(plan(Chat, Chat));
    let chunk = Bytes::from_static(SOUND.as_bytes());
    let pieces: Vec<Bytes> = reply.feed(chunk.clone(), |_| {}).collect();
    assert_eq!((pieces.len(), pieces[0].as_ptr()), (1, chunk.as_ptr()), "neighbours go out as one piece");
    assert_eq!(reply.texts().iter().collect::<Vec<_>>(), ["one two"]);
}

#[test]
fn what_servers_do_differently_comes_out_in_openais_form() {
    let odd = SOUND.replace("\n\n", "\r\n\r\n").replace("data: {", ": ping\r\nid: 7\r\nevent: message\r\ndata:{");
    let odd = odd.replace("\"object\":\"chat.completion.chunk\"", "\"object\":\"chat.completion\"");
    let odd = odd.replace("\"finish_reason\":null", "\"finish_reason\":\"\"").replace("\"stop\"", "\"eos_token\"");
    let odd = odd.replace("data: [DONE]\r\n\r\n", "");
    let out = sent(&odd, &plan(Chat, Chat));
    let (expected, chunks) = (chunks(SOUND), chunks(&out));
    assert!(out.ends_with("data: [DONE]\n\n") && !out.contains('\r') && !out.contains("ping"));
    assert_eq!(chunks.len(), expected.len());
    for (chunk, expected) in chunks.iter().zip(&expected) {
        assert_eq!((&chunk["object"], &chunk["id"]), (&expected["object"], &expected["id"]));
        let (choice, expected) = (&chunk["choices"][0], &expected["choices"][0]);
        assert_eq!((&choice["delta"], &choice["finish_reason"]), (&expected["delta"], &expected["finish_reason"]));
    }
    assert_eq!(chunks[1]["x"], 1.5, "what is merely more stays");
}

#[test]
fn a_role_goes_out_first_once_and_alone() {
    let stream = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"a\"}}]}\n\n\
                  data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"b\"}}]}\n\n\
                  data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"c\"}}]}\n\n";
    let out = sent(stream, &ReplyPlan { choices: 2, ..plan(Chat, Chat) });
    let deltas: Vec<Value> = chunks(&out).iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    let role = json!({"role": "assistant", "content": ""});
    let text = |text: &str| json!({ "content": text });
    assert_eq!(deltas, [role.clone(), text("a"), text("b"), role, text("c"), json!({}), json!({})]);
    assert!(chunks(&out).iter().all(|chunk| chunk["id"] == "chatcmpl-own" && chunk["created"] == 1_700_000_000));
    assert_eq!(strictly(&out), "abc");
}

#[test]
fn usage_in_odd_places_is_told_once_and_only_to_who_asked() {
    let choice = |text: &str, usage: &str| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":null}}],\"usage\":{usage}}}\n\n"
        )
    };
    let (zero, one) = (
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        r#"{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}"#,
    );
    let two = r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
    for (stream, told) in [
        (
            choice("a", zero) + &choice("b", zero),
            json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}),
        ),
        (choice("a", one) + &choice("b", two), json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})),
        (
            choice("a", "null") + &choice("b", one),
            json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}),
        ),
        (choice("a", one) + &choice("b", zero), json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4})),
    ] {
        for asked in [Completion, Chat] {
            let out = sent(&stream, &plan(Completion, asked));
            assert!(!out.contains("usage"), "{out}");
            assert_eq!(strictly(&out), "ab");
            let all = chunks(&sent(&stream, &ReplyPlan { asks_usage: true, ..plan(Completion, asked) }));
            let (last, before) = all.split_last().unwrap();
            assert_eq!((&last["usage"], &last["choices"]), (&told, &json!([])));
            assert!(before.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
        }
    }
}

#[test]
fn a_completion_becomes_a_chat_and_a_chat_a_completion() {
    let stream = "data: {\"id\":\"cmpl-7\",\"object\":\"text_completion\",\"created\":3,\"model\":\"tiny\",\"choices\":[{\"text\":\"\\n\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n\
                  data: {\"id\":\"cmpl-7\",\"choices\":[{\"text\":\" héllo\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";
    let out = sent(stream, &ReplyPlan { trims_start: true, ..plan(Completion, Chat) });
    let all = chunks(&out);
    let said: Vec<(&Value, &Value)> =
        all.iter().map(|chunk| (&chunk["choices"][0]["delta"], &chunk["choices"][0]["finish_reason"])).collect();
    assert_eq!(
        said,
        [
            (&json!({"role": "assistant", "content": ""}), &Value::Null),
            (&json!({"content": "héllo"}), &Value::Null),
            (&json!({}), &json!("length")),
        ]
    );
    assert!(all.iter().all(|chunk| chunk["id"] == "chatcmpl-7" && chunk["model"] == "tiny" && chunk["created"] == 3));

    let echo = ReplyPlan { echo: Some("ask: ".into()), first_index: 4, ..plan(Chat, Completion) };
    let all = chunks(&sent(SOUND, &echo));
    assert!(all.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == "cmpl-1"));
    let said: Vec<(&Value, &Value, &Value)> = all
        .iter()
        .map(|chunk| &chunk["choices"][0])
        .map(|choice| (&choice["text"], &choice["index"], &choice["finish_reason"]))
        .collect();
    assert_eq!(
        said,
        [
            (&json!("ask: one"), &json!(4), &Value::Null),
            (&json!(" two"), &json!(4), &Value::Null),
            (&json!(""), &json!(4), &json!("stop")),
        ]
    );
}

#[test]
fn a_stop_string_ends_a_choice_wherever_it_is_cut_and_the_stream_when_all_are_ended() {
    let say = |index: u32, text: &str| {
        format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"index\":{index},\"text\":{},\"finish_reason\":null}}]}}\n\n",
            json!(text)
        )
    };
    let stops = ReplyPlan { stops: vec!["\nUser:".into()], choices: 2, ..plan(Completion, Chat) };
    let stream = [
        say(0, "a\n"),
        say(1, "b"),
        say(0, "Us"),
        say(0, "er: x"),
        say(0, "never"),
        say(1, "c\nUser:"),
        say(1, "late"),
    ]
    .concat();
    let out = sent(&stream, &stops);
    let text = |index: u32| -> String {
        let all = chunks(&out);
        let of = all.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
        of.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
    };
    assert_eq!((text(0), text(1)), ("a".into(), "bc".into()));
    assert_eq!(chunks(&out).iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count(), 2);
    let mut reply = ReplyStream::new(stops.clone());
    let _ = reply.feed(stream.into(), |_| {}).count();
    assert!(reply.is_over() && reply.is_cut_short());
    // What turns out to be no stop string goes out after all.
    let out = sent(&say(0, "a\nUse"), &ReplyPlan { choices: 1, ..stops });
    assert_eq!(strictly(&out), "a\nUse");
}

#[test]
fn an_error_is_the_last_that_goes_out() {
    for error in [
        r#"{"error":{"message":"no","type":"server_error","param":null,"code":null}}"#,
        r#"{"error":"no"}"#,
        r#"{"object":"error","message":"no","code":500}"#,
        r#"{"detail":"no"}"#,
    ] {
        let stream = SOUND.replace("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{}", &format!("data: {error}\n\ndata: {{\"choices\":[{{\"delta\":{{}}"));
        let out = sent(&stream, &plan(Chat, Chat));
        let all = chunks(&out);
        assert_eq!(all.last().unwrap()["error"]["message"], "no", "{out}");
        assert!(!out.contains("[DONE]") && all.len() == 4);
    }
}

#[test]
fn what_is_no_stream_is_told_as_what_it_is() {
    for (stream, says) in [
        ("", "before it had begun"),
        (": ping\n\n: ping\n\n", "before it had begun"),
        ("data: [DONE]\n\n", "before it had begun"),
        ("<!DOCTYPE html><html>\n\n<body>", "HTML"),
        ("{\"hello\":1}", "JSON document"),
        ("data: hello\n\ndata: world\n\n", "no stream of events"),
    ] {
        for asked in [Chat, Completion] {
            let out = sent(stream, &plan(Completion, asked));
            let all = chunks(&out);
            assert_eq!(all.len(), 1, "{out}");
            assert!(all[0]["error"]["message"].as_str().unwrap().contains(says), "{out}");
        }
    }
    let out = sent("{\"error\":{\"message\":\"gone\",\"type\":\"x\"}}", &plan(Chat, Chat));
    assert_eq!(chunks(&out)[0]["error"]["message"], "gone");
}

#[test]
fn one_of_several_streams_leaves_the_end_to_the_last() {
    let middle = ReplyPlan { last: false, asks_usage: true, ..plan(Chat, Completion) };
    let out = sent(SOUND, &middle);
    assert!(!out.contains("[DONE]") && chunks(&out).iter().all(|chunk| chunk["usage"].is_null()));
    let usage = Usage { input: Some(7), output: Some(1), ..Usage::default() };
    let end = String::from_utf8(closing(&middle, Some(&usage)).to_vec()).unwrap();
    assert!(end.ends_with("data: [DONE]\n\n"));
    assert_eq!(chunks(&end)[0]["usage"]["total_tokens"], 8);
}
