//! From a request to its reply: what is noted, refused, looked up, dressed and broken.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use super::Options;
use super::body::{self, Broken, ReplyBody};
use super::books::{Books, Kept, Seen};
use super::coding::Coding;
use super::fault::Fault;
use super::link::Link;
use super::operation::{self, Ask, Form, Lost, Operation};
use super::script::{Piece, Script};
use super::{chat, completion, embeddings, files, jobs, media, others, responses, socket, sound, words};

/// What all connections share.
pub struct House {
    /// What is played.
    pub options: Options,
    /// What is remembered.
    pub books: Arc<Books>,
    /// The TLS side; `None` is plain HTTP.
    pub acceptor: Option<TlsAcceptor>,
}

/// Answers one request; an error closes the connection or the stream without a head.
pub async fn answer(
    house: Arc<House>,
    link: Arc<Link>,
    mut request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Broken> {
    let asked = request.headers().get("x-standin-fault").map(|value| Fault::parse(value.to_str().unwrap()).unwrap());
    let fault = asked.or_else(|| house.books.pop_fault()).unwrap_or_default();
    if fault.goaway {
        link.leave();
    }
    let upgrade = socket::upgrade(&mut request);
    let seen = receive(&link, request, fault.early_answer).await;
    // Whoever waits to see the request may release it at once.
    let mut stalled = house.books.sluice.stall();
    house.books.see(seen.clone());
    if fault.stall {
        stalled.changed().await.unwrap();
    }
    if fault.cut_head {
        return Err(Broken);
    }
    // A preflight takes no number, so that replies bear the same ids whether or not somebody else answers preflights.
    let number = if seen.method == Method::OPTIONS { 0 } else { house.books.number_reply() };
    if let Some(upgrade) = upgrade.filter(|_| asked_error(&fault).is_none() && !fault.echo_key) {
        let uri = seen.path_and_query.parse().unwrap();
        if socket::has_key(&seen.headers) && !fault.no_switch {
            let response = socket::switch(&house, &link, &seen.headers, &uri, upgrade);
            return Ok(response.map(|()| body::nothing()));
        }
        if fault.no_switch {
            return Ok(house.dress(
                &seen,
                Script::json(200, &serde_json::json!({"no": "socket"})),
                (fault, number),
                link,
            ));
        }
    }
    let call = socket::call(&seen).filter(|_| asked_error(&fault).is_none());
    let mut script = call.unwrap_or_else(|| house.script(&seen, &fault, number));
    if let (Some(billed), Some(call)) = (&mut script.billed, seen.headers.get("x-standin-call")) {
        call.to_str().unwrap().clone_into(&mut billed.call);
    }
    Ok(house.dress(&seen, script, (fault, number), link))
}

async fn receive(link: &Link, request: Request<Incoming>, only_head: bool) -> Seen {
    let (head, incoming) = request.into_parts();
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    let whole = only_head || read(incoming, &mut body, &mut trailers).await;
    let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    Seen {
        path_and_query: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        host: head.uri.authority().map(|name| name.as_str()).or(named).unwrap_or("").to_owned(),
        method: head.method,
        headers: head.headers,
        body: body.into(),
        trailers,
        whole,
        http_version: head.version,
        connection: link.number,
        tls_name: link.tls_name.clone(),
    }
}

/// Whether it came to its end.
async fn read(mut incoming: Incoming, body: &mut Vec<u8>, trailers: &mut HeaderMap) -> bool {
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return false };
        match frame.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    true
}

impl House {
    fn script(&self, seen: &Seen, fault: &Fault, number: u64) -> Script {
        if seen.method == Method::OPTIONS {
            return preflight(self.grants_cors(seen));
        }
        if fault.echo_key {
            return echoed(&key_of(seen), fault.status.unwrap_or(401));
        }
        if let Some(script) = asked_error(fault) {
            return script;
        }
        let found = operation::find(&seen.method, &seen.path_and_query.parse().unwrap());
        let (form, deployment, operation) = match found {
            Ok(found) => found,
            Err(lost) => return lost_way(&lost, seen),
        };
        if !operation::has_key(&form, &seen.headers) {
            return locked_out(&form);
        }
        let Some(body) = decoded(seen) else {
            return Script::error(400, "invalid_request_error", "", "The body could not be decoded.");
        };
        let kind = seen.headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
        let is_form = kind.starts_with("multipart/");
        let is_read = !is_form && !kind.starts_with("application/sdp") && !body.is_empty();
        let Ok(document) = (if is_read { serde_json::from_slice(&body) } else { Ok(files::document(&body)) }) else {
            return Script::error(
                400,
                "invalid_request_error",
                "",
                "We could not parse the JSON body of your request.",
            );
        };
        let model = match &deployment {
            Some(deployment) => deployment.clone(),
            None => document["model"].as_str().unwrap_or("").to_owned(),
        };
        let served = self.served(&form, &model);
        let ask = Ask { form, deployment, operation, document, model, served, number, fault: fault.clone() };
        refuse(&ask).unwrap_or_else(|| dispatch(&ask, &body, seen, &self.books))
    }

    fn served(&self, form: &Form, model: &str) -> String {
        let behind = self.options.deployments.iter().find(|(name, _)| form.is_azure() && name == model);
        let model = behind.map_or(model, |(_, model)| model);
        if *form == Form::Custom { model.to_owned() } else { words::snapshot(model) }
    }

    fn dress(&self, seen: &Seen, mut script: Script, play: (Fault, u64), link: Arc<Link>) -> Response<ReplyBody> {
        let (fault, number) = play;
        let mut head = Response::builder().status(script.status).body(()).unwrap();
        let headers = head.headers_mut();
        put(headers, CONTENT_TYPE.as_str(), script.content_type);
        let is_azure = seen.path_and_query.starts_with("/openai/");
        let usual = if is_azure { &AZURE_HEADERS[..] } else { &OPENAI_HEADERS[..] };
        for (name, value) in usual {
            headers.append(*name, HeaderValue::from_static(value));
        }
        put(headers, "x-request-id", &format!("req_standin{number:012}"));
        if self.grants_cors(seen) {
            grant(headers, seen);
        }
        if script.status == StatusCode::TOO_MANY_REQUESTS {
            put(headers, "retry-after", "1");
            put(headers, "retry-after-ms", "20");
        }
        if let Some(url) = &fault.redirect {
            put(headers, "location", url);
        }
        if fault.echo_key {
            put(headers, "x-key-was", &key_of(seen));
        }
        if fault.close {
            put(headers, "connection", "close");
        }
        let coding =
            fault.coding.or(self.options.coding).filter(|coding| fault.insist || coding.is_accepted_by(&seen.headers));
        let coding = coding.filter(|_| !script.pieces.is_empty());
        if let Some(coding) = coding {
            put(headers, CONTENT_ENCODING.as_str(), coding.name());
        }
        let encoder = coding.filter(|_| script.streamed).map(Coding::encoder);
        if !script.streamed {
            measure(headers, &mut script, coding, &fault);
        }
        head.map(|()| body::play(script, &fault, encoder, (Arc::clone(&self.books), link)))
    }

    fn grants_cors(&self, seen: &Seen) -> bool {
        let is_openai = seen.tls_name.as_deref() == Some("api.openai.com");
        self.options.cors && is_openai && seen.headers.contains_key("origin")
    }
}

fn dispatch(ask: &Ask, body: &[u8], seen: &Seen, books: &Books) -> Script {
    match &ask.operation {
        Operation::Chat => stored(ask, chat::answer(ask), books),
        Operation::Completion => completion::answer(ask),
        Operation::Responses => responses::answer(ask, books),
        Operation::Embeddings => embeddings::answer(ask),
        Operation::Models(one) => files::models(one.as_deref()),
        Operation::Files => files::upload(ask, body),
        Operation::Transcription | Operation::Translation => sound::transcription(ask, body),
        Operation::Speech => sound::speech(ask),
        Operation::Images(_) => media::images(ask),
        Operation::Videos(_) => media::video(ask, books),
        Operation::Decision => others::decision(ask),
        Operation::Compaction => others::compaction(ask),
        Operation::InputTokens => others::input_tokens(ask),
        Operation::Moderation => others::moderation(ask),
        Operation::Realtime(path) => others::realtime(ask, path),
        Operation::Batch => jobs::batch(ask, books),
        Operation::Training => jobs::training(ask, books),
        Operation::Run => jobs::run(ask, books),
        Operation::Show(id) => jobs::show(ask, id, seen.path_and_query.contains("stream=true"), books),
        Operation::List(prefix) => jobs::list(ask, prefix, books),
        Operation::Cancel(id) => jobs::show(ask, id, false, books),
    }
}

/// Keeps a whole reply where the request wants it to be stored.
fn stored(ask: &Ask, script: Script, books: &Books) -> Script {
    if ask.document["store"] == true && !script.streamed {
        let whole: Value = serde_json::from_slice(&script.pieces[0].bytes).unwrap();
        let id = whole["id"].as_str().unwrap().to_owned();
        books.keep(Kept { id, under_way: whole.clone(), finished: whole });
    }
    script
}

fn asked_error(fault: &Fault) -> Option<Script> {
    if fault.redirect.is_some() {
        return Some(Script::json(307, &Value::Null));
    }
    if fault.html_error {
        return Some(Script::page(fault.status.unwrap_or(502)));
    }
    let status = fault.status.or(fault.early_answer.then_some(413))?;
    let (kind, code, message) = match status {
        401 => ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-sta****ndin."),
        404 => ("invalid_request_error", "model_not_found", "The model does not exist."),
        429 => ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
        400..=499 => ("invalid_request_error", "", "The request cannot be served."),
        _ => ("server_error", "", "The server had an error while processing your request. Sorry about that!"),
    };
    Some(Script::error(status, kind, code, message))
}

/// The key that a request carried.
fn key_of(seen: &Seen) -> String {
    let sent = seen.headers.get("api-key").or_else(|| seen.headers.get("authorization"));
    let value = sent.map_or("", |value| value.to_str().unwrap());
    value.strip_prefix("Bearer ").unwrap_or(value).to_owned()
}

fn echoed(key: &str, status: u16) -> Script {
    let message = format!("Incorrect API key provided: {key}. Your key {key} is not ESCAPED.");
    let mut script = Script::error(status, "invalid_request_error", "invalid_api_key", &message);
    let escaped = key.chars().map(|letter| format!("\\u{:04x}", u32::from(letter))).collect::<String>();
    let whole = String::from_utf8(script.pieces[0].bytes.to_vec()).unwrap().replace("ESCAPED", &escaped);
    let (first, second) = whole.split_at(whole.find(key).unwrap() + key.len() / 2);
    script.pieces = vec![Piece::new(first), Piece::new(second)];
    script
}

fn refuse(ask: &Ask) -> Option<Script> {
    let options = &ask.document["stream_options"];
    if ask.model.starts_with("no-such") {
        return Some(files::missing(&ask.model));
    }
    if let Form::AzureDated(version) = &ask.form
        && version.as_str() < "2024-09"
        && !options.is_null()
    {
        return Some(Script::azure_error(400, "BadRequest", "Unrecognized request argument supplied: stream_options"));
    }
    let needs_model = !ask.form.is_azure() && !ask.operation.needs_no_model();
    if needs_model && ask.model.is_empty() {
        return Some(Script::error(400, "invalid_request_error", "", "you must provide a model parameter"));
    }
    if !options.is_null() && !ask.streams() {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Some(Script::error(400, "invalid_request_error", "", message));
    }
    None
}

fn lost_way(lost: &Lost, seen: &Seen) -> Script {
    let path = seen.path_and_query.split('?').next().unwrap();
    if *lost == Lost::NoApiVersion || path.starts_with("/openai/") {
        return Script::azure_error(404, "404", "Resource not found");
    }
    let message = format!("Invalid URL ({} {path})", seen.method);
    Script::error(404, "invalid_request_error", "", &message)
}

fn locked_out(form: &Form) -> Script {
    if form.is_azure() {
        let message = "Access denied due to invalid subscription key or wrong API endpoint.";
        return Script::azure_error(401, "401", message);
    }
    Script::error(401, "invalid_request_error", "", "You didn't provide an API key.")
}

fn preflight(granted: bool) -> Script {
    let mut script = Script::json(if granted { 204 } else { 405 }, &Value::Null);
    script.pieces.clear();
    script
}

fn grant(headers: &mut HeaderMap, seen: &Seen) {
    put(headers, "access-control-allow-origin", "*");
    if seen.method != Method::OPTIONS {
        return;
    }
    put(headers, "access-control-allow-methods", "GET, OPTIONS, POST");
    put(headers, "access-control-max-age", "600");
    if let Some(wanted) = seen.headers.get("access-control-request-headers") {
        headers.insert("access-control-allow-headers", wanted.clone());
    }
}

/// Gives a whole reply its length, coded first if it must be.
fn measure(headers: &mut HeaderMap, script: &mut Script, coding: Option<Coding>, fault: &Fault) {
    if script.status == StatusCode::NO_CONTENT {
        return;
    }
    if let Some(coding) = coding {
        let whole: Vec<u8> = script.pieces.iter().flat_map(|piece| piece.bytes.clone()).collect();
        script.pieces.truncate(1);
        script.pieces[0].bytes = coding.encode(&whole);
    }
    let length: usize = script.pieces.iter().map(|piece| piece.bytes.len()).sum();
    let length = if fault.short_body { length + 10 } else { length };
    if !fault.chunked {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn decoded(seen: &Seen) -> Option<Bytes> {
    let Some(name) = seen.headers.get(CONTENT_ENCODING) else { return Some(seen.body.clone()) };
    let coding = Coding::named(name.to_str().ok()?)?;
    coding.decode(&seen.body).map(Bytes::from)
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, HeaderValue::from_str(value).unwrap());
}

const OPENAI_HEADERS: [(&str, &str); 18] = [
    ("access-control-expose-headers", "X-Request-ID"),
    ("openai-organization", "standin-org"),
    ("openai-processing-ms", "234"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-requests", "499"),
    ("x-ratelimit-reset-requests", "120ms"),
    ("x-ratelimit-limit-tokens", "30000"),
    ("x-ratelimit-remaining-tokens", "29962"),
    ("x-ratelimit-reset-tokens", "76ms"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("cf-cache-status", "DYNAMIC"),
    ("set-cookie", "__cf_bm=standin; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None"),
    ("set-cookie", "_cfuvid=standin; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None"),
    ("x-content-type-options", "nosniff"),
    ("server", "cloudflare"),
    ("cf-ray", "8f0000000000standin-FRA"),
    ("alt-svc", "h3=\":443\"; ma=86400"),
];

const AZURE_HEADERS: [(&str, &str); 7] = [
    ("access-control-allow-origin", "*"),
    ("apim-request-id", "bb940000-0000-0000-0000-000000000000"),
    ("x-ms-region", "Sweden Central"),
    ("x-ratelimit-remaining-requests", "79"),
    ("x-ratelimit-remaining-tokens", "61353"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("x-content-type-options", "nosniff"),
];
