//! A reply that is a stream of events.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::choice::{Course, Ended};
use super::chunk::{Chunk, counts};
use super::errors::error_body;
use super::plan::ReplyPlan;
use super::stops::Stops;
use super::texts::Texts;
use super::words::{arguments, object_name, prefix, usage_object};
use crate::dialect::bridge::finish::reason_in;
use crate::dialect::bridge::logprobs;
use crate::dialect::endpoint::Dialect;
use crate::dialect::rewrite::{Pieces, Run};
use crate::dialect::sse::{Event, Splitter};
use crate::dialect::trim::{Trim, Verdict};
use crate::units::Usage;

/// Brings a stream into the client's form, event by event.
#[derive(Debug)]
pub struct ReplyStream {
    splitter: Splitter,
    state: State,
}

impl ReplyStream {
    /// At the beginning of a stream.
    pub fn new(plan: ReplyPlan) -> Self {
        let stops = Stops::new(&plan.stops);
        Self { splitter: Splitter::new(), state: State { stops, ..State::new(plan) } }
    }

    /// Takes the next bytes of the server's stream, shows every event that ends in them as it came, and gives what
    /// goes out. After [`ReplyStream::is_over`] nothing does.
    pub fn feed(&mut self, chunk: Bytes, mut on_event: impl FnMut(&Event)) -> Pieces {
        let mut run = Run::over(chunk.clone());
        let Self { splitter, state } = self;
        splitter.feed(chunk, |event| {
            on_event(&event);
            state.take(event, &mut run);
        });
        run.finish()
    }

    /// The server's stream is at its end: an event without its blank line, text that was held back, and the last
    /// chunk of choices that the server left open. Called again it gives nothing.
    pub fn end(&mut self, mut on_event: impl FnMut(&Event)) -> Pieces {
        let mut run = Run::over(Bytes::new());
        if let Some(event) = mem::take(&mut self.splitter).finish() {
            on_event(&event);
            self.state.take(event, &mut run);
        }
        self.state.end(&mut run);
        run.finish()
    }

    /// The last of all: usage where the client asked for it, the server's own if it reports one, and `[DONE]`.
    pub fn close(&mut self, usage: Option<&Usage>) -> Pieces {
        let mut pieces = Pieces::default();
        let state = &mut self.state;
        if state.failed || !state.plan.last {
            return pieces;
        }
        if state.plan.asks_usage {
            let chunk = state.usage_event.take().or_else(|| {
                let reported = state.usage.take();
                let usage = reported.or_else(|| usage.map(usage_object))?;
                Some(event(&usage_chunk(&state.plan, &state.head, usage)))
            });
            pieces.push(chunk.unwrap_or_default());
        }
        pieces.push(state.done.take().unwrap_or(DONE));
        pieces
    }

    /// Whether nothing more is wanted of the server: `[DONE]`, an error, or every choice met a stop string.
    pub fn is_over(&self) -> bool {
        self.state.over
    }

    /// Whether the gate ended it by a stop string before the server did.
    pub fn is_cut_short(&self) -> bool {
        self.state.cut_short
    }

    /// Whether the server reported a usage that counts something.
    pub fn reports_usage(&self) -> bool {
        self.state.usage.is_some() || self.state.usage_event.is_some()
    }

    /// Whether it ended in an error: of the server's own, or because what it sent is no stream of the dialect.
    pub fn has_failed(&self) -> bool {
        self.state.failed
    }

    /// What the model wrote, before any stop string was enforced.
    pub fn texts(&self) -> &Texts {
        &self.state.texts
    }
}

/// The end of a reply that was put together of several streams: usage where the client asked for it, and `[DONE]`.
pub fn closing(plan: &ReplyPlan, usage: Option<&Usage>) -> Bytes {
    let mut end = Vec::new();
    if let Some(usage) = usage.filter(|_| plan.asks_usage) {
        end.extend(event(&usage_chunk(plan, &Head::of(plan), usage_object(usage))));
    }
    end.extend(DONE);
    end.into()
}

/// Everything but the splitting.
#[derive(Debug)]
struct State {
    plan: ReplyPlan,
    stops: Stops,
    courses: BTreeMap<u32, Course>,
    texts: Texts,
    /// What every chunk of the reply has in common; known with the first one.
    head: Head,
    begun: bool,
    /// The last usage that counts something.
    usage: Option<Value>,
    /// The same as the event that it came in, where that can go out as it is.
    usage_event: Option<Bytes>,
    /// `[DONE]` as it came.
    done: Option<Bytes>,
    /// The beginning of what could not be understood.
    stray: Vec<u8>,
    over: bool,
    ended: bool,
    failed: bool,
    cut_short: bool,
}

impl State {
    fn new(plan: ReplyPlan) -> Self {
        let head = Head::of(&plan);
        Self {
            plan,
            stops: Stops::new(&[]),
            courses: BTreeMap::new(),
            texts: Texts::default(),
            head,
            begun: false,
            usage: None,
            usage_event: None,
            done: None,
            stray: Vec::new(),
            over: false,
            ended: false,
            failed: false,
            cut_short: false,
        }
    }

    fn take(&mut self, came: Event, run: &mut Run) {
        if self.over {
            return;
        }
        if came.is_opaque() {
            return self.opaque(came, run);
        }
        let Some(data) = came.data() else {
            // A comment keeps the connection alive and says nothing.
            match came.raw.strip_prefix(b"error:") {
                // llama.cpp's older servers.
                Some(error) => self.fail(error.trim_ascii(), run),
                None if came.raw.starts_with(b":") => {}
                None => self.keep_stray(&came.raw),
            }
            return;
        };
        let is_plain =
            came.raw.len() == data.len() + 8 && came.raw.starts_with(b"data: ") && came.raw.ends_with(b"\n\n");
        if data.starts_with(b"[DONE]") {
            self.done = (is_plain && *data == *b"[DONE]").then(|| came.raw.clone());
            self.over = true;
            return;
        }
        let light: Option<Chunk<'_>> = serde_json::from_slice(&data).ok();
        if light.as_ref().is_some_and(Chunk::is_error) {
            return self.fail(&data, run);
        }
        if is_plain && let Some(light) = &light {
            match self.judge(light, &came) {
                Judged::Keep => return self.keep(came, run),
                Judged::Hold => return,
                Judged::Mend => {}
            }
        }
        match serde_json::from_slice::<Value>(&data) {
            Ok(Value::Object(chunk)) => self.mend(chunk, run),
            _ => self.keep_stray(&came.raw),
        }
    }

    /// Whether an event can go out as it came; if so, its text has been taken note of.
    fn judge(&mut self, chunk: &Chunk<'_>, came: &Event) -> Judged {
        let dialect = self.plan.asked;
        if self.plan.translates() || self.plan.first_index > 0 || !chunk.has_sound_head(dialect) {
            return Judged::Mend;
        }
        let id: Option<String> = chunk.id.and_then(|id| serde_json::from_str(id.get()).ok());
        if self.begun && id.as_deref() != Some(&self.head.id) {
            return Judged::Mend;
        }
        let usage = chunk.usage.filter(|usage| usage.get() != "null");
        if chunk.is_sound_usage(dialect) {
            let usage = usage.and_then(|usage| serde_json::from_str(usage.get()).ok()).filter(counts);
            let Some(usage) = usage else { return Judged::Hold };
            self.usage = Some(usage);
            self.usage_event = Some(came.raw.clone());
            return Judged::Hold;
        }
        if usage.is_some() {
            return Judged::Mend;
        }
        let mut said = Vec::new();
        for choice in chunk.choices.iter().flatten() {
            let index = choice.index.unwrap_or_default();
            let course = self.courses.get(&index);
            let opened = course.is_some_and(|course| course.opened);
            // A choice that ended, or whose text does not simply go through, is for the slow way.
            let clear = match course {
                Some(course) => course.is_clear(&self.plan),
                None => Course::default().is_clear(&self.plan),
            };
            let sound = choice.sound(dialect, opened).filter(|_| clear && index < MOST_CHOICES);
            let Some(sound) = sound.filter(|sound| self.stops.lets_pass(&sound.text)) else { return Judged::Mend };
            said.push((index, sound));
        }
        if said.is_empty() {
            return Judged::Mend;
        }
        if !mem::replace(&mut self.begun, true) {
            let value = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
            let head = [("id", chunk.id), ("created", chunk.created), ("model", chunk.model)];
            let head = head.into_iter().filter_map(|(name, raw)| Some((name.to_owned(), value(raw)?))).collect();
            self.head.take(&head, &self.plan);
        }
        for (index, sound) in said {
            self.texts.add(index, &sound.text);
            let course = self.courses.entry(index).or_default();
            course.opened |= sound.opens;
            if sound.ends {
                course.ended = Some(Ended::ByServer);
            }
        }
        Judged::Keep
    }

    fn keep(&self, came: Event, run: &mut Run) {
        let trim = Trim { usage: !self.plan.asks_usage, empty_chunks: false };
        match trim.apply(&came) {
            Verdict::Keep => run.keep(came.raw),
            Verdict::Drop => {}
            Verdict::Replace(bytes) => run.insert(bytes),
        }
    }

    /// An event that is too large to be read.
    fn opaque(&mut self, came: Event, run: &mut Run) {
        if self.plan.translates() {
            return self
                .fail(br#"{"error":{"message":"the server sent an event that is too large to be translated"}}"#, run);
        }
        run.keep(came.raw);
    }

    fn keep_stray(&mut self, raw: &[u8]) {
        let room = LONGEST_STRAY.saturating_sub(self.stray.len());
        self.stray.extend_from_slice(&raw[..raw.len().min(room)]);
    }

    fn fail(&mut self, error: &[u8], run: &mut Run) {
        let mended = error_body(error, 500);
        let body = mended.as_deref().unwrap_or(error);
        let mut event = b"data: ".to_vec();
        event.extend(body.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
        event.extend(b"\n\n");
        run.insert(event.into());
        self.failed = true;
        self.over = true;
    }

    /// The slow way: what goes out is written anew.
    fn mend(&mut self, mut chunk: Map<String, Value>, run: &mut Run) {
        if let Some(usage) = chunk.remove("usage").filter(counts) {
            self.usage = Some(usage);
            self.usage_event = None;
        }
        let Some(Value::Array(choices)) = chunk.remove("choices") else { return };
        if choices.is_empty() {
            return;
        }
        if !mem::replace(&mut self.begun, true) {
            self.head.take(&chunk, &self.plan);
        }
        for (place, choice) in (0..).zip(choices) {
            let Value::Object(choice) = choice else { continue };
            let index = choice.get("index").and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
            let index = index.unwrap_or(place);
            if index >= MOST_CHOICES {
                continue;
            }
            for out in self.choice(index, choice) {
                let out = self.chunk(&chunk, out);
                run.insert(event(&out));
            }
        }
        self.look_for_the_end();
    }

    /// What goes out of one choice: choices in the client's dialect.
    fn choice(&mut self, index: u32, mut choice: Map<String, Value>) -> Vec<Map<String, Value>> {
        let Self { plan, stops, courses, texts, .. } = self;
        let course = courses.entry(index).or_default();
        if course.ended.is_some() {
            return Vec::new();
        }
        let mut rest = Map::new();
        let came = match plan.served {
            Dialect::Chat => {
                let delta = match choice.remove("delta").or_else(|| choice.remove("message")) {
                    Some(Value::Object(delta)) => delta,
                    _ => Map::new(),
                };
                let text = written(&delta, plan.asked);
                rest = delta;
                text
            }
            _ => choice.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        texts.add(index, &came);
        texts.add(index, &arguments(&rest));
        let word = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
        let mut finish = reason_in(plan.asked, word);
        let text = match course.pass(&came, plan, stops) {
            Ok(text) if finish.is_some() => text + &course.finish(plan),
            Ok(text) => text,
            Err(text) => {
                finish = Some("stop");
                text
            }
        };
        let shown = plan.first_index.saturating_add(index);
        let logprobs = choice.remove("logprobs").unwrap_or_default();
        let said = Said { index: shown, text, finish, logprobs, rest };
        match (plan.served, plan.asked) {
            (Dialect::Chat, Dialect::Chat) => said.chat(choice, course),
            (_, Dialect::Chat) => said.chat_of_completion(course),
            (Dialect::Chat, _) => said.completion_of_chat(course).into_iter().collect(),
            _ => said.completion(choice).into_iter().collect(),
        }
    }

    /// A chunk of the client's dialect around one choice.
    fn chunk(&self, came: &Map<String, Value>, choice: Map<String, Value>) -> Map<String, Value> {
        let mut chunk = if self.plan.translates() { Map::new() } else { came.clone() };
        self.head.put(&mut chunk, &self.plan);
        if self.plan.translates() {
            for name in KEPT {
                if let Some(value) = came.get(name) {
                    chunk.insert(name.into(), value.clone());
                }
            }
        }
        chunk.insert("choices".into(), Value::Array(vec![Value::Object(choice)]));
        if self.plan.asks_usage {
            chunk.insert("usage".into(), Value::Null);
        }
        chunk
    }

    fn look_for_the_end(&mut self) {
        let ended = self.courses.values().filter(|course| course.ended.is_some()).count();
        let by_gate = self.courses.values().any(|course| course.ended == Some(Ended::ByGate));
        if by_gate && ended == self.courses.len() && ended >= self.plan.choices as usize {
            self.over = true;
            self.cut_short = true;
        }
    }

    fn end(&mut self, run: &mut Run) {
        if mem::replace(&mut self.ended, true) || self.failed {
            return;
        }
        if self.courses.is_empty() {
            let error = if is_error(&self.stray) {
                self.stray.clone()
            } else {
                let message = stray_message(&self.stray);
                let code = "upstream_unreadable";
                let error = json!({"message": message, "type": "server_error", "param": null, "code": code});
                json!({ "error": error }).to_string().into_bytes()
            };
            return self.fail(&error, run);
        }
        let open: Vec<u32> =
            self.courses.iter().filter(|(_, course)| course.ended.is_none()).map(|(index, _)| *index).collect();
        for index in open {
            let mut last = Map::new();
            last.insert("finish_reason".into(), "stop".into());
            for out in self.choice(index, last) {
                let out = self.chunk(&Map::new(), out);
                run.insert(event(&out));
            }
        }
    }
}

/// What is to be done with an event.
enum Judged {
    /// Nothing is odd: it goes out as it came.
    Keep,
    /// It says something that is told at the end.
    Hold,
    /// It must be written anew.
    Mend,
}

/// What one choice of one chunk says.
struct Said {
    index: u32,
    text: String,
    finish: Option<&'static str>,
    logprobs: Value,
    /// The delta of a chat, without what is said above.
    rest: Map<String, Value>,
}

impl Said {
    fn chat(self, mut choice: Map<String, Value>, course: &mut Course) -> Vec<Map<String, Value>> {
        let Self { index, text, finish, logprobs, mut rest } = self;
        let mut out = Vec::new();
        let role = rest.remove("role").filter(Value::is_string);
        if !mem::replace(&mut course.opened, true) {
            out.push(opening(index, &role.unwrap_or_else(|| "assistant".into())));
        }
        let has_content = rest.remove("content").is_some_and(|content| content.is_string());
        if !text.is_empty() || has_content && finish.is_none() && rest.values().any(|value| !value.is_null()) {
            rest.insert("content".into(), text.into());
        }
        let says = rest.values().any(|value| !value.is_null() && *value != "");
        if !says && finish.is_none() {
            return out;
        }
        if !says {
            rest.clear();
        }
        choice.insert("index".into(), index.into());
        choice.insert("delta".into(), Value::Object(rest));
        choice.insert("logprobs".into(), logprobs);
        choice.insert("finish_reason".into(), finish.map_or(Value::Null, Into::into));
        out.push(choice);
        out
    }

    fn chat_of_completion(self, course: &mut Course) -> Vec<Map<String, Value>> {
        let Self { index, text, finish, logprobs, .. } = self;
        let mut out = Vec::new();
        if !mem::replace(&mut course.opened, true) {
            out.push(opening(index, &"assistant".into()));
        }
        if !text.is_empty() {
            out.push(object(json!({
                "index": index, "delta": {"content": text}, "logprobs": logprobs::to_chat(&logprobs), "finish_reason": null,
            })));
        }
        if let Some(finish) = finish {
            out.push(object(json!({ "index": index, "delta": {}, "logprobs": null, "finish_reason": finish })));
        }
        out
    }

    fn completion_of_chat(self, course: &Course) -> Option<Map<String, Value>> {
        let Self { index, text, finish, logprobs, .. } = self;
        if text.is_empty() && finish.is_none() {
            return None;
        }
        let offset = course.letters.saturating_sub(text.chars().count());
        let logprobs = logprobs::to_completion(&logprobs, offset);
        Some(object(json!({ "text": text, "index": index, "logprobs": logprobs, "finish_reason": finish })))
    }

    fn completion(self, mut choice: Map<String, Value>) -> Option<Map<String, Value>> {
        let Self { index, text, finish, logprobs, .. } = self;
        if text.is_empty() && finish.is_none() {
            return None;
        }
        choice.insert("text".into(), text.into());
        choice.insert("index".into(), index.into());
        choice.insert("logprobs".into(), logprobs);
        choice.insert("finish_reason".into(), finish.map_or(Value::Null, Into::into));
        Some(choice)
    }
}

/// What all chunks of a reply have in common.
#[derive(Clone, Debug)]
struct Head {
    id: String,
    created: Value,
    model: Value,
}

impl Head {
    fn of(plan: &ReplyPlan) -> Self {
        let id = format!("{}{}", prefix(plan.asked), plan.id);
        Self { id, created: plan.created.into(), model: (*plan.model).into() }
    }

    /// Takes over what the server's first chunk says.
    fn take(&mut self, chunk: &Map<String, Value>, plan: &ReplyPlan) {
        let text = |name: &str| chunk.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(id) = text("id") {
            self.id = match plan.translates() {
                true => format!("{}{}", prefix(plan.asked), id.strip_prefix(prefix(plan.served)).unwrap_or(id)),
                false => id.to_owned(),
            };
        }
        if let Some(model) = text("model") {
            self.model = model.into();
        }
        if let Some(created) = chunk.get("created").filter(|created| created.is_u64() && created.as_u64() != Some(0)) {
            self.created = created.clone();
        }
    }

    fn put(&self, chunk: &mut Map<String, Value>, plan: &ReplyPlan) {
        chunk.insert("id".into(), self.id.as_str().into());
        chunk.insert("object".into(), object_name(plan.asked, true).into());
        chunk.insert("created".into(), self.created.clone());
        chunk.insert("model".into(), self.model.clone());
    }
}

fn usage_chunk(plan: &ReplyPlan, head: &Head, usage: Value) -> Map<String, Value> {
    let mut chunk = Map::new();
    head.put(&mut chunk, plan);
    chunk.insert("choices".into(), Value::Array(Vec::new()));
    chunk.insert("usage".into(), usage);
    chunk
}

fn opening(index: u32, role: &Value) -> Map<String, Value> {
    object(json!({
        "index": index, "delta": {"role": role, "content": ""}, "logprobs": null, "finish_reason": null,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The text that a delta adds; in a completion a refusal is text too.
fn written(delta: &Map<String, Value>, asked: Dialect) -> String {
    let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
    let content = text("content");
    if content.is_empty() && asked != Dialect::Chat { text("refusal").to_owned() } else { content.to_owned() }
}

fn event(chunk: &Map<String, Value>) -> Bytes {
    let mut bytes = b"data: ".to_vec();
    // A map of JSON values can always be written.
    let _ = serde_json::to_writer(&mut bytes, chunk);
    bytes.extend(b"\n\n");
    bytes.into()
}

/// Whether what came instead of a stream is an error in some form of JSON.
fn is_error(stray: &[u8]) -> bool {
    let Ok(Value::Object(document)) = serde_json::from_slice(stray) else { return false };
    ["error", "detail", "message"].iter().any(|name| document.get(*name).is_some_and(|value| !value.is_null()))
}

fn stray_message(stray: &[u8]) -> &'static str {
    let text = stray.trim_ascii_start();
    let begins = |mark: &[u8]| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    match text {
        [] => "the server ended its stream before it had begun",
        _ if begins(b"<!doctype") || begins(b"<html") => "the server answered with HTML in the place of a stream",
        [b'{' | b'[', ..] => "the server answered with a JSON document in the place of a stream",
        _ => "the server answered with something that is no stream of events",
    }
}

/// Members of a chunk that mean the same in both dialects.
const KEPT: [&str; 2] = ["service_tier", "system_fingerprint"];
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
/// OpenAI's own bound on `n`, for each of several prompts.
const MOST_CHOICES: u32 = 4096;
/// Bytes kept of what is no stream, to say what it is instead.
const LONGEST_STRAY: usize = 64 << 10;

#[cfg(test)]
mod tests;
