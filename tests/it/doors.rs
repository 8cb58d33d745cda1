//! One listener, three doors: CONNECT, absolute URLs and the base URL are told apart, and each lets in only its own.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;

use crate::bench::client::{Client, connect};
use crate::bench::gate::TestGate;
use crate::bench::raw::Raw;
use crate::bench::upstream::{Options, Upstream};

use tollgate::ledger::entry::Ingress;

#[tokio::test]
async fn the_base_url_answers_as_the_api_itself() {
    for body in [BODY, r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"count"}]}"#] {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, "");
        let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), "http/1.1").await;
        let expected = direct.post("/v1/chat/completions", body).await;
        upstream.clear();

        let mut client = Client::plain(gate.proxy()).await;
        let request = to_base_url(&gate.proxy().to_string(), Method::POST, "/v1/chat/completions", body);
        let answered = client.send(request).await;
        assert_eq!((answered.status, answered.text()), (expected.status, expected.text()));
        let seen = upstream.seen();
        assert_eq!(seen[0].host, "api.openai.com");
        assert_eq!(seen[0].tls_name.as_deref(), Some("api.openai.com"));
        let entries = gate.wait_for_entries(1).await;
        assert_eq!(entries[0].ingress, Ingress::BaseUrl);
        assert_eq!(&*entries[0].host, "api.openai.com");
    }
}

#[tokio::test]
async fn the_base_url_answers_only_to_names_of_this_machine() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let proxy = gate.proxy();
    let own = [
        proxy.to_string(),
        "127.0.0.1".into(),
        "127.0.0.2:1".into(),
        "localhost".into(),
        "LOCALHOST:9999".into(),
        "localhost.".into(),
        "[::1]".into(),
        "[::1]:8484".into(),
    ];
    for host in &own {
        let mut client = Client::plain(proxy).await;
        let answered = client.send(to_base_url(host, Method::POST, "/v1/chat/completions", BODY)).await;
        assert_eq!(answered.status, 200, "{host}: {}", answered.text());
    }
    upstream.clear();
    let foreign = [
        "evil.example",
        "evil.example:8484",
        "127.0.0.1.nip.io",
        "localhost.evil",
        "localhost.evil.example:80",
        "evil-localhost",
        "api.openai.com.evil.example",
        "192.0.2.1",
        "0.0.0.0",
        "[2001:db8::1]:8484",
    ];
    for host in foreign {
        let mut client = Client::plain(proxy).await;
        let answered = client.send(to_base_url(host, Method::POST, "/v1/chat/completions", BODY)).await;
        assert_eq!(answered.status, 421, "{host}: {}", answered.text());
        assert_eq!(answered.json()["error"]["code"], "misdirected_request", "{host}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_absolute_url_of_an_intercepted_host_is_a_call() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::plain(gate.proxy()).await;
    // In an absolute URL the target wins over the Host field.
    let request = Request::post("https://api.openai.com/v1/chat/completions")
        .header("host", "other.example")
        .header("authorization", "Bearer sk-client")
        .body(Full::from(BODY))
        .unwrap();
    let answered = client.send(request).await;
    assert_eq!(answered.status, 200, "{}", answered.text());
    let entries = gate.wait_for_entries(1).await;
    assert_eq!(entries[0].ingress, Ingress::Forward);
    assert_eq!(upstream.seen()[0].host, "api.openai.com");
}

#[tokio::test]
async fn all_doors_open_on_one_connection() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let proxy = gate.proxy();
    let mut client = Raw::open(proxy).await;
    let length = BODY.len();
    let call = |target: &str, host: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk\r\nContent-Length: {length}\r\n\r\n{BODY}"
        )
    };
    client.send(call("/v1/chat/completions", &proxy.to_string())).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send(call("https://api.openai.com/v1/chat/completions", "api.openai.com")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send("GET http://tollgate.internal/ca.pem HTTP/1.1\r\nHost: tollgate.internal\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send("CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n").await;
    assert_eq!(client.answer_to("HEAD").await.unwrap().status, 200);
    let ways: Vec<Ingress> = gate.wait_for_entries(2).await.iter().map(|entry| entry.ingress).collect();
    assert_eq!(ways, [Ingress::BaseUrl, Ingress::Forward]);
}

#[tokio::test]
async fn plain_http_to_any_other_host_is_relayed_and_not_booked() {
    let upstream = Upstream::start(Options::default());
    let other = Upstream::start(Options { tls: false, ..Options::default() });
    let gate = TestGate::start(&upstream, "");
    let (proxy, at) = (gate.proxy(), other.address());
    let mut direct = Client::plain(at).await;
    let expected = direct.post("/v1/chat/completions", BODY).await;
    other.clear();

    let mut client = Raw::open(proxy).await;
    client
        .send(format!(
            "POST http://{at}/v1/chat/completions HTTP/1.1\r\nHost: wrong.example\r\nAuthorization: Bearer sk\r\n\
             Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic eDp5\r\nTE: trailers\r\nX-End: stays\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\n{}\r\n{:x};ext=1\r\n{}\r\n0\r\n\r\n",
            &BODY[..5],
            BODY.len() - 5,
            &BODY[5..]
        ))
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, expected.text()));
    let seen = other.seen();
    assert_eq!(seen[0].body, BODY);
    assert_eq!(seen[0].host, at.to_string());
    assert_eq!(seen[0].headers["x-end"], "stays");
    assert_eq!(seen[0].headers["authorization"], "Bearer sk");
    for hop in ["connection", "x-hop", "keep-alive", "proxy-connection", "proxy-authorization", "te"] {
        assert!(!seen[0].headers.contains_key(hop), "{hop}");
    }
    assert!(upstream.seen().is_empty());
    assert!(gate.entries().is_empty());
}

#[tokio::test]
async fn answers_without_a_body_and_without_a_length_pass_as_they_are() {
    let upstream = Upstream::start(Options::default());
    let other = Upstream::start(Options { tls: false, ..Options::default() });
    let gate = TestGate::start(&upstream, "");
    let at = other.address();
    let mut client = Raw::open(gate.proxy()).await;
    let ask = |method: &str, fault: &str| {
        let key = "Authorization: Bearer sk";
        format!("{method} http://{at}/v1/models HTTP/1.1\r\nHost: {at}\r\n{key}\r\nx-standin-fault: {fault}\r\n\r\n")
    };
    client.send(ask("GET", "")).await;
    let whole = client.answer().await.unwrap();
    client.send(ask("GET", "chunked")).await;
    let chunked = client.answer().await.unwrap();
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    assert_eq!((chunked.status, &chunked.body), (200, &whole.body));
    // The answer to HEAD tells the length of what GET would give, and the next answer is not read as its body.
    client.send(ask("HEAD", "status=404")).await;
    let head = client.answer_to("HEAD").await.unwrap();
    assert_eq!(head.status, 404);
    assert!(head.header("content-length").is_some_and(|length| length != "0"), "{}", head.head);
    client.send(ask("GET", "status=204")).await;
    let empty = client.answer().await.unwrap();
    assert_eq!((empty.status, empty.header("transfer-encoding")), (204, None), "{}", empty.head);
    client.send(ask("GET", "")).await;
    assert_eq!(client.answer().await.unwrap().body, whole.body);
    assert!(gate.entries().is_empty());
}

#[tokio::test]
async fn a_server_that_switches_protocols_unasked_is_an_upstream_that_failed() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut peer = Raw::over(listener.accept().await.unwrap().0);
        peer.exactly(1).await;
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
        peer.rest().await
    });
    let mut client = Raw::open(gate.proxy()).await;
    client
        .send(format!("GET http://{at}/ HTTP/1.1\r\nHost: {at}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"))
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 502, "{}", answer.head);
    server.await.unwrap();
}

#[tokio::test]
async fn https_to_any_other_host_goes_through_connect_only() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for url in ["https://mirror.example.com/v1/models", "ftp://mirror.example.com/", "https://api.openai.com.evil/"] {
        let mut client = Client::plain(gate.proxy()).await;
        let answered = client.send(absolute(url)).await;
        assert_eq!(answered.status, 400, "{url}");
        let message = answered.json()["error"]["message"].to_string();
        assert!(message.contains("CONNECT") || message.contains("only http and https"), "{url}: {message}");
    }
    assert_eq!(upstream.connections().0, 0);
}

#[tokio::test]
async fn the_gate_offers_its_certificate_under_a_name_of_its_own() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut client = Client::plain(gate.proxy()).await;
    let mut get = async |path: &str| client.send(absolute(&format!("http://tollgate.internal{path}"))).await;
    let page = get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains(gate.gate.authority().fingerprint()), "{}", page.text());
    let pem = get("/ca.pem").await;
    assert_eq!((pem.status.as_u16(), pem.text()), (200, gate.root_pem()));
    assert_eq!(pem.headers["content-type"], "application/x-pem-file");
    let der = get("/ca.crt").await;
    assert_eq!(der.body, gate.gate.authority().root_der());
    assert_eq!(der.headers["content-type"], "application/x-x509-ca-cert");
    for path in ["/issuer-key.pem", "/ca.pem/", "/../issuer-key.pem", "/%2e%2e/issuer-key.pem", "/ca.key"] {
        let missing = get(path).await;
        assert_eq!(missing.status, 404, "{path}");
        assert!(!missing.text().contains("BEGIN"), "{path}");
    }
}

#[tokio::test]
async fn a_connect_to_an_intercepted_host_does_not_wait_for_its_upstream() {
    let mut upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    upstream.stop();
    assert!(connect(gate.proxy(), "api.openai.com:443").await.is_ok());
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
    let answered = client.post("/v1/chat/completions", BODY).await;
    assert_eq!(answered.status, 502);
    assert_eq!(answered.headers["x-should-retry"], "true");
    assert_eq!(answered.json()["error"]["code"], "upstream_unreachable");
}

fn to_base_url(host: &str, method: Method, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", host)
        .header("authorization", "Bearer sk-client")
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap()
}

fn absolute(url: &str) -> Request<Full<Bytes>> {
    let uri: http::Uri = url.parse().unwrap();
    let host = uri.authority().unwrap().to_string();
    Request::get(uri).header("host", host).body(Full::default()).unwrap()
}

const BODY: &str = r#"{"messages":[{"role":"user","content":"say something nice"}],"model":"gpt-4o"}"#;
