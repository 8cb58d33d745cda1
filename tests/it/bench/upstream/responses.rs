//! `responses`, whole and as typed events.

use serde_json::{Value, json};

use super::books::{Billed, Books, Kept, Other};
use super::operation::Ask;
use super::script::{Piece, Script};
use super::words::{self, Tally};

/// Answers a responses request.
pub fn answer(ask: &Ask, books: &Books) -> Script {
    let (length, _) = words::length(ask.document["max_output_tokens"].as_u64());
    let input = words::count(&ask.document["input"]) + words::count(&ask.document["instructions"]);
    let output = words::reply(length, 0).iter().map(|word| ask.cost(word)).sum();
    let tally = Tally::of(ask.input(input), output, &ask.model).overridden(ask.fault.counts);
    let response = Response { ask, words: words::reply(length, 0), tally };
    let billed = Billed {
        model: if ask.served.is_empty() { "gpt-4o-2024-08-06".to_owned() } else { ask.served.clone() },
        input: tally.input,
        cached: tally.cached,
        endpoint: ask.operation.endpoint(),
        tier: Some(ask.tier().to_owned()),
        id: ask.id("resp_"),
        other: response.tools(),
        ..Billed::default()
    };
    books.keep(Kept { id: ask.id("resp_"), under_way: response.begun(), finished: response.document() });
    let script = if ask.streams() {
        Script::stream(response.events())
    } else if response.is_in_background() {
        Script::whole(&response.begun(), tally.output, tally.reasoning)
    } else {
        Script::whole(&response.document(), tally.output, tally.reasoning)
    };
    script.charged(billed)
}

struct Response<'a> {
    ask: &'a Ask,
    words: Vec<String>,
    tally: Tally,
}

impl Response<'_> {
    fn document(&self) -> Value {
        let mut document = self.begun();
        document["status"] = json!(self.status());
        if self.status() == "incomplete" {
            document["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        let mut output = self.calls();
        output.push(self.item("completed", &json!([self.part()])));
        document["output"] = output.into();
        if self.asks_for("web_search") {
            document["tool_usage"] = json!({"image_gen": {}, "web_search": {"num_requests": 3}});
        }
        if !self.ask.fault.no_usage {
            document["usage"] = self.tally.response_usage();
        }
        document
    }

    fn events(&self) -> Vec<Piece> {
        let item = self.ask.id("msg_");
        let at = json!({"item_id": item, "output_index": 0, "content_index": 0});
        let text = self.words.concat();
        let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
        let mut events = vec![
            ("response.created", json!({"response": self.begun()})),
            ("response.in_progress", json!({"response": self.begun()})),
            ("response.output_item.added", json!({"output_index": 0, "item": self.item("in_progress", &json!([]))})),
            ("response.content_part.added", with(&at, "part", empty)),
        ];
        for word in &self.words {
            let mut delta = with(&at, "delta", json!(word));
            delta["logprobs"] = json!([]);
            if self.ask.document["stream_options"]["include_obfuscation"] != false {
                delta["obfuscation"] = json!(words::obfuscation(word));
            }
            events.push(("response.output_text.delta", delta));
        }
        let last = if self.status() == "completed" { "response.completed" } else { "response.incomplete" };
        let mut done = with(&at, "text", json!(text));
        done["logprobs"] = json!([]);
        events.push(("response.output_text.done", done));
        events.push(("response.content_part.done", with(&at, "part", self.part())));
        let whole = self.item("completed", &json!([self.part()]));
        events.push(("response.output_item.done", json!({"output_index": 0, "item": whole})));
        events.push((last, json!({"response": self.document()})));
        self.priced(events)
    }

    /// Numbers the events and says what each took: reasoning comes first, then a token a word.
    fn priced(&self, events: Vec<(&str, Value)>) -> Vec<Piece> {
        let visible = self.tally.output - self.tally.reasoning;
        let mut left = visible;
        let mut words = self.words.len();
        let piece = |(number, (name, members)): (usize, (&str, Value))| {
            let mut event = json!({"type": name, "sequence_number": number});
            event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let piece = Piece::event(name, &event);
            if self.is_in_background() {
                // It goes on, whoever leaves.
                let all = if number == 0 { self.tally } else { Tally::default() };
                return piece.costing(all.output, all.reasoning);
            }
            if number == 0 {
                return piece.costing(self.tally.reasoning, self.tally.reasoning);
            }
            if name != "response.output_text.delta" {
                return piece;
            }
            let word = &self.words[self.words.len() - words];
            words -= 1;
            let taken = if words == 0 { left } else { left.min(self.ask.cost(word)) };
            left -= taken;
            piece.costing(taken, 0)
        };
        events.into_iter().enumerate().map(piece).collect()
    }

    fn begun(&self) -> Value {
        json!({
            "id": self.ask.id("resp_"),
            "object": "response",
            "created_at": self.ask.created(),
            "status": if self.is_in_background() { "queued" } else { "in_progress" },
            "background": self.is_in_background(),
            "error": null,
            "incomplete_details": null,
            "instructions": self.ask.document["instructions"],
            "max_output_tokens": self.ask.document["max_output_tokens"],
            "model": if self.ask.served.is_empty() { "gpt-4o-2024-08-06" } else { &self.ask.served },
            "output": [],
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "service_tier": self.ask.tier(),
            "store": true,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": null,
            "user": null,
            "metadata": {},
        })
    }

    fn is_in_background(&self) -> bool {
        self.ask.document["background"] == true
    }

    fn asks_for(&self, tool: &str) -> bool {
        self.ask.document["tools"].as_array().is_some_and(|tools| tools.iter().any(|one| one["type"] == tool))
    }

    /// What the tools cost: of the searches of the web one more is told than there are items.
    fn tools(&self) -> Other {
        Other {
            web_searches: if self.asks_for("web_search") { 3 } else { 0 },
            file_searches: u64::from(self.asks_for("file_search")),
            code_sessions: u64::from(self.asks_for("code_interpreter")),
            ..Other::default()
        }
    }

    fn calls(&self) -> Vec<Value> {
        let mut calls = Vec::new();
        if self.asks_for("web_search") {
            let search = json!({"type": "search", "query": "\"type\":\"web_search_call\""});
            let call = json!({"id": "ws_1", "type": "web_search_call", "status": "completed", "action": search});
            calls.extend([call.clone(), call]);
        }
        if self.asks_for("file_search") {
            calls.push(json!({"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["x"]}));
        }
        if self.asks_for("code_interpreter") {
            let call = json!({"id": "ci_1", "type": "code_interpreter_call", "container_id": "cntr_1", "outputs": [],
                "code": "{\"type\":\"file_search_call\"}", "status": "completed"});
            calls.extend([call.clone(), call]);
        }
        calls
    }

    fn item(&self, status: &str, content: &Value) -> Value {
        json!({"id": self.ask.id("msg_"), "type": "message", "status": status, "content": content, "role": "assistant"})
    }

    fn part(&self) -> Value {
        json!({"type": "output_text", "annotations": [], "logprobs": [], "text": self.words.concat()})
    }

    fn status(&self) -> &'static str {
        if self.ask.document["max_output_tokens"].is_null() { "completed" } else { "incomplete" }
    }
}

fn with(base: &Value, name: &str, member: Value) -> Value {
    let mut document = base.clone();
    document[name] = member;
    document
}
