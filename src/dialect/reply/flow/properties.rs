//! Arbitrary streams: cut anywhere, the client reads the text up to the first stop string.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::endpoint::Dialect::{self, Chat, Completion};
use crate::dialect::reply::bench::{chunks, plan};
use crate::dialect::reply::stream::ReplyStream;

/// A server's stream: who says what, and how it is written.
#[derive(Clone, Debug)]
struct Spoken {
    served: Dialect,
    pieces: Vec<(u32, String)>,
    /// The last piece of a choice says why it ends.
    ends: bool,
    done: bool,
    /// `\n` or `\r\n`.
    line: &'static str,
    /// OpenAI's own head, or none.
    sound: bool,
    pinged: bool,
}

impl Spoken {
    fn events(&self) -> Vec<String> {
        let Self { line, .. } = self;
        let mut events = Vec::new();
        for (at, (index, piece)) in self.pieces.iter().enumerate() {
            let opens = !self.pieces[..at].iter().any(|(other, _)| other == index);
            let ends = self.ends && !self.pieces[at + 1..].iter().any(|(other, _)| other == index);
            let finish = ends.then_some("length");
            let mut choices = Vec::new();
            if self.served == Chat && opens && self.sound {
                let delta = json!({"role": "assistant", "content": ""});
                choices.push(json!({"index": index, "delta": delta, "finish_reason": null}));
            }
            choices.push(match self.served {
                Chat if opens && !self.sound => {
                    json!({"index": index, "delta": {"role": "assistant", "content": piece}, "finish_reason": finish})
                }
                Chat => json!({"index": index, "delta": {"content": piece}, "finish_reason": finish}),
                _ => json!({"index": index, "text": piece, "finish_reason": finish}),
            });
            for choice in choices {
                let mut chunk = json!({ "choices": [choice] });
                if self.sound {
                    let object = if self.served == Chat { "chat.completion.chunk" } else { "text_completion" };
                    let head = json!({"id": "x-1", "object": object, "created": 1, "model": "m"});
                    chunk.as_object_mut().unwrap().extend(head.as_object().unwrap().clone());
                }
                events.push(format!("data: {chunk}{line}{line}"));
            }
            if self.pinged {
                events.push(format!(": ping{line}{line}"));
            }
        }
        if self.done {
            events.push(format!("data: [DONE]{line}{line}"));
        }
        events
    }

    fn said(&self, index: u32) -> String {
        self.pieces.iter().filter(|(of, _)| *of == index).map(|(_, piece)| &**piece).collect()
    }
}

/// The text up to the first stop string; and whether there is one.
fn up_to_stop<'a>(text: &'a str, stops: &[Box<str>]) -> (&'a str, bool) {
    let ends = (1..=text.len()).filter(|end| text.is_char_boundary(*end));
    let first = ends.filter_map(|end| {
        let fitting = stops.iter().filter(|stop| text[..end].ends_with(&***stop));
        fitting.map(|stop| end - stop.len()).min()
    });
    first.clone().next().map_or((text, false), |at| (&text[..at], true))
}

/// The text without its longest end that may be the beginning of a stop string.
fn free<'a>(text: &'a str, stops: &[Box<str>]) -> &'a str {
    let begins = |at: &usize| stops.iter().any(|stop| stop.starts_with(&text[*at..]));
    let at = text.char_indices().map(|(at, _)| at).find(begins).unwrap_or(text.len());
    &text[..at]
}

fn text_of(sent: &str, index: u32) -> String {
    let choices = chunks(sent).into_iter().flat_map(|chunk| chunk["choices"].as_array().cloned().unwrap_or_default());
    let of = choices.filter(|choice| choice["index"] == index);
    of.filter_map(|choice| choice["text"].as_str().or(choice["delta"]["content"].as_str()).map(str::to_owned)).collect()
}

fn fed(pieces: impl IntoIterator<Item = Bytes>, plan: &ReplyPlan) -> String {
    let mut reply = ReplyStream::new(plan.clone());
    let mut out: Vec<Bytes> = Vec::new();
    for piece in pieces {
        out.extend(reply.feed(piece, |_| {}));
    }
    out.extend(reply.end(|_| {}));
    out.extend(reply.close(None));
    String::from_utf8(out.concat()).unwrap()
}

fn spoken() -> impl Strategy<Value = Spoken> {
    let piece = (0_u32..3, "[ab\n 日é]{0,5}");
    let dialect = prop_oneof![Just(Chat), Just(Completion)];
    let line = prop_oneof![Just("\n"), Just("\r\n")];
    let flags = any::<(bool, bool, bool, bool)>();
    (dialect, proptest::collection::vec(piece, 1..8), line, flags).prop_map(
        |(served, pieces, line, (ends, done, sound, pinged))| Spoken {
            served,
            pieces,
            ends,
            done,
            line,
            sound,
            pinged,
        },
    )
}

fn planned() -> impl Strategy<Value = ReplyPlan> {
    let asked = prop_oneof![Just(Chat), Just(Completion)];
    let stops = proptest::collection::vec("[ab\n日é]{1,4}", 0..4);
    (asked, stops, any::<bool>(), any::<bool>()).prop_map(|(asked, stops, trims_start, asks_usage)| ReplyPlan {
        stops: stops.into_iter().map(Into::into).collect(),
        trims_start,
        asks_usage,
        choices: 3,
        ..plan(Chat, asked)
    })
}

proptest! {
    #[test]
    fn a_client_reads_the_text_up_to_the_first_stop_string_however_the_stream_is_cut(
        spoken in spoken(), wanted in planned(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)
    ) {
        let plan = ReplyPlan { served: spoken.served, ..wanted };
        let plan = ReplyPlan { trims_start: plan.trims_start && plan.translates(), ..plan };
        let stream: Bytes = spoken.events().concat().into();
        let out = fed([stream.clone()], &plan);
        for index in 0..3 {
            let said = spoken.said(index);
            let (shown, _) = up_to_stop(&said, &plan.stops);
            let shown = if plan.trims_start { shown.trim_start() } else { shown };
            prop_assert_eq!(text_of(&out, index), shown);
            let finishes = chunks(&out).iter().filter(|chunk| {
                let choice = &chunk["choices"][0];
                choice["index"] == index && !choice["finish_reason"].is_null()
            }).count();
            let spoke = spoken.pieces.iter().any(|(of, _)| *of == index);
            prop_assert_eq!(finishes, usize::from(spoke));
        }
        prop_assert!(out.ends_with("data: [DONE]\n\n"));
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| stream.slice(pair[0]..pair[1]));
        prop_assert_eq!(&fed(pieces, &plan), &out);
        let bytes = (0..stream.len()).map(|at| stream.slice(at..=at));
        prop_assert_eq!(fed(bytes, &plan), out);
    }

    #[test]
    fn no_more_is_held_back_than_may_be_the_beginning_of_a_stop_string(spoken in spoken(), wanted in planned()) {
        let plan = ReplyPlan { served: spoken.served, trims_start: false, ..wanted };
        let spoken = Spoken { ends: false, done: false, ..spoken };
        let mut reply = ReplyStream::new(plan.clone());
        let (mut out, mut so_far) = (String::new(), 0);
        let alone = spoken.events().len() == spoken.pieces.len();
        for event in spoken.events() {
            let sent = reply.feed(event.clone().into(), |_| {}).collect::<Vec<_>>().concat();
            out += std::str::from_utf8(&sent).unwrap();
            so_far += 1;
            if !alone {
                continue;
            }
            let heard = Spoken { pieces: spoken.pieces[..so_far].to_vec(), ..spoken.clone() };
            for index in 0..3 {
                let said = heard.said(index);
                let (shown, stopped) = up_to_stop(&said, &plan.stops);
                prop_assert_eq!(text_of(&out, index), if stopped { shown } else { free(shown, &plan.stops) });
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_goes_out_is_events_of_json(
        stream in proptest::collection::vec(prop::sample::select(SCRAPS), 0..20),
        wanted in planned(), chat in any::<bool>()
    ) {
        let plan = ReplyPlan { served: if chat { Chat } else { Completion }, ..wanted };
        let out = fed([Bytes::from(stream.concat())], &plan);
        prop_assert!(out.is_empty() || out.ends_with("\n\n"));
        for event in out.split_terminator("\n\n") {
            let data = event.strip_prefix("data: ").unwrap();
            prop_assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).unwrap().is_object(), "{}", data);
        }
    }
}

/// What a stream may be made of, and what it may not.
const SCRAPS: &[&[u8]] = &[
    b"data: ",
    b"data:",
    b"\n\n",
    b"\r\n\r\n",
    b"\r\r",
    b"event: error\n",
    b": x\n",
    b"\xEF\xBB\xBF",
    b"<html>",
    b"[DONE]",
    b"null}",
    b"{\"error\":",
    b"{\"choices\":[{\"index\":0,\"text\":\"a\"}]}",
    b"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}",
    b"{\"choices\":[{\"index\":4096,\"delta\":7,\"logprobs\":{\"content\":[1,{}],\"tokens\":[2]}}]}",
    b"{\"choices\":[7,null,{}],\"usage\":{\"prompt_tokens\":1}}",
    b"{\"choices\":[{\"text\":\"\\ud800\",\"finish_reason\":\"eos\"}],\"usage\":7}",
];
