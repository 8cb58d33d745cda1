//! `chat/completions`, whole and streamed.

use serde_json::{Map, Value, json};

use super::books::Billed;
use super::operation::{Ask, Form};
use super::script::{Piece, Script};
use super::words::{self, Tally};

/// Answers a chat request.
pub fn answer(ask: &Ask) -> Script {
    let chat = Chat::new(ask);
    let billed = Billed {
        model: ask.served.clone(),
        input: chat.tally.input,
        cached: chat.tally.cached,
        endpoint: ask.operation.endpoint(),
        tier: chat.has_tier().then(|| ask.tier().to_owned()),
        id: ask.id("chatcmpl-"),
        ..Billed::default()
    };
    let script = if ask.streams() {
        Script::stream(chat.events())
    } else {
        Script::whole(&chat.document(), chat.tally.output, chat.tally.reasoning)
    };
    script.charged(billed)
}

/// Azure's verdict about one text, as every reply carries it.
pub fn filter_results() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

/// Azure's verdict about the prompt.
pub fn prompt_filter_results() -> Value {
    let mut verdict = filter_results();
    verdict["jailbreak"] = json!({"filtered": false, "detected": false});
    json!([{"prompt_index": 0, "content_filter_results": verdict}])
}

struct Chat<'a> {
    ask: &'a Ask,
    choices: u64,
    length: u64,
    finish: &'static str,
    tool: Option<String>,
    tally: Tally,
}

impl<'a> Chat<'a> {
    fn new(ask: &'a Ask) -> Self {
        let document = &ask.document;
        let limit = document["max_completion_tokens"].as_u64().or(document["max_tokens"].as_u64());
        let (length, finish) = words::length(limit);
        let choices = document["n"].as_u64().unwrap_or(1);
        let offered = document["tools"][0]["function"]["name"].as_str();
        let tool = offered.filter(|_| document["tool_choice"] != "none").map(str::to_owned);
        let (length, finish) =
            if tool.is_some() { (arguments(ask).len() as u64, "tool_calls") } else { (length, finish) };
        let said = (0..choices).flat_map(|index| words::reply(length, index));
        let output = if tool.is_some() { choices * length } else { said.map(|word| ask.cost(&word)).sum() };
        let tally = Tally::of(ask.input(words::count(&document["messages"])), output, &ask.model);
        let tally = if ask.form == Form::Custom { tally.uncached() } else { tally };
        Self { ask, choices, length, finish, tool, tally: tally.overridden(ask.fault.counts) }
    }

    fn has_tier(&self) -> bool {
        self.ask.form == Form::OpenAi
    }

    fn document(&self) -> Value {
        let mut document = self.head("chat.completion");
        document.insert("choices".into(), (0..self.choices).map(|index| self.choice(index)).collect());
        if !self.ask.fault.no_usage {
            document.insert("usage".into(), self.usage());
        }
        if self.ask.form.is_azure() {
            document.insert("prompt_filter_results".into(), prompt_filter_results());
        }
        Value::Object(document)
    }

    fn choice(&self, index: u64) -> Value {
        let message = match &self.tool {
            None => {
                let text = words::reply(self.length, index).concat();
                json!({"role": "assistant", "content": text, "refusal": null, "annotations": []})
            }
            Some(name) => {
                json!({"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [
                    {"id": self.call_id(index), "type": "function",
                     "function": {"name": name, "arguments": arguments(self.ask).concat()}}
                ]})
            }
        };
        let mut choice = json!({"index": index, "message": message, "logprobs": null, "finish_reason": self.finish});
        if self.ask.form.is_azure() {
            choice["content_filter_results"] = filter_results();
        }
        choice
    }

    fn events(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.ask.form.is_azure() {
            pieces.push(Piece::data(&json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
                "prompt_filter_results": prompt_filter_results()})));
        }
        for index in 0..self.choices {
            let role = json!({"role": "assistant", "content": "", "refusal": null});
            let reasoning = if index == 0 { self.tally.reasoning } else { 0 };
            pieces.push(Piece::data(&self.chunk(index, &role, None)).costing(reasoning, reasoning));
        }
        let steps: Vec<Vec<Value>> = (0..self.choices).map(|index| self.deltas(index)).collect();
        for at in 0..steps.first().map_or(0, Vec::len) {
            for (index, deltas) in (0..).zip(&steps) {
                pieces.push(Piece::data(&self.chunk(index, &deltas[at], None)));
            }
        }
        self.share_out(&mut pieces);
        for index in 0..self.choices {
            pieces.push(Piece::data(&self.chunk(index, &json!({}), Some(self.finish))));
        }
        if self.wants_usage() {
            let mut last = self.head("chat.completion.chunk");
            last.insert("choices".into(), json!([]));
            last.insert("usage".into(), self.usage());
            pieces.push(Piece::data(&Value::Object(last)));
        }
        pieces.push(Piece::done());
        pieces
    }

    /// Spreads the visible tokens over the content pieces, one each and what is left on the last.
    fn share_out(&self, pieces: &mut [Piece]) {
        let mut left = self.tally.output - self.tally.reasoning;
        let first = pieces.len() - usize::try_from(self.choices * self.length).unwrap();
        let count = pieces.len();
        let spoken = (0..self.length).flat_map(|at| (0..self.choices).map(move |index| (at, index)));
        let replies: Vec<Vec<String>> = (0..self.choices).map(|index| words::reply(self.length, index)).collect();
        let word = |(at, index): (u64, u64)| &replies[usize::try_from(index).unwrap()][usize::try_from(at).unwrap()];
        let costs: Vec<u64> =
            spoken.map(|place| if self.tool.is_some() { 1 } else { self.ask.cost(word(place)) }).collect();
        for (at, piece) in pieces.iter_mut().enumerate().skip(first) {
            piece.output = if at + 1 == count { left } else { left.min(costs[at - first]) };
            left -= piece.output;
        }
    }

    fn deltas(&self, index: u64) -> Vec<Value> {
        let Some(name) = &self.tool else {
            return words::reply(self.length, index).into_iter().map(|word| json!({"content": word})).collect();
        };
        let fragments = arguments(self.ask).into_iter().enumerate();
        fragments
            .map(|(at, fragment)| match at {
                0 => json!({"tool_calls": [{"index": 0, "id": self.call_id(index), "type": "function",
                    "function": {"name": name, "arguments": fragment}}]}),
                _ => json!({"tool_calls": [{"index": 0, "function": {"arguments": fragment}}]}),
            })
            .collect()
    }

    fn chunk(&self, index: u64, delta: &Value, finish: Option<&str>) -> Value {
        let mut chunk = self.head("chat.completion.chunk");
        let mut choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
        if self.ask.form.is_azure() {
            choice["content_filter_results"] = if finish.is_some() { json!({}) } else { filter_results() };
        }
        chunk.insert("choices".into(), json!([choice]));
        if self.wants_usage() {
            chunk.insert("usage".into(), Value::Null);
        }
        let obfuscates = self.ask.document["stream_options"]["include_obfuscation"] != false;
        if self.ask.form == Form::OpenAi && obfuscates {
            chunk.insert("obfuscation".into(), words::obfuscation(&delta.to_string()).into());
        }
        Value::Object(chunk)
    }

    fn head(&self, object: &str) -> Map<String, Value> {
        let mut head = Map::new();
        head.insert("id".into(), self.ask.id("chatcmpl-").into());
        head.insert("object".into(), object.into());
        head.insert("created".into(), self.ask.created().into());
        head.insert("model".into(), self.ask.served.clone().into());
        if self.has_tier() {
            head.insert("service_tier".into(), self.ask.tier().into());
        }
        head.insert("system_fingerprint".into(), "fp_standin".into());
        head
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

    fn call_id(&self, index: u64) -> String {
        format!("call_standin{:06}{index:02}", self.ask.number)
    }
}

/// The arguments of the tool call, in the fragments of a stream: an echo of the last message.
fn arguments(ask: &Ask) -> Vec<String> {
    let last = ask.document["messages"]
        .as_array()
        .and_then(|all| all.last())
        .map_or(Value::Null, |one| one["content"].clone());
    let text = json!({"echo": last}).to_string();
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(6).map(|part| part.iter().collect()).collect()
}
