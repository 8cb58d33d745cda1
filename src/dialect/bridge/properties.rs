//! Arbitrary requests: translated, every member accounted for, or refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::chat_request::{ChatRequest, Fill};
use super::completion_request::{CompletionRequest, Prompt};
use super::fates::{CHAT, COMPLETION, Fate, Table};

/// JSON as it might come, and some that no parser takes whole.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES).prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((prop::sample::select(NAMES), inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Members of both tables, of none, and what they may hold.
fn members() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let tables = CHAT.iter().chain(COMPLETION).map(|(name, _)| *name).filter(|name| !OPENING.contains(name));
    let names: Vec<&'static str> = tables.chain(["top_k", "min_p", "x"]).collect();
    let value = prop_oneof![json(), prop::sample::select(FITTING).prop_map(str::to_owned)];
    proptest::collection::vec((prop::sample::select(names), value), 0..6)
}

fn body(opening: &str, members: &[(&str, String)]) -> String {
    let mut body = format!("{{{opening}");
    for (name, value) in members {
        body += &format!(",{name:?}:{value}");
    }
    body + "}"
}

/// Every member that came is there as it came, if it is to be, and nothing else is.
fn accounted(sent: &[u8], members: &[(&str, String)], table: &Table, written: &[&str]) -> Result<(), TestCaseError> {
    let text = std::str::from_utf8(sent).unwrap();
    // What goes on as it came may be more than this parser's numbers and letters.
    let parsed: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(sent).unwrap();
    for (name, value) in members.iter().filter(|(_, value)| value != "null") {
        let fate = table.iter().find(|(known, _)| known == name).map(|(_, fate)| fate);
        let member = format!(",{name:?}:{value}");
        match fate {
            None | Some(Fate::Same(_)) => prop_assert!(text.contains(&member), "{} is missing in {}", member, text),
            Some(_) => prop_assert!(written.contains(name) || !parsed.contains_key(*name), "{} is in {}", name, text),
        }
    }
    for name in parsed.keys() {
        let came = members.iter().any(|(known, _)| known == name);
        prop_assert!(came || written.contains(&&**name), "{} came from nowhere: {}", name, text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_chat_is_translated_with_every_member_accounted_for_or_refused(
        members in members(), message in json(), whole in any::<bool>()
    ) {
        let messages = if whole { r#"[{"role":"user","content":"P"}]"#.to_owned() } else { message };
        let text = body(&format!("\"messages\":{messages}"), &members);
        match ChatRequest::read(text.as_bytes()) {
            Err(refused) => prop_assert!(!refused.message.is_empty() && !refused.param.is_empty()),
            Ok(request) => {
                let stops = ["</s>".into()];
                let fill = Fill { model: "mine", prompt: "P", stops: &stops, max_tokens: 7, include_usage: true };
                let written = ["model", "prompt", "max_tokens", "stop", "logprobs", "stream", "stream_options"];
                accounted(&request.completion(&fill), &members, CHAT, &written)?;
            }
        }
    }

    #[test]
    fn a_completion_is_translated_with_every_member_accounted_for_or_refused(
        members in members(), prompt in json(), whole in any::<bool>()
    ) {
        let prompt = if whole { "\"P\"".to_owned() } else { prompt };
        let text = body(&format!("\"prompt\":{prompt}"), &members);
        match CompletionRequest::read(text.as_bytes()) {
            Err(refused) => prop_assert!(!refused.message.is_empty() && !refused.param.is_empty()),
            Ok(request) => {
                prop_assert!(request.prompts().iter().all(|prompt| *prompt != Prompt::Tokens([].into())));
                let written =
                    ["model", "messages", "max_tokens", "stop", "logprobs", "top_logprobs", "stream", "stream_options"];
                accounted(&request.chat("mine", "P", 7, true), &members, COMPLETION, &written)?;
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in json()) {
        for body in [&bytes[..], text.as_bytes()] {
            let _ = (ChatRequest::read(body), CompletionRequest::read(body));
        }
    }
}

const LEAVES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1.5",
    "1e400",
    "18446744073709551616",
    r#""""#,
    r#""none""#,
    r#""text""#,
    r#""user""#,
    r#""\ud800""#,
    r#""é\n""#,
    "[]",
    "{}",
];

const NAMES: &[&str] = &["role", "content", "type", "text", "tool_calls", "include_usage", "name"];

/// Values that many members take.
const FITTING: &[&str] = &["null", "1", "true", "false", "[]", "{}", r#""none""#, r#"{"type":"text"}"#, r#"["text"]"#];

const OPENING: &[&str] = &["messages", "prompt"];
