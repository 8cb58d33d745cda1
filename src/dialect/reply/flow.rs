//! The events of a stream, one after the other, brought into the client's form.

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::choice::{Course, Ended, Piece};
use super::chunk::Chunk;
use super::errors::error_body;
use super::head::{Head, event};
use super::lenient;
use super::plan::ReplyPlan;
use super::said::Said;
use super::stops::Stops;
use super::stray::Stray;
use super::texts::Texts;
use super::words::{arguments, is_error, reported, written};
use crate::dialect::bridge::finish::reason_in;
use crate::dialect::endpoint::Dialect;
use crate::dialect::rewrite::Run;
use crate::dialect::sse::Event;
use crate::dialect::trim::{Trim, Verdict};

/// A stream on its way: everything but the splitting.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) plan: ReplyPlan,
    stops: Stops,
    courses: BTreeMap<u32, Course>,
    /// What the model wrote.
    pub(super) texts: Texts,
    /// What every chunk of the reply has in common; known with the first one.
    pub(super) head: Head,
    begun: bool,
    /// The last usage that counts something.
    pub(super) usage: Option<Value>,
    /// The same as the event that it came in, where that can go out as it is.
    pub(super) usage_event: Option<Bytes>,
    /// `[DONE]` as it came.
    pub(super) done: Option<Bytes>,
    stray: Stray,
    /// Nothing more is wanted of the server.
    pub(super) over: bool,
    ended: bool,
    /// An event went out that was too large to be read.
    passed_unread: bool,
    /// It ended in an error.
    pub(super) failed: bool,
    /// A stop string ended it before the server did.
    pub(super) cut_short: bool,
}

impl Flow {
    /// At the beginning of a stream.
    pub(super) fn new(plan: ReplyPlan) -> Self {
        let (head, stops) = (Head::of(&plan), Stops::new(&plan.stops));
        Self {
            plan,
            stops,
            courses: BTreeMap::new(),
            texts: Texts::default(),
            head,
            begun: false,
            usage: None,
            usage_event: None,
            done: None,
            stray: Stray::default(),
            over: false,
            ended: false,
            passed_unread: false,
            failed: false,
            cut_short: false,
        }
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, came: Event, run: &mut Run) {
        if self.over {
            return;
        }
        if came.is_opaque() {
            return self.opaque(came, run);
        }
        let Some(data) = came.data() else { return self.wordless(&came.raw, run) };
        let is_plain =
            came.raw.len() == data.len() + 8 && came.raw.starts_with(b"data: ") && came.raw.ends_with(b"\n\n");
        if data.trim_ascii().starts_with(b"[DONE]") {
            self.done = (is_plain && *data == *b"[DONE]").then(|| came.raw.clone());
            self.over = true;
            return;
        }
        let light: Option<Chunk<'_>> = serde_json::from_slice(&data).ok();
        if light.as_ref().is_some_and(Chunk::is_error) || came.name() == Some("error") {
            return self.fail(&data, run);
        }
        if is_plain && let Some(light) = &light {
            match self.judge(light, &came) {
                Judged::Keep => return self.keep(came, run),
                Judged::Hold => return,
                Judged::Mend => {}
            }
        }
        match lenient::object(&data) {
            Some((chunk, _)) if is_error(&chunk) => self.fail(&data, run),
            Some((chunk, _)) => self.mend(chunk, run),
            // Text may have been in it, and an answer that lacks some must not look whole.
            None if data.trim_ascii_start().starts_with(b"{") => self.fail(BROKEN, run),
            None => self.stray.keep(&came.raw),
        }
    }

    /// An event without data.
    fn wordless(&mut self, raw: &[u8], run: &mut Run) {
        // llama.cpp's older servers.
        if let Some(error) = raw.strip_prefix(b"error:") {
            return self.fail(error.trim_ascii(), run);
        }
        // A comment keeps the connection alive and says nothing, and neither do the other fields by themselves.
        if ![&b":"[..], b"event:", b"id:", b"retry:"].iter().any(|field| raw.starts_with(field)) {
            self.stray.keep(raw);
        }
    }

    /// Whether an event can go out as it came; if so, its text has been taken note of.
    fn judge(&mut self, chunk: &Chunk<'_>, event: &Event) -> Judged {
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
            let came: Option<Value> = usage.and_then(|usage| serde_json::from_str(usage.get()).ok());
            let Some(usage) = came.as_ref().and_then(reported) else { return Judged::Hold };
            self.usage_event = (came.as_ref() == Some(&usage)).then(|| event.raw.clone());
            self.usage = Some(usage);
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
            self.texts.add(index, &sound.beside);
            let course = self.courses.entry(index).or_default();
            course.opened |= sound.opens;
            if sound.ends {
                course.ended = Some(Ended::ByServer);
            }
        }
        self.look_for_the_end();
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
        self.passed_unread = true;
        run.keep(came.raw);
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
        if let Some(usage) = chunk.remove("usage").as_ref().and_then(reported) {
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
        let delta = match choice.remove("delta").filter(|delta| !delta.is_null()).or_else(|| choice.remove("message")) {
            Some(Value::Object(delta)) => delta,
            _ => Map::new(),
        };
        let came = written(&choice, &delta, plan);
        let beside = arguments(&delta);
        texts.add(index, &came);
        texts.add(index, &beside);
        let word = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
        let finish = reason_in(plan.asked, word);
        let mut logprobs = choice.remove("logprobs").unwrap_or_default();
        // Those of what is no text, such as thoughts, wait for none.
        let of_others = if came.is_empty() && !beside.is_empty() { logprobs.take() } else { Value::Null };
        let shown = course.pass(Piece { text: &came, logprobs, ends: finish.is_some() }, plan, stops);
        let said = Said {
            index: plan.first_index.saturating_add(index),
            text: shown.text,
            finish: if course.ended == Some(Ended::ByGate) { Some("stop") } else { finish },
            logprobs: if of_others.is_null() { shown.logprobs } else { of_others },
            rest: delta,
        };
        match (plan.served, plan.asked) {
            (Dialect::Chat, Dialect::Chat) => said.chat(choice, course),
            (_, Dialect::Chat) => said.chat_of_completion(course, plan.alternatives),
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

    /// The server's stream is at its end: what was held back, and the last chunk of choices that were left open.
    pub(super) fn end(&mut self, run: &mut Run) {
        if mem::replace(&mut self.ended, true) || self.failed {
            return;
        }
        if self.courses.is_empty() && !self.passed_unread {
            let error = self.stray.error();
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

/// Members of a chunk that mean the same in both dialects.
const KEPT: [&str; 2] = ["service_tier", "system_fingerprint"];
/// OpenAI's own bound on `n`, for each of several prompts.
const MOST_CHOICES: u32 = 4096;
const BROKEN: &[u8] =
    br#"{"error":{"message":"the server sent an event that is broken JSON","code":"upstream_unreadable"}}"#;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
