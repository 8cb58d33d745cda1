//! A request body reaches the upstream as the client wrote it, but for the values that the gate had to change.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::client::{Answered, Client, connect, handshake};
use crate::bench::gate::TestGate;
use crate::bench::upstream::coding::Coding;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn what_the_gate_does_not_own_survives_byte_for_byte() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for (body, sent) in [
        (ODD.replace("STREAM", "false"), ODD.replace("STREAM", "false")),
        (ODD.replace("STREAM", "true"), ODD.replace("STREAM", r#"true,"stream_options":{"include_usage":true}"#)),
    ] {
        upstream.clear();
        let answered = post(&gate, Bytes::from(body), None).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        assert_eq!(String::from_utf8_lossy(&upstream.seen()[0].body), sent);
        assert_eq!(upstream.seen()[0].headers["content-length"], sent.len().to_string());
    }
}

#[tokio::test]
async fn the_model_is_found_and_changed_behind_twenty_megabytes() {
    let upstream = Upstream::start(Options { tls: false, ..Options::default() });
    let origin = Upstream::start(Options::default());
    let gate = TestGate::start(
        &origin,
        &format!(
            r#"duplicates: [{{ name: "azure", kind: "azure", url: "{}", apiKey: "azure-own-key",
                               deployments: {{ "gpt-4o": {{ deployment: "prod-4o" }} }} }}]"#,
            upstream.url()
        ),
    );
    let picture = "iVBORw0KGgo+/AAA".repeat(20 * 65_536);
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}]}}],"model":"gpt-4o"}}"#
    );
    let answered = post(&gate, Bytes::from(body.clone()), None).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    let wanted = body.replace("\"gpt-4o\"", "\"prod-4o\"");
    assert!(upstream.seen()[0].body == wanted.as_bytes(), "the body has changed on its way");
}

#[tokio::test]
async fn a_compressed_body_is_passed_on_as_it_came_or_decoded_where_it_is_edited() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        upstream.clear();
        let whole = coding.encode(ODD.replace("STREAM", "false").as_bytes());
        let answered = post(&gate, whole.clone(), Some(coding)).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        let seen = upstream.seen().remove(0);
        assert_eq!((seen.body, &seen.headers["content-encoding"]), (whole, &coding.name().parse().unwrap()));

        let streamed = coding.encode(ODD.replace("STREAM", "true").as_bytes());
        let answered = post(&gate, streamed, Some(coding)).await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
        let seen = upstream.seen().remove(1);
        let wanted = ODD.replace("STREAM", r#"true,"stream_options":{"include_usage":true}"#);
        assert_eq!(String::from_utf8_lossy(&seen.body), wanted);
        assert!(!seen.headers.contains_key("content-encoding"));
        assert_eq!(seen.headers["content-length"], wanted.len().to_string());
    }
}

#[tokio::test]
async fn a_body_that_two_readers_could_take_differently_is_refused() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for body in [
        r#"{"model":"a","messages":[],"model":"b"}"#,
        r#"{"model":"a","messages":[],"mod\u0065l":"a"}"#,
        r#"{"model":"a","stream":true,"stream":false}"#,
    ] {
        let answered = post(&gate, Bytes::from(body), None).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answered.headers["x-should-retry"], "false");
        assert_eq!(answered.json()["error"]["type"], "invalid_request_error");
    }
    // Deeper down, a key that is there twice is none of the gate's affair.
    let deeper = r#"{"model":"gpt-4o","metadata":{"model":"a","model":"b"},"messages":[]}"#;
    assert_eq!(post(&gate, Bytes::from(deeper), None).await.status, StatusCode::OK);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_so_that_the_client_can_read_why() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "limits: { bodyBytes: 2048 }");
    let large = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{}"}}]}}"#, "a".repeat(4_000_000));
    for alpn in ["http/1.1", "h2"] {
        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
        let answered = client.post("/v1/chat/completions", large.clone()).await;
        told_too_large(&answered.text(), answered.status.as_u16());
    }
    // A client that reads nothing before it has written everything, with and without a length.
    for head in [format!("content-length: {}", large.len()), "transfer-encoding: chunked".to_owned()] {
        let body =
            if head.starts_with('t') { format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len()) } else { large.clone() };
        let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
        let mut stream = handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap();
        let request = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\n{head}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.expect("the gate takes the body that it refuses");
        stream.flush().await.unwrap();
        let text = head_and_some(&mut stream).await;
        told_too_large(text.split("\r\n\r\n").nth(1).unwrap(), text[9..12].parse().unwrap());
    }
    // Small on the wire, large when decoded.
    let bomb = Coding::Gzip.encode(large.as_bytes());
    let answered = post(&gate, bomb, Some(Coding::Gzip)).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(upstream.seen().is_empty());
    assert_eq!(gate.wait_for_entries(5).await.len(), 5);
}

#[tokio::test]
async fn what_is_no_json_goes_where_calls_without_a_model_go() {
    let (origin, limited) =
        (Upstream::start(Options::default()), Upstream::start(Options { tls: false, ..Options::default() }));
    let gate = TestGate::start(
        &origin,
        &format!(
            r#"duplicates: [{{ name: "limited", url: "{}", apiKey: "sk-limited", models: ["*"] }}]"#,
            limited.url()
        ),
    );
    let mut direct = Client::direct(origin.address(), "api.openai.com", origin.ca_pem(), "h2").await;
    for body in ["", "not json", "[]", "\"gpt-4o\"", r#"{"model":"gpt-4o""#, r#"{"model":7}"#, "\u{feff}{}"] {
        let expected = direct.post("/v1/chat/completions", body).await;
        origin.clear();
        let answered = post(&gate, Bytes::from(body), None).await;
        assert_eq!((answered.status, answered.text()), (expected.status, expected.text()), "{body:?}");
        assert_eq!(origin.seen()[0].body, body.as_bytes(), "{body:?}");
        assert_eq!(origin.seen()[0].headers["authorization"], "Bearer sk-client");
    }
    assert!(limited.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for path in ["/v1/chat/completions", "/v1/files"] {
        upstream.clear();
        let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
        let mut stream = handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap();
        let body = ODD.replace("STREAM", "false");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: api.openai.com\r\nauthorization: Bearer k\r\nexpect: 100-continue\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut told = [0; 25];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(body.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let answer = head_and_some(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(upstream.seen()[0].body, body.as_bytes());
        assert!(!upstream.seen()[0].headers.contains_key("expect"));
    }
}

#[tokio::test]
async fn a_client_that_asks_first_need_not_send_what_will_be_refused() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "limits: { bodyBytes: 2048 }");
    let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
    let mut stream = handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: api.openai.com\r\nexpect: 100-continue\r\n\
                content-length: 5000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let answer = head_and_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

async fn post(gate: &TestGate, body: Bytes, coding: Option<Coding>) -> Answered {
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let mut request = client.request(Method::POST, "/v1/chat/completions");
    if let Some(coding) = coding {
        request = request.header("content-encoding", coding.name());
    }
    client.send(request.body(Full::from(body)).unwrap()).await
}

/// Reads until a body has begun.
async fn head_and_some(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| !body.is_empty()) {
            return text.into_owned();
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "ended after {text:?}");
        read.extend_from_slice(&piece[..count]);
    }
}

fn told_too_large(body: &str, status: u16) {
    assert_eq!(status, 413);
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert!(body["error"]["message"].as_str().unwrap().contains("`limits.bodyBytes`"));
}

const ODD: &str = "{ \"zeta\" : [1e5, 1.0, -0, 12345678901234567890, 1.10E+2],\r\n\t\"messages\":[ {\"role\":\"user\",\
    \"content\":\"caf\\u00e9 \\/ \u{65e5} \\ud83c\\udf88\"} ] ,\"unknown\":{\"b\":1,\"a\":null,\"b\":2},\"model\"\n: \
    \"gpt-4o\", \"stream\" :STREAM , \"alpha\":\"\" }\n";
