//! What a client sees through the gate of every kind of server, from replies that are played as they were written.

mod fixture;
mod shape;

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::units::Basis;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::raw::guard;
use crate::bench::replay::{Flow, Heard, Replay, Say, split};
use crate::bench::strict::{Ended, Page};
use crate::bench::upstream::{Options, Upstream};
use fixture::{CHAT, Fixture, Reported, Sight};
use shape::{Shape, must};

#[test]
fn a_client_library_reads_every_reply_as_one_of_openais() {
    judge(Line::Plain, |seen| {
        let shape = seen.shape()?;
        let Sight { texts, finish, usage, error, .. } = &seen.sight;
        if let Some(texts) = texts {
            let read: Vec<String> = shape.texts.values().cloned().collect();
            must(read == *texts, || format!("the texts {read:?}"))?;
        }
        if let Some(finish) = finish {
            let read: Vec<String> = shape.finish.values().cloned().collect();
            must(read == *finish, || format!("the reasons {read:?}"))?;
        }
        if let (Reported::Tokens(tokens), Some(read)) = (usage, shape.usage) {
            must(read == *tokens, || format!("the usage {read:?}"))?;
        }
        let status = error.as_ref().map_or(200, |error| error.status);
        must(seen.sight.texts.is_none() || seen.answered.status == status, || "the status".into())?;
        match (error, &shape.error) {
            (None, None) => Ok(()),
            (None, Some(read)) => must(seen.sight.texts.is_none(), || format!("the error {read}")),
            (Some(error), None) => Err(format!("no error `{}`", error.message)),
            (Some(error), Some(read)) => {
                let message = read["message"].as_str().unwrap_or_default();
                must(message.contains(&error.message), || format!("the message `{message}`"))?;
                let is = |key: &str, word: &Option<String>| word.as_ref().is_none_or(|word| read[key] == **word);
                must(is("type", &error.r#type) && is("code", &error.code), || format!("the error {read}"))
            }
        }
    });
}

#[test]
fn a_strict_browser_client_reads_every_stream() {
    judge(Line::Plain, |seen| {
        if !seen.fixture.streams() || seen.asks_usage {
            return Ok(());
        }
        let page = Page::read(&seen.answered.text());
        match (&seen.sight.error, &page.ended) {
            (None, Ended::Done) | (Some(_), Ended::Told(_)) => {}
            // OpenAI's own error within a stream breaks it too; whatever came before has been shown.
            (Some(_), Ended::Broken(line)) if line.starts_with("{\"error\":") => {}
            // Of a recording without a word on what is to be seen: an error is one.
            (None, Ended::Told(_)) if seen.sight.texts.is_none() => {}
            _ => return Err(format!("{page:?}")),
        }
        let Some(texts) = &seen.sight.texts else { return Ok(()) };
        let text = texts.first().map_or("", String::as_str);
        let shown = if seen.sight.path == CHAT { text } else { text.trim_start() };
        must(texts.len() > 1 || page.text == shown, || format!("{page:?}"))
    });
}

#[test]
fn a_reply_in_single_bytes_reads_as_the_same_in_one_piece() {
    judge(Line::Plain, |seen| {
        let Seen { answered, again, .. } = seen;
        must(again.status == answered.status, || format!("the status {}", again.status))?;
        let (one, bytes) = (nameless(&answered.text()), nameless(&again.text()));
        must(one == bytes, || format!("{bytes}\ninstead of\n{one}"))
    });
}

#[test]
fn of_a_reply_that_has_nothing_odd_not_a_byte_changes() {
    judge(Line::Plain, |seen| {
        must(!seen.sight.verbatim.holds(seen.asks_usage) || seen.is_verbatim(), || seen.answered.text())
    });
}

#[test]
fn a_line_that_wants_nothing_changed_gets_every_byte_of_its_server() {
    judge(Line::Untouched, |seen| {
        let is_own = seen.sight.path == seen.fixture.served() && (seen.asks_usage || !seen.fixture.streams());
        must(!is_own || seen.is_verbatim(), || seen.answered.text())
    });
}

#[test]
fn the_books_have_what_was_reported_and_own_up_to_what_was_not() {
    judge(Line::Plain, |seen| {
        let entry = &seen.entry;
        must(entry.status == seen.fixture.status(), || format!("the status {}", entry.status))?;
        if seen.fixture.status() >= 400 {
            return must(entry.outcome == Outcome::UpstreamError, || format!("{:?}", entry.outcome));
        }
        must(entry.outcome != Outcome::ClientClosed, || format!("{:?}", entry.outcome))?;
        let usage = entry.usage.map(|usage| [usage.input, usage.output]);
        match seen.sight.usage {
            Reported::Unsaid => Ok(()),
            Reported::Tokens(tokens) => must((usage, entry.basis) == (Some(tokens.map(Some)), Basis::Reported), || {
                format!("{usage:?} {:?}", entry.basis)
            }),
            // No tokenizer is there in these tests, so that every count is an approximation.
            Reported::None => {
                let counts =
                    usage.is_some_and(|tokens| tokens.iter().all(|count| count.is_some_and(|count| count > 0)));
                let may_be_none = seen.sight.texts.as_ref().is_some_and(|texts| texts.concat().is_empty());
                must(entry.basis == Basis::Estimated && (counts || may_be_none), || {
                    format!("{usage:?} {:?}", entry.basis)
                })
            }
        }
    });
}

#[test]
fn what_the_fixtures_call_untouched_needs_no_touch() {
    let mut count = 0;
    for fixture in Fixture::folders().iter().flatten() {
        for (sight, asks_usage) in ways(fixture).filter(|(sight, asks)| sight.verbatim.holds(*asks)) {
            let (is_chat, body) = (fixture.served() == CHAT, split(&fixture.http).1);
            assert_eq!(sight.path, fixture.served(), "{}", fixture.name);
            let shape = if fixture.streams() {
                Shape::of_stream(std::str::from_utf8(body).unwrap(), is_chat, asks_usage)
            } else {
                Shape::of_whole(&serde_json::from_slice(body).unwrap(), is_chat)
            };
            assert_eq!(shape.map(|_| ()), Ok(()), "{}", fixture.name);
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn a_server_is_asked_in_its_own_dialect_whatever_the_clients_is() {
    judge(Line::Plain, |seen| {
        let heard = seen.heard.as_ref().ok_or_else(|| format!("it was not asked: {}", seen.answered.text()))?;
        must(heard.path.contains(&seen.fixture.name), || heard.path.clone())?;
        let body: Value = serde_json::from_slice(&heard.body).map_err(|error| error.to_string())?;
        let is_chat = seen.fixture.served() == CHAT;
        let has = |key: &str| body.get(key).is_some();
        must(has("messages") == is_chat && has("prompt") != is_chat, || body.to_string())?;
        must(body["stream"] == seen.fixture.streams() || !seen.fixture.streams(), || body.to_string())
    });
}

/// Some refuse every other name, so that pages from elsewhere cannot reach them.
#[test]
fn a_server_hears_its_own_name_as_the_host_whatever_the_client_called() {
    judge(Line::Plain, |seen| {
        let heard = seen.heard.as_ref().ok_or("it was not asked")?;
        must(heard.host.starts_with("127.0.0.1:"), || format!("the host `{}`", heard.host))
    });
}

/// What is set on the line of a model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    /// Nothing.
    Plain,
    /// `normalize: false`.
    Untouched,
}

/// One way to ask, and what came of it: once in one piece, and once more in single bytes.
struct Seen {
    fixture: Arc<Fixture>,
    sight: Sight,
    asks_usage: bool,
    answered: Answered,
    again: Answered,
    /// What the server was asked the first time.
    heard: Option<Heard>,
    /// What was booked the first time.
    entry: Entry,
}

impl Seen {
    fn shape(&self) -> Result<Shape, String> {
        let is_chat = self.sight.path == CHAT;
        let kind = self.answered.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if self.fixture.streams() && self.answered.status == 200 {
            must(kind.starts_with("text/event-stream"), || format!("the type `{kind}`"))?;
            return Shape::of_stream(&self.answered.text(), is_chat, self.asks_usage);
        }
        must(kind.starts_with("application/json"), || format!("the type `{kind}`"))?;
        let document: Value = serde_json::from_slice(&self.answered.body).map_err(|error| error.to_string())?;
        Shape::of_whole(&document, is_chat)
    }

    fn is_verbatim(&self) -> bool {
        self.answered.body == split(&self.fixture.http).1 && self.answered.status == self.fixture.status()
    }
}

/// Judges every call and gathers what is wrong, so that one run tells all of it. `FIXTURE=tgi/chat` narrows it down.
fn judge(line: Line, verdict: impl Fn(&Seen) -> Result<(), String>) {
    let only = std::env::var("FIXTURE").unwrap_or_default();
    let seen = seen(line).iter().filter(|seen| seen.fixture.name.contains(&only));
    let wrong = seen.filter_map(|seen| {
        let problem = verdict(seen).err()?;
        Some(format!("{} at {} usage {}: {problem}", seen.fixture.name, seen.sight.path, seen.asks_usage))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// All calls in all ways; made once for all tests.
fn seen(line: Line) -> &'static [Seen] {
    static PLAIN: OnceLock<Vec<Seen>> = OnceLock::new();
    static UNTOUCHED: OnceLock<Vec<Seen>> = OnceLock::new();
    let calls = if line == Line::Plain { &PLAIN } else { &UNTOUCHED };
    calls.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut seen = Vec::new();
            for fixtures in Fixture::folders() {
                ask(fixtures.into_iter().map(Arc::new).collect(), line, &mut seen).await;
            }
            seen
        })
    })
}

/// Asks one server for everything.
async fn ask(fixtures: Vec<Arc<Fixture>>, line: Line, seen: &mut Vec<Seen>) {
    let (replay, gate) = stage(&fixtures, line);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for fixture in fixtures {
        for (sight, asks_usage) in ways(&fixture) {
            let (booked, heard) = (gate.entries().len(), replay.heard().len());
            let body = |flow: &str| fixture.body(&sight.path, &format!("{flow}/{}", fixture.name), asks_usage);
            let answered = guard(client.post(&sight.path, body("one").to_string())).await;
            let heard = replay.heard().into_iter().nth(heard);
            let again = guard(client.post(&sight.path, body("bytes").to_string())).await;
            let entries = gate.wait_for_entries(booked + 2).await;
            assert_eq!(entries.len(), booked + 2, "{}: {entries:#?}", fixture.name);
            let (entry, sight, fixture) = (entries[booked].clone(), sight.clone(), Arc::clone(&fixture));
            seen.push(Seen { fixture, sight, asks_usage, answered, again, heard, entry });
        }
    }
}

fn ways(fixture: &Fixture) -> impl Iterator<Item = (&Sight, bool)> {
    let usages: &[bool] = if fixture.streams() { &[false, true] } else { &[false] };
    fixture.sights.iter().flat_map(|sight| usages.iter().map(move |asks| (sight, *asks)))
}

/// A server that plays the fixtures, and a gate with two models for each: one at once, one byte by byte.
fn stage(fixtures: &[Arc<Fixture>], line: Line) -> (Replay, TestGate) {
    let replies: Vec<(String, Vec<u8>)> =
        fixtures.iter().map(|fixture| (fixture.name.clone(), fixture.http.clone())).collect();
    let replay = Replay::start(move |path| {
        let flow = if path.starts_with("/bytes/") { Flow::Bytes } else { Flow::One };
        let reply = replies.iter().find(|(name, _)| path.contains(&format!("/{name}/")));
        reply.map_or(Say::Nothing, |(_, http)| Say::recorded(http, flow))
    });
    let more = if line == Line::Untouched { "normalize: false" } else { "" };
    let lines = fixtures.iter().flat_map(|fixture| ["one", "bytes"].map(|flow| (flow, fixture)));
    let lines = lines.map(|(flow, fixture)| {
        let (at, name, path) = (replay.address, &fixture.name, fixture.served());
        // Nobody listens on port 1: tokenizers are not there.
        format!(
            r#"{{ name: "{flow}/{name}", endpointUrl: "http://{at}/{flow}/{name}{path}",
                 modelUrl: "http://127.0.0.1:1/{name}", {more} }}"#
        )
    });
    let models = format!("models: [{}]", lines.collect::<Vec<_>>().join(",\n"));
    let origin = Upstream::start(Options::default());
    (replay, TestGate::start(&origin, &models))
}

/// A reply without the names that differ between two calls.
fn nameless(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let (prefix, json) = line.split_at(line.find('{').unwrap_or(line.len()));
        let Ok(Value::Object(mut members)) = serde_json::from_str(json) else { return line.to_owned() };
        for key in ["id", "created", "model"] {
            members.remove(key);
        }
        format!("{prefix}{}", Value::Object(members))
    });
    lines.collect::<Vec<_>>().join("\n")
}
