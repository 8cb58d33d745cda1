//! A program that knows one dialect talks to a custom model that knows the other, whole and streamed.

use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::units::Basis;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_chat_is_answered_by_a_server_that_only_completes_texts() {
    let house = House::completing("");
    let mut client = house.client().await;
    let answered = client.post(CHAT, chat(json!({"temperature": 0.25, "max_tokens": 5, "seed": 7}))).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let reply = answered.json();
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!("org/mine")));
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["content"], "tolls are naïve \"fair\" 日本");
    assert_eq!(reply["choices"][0]["finish_reason"], "length");

    let seen = &house.other.seen()[0];
    assert_eq!(seen.path_and_query, "/serve/completions");
    let sent: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((&sent["model"], &sent["max_tokens"]), (&json!("org/mine"), &json!(5)));
    assert_eq!((&sent["temperature"], &sent["seed"]), (&json!(0.25), &json!(7)));
    assert!(sent["prompt"].as_str().unwrap().contains("one two three"), "{sent}");
    assert!(sent["messages"].is_null());
    let entry = house.entry(1).await;
    assert_billed(&entry, &house.other, &reply["usage"]);
    assert_eq!(entry.endpoint.name(), CHAT);
}

#[tokio::test]
async fn a_streamed_chat_has_the_form_that_strict_clients_need() {
    let house = House::completing("");
    let mut client = house.client().await;
    for (count, asks) in [(1, false), (2, true)] {
        house.other.clear();
        let more = if asks { json!({"stream_options": {"include_usage": true}}) } else { json!({}) };
        let answered = client.post(CHAT, chat(merged(json!({"stream": true, "max_tokens": 6}), more))).await;
        let chunks = chunks(&answered);
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
        let text: String =
            chunks[1..].iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, "tolls are naïve \"fair\" 日本 at");
        let finish: Vec<&str> =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
        assert_eq!(finish, ["length"]);
        let usages: Vec<&Value> = chunks.iter().filter(|chunk| chunk["usage"].is_object()).collect();
        assert_eq!(usages.len(), usize::from(asks));
        assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
        assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
        let entry = house.entry(count).await;
        let usage = if asks { usages[0]["usage"].clone() } else { Value::Null };
        assert_billed(&entry, &house.other, &usage);
    }
}

#[tokio::test]
async fn a_completion_is_answered_by_a_server_that_only_chats() {
    let house = House::chatting("");
    let mut client = house.client().await;
    let answered = client.post(COMPLETION, completion(json!({"max_tokens": 4, "echo": true}))).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let reply = answered.json();
    assert_eq!(reply["object"], "text_completion");
    assert!(reply["id"].as_str().unwrap().starts_with("cmpl-"));
    let text = reply["choices"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("say ittolls are"), "{text}");
    let sent: Value = serde_json::from_slice(&house.other.seen()[0].body).unwrap();
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "say it"}]));
    assert_eq!(sent["max_tokens"], 4);
    assert_billed(&house.entry(1).await, &house.other, &reply["usage"]);

    house.other.clear();
    let answered = client.post(COMPLETION, completion(json!({"stream": true}))).await;
    let chunks = chunks(&answered);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["choices"][0]["text"].is_string()));
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert!(text.starts_with("tolls are"), "{text}");
    let sent: Value = serde_json::from_slice(&house.other.seen()[0].body).unwrap();
    assert_eq!(sent["max_tokens"], 16, "the default of completions is said, since chats have another");
    assert_billed(&house.entry(2).await, &house.other, &Value::Null);
}

#[tokio::test]
async fn several_prompts_become_one_call_each_and_one_reply() {
    let house = House::chatting("");
    let mut client = house.client().await;
    let body = json!({"prompt": ["one", "two words", "three"], "n": 2, "max_tokens": 3});
    let answered = client.post(COMPLETION, completion(body.clone())).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let reply = answered.json();
    let indexes: Vec<u64> =
        reply["choices"].as_array().unwrap().iter().map(|choice| choice["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5]);
    let bill = house.other.bill();
    assert_eq!(bill.len(), 3);
    let (input, output) = bill.iter().fold((0, 0), |(i, o), line| (i + line.input, o + line.output));
    assert_eq!(
        (&reply["usage"]["prompt_tokens"], &reply["usage"]["completion_tokens"]),
        (&json!(input), &json!(output))
    );
    let entries = house.gate.wait_for_entries(3).await;
    assert_eq!(entries.iter().filter_map(|entry| entry.usage?.output).sum::<u64>(), output);
    assert_eq!(entries.iter().map(|entry| entry.attempt).collect::<Vec<_>>(), [1, 2, 3]);

    house.other.clear();
    let more = merged(body, json!({"stream": true, "stream_options": {"include_usage": true}}));
    let chunks = chunks(&client.post(COMPLETION, completion(more)).await);
    let mut seen: Vec<u64> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["index"].as_u64()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    let usages: Vec<&Value> = chunks.iter().map(|chunk| &chunk["usage"]).filter(|usage| usage.is_object()).collect();
    assert_eq!(usages.len(), 1);
    assert_eq!((&usages[0]["prompt_tokens"], &usages[0]["completion_tokens"]), (&json!(input), &json!(output)));
    assert_eq!(house.gate.wait_for_entries(6).await.len(), 6);
}

#[tokio::test]
async fn what_has_no_counterpart_is_refused_by_its_name_and_nothing_is_sent() {
    let (completing, chatting) = (House::completing(""), House::chatting(""));
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let picture = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]);
    for (house, path, body, param) in [
        (&completing, CHAT, chat(json!({"tools": tool})), "tools"),
        (&completing, CHAT, chat(json!({"messages": picture})), "messages[0].content[0]"),
        (&completing, CHAT, chat(json!({"response_format": {"type": "json_object"}})), "response_format"),
        (&completing, CHAT, chat(json!({"prompt_logprobs": 1})), "prompt_logprobs"),
        (&chatting, COMPLETION, completion(json!({"suffix": "end"})), "suffix"),
        (&chatting, COMPLETION, completion(json!({"best_of": 3})), "best_of"),
        (&chatting, COMPLETION, completion(json!({"tools": tool})), "tools"),
        (&chatting, COMPLETION, completion(json!({"messages": messages()})), "messages"),
        (&chatting, COMPLETION, completion(json!({"prompt": [1, 2]})), "prompt"),
    ] {
        let before = house.gate.entries().len();
        let answered = house.client().await.post(path, body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{param}: {}", answered.text());
        assert_eq!(answered.headers["x-should-retry"], "false");
        let error = &answered.json()["error"];
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!("unsupported_parameter")));
        let entry = house.entry(before + 1).await;
        assert_eq!((entry.outcome, entry.status, entry.attempt), (Outcome::Refused, 400, 0));
        assert!(house.other.seen().is_empty());
    }
}

#[tokio::test]
async fn what_is_no_request_is_named_for_what_it_is_and_nothing_is_sent() {
    let (completing, chatting) = (House::completing(""), House::chatting(""));
    let surrogate = chat(json!({"messages": [{"role": "user", "content": "@"}]})).replace('@', r"\ud800");
    let twice = chat(json!({})).replacen('{', r#"{"seed":1,"seed":2,"#, 1);
    let inside = chat(json!({})).replace(r#""role":"user""#, r#""role":"user","role":"system""#);
    let huge = completion(json!({"max_tokens": 9})).replace(":9", ":18446744073709551616");
    for (house, path, body, param) in [
        (&completing, CHAT, surrogate, "messages[0].content"),
        (&completing, CHAT, twice, "seed"),
        (&completing, CHAT, inside, "messages[0].role"),
        (&chatting, COMPLETION, huge, "max_tokens"),
        (&chatting, COMPLETION, completion(json!({"n": 2, "best_of": 1})), "best_of"),
    ] {
        let answered = house.client().await.post(path, body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{param}: {}", answered.text());
        assert_eq!(answered.headers["x-should-retry"], "false");
        let error = &answered.json()["error"];
        assert_eq!((&error["param"], &error["type"]), (&json!(param), &json!("invalid_request_error")));
        assert!(error["message"].as_str().unwrap().contains(&format!("`{param}`")), "{error}");
        assert!(house.other.seen().is_empty());
    }
}

#[tokio::test]
async fn log_probabilities_and_a_servers_own_members_are_asked_for_in_the_servers_way() {
    let (completing, chatting) = (House::completing(""), House::chatting(""));
    let sent = |house: &House| serde_json::from_slice::<Value>(&house.other.seen()[0].body).unwrap();
    let body = chat(json!({"logprobs": true, "top_k": 4}));
    assert_eq!(completing.client().await.post(CHAT, body).await.status, StatusCode::OK);
    assert_eq!((&sent(&completing)["logprobs"], &sent(&completing)["top_k"]), (&json!(1), &json!(4)));
    let body = completion(json!({"logprobs": 2, "min_p": 0.5, "response_format": {"type": "text"}}));
    assert_eq!(chatting.client().await.post(COMPLETION, body).await.status, StatusCode::OK);
    let sent = sent(&chatting);
    assert_eq!((&sent["logprobs"], &sent["top_logprobs"], &sent["min_p"]), (&json!(true), &json!(2), &json!(0.5)));
    assert_eq!(sent["response_format"], json!({"type": "text"}));
}

#[tokio::test]
async fn what_nobody_reports_is_counted_and_told_to_who_asked() {
    // A name of OpenAI's has a built-in encoding, so that the count is exact where the text is all there is.
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let url = other.url();
    let gate = TestGate::start(
        &origin,
        &format!(
            r#"models: [{{ name: "gpt-4o", endpointUrl: "{url}/serve/completions", tokenPricing: {{prompt: 1, completion: 2}} }},
                        {{ name: "org/mine", endpointUrl: "{url}/serve/chat/completions" }}]"#
        ),
    );
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let counted = json!({"model": "gpt-4o", "prompt": "hello world", "max_tokens": 2});
    other.fault_next("no-usage");
    let reply = client.post(COMPLETION, counted.to_string()).await.json();
    assert_eq!(reply["usage"], json!({"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}));
    let entry = gate.wait_for_entries(1).await.remove(0);
    assert_eq!(
        (entry.basis, entry.usage.unwrap().input, entry.usage.unwrap().output),
        (Basis::Counted, Some(2), Some(3))
    );
    assert_eq!(entry.cost.unwrap().to_string(), "0.008000000000");

    for (count, asks) in [(2, true), (3, false)] {
        other.fault_next("no-usage");
        let mut body = merged(json!({"model": "org/mine", "stream": true, "messages": messages()}), json!({}));
        if asks {
            body["stream_options"] = json!({"include_usage": true});
        }
        let chunks = chunks(&client.post(CHAT, body.to_string()).await);
        let usages: Vec<&Value> =
            chunks.iter().map(|chunk| &chunk["usage"]).filter(|usage| usage.is_object()).collect();
        let entry = gate.wait_for_entries(count).await.remove(count - 1);
        let usage = entry.usage.expect("it was counted");
        assert_eq!((entry.basis, entry.outcome), (Basis::Estimated, Outcome::Ok));
        assert!(usage.input > Some(0) && usage.output > Some(0));
        assert_eq!(usages.len(), usize::from(asks));
        if let [told] = *usages {
            assert_eq!(
                (told["prompt_tokens"].as_u64(), told["completion_tokens"].as_u64()),
                (usage.input, usage.output)
            );
        }
    }
}

#[tokio::test]
async fn a_stop_string_that_the_server_ignores_ends_the_answer_and_the_servers_work() {
    for (house, path) in [(House::completing(""), CHAT), (House::completing(""), COMPLETION)] {
        let mut client = house.client().await;
        let body = |more: Value| match path {
            CHAT => chat(merged(json!({"stop": "ïve"}), more)),
            _ => completion(merged(json!({"stop": ["zzz", "ïve"], "max_tokens": 50}), more)),
        };
        let reply = client.post(path, body(json!({}))).await.json();
        let choice = &reply["choices"][0];
        let text = if path == CHAT { &choice["message"]["content"] } else { &choice["text"] };
        assert_eq!((text, &choice["finish_reason"]), (&json!("tolls are na"), &json!("stop")));

        house.other.hold();
        house.other.release(4);
        let answered = client.post(path, body(json!({"stream": true}))).await;
        let chunks = chunks(&answered);
        let text: String = chunks
            .iter()
            .map(|chunk| &chunk["choices"][0])
            .filter_map(|choice| choice["text"].as_str().or(choice["delta"]["content"].as_str()))
            .collect();
        assert_eq!(text, "tolls are na", "the server is still being held, and the answer is whole");
        let entry = house.entry(2).await;
        assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Estimated));
        house.other.release_all();
        house.other.until_ended(2).await;
        assert!(!house.other.bill()[1].completed, "the server was left to itself");
    }
}

#[tokio::test]
async fn a_call_that_cannot_fit_is_refused_before_it_is_sent() {
    let house = House::completing("maxSequenceLength: 20");
    let mut client = house.client().await;
    let long = "word ".repeat(40_000);
    for (path, body, part) in [
        (CHAT, chat(json!({"messages": [{"role": "user", "content": long}]})), "messages"),
        (CHAT, chat(json!({"max_tokens": 21})), "messages"),
        (COMPLETION, completion(json!({"max_tokens": 20})), "prompt"),
    ] {
        let answered = client.post(path, body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{}", answered.text());
        let error = &answered.json()["error"];
        assert_eq!((&error["code"], &error["param"]), (&json!("context_length_exceeded"), &json!(part)));
        assert!(error["message"].as_str().unwrap().starts_with("This model's maximum context length is 20 tokens."));
    }
    assert!(house.other.seen().is_empty());
    let listed = client.get("/v1/models/org%2Fmine").await.json();
    assert_eq!(listed["context_length"], 20);
}

#[tokio::test]
async fn what_is_left_of_the_length_goes_to_an_answer_without_a_limit() {
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let line = format!(
        r#"models: [{{ name: "gpt-4o", endpointUrl: "{}/serve/completions", maxSequenceLength: 60, chatTemplate: "{{{{ messages[0].content }}}}" }}]"#,
        other.url()
    );
    let gate = TestGate::start(&origin, &line);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]});
    let answered = client.post(CHAT, body.to_string()).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let sent: Value = serde_json::from_slice(&other.seen()[0].body).unwrap();
    assert_eq!((&sent["prompt"], &sent["max_tokens"]), (&json!("hello world"), &json!(58)));
}

#[tokio::test]
async fn headers_and_time_limit_of_a_line_hold_for_its_endpoint() {
    let house = House::completing("headers: {'x-tenant': 'tenant-secret'}, apiKey: 'sk-own-key', timeout: '1s'");
    let mut client = house.client().await;
    assert_eq!(client.post(CHAT, chat(json!({}))).await.status, StatusCode::OK);
    assert_eq!(house.other.seen()[0].headers["x-tenant"], "tenant-secret");
    house.other.fault_next("stall");
    let answered = client.post(CHAT, chat(json!({}))).await;
    assert_eq!(answered.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(house.entry(2).await.outcome, Outcome::Timeout);
    house.other.release_all();
    house.other.fault_next("echo-key");
    let answered = client.post(CHAT, chat(json!({}))).await;
    assert_eq!(answered.status, StatusCode::UNAUTHORIZED);
    assert!(!answered.text().contains("sk-own-key"), "{}", answered.text());
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_broken_for_the_client_too_and_estimated_in_the_books() {
    let house = House::completing("");
    let mut client = house.client().await;
    house.other.fault_next("reset-stream=3");
    let answered = client.post(CHAT, chat(json!({"stream": true}))).await;
    assert!(!answered.whole && !answered.text().contains("[DONE]"));
    let entry = house.entry(1).await;
    assert_eq!((entry.outcome, entry.basis), (Outcome::UpstreamCut, Basis::Estimated));
    assert!(entry.usage.unwrap().output > Some(0));
    // A whole reply that breaks off never looks whole.
    house.other.fault_next("short-body");
    let answered = house.client().await.post(CHAT, chat(json!({}))).await;
    assert_eq!(answered.status, StatusCode::BAD_GATEWAY);
    assert_eq!(answered.json()["error"]["code"], "upstream_broken");
    assert_eq!(house.entry(2).await.outcome, Outcome::UpstreamCut);
}

#[tokio::test]
async fn a_translated_stream_that_lost_its_client_is_read_to_its_usage() {
    let house = House::completing("");
    house.other.hold();
    house.other.release(2);
    let mut client = house.client().await;
    let request = client.request(Method::POST, CHAT).body(Full::from(chat(json!({"stream": true})))).unwrap();
    let mut response = client.begin(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop((response, client));
    house.other.release_all();
    let entry = house.entry(1).await;
    assert_eq!((entry.outcome, entry.basis), (Outcome::ClientClosed, Basis::Reported));
    assert_eq!(entry.usage.unwrap().output, Some(house.other.bill()[0].output));
}

#[tokio::test]
async fn an_error_of_the_server_comes_in_openais_form() {
    let house = House::completing("");
    let mut client = house.client().await;
    house.other.fault_next("html-error");
    let answered = client.post(CHAT, chat(json!({}))).await;
    assert_eq!(
        (answered.status, &answered.headers["content-type"]),
        (StatusCode::BAD_GATEWAY, &"application/json".parse().unwrap())
    );
    assert!(answered.json()["error"]["message"].as_str().unwrap().contains("HTML"), "{}", answered.text());
    let entry = house.entry(1).await;
    assert_eq!((entry.outcome, entry.status), (Outcome::UpstreamError, 502));
    house.other.fault_next("error-after=2");
    let answered = client.post(CHAT, chat(json!({"stream": true}))).await;
    let last = answered.text().trim_end().rsplit("data: ").next().unwrap().to_owned();
    let last: Value = serde_json::from_str(&last).unwrap();
    assert!(last["error"]["message"].is_string(), "{last}");
    assert_eq!(house.entry(2).await.outcome, Outcome::UpstreamError);
}

#[tokio::test]
async fn without_normalizing_a_servers_stream_stays_as_it_is() {
    let house = House::chatting("normalize: false");
    let body = chat(json!({"stream": true, "stream_options": {"include_usage": true}, "stop": "are"}));
    house.other.fault_next("crlf");
    let direct = Client::plain(house.other.address()).await.post("/serve/chat/completions", body.clone()).await;
    house.other.clear();
    house.other.fault_next("crlf");
    let answered = house.client().await.post(CHAT, body).await;
    assert_eq!(answered.text(), direct.text());
    assert!(answered.text().contains("\r\n\r\n"));
}

/// A gate with the custom model `org/mine`, and its server.
struct House {
    _origin: Upstream,
    other: Upstream,
    gate: TestGate,
}

impl House {
    fn completing(more: &str) -> Self {
        Self::new("/serve/completions", more)
    }

    fn chatting(more: &str) -> Self {
        Self::new("/serve/chat/completions", more)
    }

    fn new(path: &str, more: &str) -> Self {
        let (origin, other) = (Upstream::start(Options::default()), serving());
        let line = format!(r#"models: [{{ name: "org/mine", endpointUrl: "{}{path}", {more} }}]"#, other.url());
        let gate = TestGate::start(&origin, &line);
        Self { _origin: origin, other, gate }
    }

    async fn client(&self) -> Client {
        Client::intercepted(self.gate.proxy(), "api.openai.com", &self.gate.root_pem(), "h2").await
    }

    /// The `count`th entry, from 1.
    async fn entry(&self, count: usize) -> Entry {
        self.gate.wait_for_entries(count).await.remove(count - 1)
    }
}

fn serving() -> Upstream {
    Upstream::start(Options { name: "custom", tls: false, alpn: Alpn::Http1, cors: false, ..Options::default() })
}

/// What the server charges is what the client is told and what is in the books.
fn assert_billed(entry: &Entry, other: &Upstream, told: &Value) {
    let bill = other.bill().remove(0);
    let usage = entry.usage.expect("usage was reported");
    assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Reported));
    assert_eq!((usage.input, usage.output), (Some(bill.input), Some(bill.output)));
    if !told.is_null() {
        assert_eq!((&told["prompt_tokens"], &told["completion_tokens"]), (&json!(bill.input), &json!(bill.output)));
    }
}

/// The chunks of a stream that ends as it should.
fn chunks(answered: &Answered) -> Vec<Value> {
    let text = answered.text();
    assert!(answered.whole && text.ends_with("data: [DONE]\n\n"), "{} {text}", answered.status);
    assert!(!text.contains('\r'));
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("nothing but data"));
    events.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn chat(more: Value) -> String {
    merged(json!({"model": "org/mine", "messages": messages()}), more).to_string()
}

fn completion(more: Value) -> String {
    merged(json!({"model": "org/mine", "prompt": "say it"}), more).to_string()
}

fn merged(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    body.as_object_mut().unwrap().extend(more);
    body
}

fn messages() -> Value {
    json!([{"role": "user", "content": "one two three"}])
}

const CHAT: &str = "/v1/chat/completions";
const COMPLETION: &str = "/v1/completions";
