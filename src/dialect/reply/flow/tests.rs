use serde_json::json;

use super::*;
use crate::dialect::endpoint::Dialect::{Chat, Completion};
use crate::dialect::reply::bench::{SOUND, chunks, plan, sent, strictly};
use crate::dialect::reply::stream::ReplyStream;

/// A chunk of a completion with these members of its choice.
fn text(members: &str) -> String {
    format!("data: {{\"id\":\"cmpl-1\",\"choices\":[{{\"index\":0,{members}}}]}}\n\n")
}

fn error_of(sent: &str) -> Value {
    chunks(sent).pop().unwrap()["error"].clone()
}

#[test]
fn however_lines_and_fields_are_written_the_same_comes_out() {
    let mut lines = SOUND.to_owned();
    lines = lines.replace("\"choices\"", "\ndata:\"choices\"").replace("data:\"", "data: \"");
    for odd in [
        SOUND.replace("\n\n", "\r\n\r\n"),
        SOUND.replace("\n\n", "\r\r"),
        SOUND.replace("data: ", "data:"),
        SOUND.replace("data: ", ": a comment\ndata: "),
        SOUND.replace("data: ", "event: message\nid: 7\nretry: 10\ndata: "),
        SOUND.replace("data: [", "event: ping\n\nretry: 3\n\n: x\n\nid: 4\n\ndata: ["),
        format!("\u{feff}{SOUND}"),
        SOUND.replace("\n\ndata: [DONE]", "\n\n\n\n\ndata:  [DONE] "),
        SOUND.trim_end().to_owned(),
        SOUND.replace("data: [DONE]\n\n", ""),
        SOUND.replace("data: [DONE]\n\n", "").trim_end().to_owned(),
        lines,
    ] {
        let out = sent(&odd, &plan(Chat, Chat));
        assert_eq!(strictly(&out), "one two", "{odd}");
        assert!(out.ends_with("data: [DONE]\n\n") && !out.contains('\r') && !out.contains("\n:"), "{out}");
        let ended: Vec<Value> = chunks(&out).iter().map(|chunk| chunk["choices"][0]["finish_reason"].clone()).collect();
        assert_eq!(ended, [Value::Null, Value::Null, Value::Null, json!("stop")], "{out}");
    }
}

#[test]
fn what_servers_write_beside_the_standard_is_read_for_what_it_means() {
    for (choice, shown) in [
        (r#""text":"a\ud83d""#, "a\u{fffd}"),
        (r#""text":"a","logprobs":{"token_logprobs":[NaN],"tokens":["a"]}"#, "a"),
        (r#""delta":{"content":"a"}"#, "a"),
        (r#""message":{"content":"a"}"#, "a"),
        (r#""delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#, "ab"),
        (r#""delta":{"role":"assistant","content":"a"},"text":null"#, "a"),
    ] {
        for (served, asked) in [(Completion, Chat), (Chat, Completion), (Chat, Chat), (Completion, Completion)] {
            let out = sent(&text(choice), &plan(served, asked));
            assert_eq!(strictly(&out), shown, "{choice} {served:?} {asked:?}");
        }
    }
    let broken = b"data: {\"choices\":[{\"text\":\"x\xffy\"}]}\n\n";
    let mut reply = ReplyStream::new(plan(Completion, Chat));
    let out: Vec<Bytes> = reply.feed(Bytes::from_static(broken), |_| {}).collect();
    assert_eq!(strictly(std::str::from_utf8(&out.concat()).unwrap()), "x\u{fffd}y");
    // Halves that the client can put together again stay what they are.
    let halves = SOUND.replace("\"one\"", r#""\ud83d""#).replace("\" two\"", r#""\ude00""#);
    assert_eq!(sent(&halves, &plan(Chat, Chat)), halves);
}

#[test]
fn an_error_is_one_in_whatever_form_and_place() {
    for error in [
        "data: {\"error\":{\"message\":\"no\"},\"choices\":\"x\"}\n\n",
        "data: {\"error\":{\"message\":\"no\"},\"choices\":[{\"index\":-1}]}\n\n",
        "data: {\"message\":\"no\",\"code\":500}\n\n",
        "event: error\ndata: {\"message\":\"no\"}\n\n",
        "event: error\ndata: no\n\n",
        "error: {\"message\":\"no\"}\n\n",
        "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502,\"message\":\"no\"}}\n\n",
    ] {
        for begun in ["", &SOUND[..SOUND.find("data: [").unwrap()]] {
            for asked in [Chat, Completion] {
                let out = sent(&format!("{begun}{error}data: [DONE]\n\n"), &plan(Chat, asked));
                assert_eq!(error_of(&out)["message"], "no", "{error}");
                assert!(!out.contains("[DONE]"), "an error is the last");
            }
        }
    }
    // What merely talks is none.
    for talk in
        ["data: ping\n\n", "data: {}\n\n", "data: \n\n", "data: {\"error\":null,\"choices\":[]}\n\n", "data: 7\n\n"]
    {
        assert_eq!(sent(&format!("{talk}{SOUND}"), &plan(Chat, Chat)), SOUND, "{talk}");
    }
    assert_eq!(
        sent("data: {\"type\":\"message_start\",\"message\":{}}\n\n", &plan(Chat, Chat)).matches("begun").count(),
        1
    );
}

#[test]
fn an_answer_that_lacks_an_event_does_not_look_whole() {
    let role = SOUND.find("\n\n").unwrap() + 2;
    for broken in [
        format!("{}data: {{\"choices\":[{{\"del\n\n{}", &SOUND[..role], &SOUND[role..]),
        format!("data: {{\"choices\":\n\n{SOUND}"),
        SOUND[..SOUND.len() - 40].to_owned(),
    ] {
        for asked in [Chat, Completion] {
            let out = sent(&broken, &plan(Chat, asked));
            assert!(error_of(&out)["message"].as_str().unwrap().contains("broken JSON"), "{out}");
            assert!(!out.contains("[DONE]"));
        }
    }
}

#[test]
fn an_event_beyond_all_bounds_passes_or_is_told_and_is_never_held() {
    let huge = format!("data: {{\"choices\":[{{\"text\":\"{}\"}}]}}\n\n", "x".repeat(crate::dialect::sse::BOUND));
    let give = |asked| {
        let mut reply = ReplyStream::new(plan(Completion, asked));
        let mut out: Vec<Bytes> = reply.feed(huge.clone().into(), |_| {}).collect();
        out.extend(reply.end(|_| {}));
        (out.concat(), reply.has_failed())
    };
    let (out, failed) = give(Chat);
    assert!(failed && String::from_utf8(out).unwrap().contains("too large to be translated"));
    let (out, _) = give(Completion);
    assert!(out.starts_with(huge.as_bytes()));
}

#[test]
fn usage_is_told_whole_though_a_server_leaves_a_part_out() {
    for (usage, told) in [
        (r#"{"prompt_tokens":3,"completion_tokens":2}"#, json!([3, 2, 5])),
        (r#"{"prompt_tokens":3,"total_tokens":5}"#, json!([3, 2, 5])),
        (r#"{"completion_tokens":2,"total_tokens":5}"#, json!([3, 2, 5])),
        (r#"{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3}"#, json!([3, 0, 3])),
        // What is none gives way to what was counted.
        (r#"{"total_tokens":5}"#, json!([5, 2, 7])),
        (r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, json!([5, 2, 7])),
        (r#"{"prompt_tokens":9,"total_tokens":5}"#, json!([5, 2, 7])),
        ("[]", json!([5, 2, 7])),
        ("{}", json!([5, 2, 7])),
    ] {
        let chunk = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",";
        for (served, event) in [
            (Chat, format!("{chunk}\"choices\":[],\"usage\":{usage}}}\n\n")),
            (Chat, format!("{chunk}\"usage\":{usage}}}\n\n")),
            (Chat, format!("{chunk}\"choices\":[{{\"index\":0,\"delta\":{{}}}}],\"usage\":{usage}}}\n\n")),
        ] {
            let stream = SOUND.replace("data: [DONE]", &format!("{event}data: [DONE]"));
            let out = sent(&stream, &ReplyPlan { asks_usage: true, ..plan(served, Chat) });
            let last = chunks(&out).pop().unwrap();
            let read = ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| last["usage"][name].clone());
            assert_eq!((json!(read), &last["choices"]), (told.clone(), &json!([])), "{event}");
        }
    }
}

#[test]
fn what_a_model_writes_beside_its_text_is_counted_in_a_sound_stream_too() {
    let tools = SOUND.replace(
        r#""delta":{"content":" two"}"#,
        r#""delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{1}"}}],"reasoning_content":"hm","function_call":{"name":"g","arguments":"2"}}"#,
    );
    let mut reply = ReplyStream::new(plan(Chat, Chat));
    let out: Vec<Bytes> = reply.feed(tools.clone().into(), |_| {}).collect();
    assert_eq!(out.concat(), tools.as_bytes()[..tools.find("data: [").unwrap()], "not a byte changes");
    assert_eq!(reply.texts().iter().collect::<String>(), "onehmf{1}g2");
    let mut mended = ReplyStream::new(plan(Chat, Chat));
    let _ = mended.feed(tools.replace("\n\n", "\r\n\r\n").into(), |_| {}).count();
    assert_eq!(mended.texts().iter().collect::<String>(), "onehmf{1}g2");
}

#[test]
fn log_probabilities_go_out_with_their_text_and_no_more_alternatives_than_asked_for() {
    let tokens = |tokens: &[&str]| {
        let lists: Vec<Value> = tokens.iter().map(|token| json!({*token: -1, "other": -2})).collect();
        let said: String = tokens.concat();
        text(&format!(
            r#""text":{},"logprobs":{{"tokens":{},"token_logprobs":{},"top_logprobs":{},"text_offset":{}}}"#,
            json!(said),
            json!(tokens),
            json!(vec![-1; tokens.len()]),
            json!(lists),
            json!(vec![0; tokens.len()])
        ))
    };
    let stream = [tokens(&["a", "EN"]), tokens(&["D"]), tokens(&["b", "E"]), tokens(&["ND", "never"])].concat();
    for (stop, shown) in
        [("END!", vec!["a", "EN", "D", "b", "E", "ND", "never"]), ("ENDb", vec!["a"]), ("DbEND", vec!["a", "EN"])]
    {
        for alternatives in [0, 1, 2] {
            let plan = ReplyPlan { stops: vec![stop.into()], alternatives, ..plan(Completion, Chat) };
            let out = chunks(&sent(&stream, &plan));
            let mut read = Vec::new();
            for chunk in &out {
                let choice = &chunk["choices"][0];
                let entries = choice["logprobs"]["content"].as_array().cloned().unwrap_or_default();
                assert!(entries.iter().all(|entry| entry["top_logprobs"].as_array().unwrap().len() == alternatives));
                read.extend(entries.iter().map(|entry| entry["token"].as_str().unwrap().to_owned()));
            }
            assert_eq!(read, shown, "{stop}");
        }
        let plan = ReplyPlan { stops: vec![stop.into()], ..plan(Completion, Completion) };
        let out = chunks(&sent(&stream, &plan));
        let read = out
            .iter()
            .flat_map(|chunk| chunk["choices"][0]["logprobs"]["tokens"].as_array().cloned().unwrap_or_default());
        assert_eq!(read.collect::<Vec<_>>(), shown, "{stop}");
    }
}

#[test]
fn a_stop_string_of_white_space_is_met_where_white_space_is_left_out() {
    for (pieces, shown) in [(&["\n", "\n[[A", "]] x"][..], ""), (&[" a", "\n\n[[b"], "a"), (&["\n ", "\na\n"], "a\n")] {
        let stream: String = pieces.iter().map(|piece| text(&format!("\"text\":{}", json!(piece)))).collect();
        let plan = ReplyPlan { stops: vec!["\n\n[[".into()], trims_start: true, ..plan(Completion, Chat) };
        let out = sent(&stream, &plan);
        assert_eq!(strictly(&out), shown, "{pieces:?}");
        assert_eq!(chunks(&out).last().unwrap()["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn the_server_is_let_go_when_each_choice_was_stopped_or_ended() {
    let say = |index: u32, more: &str| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":{index},{more}}}]}}\n\n"
        )
    };
    let plan = ReplyPlan { stops: vec!["END".into()], choices: 2, ..plan(Completion, Completion) };
    let (stopped, ended) = (say(0, r#""text":"aEND""#), say(1, r#""text":"b","finish_reason":"length""#));
    for (stream, over) in [
        (format!("{stopped}{ended}"), true),
        (format!("{ended}{stopped}"), true),
        (stopped, false),
        (format!("{ended}{}", ended.replace("\"index\":1", "\"index\":0")), false),
    ] {
        let mut reply = ReplyStream::new(plan.clone());
        let _ = reply.feed(stream.clone().into(), |_| {}).count();
        assert_eq!((reply.is_over(), reply.is_cut_short()), (over, over), "{stream}");
    }
}

/// A sound chunk of a chat with these members of its own and of its choice.
fn chat(head: &str, choice: &str) -> String {
    let fixed = r#""id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m""#;
    let all = if head.is_empty() { fixed.to_owned() } else { head.to_owned() };
    format!("data: {{{all},\"choices\":[{{\"index\":0,{choice}}}]}}\n\n")
}

#[test]
fn the_head_of_a_chunk_is_mended_where_it_is_not_openais() {
    let (role, text) = (r#""delta":{"role":"assistant","content":""}"#, r#""delta":{"content":"a"}"#);
    for head in [
        r#""id":"other","object":"chat.completion.chunk","created":1,"model":"m""#,
        r#""id":"","object":"chat.completion.chunk","created":1,"model":"m""#,
        r#""id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m""#,
        r#""id":"chatcmpl-1","object":"chat.completion.chunk","created":1.5,"model":"m""#,
        r#""id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"""#,
        r#""id":"chatcmpl-1","object":"chat.completion.chunk","created":1"#,
        r#""id":"chatcmpl-1","object":"chat.completion.chunk","model":"m""#,
    ] {
        let out = sent(&format!("{}{}", chat("", role), chat(head, text)), &plan(Chat, Chat));
        let last = &chunks(&out)[1];
        assert_eq!((&last["id"], &last["object"]), (&json!("chatcmpl-1"), &json!("chat.completion.chunk")), "{head}");
        assert_eq!((&last["created"], &last["model"]), (&json!(1), &json!("m")), "{head}");
        // Where it is the first, what is missing is the gate's own.
        let first = chunks(&sent(&chat(head, text), &plan(Chat, Chat))).remove(0);
        assert!(first["created"].is_u64() && first["model"].as_str().is_some_and(|model| !model.is_empty()), "{first}");
    }
    let zero = r#""id":"c","created":0,"model":"m""#;
    assert_eq!(chunks(&sent(&chat(zero, text), &plan(Chat, Chat)))[0]["created"], 1_700_000_000);
}

#[test]
fn a_choice_is_mended_where_it_is_not_openais() {
    let role = chat("", r#""delta":{"role":"assistant","content":""}"#);
    for (choice, delta, finish) in [
        (r#""delta":{"role":"assistant","content":"a"}"#, json!({"content": "a"}), Value::Null),
        (r#""delta":{"role":"assistant","content":"a"},"finish_reason":"eos""#, json!({"content": "a"}), json!("stop")),
        (r#""delta":{},"finish_reason":"max_tokens""#, json!({}), json!("length")),
        (r#""delta":{"content":""},"finish_reason":"eos_token""#, json!({}), json!("stop")),
        (
            r#""delta":{"role":"assistant","content":"","reasoning_content":"hm"}"#,
            json!({"reasoning_content": "hm", "content": ""}),
            Value::Null,
        ),
        (r#""delta":{"content":"","reasoning":"hm"},"finish_reason":"eos""#, json!({"reasoning": "hm"}), json!("stop")),
        (r#""delta":{"content":"a"},"text":"a""#, json!({"content": "a"}), Value::Null),
    ] {
        let out = sent(&format!("{role}{}", chat("", choice)), &plan(Chat, Chat));
        let last = &chunks(&out)[1]["choices"][0];
        assert_eq!((&last["delta"], &last["finish_reason"]), (&delta, &finish), "{choice}");
        assert!(last.get("text").is_none());
    }
}

#[test]
fn what_means_the_same_in_both_dialects_is_told_in_the_other() {
    let head = r#""id":"chatcmpl-1","created":1,"model":"m","system_fingerprint":"fp","service_tier":"flex","x":1"#;
    let out = chunks(&sent(&chat(head, r#""delta":{"content":"a"}"#), &plan(Chat, Completion)));
    assert_eq!((&out[0]["system_fingerprint"], &out[0]["service_tier"]), (&json!("fp"), &json!("flex")));
    assert!(out[0].get("x").is_none());
}

#[test]
fn choices_beyond_what_any_client_asks_for_are_left_out() {
    for (index, shown) in [(4095, "a"), (4096, ""), (u32::MAX, "")] {
        let far = text("\"text\":\"a\"").replace("\"index\":0", &format!("\"index\":{index}"));
        let stream = format!("{}{far}", text("\"text\":\"\""));
        assert_eq!(strictly(&sent(&stream, &plan(Completion, Completion))), shown, "{index}");
    }
}

#[test]
fn usage_beside_text_is_told_at_the_end_though_all_else_is_sound() {
    let usage = |output: u64| {
        format!("\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":{output},\"total_tokens\":{}}}", 3 + output)
    };
    let beside = SOUND.replace("]}", &format!("],{}}}", usage(1))).replace("[DONE],", "[DONE]");
    let only = format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],{}}}\n\n",
        usage(7)
    );
    // A later one counts, also where the one before could have gone out as it came.
    let later = beside.replacen("data: ", &format!("{only}data: "), 1);
    for stream in [beside, later] {
        for asks_usage in [false, true] {
            let out = chunks(&sent(&stream, &ReplyPlan { asks_usage, ..plan(Chat, Chat) }));
            let told: Vec<&Value> = out.iter().filter(|chunk| chunk["usage"].is_object()).collect();
            assert_eq!(told.len(), usize::from(asks_usage));
            assert!(told.iter().all(|chunk| chunk["choices"] == json!([]) && chunk["usage"]["total_tokens"] == 4));
        }
    }
}

#[test]
fn log_probabilities_of_thoughts_stay_with_them() {
    let thought = r#""delta":{"reasoning_content":"hm"},"logprobs":{"content":[{"token":"hm","logprob":-1}]}"#;
    let said = r#""delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-2}]}"#;
    let stream = format!("{}{}", chat(r#""id":"c""#, thought), chat(r#""id":"c""#, said));
    let out = chunks(&sent(&stream, &plan(Chat, Chat)));
    let tokens: Vec<&Value> = out.iter().map(|chunk| &chunk["choices"][0]["logprobs"]["content"][0]["token"]).collect();
    assert_eq!(tokens, [&Value::Null, &json!("hm"), &json!("a"), &Value::Null]);
}

#[test]
fn log_probabilities_of_a_token_that_is_no_text_yet_go_out_with_the_next() {
    let piece = |said: &str, token: &str| {
        let head = r#""id":"cmpl-1","object":"text_completion","created":1,"model":"m""#;
        let lists =
            format!("{{\"tokens\":[{token:?}],\"token_logprobs\":[-1],\"top_logprobs\":null,\"text_offset\":[0]}}");
        format!(
            "data: {{{head},\"choices\":[{{\"index\":0,\"text\":{said:?},\"logprobs\":{lists}}}],\"usage\":{{}}}}\n\n"
        )
    };
    let sound = piece("é", "<b>").replace(",\"usage\":{}", "");
    let stream = piece("", "<a>") + &sound;
    for asked in [Chat, Completion] {
        let out = chunks(&sent(&stream, &plan(Completion, asked)));
        let all: String = out.iter().map(|chunk| chunk["choices"][0]["logprobs"].to_string()).collect();
        assert!(all.find("<a>").unwrap() < all.find("<b>").unwrap(), "{all}");
    }
}

#[test]
fn offsets_of_tokens_count_letters_from_the_beginning_of_the_text() {
    let piece = |said: &str| {
        chat(
            "",
            &format!(r#""delta":{{"content":{said:?}}},"logprobs":{{"content":[{{"token":{said:?},"logprob":-1}}]}}"#),
        )
    };
    let out = chunks(&sent(&["né", "日", "x"].map(piece).concat(), &plan(Chat, Completion)));
    let offsets: Vec<&Value> = out.iter().map(|chunk| &chunk["choices"][0]["logprobs"]["text_offset"][0]).collect();
    assert_eq!(offsets[..3], [&json!(0), &json!(2), &json!(3)]);
}
