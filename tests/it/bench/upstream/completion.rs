//! `completions`, the legacy form, whole and streamed.

use serde_json::{Map, Value, json};

use super::books::Billed;
use super::chat::{filter_results, prompt_filter_results};
use super::operation::{Ask, Form};
use super::script::{Piece, Script};
use super::words::{self, Tally};

/// Answers a completion request.
pub fn answer(ask: &Ask) -> Script {
    let completion = Completion::new(ask);
    let tally = completion.tally;
    let billed = Billed {
        model: ask.served.clone(),
        input: tally.input,
        cached: tally.cached,
        endpoint: ask.operation.endpoint(),
        id: ask.id("cmpl-"),
        ..Billed::default()
    };
    let script = if ask.streams() {
        Script::stream(completion.events())
    } else {
        Script::whole(&completion.document(), tally.output, tally.reasoning)
    };
    script.charged(billed)
}

struct Completion<'a> {
    ask: &'a Ask,
    choices: u64,
    length: u64,
    finish: &'static str,
    tally: Tally,
}

impl<'a> Completion<'a> {
    fn new(ask: &'a Ask) -> Self {
        let document = &ask.document;
        let (length, finish) = words::length(document["max_tokens"].as_u64());
        let prompts = document["prompt"].as_array().filter(|list| !list.iter().all(Value::is_u64));
        let prompts = prompts.map_or(1, |list| list.len() as u64);
        let choices = prompts * document["n"].as_u64().unwrap_or(1);
        let said = (0..choices).flat_map(|index| words::reply(length, index));
        let output = said.map(|word| ask.cost(&word)).sum();
        let tally = Tally { input: ask.input(words::count(&document["prompt"])), output, ..Tally::default() };
        Self { ask, choices, length, finish, tally: tally.overridden(ask.fault.counts) }
    }

    fn document(&self) -> Value {
        let choice = |index| self.choice(&words::reply(self.length, index).concat(), index, Some(self.finish));
        let mut document = self.head();
        document.insert("choices".into(), (0..self.choices).map(choice).collect());
        if !self.ask.fault.no_usage {
            document.insert("usage".into(), self.usage());
        }
        if self.ask.form.is_azure() {
            document.insert("prompt_filter_results".into(), prompt_filter_results());
        }
        Value::Object(document)
    }

    fn events(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.ask.form.is_azure() {
            pieces.push(Piece::data(&json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
                "prompt_filter_results": prompt_filter_results()})));
        }
        for at in 0..usize::try_from(self.length).unwrap() {
            for index in 0..self.choices {
                let is_last = at + 1 == usize::try_from(self.length).unwrap();
                let word = &words::reply(self.length, index)[at];
                let finish = is_last.then_some(self.finish);
                pieces
                    .push(Piece::data(&self.chunk(&self.choice(word, index, finish))).costing(self.ask.cost(word), 0));
            }
        }
        if let (Some(output), Some(last)) = (self.ask.fault.counts.output, pieces.last_mut()) {
            last.output = output - (self.choices * self.length - 1);
        }
        if self.wants_usage() {
            let mut last = self.head();
            last.insert("choices".into(), json!([]));
            last.insert("usage".into(), self.usage());
            pieces.push(Piece::data(&Value::Object(last)));
        }
        pieces.push(Piece::done());
        pieces
    }

    fn chunk(&self, choice: &Value) -> Value {
        let mut chunk = self.head();
        chunk.insert("choices".into(), json!([choice]));
        if self.wants_usage() {
            chunk.insert("usage".into(), Value::Null);
        }
        Value::Object(chunk)
    }

    fn choice(&self, text: &str, index: u64, finish: Option<&str>) -> Value {
        let mut choice = json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish});
        if self.ask.form.is_azure() {
            choice["content_filter_results"] = filter_results();
        }
        choice
    }

    fn head(&self) -> Map<String, Value> {
        let head = json!({
            "id": self.ask.id("cmpl-"),
            "object": "text_completion",
            "created": self.ask.created(),
            "model": self.ask.served,
        });
        head.as_object().unwrap().clone()
    }

    fn usage(&self) -> Value {
        let mut usage = self.tally.completion_usage();
        if self.ask.form == Form::Custom {
            usage.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_details"));
        }
        usage
    }

    fn wants_usage(&self) -> bool {
        self.ask.document["stream_options"]["include_usage"] == true && !self.ask.fault.no_usage
    }
}
