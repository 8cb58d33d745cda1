//! The stand-in keeps its own promises.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::upstream::coding::Coding;
use super::upstream::fault::Fault;
use super::upstream::tls::Alpn;
use super::upstream::{Options, Upstream};

type Outgoing = Request<Full<Bytes>>;

struct Reply {
    response: Response<()>,
    body: Vec<u8>,
    whole: bool,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        lines.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn connector(upstream: &Upstream, offer: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(upstream.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offer.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn begin(upstream: &Upstream, offer: &[&str], request: Outgoing) -> hyper::Result<Response<Incoming>> {
    let stream = TcpStream::connect(upstream.address()).await.unwrap();
    if offer.is_empty() {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        return sender.send_request(request).await;
    }
    let name = ServerName::try_from("api.openai.com").unwrap();
    let stream = connector(upstream, offer).connect(name, stream).await.unwrap();
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        return sender.send_request(request).await;
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await
}

async fn call(upstream: &Upstream, offer: &[&str], request: Outgoing) -> Reply {
    let (head, mut incoming) = begin(upstream, offer, request).await.unwrap().into_parts();
    let mut body = Vec::new();
    let mut whole = true;
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    Reply { response: Response::from_parts(head, ()), body, whole }
}

fn ask(path: &str, fault: &str, document: &Value) -> Outgoing {
    Request::post(format!("https://api.openai.com{path}"))
        .header("authorization", "Bearer sk-standin")
        .header("host", "api.openai.com")
        .header("accept-encoding", "gzip, br, zstd")
        .header("x-standin-fault", fault)
        .body(document.to_string().into())
        .unwrap()
}

fn chat(members: &Value) -> Value {
    let mut document = json!({"model": "gpt-4o", "messages": [
        {"role": "system", "content": "one two three"}, {"role": "user", "content": "four five six seven eight"}]});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    document
}

const CHAT: &str = "/v1/chat/completions";
const H1: &[&str] = &["http/1.1"];
const H2: &[&str] = &["h2"];
const PLAIN: &[&str] = &[];

#[tokio::test]
async fn a_chat_reply_says_what_is_charged() {
    let upstream = Upstream::start(Options::default());
    let reply = call(&upstream, H1, ask(CHAT, "", &chat(&json!({"n": 2, "max_tokens": 3})))).await;
    let document = reply.json();
    assert_eq!(document["model"], "gpt-4o-2024-08-06");
    assert_eq!(document["choices"].as_array().unwrap().len(), 2);
    assert_eq!(document["usage"]["prompt_tokens"], 8);
    assert_eq!(document["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
    assert_eq!(document["usage"]["completion_tokens"], 6);
    let bill = upstream.bill();
    assert_eq!((bill[0].input, bill[0].cached, bill[0].output, bill[0].completed), (8, 2, 6, true));
    assert_eq!((bill[0].model.as_str(), bill[0].endpoint), ("gpt-4o-2024-08-06", CHAT));
    assert_eq!(document["id"], bill[0].id);
    assert!(reply.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn a_stream_mentions_usage_only_if_asked() {
    let upstream = Upstream::start(Options::default());
    let bare = call(&upstream, H2, ask(CHAT, "", &chat(&json!({"stream": true})))).await.events();
    assert!(bare.iter().all(|event| event.get("usage").is_none()));
    assert_eq!(bare[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(bare[1]["obfuscation"].is_string());
    let options = json!({"include_usage": true, "include_obfuscation": false});
    let reply = call(&upstream, H2, ask(CHAT, "", &chat(&json!({"stream": true, "stream_options": options})))).await;
    let (last, others) = reply.events().split_last().map(|(last, others)| (last.clone(), others.to_vec())).unwrap();
    assert!(others.iter().all(|event| event.get("usage") == Some(&Value::Null) && event.get("obfuscation").is_none()));
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(7)));
    assert!(reply.body.ends_with(b"\n\ndata: [DONE]\n\n"));
    assert_eq!(upstream.bill()[0].output, 7);
    assert_eq!(reply.response.version(), Version::HTTP_2);
}

#[tokio::test]
async fn a_tool_call_is_the_same_whole_and_in_fragments() {
    let upstream = Upstream::start(Options::default());
    let tools = json!([{"type": "function", "function": {"name": "say", "parameters": {}}}]);
    let whole = call(&upstream, H1, ask(CHAT, "", &chat(&json!({"tools": tools})))).await.json();
    let streamed = call(&upstream, H1, ask(CHAT, "", &chat(&json!({"tools": tools, "stream": true})))).await;
    let fragment = |event: &Value| event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].clone();
    let fragments =
        streamed.events().iter().filter_map(|event| fragment(event).as_str().map(str::to_owned)).collect::<String>();
    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "say", "arguments": fragments}));
    assert_eq!(upstream.bill()[0].output, upstream.bill()[1].output);
}

#[tokio::test]
async fn reasoning_is_part_of_the_output() {
    let upstream = Upstream::start(Options::default());
    for stream in [false, true] {
        call(&upstream, H1, ask(CHAT, "", &chat(&json!({"model": "o3", "stream": stream})))).await;
    }
    let counts: Vec<_> = upstream.bill().iter().map(|line| (line.output, line.reasoning)).collect();
    assert_eq!(counts, [(9, 2), (9, 2)]);
}

#[tokio::test]
async fn a_responses_stream_ends_with_its_usage_and_without_done() {
    let upstream = Upstream::start(Options::default());
    let document = json!({"model": "gpt-4.1", "input": "one two three four", "stream": true, "service_tier": "fast"});
    let reply = call(&upstream, H1, ask("/v1/responses", "", &document)).await;
    let events = reply.events();
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &events[0]["type"]), (&json!("response.completed"), &json!("response.created")));
    assert_eq!(last["response"]["usage"]["output_tokens"], 7);
    assert_eq!(last["response"]["service_tier"], "priority");
    assert!(reply.body.starts_with(b"event: response.created\ndata: {"));
    assert!(!String::from_utf8(reply.body).unwrap().contains("[DONE]"));
    let bill = upstream.bill();
    assert_eq!((bill[0].input, bill[0].output, bill[0].tier.as_deref()), (4, 7, Some("priority")));
}

#[tokio::test]
async fn embeddings_are_the_same_numbers_in_both_encodings() {
    let upstream = Upstream::start(Options { tls: false, ..Options::default() });
    let document =
        |format| json!({"model": "text-embedding-3-small", "input": ["one two", "three"], "encoding_format": format});
    let plain = call(&upstream, PLAIN, ask("/v1/embeddings", "", &document("float"))).await.json();
    let coded = call(&upstream, PLAIN, ask("/v1/embeddings", "", &document("base64"))).await.json();
    // -0.5 + (4 * 31 - 64) / 64 is 0.4375: 00 00 e0 3e, little-endian.
    assert_eq!(plain["data"][0]["embedding"][0], 0.4375);
    assert!(coded["data"][0]["embedding"].as_str().unwrap().starts_with("AADgP"));
    assert_eq!(coded["data"][0]["embedding"].as_str().unwrap().len(), 44);
    assert_eq!((&coded["usage"]["prompt_tokens"], upstream.bill()[1].input), (&json!(3), 3));
}

#[tokio::test]
async fn legacy_completions_and_custom_paths_are_served() {
    let upstream = Upstream::start(Options { tls: false, ..Options::default() });
    let document = json!({"model": "databricks/dolly-v2-3b", "prompt": "one two", "max_tokens": 4});
    let legacy = call(&upstream, PLAIN, ask("/v1/completions", "", &document)).await.json();
    let custom = call(&upstream, PLAIN, ask("/generate/completions", "", &document)).await.json();
    assert_eq!((&legacy["model"], &legacy["object"]), (&json!("databricks/dolly-v2-3b"), &json!("text_completion")));
    assert_eq!(custom["usage"], json!({"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}));
    let streamed = json!({"model": "x", "prompt": "one", "stream": true, "stream_options": {"include_usage": true}});
    let events = call(&upstream, PLAIN, ask("/v1/completions", "", &streamed)).await.events();
    assert_eq!(events.last().unwrap()["usage"]["completion_tokens"], 7);
    assert_eq!(upstream.bill().iter().map(|line| line.output).collect::<Vec<_>>(), [4, 4, 7]);
}

#[tokio::test]
async fn azure_wants_its_version_and_one_key_and_opens_streams_with_a_verdict() {
    let deployments = vec![("prod-4o".to_owned(), "gpt-4o".to_owned())];
    let upstream = Upstream::start(Options { deployments, ..Options::default() });
    let path = "/openai/deployments/prod-4o/chat/completions";
    let azure = |path: &str| {
        let mut request = ask(path, "", &chat(&json!({"stream": true})));
        let key = request.headers_mut().remove("authorization").unwrap();
        request.headers_mut().insert("api-key", key);
        request
    };
    assert_eq!(call(&upstream, H1, azure(path)).await.response.status(), StatusCode::NOT_FOUND);
    let dated = format!("{path}?api-version=2024-10-21");
    let mut keyless = azure(&dated);
    keyless.headers_mut().remove("api-key");
    assert_eq!(call(&upstream, H1, keyless).await.json()["error"]["code"], "401");
    let events = call(&upstream, H1, azure(&dated)).await.events();
    assert_eq!((&events[0]["choices"], &events[0]["id"]), (&json!([]), &json!("")));
    assert!(events[0]["prompt_filter_results"].is_array());
    assert_eq!(upstream.bill()[0].model, "gpt-4o-2024-08-06");
    let old = format!("{path}?api-version=2024-06-01");
    let mut asked = azure(&old);
    *asked.body_mut() = chat(&json!({"stream": true, "stream_options": {"include_usage": true}})).to_string().into();
    assert_eq!(call(&upstream, H1, asked).await.response.status(), StatusCode::BAD_REQUEST);
    let v1 = call(&upstream, H1, azure("/openai/v1/chat/completions")).await;
    assert_eq!(v1.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn errors_have_the_shape_of_openai() {
    let upstream = Upstream::start(Options::default());
    let status = |reply: &Reply| reply.response.status().as_u16();
    let mut keyless = ask(CHAT, "", &chat(&json!({})));
    keyless.headers_mut().remove("authorization");
    let reply = call(&upstream, H1, keyless).await;
    assert_eq!((status(&reply), reply.json()["error"]["type"].as_str()), (401, Some("invalid_request_error")));
    let reply = call(&upstream, H1, ask("/v1/nothing", "", &json!({}))).await;
    assert_eq!(reply.json()["error"]["message"], "Invalid URL (POST /v1/nothing)");
    let reply = call(&upstream, H1, ask(CHAT, "", &chat(&json!({"model": "no-such-model"})))).await;
    assert_eq!((status(&reply), reply.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    let reply = call(&upstream, H1, ask(CHAT, "status=429", &chat(&json!({})))).await;
    assert_eq!((status(&reply), reply.header("retry-after")), (429, "1"));
    let reply = call(&upstream, H1, ask(CHAT, "html-error", &chat(&json!({})))).await;
    assert_eq!((status(&reply), reply.header("content-type")), (502, "text/html; charset=UTF-8"));
    let reply = call(&upstream, H1, ask(CHAT, "", &chat(&json!({"stream_options": {}})))).await;
    assert_eq!(status(&reply), 400);
    let reply = call(&upstream, H1, ask(CHAT, "redirect=https://mirror.example.com/x", &json!({}))).await;
    assert_eq!((status(&reply), reply.header("location")), (307, "https://mirror.example.com/x"));
    assert!(upstream.bill().is_empty());
}

#[tokio::test]
async fn models_and_forms_are_answered() {
    let upstream = Upstream::start(Options::default());
    let get = |path: &str| {
        let mut request = ask(path, "", &json!({}));
        *request.method_mut() = Method::GET;
        *request.body_mut() = Full::default();
        request
    };
    assert_eq!(call(&upstream, H1, get("/v1/models")).await.json()["object"], "list");
    assert_eq!(call(&upstream, H1, get("/v1/models/ft%3Agpt-4o")).await.json()["id"], "ft:gpt-4o");
    let part = |name: &str, value: &str| {
        format!("--line\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = |model: &str, stream: &str| {
        let mut request = ask("/v1/audio/transcriptions", "", &json!({}));
        request.headers_mut().insert("content-type", "multipart/form-data; boundary=line".parse().unwrap());
        let parts =
            [part("file", &"x".repeat(150)), part("model", model), part("stream", stream), "--line--\r\n".into()];
        *request.body_mut() = parts.concat().into();
        request
    };
    assert_eq!(
        call(&upstream, H1, form("whisper-1", "false")).await.json()["usage"],
        json!({"type": "duration", "seconds": 2})
    );
    let done = call(&upstream, H1, form("gpt-4o-transcribe", "true")).await.events();
    assert_eq!(done.last().unwrap()["usage"]["input_token_details"]["audio_tokens"], 20);
    assert_eq!((upstream.bill()[1].input, upstream.bill()[1].output), (20, 5));
    let mut upload = form("", "");
    *upload.uri_mut() = "https://api.openai.com/v1/files".parse().unwrap();
    assert_eq!(call(&upstream, H1, upload).await.json()["bytes"], 150);
}

#[tokio::test]
async fn a_cut_stream_is_billed_for_what_was_generated() {
    let upstream = Upstream::start(Options::default());
    for (at, (offer, fault)) in
        [(H1, "cut-after=3"), (H2, "cut-after=3"), (H1, "reset-stream=3"), (H2, "reset-stream=3")].iter().enumerate()
    {
        upstream.hold();
        upstream.release(3);
        let response = begin(&upstream, offer, ask(CHAT, fault, &chat(&json!({"stream": true})))).await.unwrap();
        let mut body = response.into_body();
        for _ in 0..3 {
            body.frame().await.unwrap().unwrap();
        }
        upstream.release(1);
        assert!(body.frame().await.unwrap().is_err(), "{fault}");
        upstream.until_ended(at + 1).await;
        assert_eq!((upstream.bill()[at].output, upstream.bill()[at].completed), (2, false), "{fault}");
    }
}

#[tokio::test]
async fn heads_and_bodies_break_as_asked() {
    let upstream = Upstream::start(Options::default());
    for offer in [H1, H2] {
        assert!(begin(&upstream, offer, ask(CHAT, "cut-head", &chat(&json!({})))).await.is_err());
        assert!(!call(&upstream, offer, ask(CHAT, "short-body", &chat(&json!({})))).await.whole);
        let reply = call(&upstream, offer, ask(CHAT, "early-answer", &chat(&json!({})))).await;
        assert_eq!(reply.response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let reply = call(&upstream, offer, ask(CHAT, "error-after=2", &chat(&json!({"stream": true})))).await;
        assert_eq!((reply.events().len(), &reply.events()[2]["error"]["type"]), (3, &json!("server_error")));
        call(&upstream, offer, ask(CHAT, "goaway", &chat(&json!({})))).await;
    }
    let reply = call(&upstream, H1, ask(CHAT, "close, crlf, pace=1", &chat(&json!({"stream": true})))).await;
    assert_eq!(reply.header("connection"), "close");
    assert!(reply.body.ends_with(b"data: [DONE]\r\n\r\n"));
    let reply = call(&upstream, H1, ask(CHAT, "no-usage, chunked", &chat(&json!({})))).await;
    assert_eq!((reply.json().get("usage"), reply.header("content-length")), (None, ""));
    upstream.wait_for_open_connections(0);
    assert_eq!(upstream.connections(), (12, 0));
}

#[tokio::test]
async fn a_connection_that_leaves_takes_no_more_requests() {
    let upstream = Upstream::start(Options { alpn: Alpn::Http2, ..Options::default() });
    let stream = TcpStream::connect(upstream.address()).await.unwrap();
    let name = ServerName::try_from("api.openai.com").unwrap();
    let stream = connector(&upstream, H2).connect(name, stream).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(ask(CHAT, "goaway", &chat(&json!({})))).await.unwrap();
    response.into_body().collect().await.unwrap();
    connection.await.unwrap().unwrap();
    assert!(sender.send_request(ask(CHAT, "", &chat(&json!({})))).await.is_err());
}

#[tokio::test]
async fn every_coding_of_replies_and_requests_is_spoken() {
    let upstream = Upstream::start(Options::default());
    let plain = call(&upstream, H1, ask(CHAT, "", &chat(&json!({"stream": true})))).await.body;
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        upstream.clear();
        let mut request = ask(CHAT, coding.name(), &chat(&json!({"stream": true})));
        let coded = coding.encode(chat(&json!({"stream": true})).to_string().as_bytes());
        *request.body_mut() = coded.clone().into();
        request.headers_mut().insert("content-encoding", coding.name().parse().unwrap());
        let reply = call(&upstream, H1, request).await;
        assert_eq!(reply.header("content-encoding"), coding.name());
        assert_eq!(coding.decode(&reply.body).as_deref(), Some(&plain[..]), "{coding:?}");
        assert_eq!(upstream.seen()[0].body, coded);
        let whole = call(&upstream, H2, ask(CHAT, coding.name(), &chat(&json!({})))).await;
        let document: Value = serde_json::from_slice(&coding.decode(&whole.body).unwrap()).unwrap();
        assert_eq!(document["object"], "chat.completion");
        let mut deaf = ask(CHAT, coding.name(), &chat(&json!({})));
        deaf.headers_mut().remove("accept-encoding");
        assert_eq!(call(&upstream, H2, deaf).await.header("content-encoding"), "");
    }
    assert_eq!(Coding::Brotli.decode(&Coding::Brotli.encode(b"")).as_deref(), Some(&b""[..]));
    assert_eq!(Coding::Brotli.decode(&Coding::Brotli.encode(&[7; 200_000])), Some(vec![7; 200_000]));
}

#[tokio::test]
async fn held_pieces_go_one_by_one() {
    let upstream = Upstream::start(Options::default());
    upstream.hold();
    upstream.release(2);
    let response = begin(&upstream, H1, ask(CHAT, "", &chat(&json!({"stream": true})))).await.unwrap();
    let mut body = response.into_body();
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!((upstream.bill()[0].output, upstream.bill()[0].completed), (1, false));
    drop(body);
    upstream.until_ended(1).await;
    assert_eq!((upstream.bill()[0].output, upstream.bill()[0].completed), (1, false));
    upstream.release_all();
    assert!(call(&upstream, H1, ask(CHAT, "", &chat(&json!({"stream": true})))).await.whole);
}

#[tokio::test]
async fn a_stalled_request_waits_for_its_release() {
    let upstream = Arc::new(Upstream::start(Options::default()));
    let at = Arc::clone(&upstream);
    let asking = tokio::spawn(async move { call(&at, H1, ask(CHAT, "stall", &chat(&json!({})))).await });
    upstream.until_seen(1).await;
    assert!(!asking.is_finished());
    upstream.release_all();
    assert_eq!(asking.await.unwrap().response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_pending_fault_hits_the_next_request_alone() {
    let upstream = Upstream::start(Options::default());
    upstream.fault_next("status=500");
    for status in [500, 200] {
        let mut request = ask(CHAT, "", &chat(&json!({})));
        request.headers_mut().remove("x-standin-fault");
        assert_eq!(call(&upstream, H1, request).await.response.status(), status);
    }
}

#[tokio::test]
async fn a_test_may_choose_the_counts() {
    let upstream = Upstream::start(Options::default());
    for (path, members) in [
        (CHAT, chat(&json!({"stream": true}))),
        (CHAT, chat(&json!({}))),
        ("/v1/responses", json!({"model": "o3", "input": "x", "stream": true})),
    ] {
        call(&upstream, H1, ask(path, "input=300000,cached=7,output=5000,reasoning=40", &members)).await;
    }
    for line in upstream.bill() {
        assert_eq!((line.input, line.cached, line.output, line.reasoning), (300_000, 7, 5000, 40), "{line:?}");
    }
}

#[tokio::test]
async fn cors_is_granted_under_its_own_name_alone() {
    let preflight = || {
        let mut request = ask(CHAT, "", &json!({}));
        *request.method_mut() = Method::OPTIONS;
        request.headers_mut().remove("authorization");
        request.headers_mut().insert("origin", "https://page.example".parse().unwrap());
        request.headers_mut().insert("access-control-request-headers", "authorization,content-type".parse().unwrap());
        request
    };
    let upstream = Upstream::start(Options::default());
    let reply = call(&upstream, H2, preflight()).await;
    assert_eq!(reply.response.status(), StatusCode::NO_CONTENT);
    assert_eq!(reply.header("access-control-allow-headers"), "authorization,content-type");
    assert_eq!(call(&upstream, H2, ask(CHAT, "", &chat(&json!({})))).await.header("access-control-allow-origin"), "");
    let closed = Upstream::start(Options { cors: false, ..Options::default() });
    assert_eq!(call(&closed, H2, preflight()).await.response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn a_plain_test_can_wait_and_stop() {
    let mut upstream = Upstream::start(Options { tls: false, alpn: Alpn::Http1, ..Options::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(call(&upstream, PLAIN, ask(CHAT, "", &chat(&json!({})))));
    assert_eq!(reply.response.status(), StatusCode::OK);
    upstream.wait_for_seen(1);
    upstream.wait_for_ended(1);
    let seen = upstream.seen().remove(0);
    assert_eq!((seen.method, seen.path_and_query.as_str(), seen.host.as_str()), (Method::POST, CHAT, "api.openai.com"));
    assert_eq!((seen.connection, seen.whole, seen.http_version), (1, true, Version::HTTP_11));
    assert!(seen.tls_name.is_none() && seen.headers.contains_key("authorization"));
    assert_eq!(upstream.url(), format!("http://{}", upstream.address()));
    upstream.stop();
    assert!(std::net::TcpStream::connect(upstream.address()).is_err());
}

#[test]
fn a_fault_that_is_not_known_is_refused() {
    assert_eq!(Fault::parse("gzip, tea"), Err("unknown fault `tea`".to_owned()));
}
