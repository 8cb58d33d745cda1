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
