//! Who comes from another machine shows a user's password, is called by the user's name, and is led nowhere within.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client, connect, connect_with, handshake};
use crate::bench::elsewhere::own_address;
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::upstream::{Options, Upstream};

use tollgate::ledger::entry::Ingress;

/// `team-a:alpha` and a password that is nearly that.
const RIGHT: &str = "Basic dGVhbS1hOmFscGhh";
const WRONG: &str = "Basic dGVhbS1hOmFscGhi";

const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn nobody_comes_in_from_elsewhere_without_a_password_and_everybody_over_loopback() {
    let Some((upstream, gate, elsewhere)) = started("") else { return };
    let base = |at: SocketAddr| format!("http://{at}/v1/chat/completions");
    for (what, credential) in [("none", None), ("a wrong one", Some(WRONG)), ("of another kind", Some("Bearer alpha"))]
    {
        let field = credential.map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
        let refused = connect_with(elsewhere, "api.openai.com:443", &field).await.unwrap_err();
        assert!(refused.starts_with("HTTP/1.1 407 "), "{what}: {refused}");
        assert!(refused.contains("proxy-authenticate: Basic realm=\"tollgate\""), "{refused}");
        for uri in ["https://api.openai.com/v1/chat/completions", "/v1/chat/completions", "http://example.com/"] {
            let answered = posted(elsewhere, uri, credential).await;
            assert_eq!(answered.status, StatusCode::PROXY_AUTHENTICATION_REQUIRED, "{what} {uri}");
            let error = &answered.json()["error"];
            assert_eq!(error["code"], "proxy_authentication_required");
            assert_eq!(error["type"], "invalid_request_error");
            assert!(error["message"].as_str().unwrap().contains("Proxy-Authorization"), "{error}");
        }
    }
    assert!(upstream.seen().is_empty() && gate.entries().is_empty());
    let here = SocketAddr::from(([127, 0, 0, 1], elsewhere.port()));
    assert!(connect(here, "api.openai.com:443").await.is_ok());
    assert_eq!(posted(here, &base(here), None).await.status, StatusCode::FORBIDDEN, "that is the gate itself");
    assert_eq!(posted(here, "/v1/chat/completions", None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_user_is_the_label_whatever_a_call_says_and_the_password_stays_here() {
    let Some((upstream, gate, elsewhere)) = started("") else { return };
    let field = format!("Proxy-Authorization: {RIGHT}\r\n");
    for (number, alpn) in ["http/1.1", "h2"].into_iter().enumerate() {
        let mut client = Client::intercepted_with(elsewhere, "api.openai.com", &gate.root_pem(), alpn, &field).await;
        let request = client.request(Method::POST, "/v1/chat/completions").header("x-tollgate-label", "team-b");
        let answered = client.send(request.body(Full::from(BODY)).unwrap()).await;
        assert_eq!(answered.status, StatusCode::OK);
        assert_eq!(gate.wait_for_entries(number + 1).await[number].client.label.as_deref(), Some("team-a"));
    }
    for (number, uri) in ["https://api.openai.com/v1/chat/completions", "/v1/chat/completions"].into_iter().enumerate()
    {
        assert_eq!(posted(elsewhere, uri, Some(RIGHT)).await.status, StatusCode::OK, "{uri}");
        let entries = gate.wait_for_entries(number + 3).await;
        assert_eq!(entries[number + 2].client.label.as_deref(), Some("team-a"), "{uri}");
    }
    assert_eq!(gate.entries()[3].ingress, Ingress::BaseUrl);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 4);
    for request in seen {
        assert!(!request.headers.contains_key("proxy-authorization"), "{:?}", request.headers);
    }
    let shown = ask(gate.admin(), "/config").await.text();
    assert!(shown.contains(r#""users":[{"name":"team-a","password":"***"}]"#) && !shown.contains("alpha"), "{shown}");
}

#[tokio::test]
async fn every_request_of_a_kept_connection_shows_the_password() {
    let Some((upstream, _gate, elsewhere)) = started("") else { return };
    let mut client = Client::plain(elsewhere).await;
    for _ in 0..3 {
        let answered = client.send(to(elsewhere, "/v1/chat/completions", Some(RIGHT))).await;
        assert_eq!(answered.status, StatusCode::OK);
    }
    let answered = client.send(to(elsewhere, "/v1/chat/completions", None)).await;
    assert_eq!(answered.status, StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn nobody_from_elsewhere_is_led_to_this_machine_or_its_network() {
    let Some((_upstream, gate, elsewhere)) = started("") else { return };
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outer = TcpListener::bind((elsewhere.ip(), 0)).await.unwrap();
    let [inner, outer_at] = [&inner, &outer].map(|listener| listener.local_addr().unwrap());
    let field = format!("Proxy-Authorization: {RIGHT}\r\n");
    let mapped = format!("[::ffff:127.0.0.1]:{}", inner.port());
    for at in [inner.to_string(), format!("localhost:{}", inner.port()), outer_at.to_string(), mapped] {
        let refused = connect_with(elsewhere, &at, &field).await.unwrap_err();
        assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("inside_address"), "{at}: {refused}");
        assert!(refused.contains("listen.reach"), "{refused}");
        let answered = posted(elsewhere, &format!("http://{at}/"), Some(RIGHT)).await;
        assert_eq!(answered.status, StatusCode::FORBIDDEN, "{at}");
        assert_eq!(answered.json()["error"]["code"], "inside_address");
    }
    for at in ["169.254.169.254:80", "10.0.0.1:80", "192.168.0.1:443", "[fe80::1]:80", "[fd00::1]:22", "0.0.0.0:22"] {
        let refused = connect_with(elsewhere, at, &field).await.unwrap_err();
        assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("inside_address"), "{at}: {refused}");
    }
    // Over loopback comes who reaches all of this without the gate.
    let here = SocketAddr::from(([127, 0, 0, 1], elsewhere.port()));
    assert!(connect(here, &inner.to_string()).await.is_ok());
    // Its own ports are nobody's way, listed or not.
    let own = connect_with(elsewhere, &gate.admin().to_string(), &field).await.unwrap_err();
    assert!(own.starts_with("HTTP/1.1 403 ") && own.contains("own_address"), "{own}");
}

#[tokio::test]
async fn what_the_owner_lists_is_reached_from_elsewhere_and_not_by_what_others_have_opened() {
    let server = Upstream::start(Options { tls: false, ..Options::default() });
    let at = server.address();
    let Some((_upstream, _gate, elsewhere)) = started(&format!(r#"reach: ["{at}"],"#)) else { return };
    let field = format!("Proxy-Authorization: {RIGHT}\r\n");
    assert!(connect_with(elsewhere, &at.to_string(), &field).await.is_ok());
    let named = format!("localhost:{}", at.port());
    assert!(connect_with(elsewhere, &named, &field).await.is_err());

    // A connection that a program of this machine has opened, and that is kept, is not reused for others.
    let here = SocketAddr::from(([127, 0, 0, 1], elsewhere.port()));
    let url = format!("http://{named}/v1/models");
    assert_eq!(got(here, &url, None).await.status, StatusCode::OK);
    assert_eq!(got(elsewhere, &url, Some(RIGHT)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(got(elsewhere, &format!("http://{at}/v1/models"), Some(RIGHT)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_says_nothing_private_is_shown_to_whoever_comes() {
    let Some((_upstream, gate, elsewhere)) = started("") else { return };
    let page = got(elsewhere, "http://tollgate.internal/", None).await;
    assert_eq!(page.status, StatusCode::OK);
    let root = got(elsewhere, "http://tollgate.internal/ca.pem", None).await;
    assert_eq!(root.text(), gate.root_pem());
    let script = got(elsewhere, "/proxy.pac", None).await;
    assert_eq!(script.status, StatusCode::OK);
    // To somebody on another machine 127.0.0.1 would be that machine.
    assert!(script.text().contains(&format!("\"PROXY {elsewhere}; DIRECT\"")), "{}", script.text());
    assert!(connect(elsewhere, "tollgate.internal:80").await.is_err());
}

#[tokio::test]
async fn the_other_ways_in_ask_for_the_password_too_or_are_shut() {
    let Some((upstream, gate, elsewhere)) = started("") else { return };
    // TLS to the port itself has no place for a password.
    let stream = TcpStream::connect(elsewhere).await.unwrap();
    assert!(guard(handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1")).await.is_err());
    // SOCKS5: without a method that has one; with a wrong one; and right.
    let mut client = Raw::open(elsewhere).await;
    client.send([5, 1, 0]).await;
    assert_eq!(client.exactly(2).await, [5, 0xff]);
    for (password, verdict) in [("alphi", 1), ("alpha", 0)] {
        let mut client = Raw::open(elsewhere).await;
        client.send([5, 2, 0, 2]).await;
        assert_eq!(client.exactly(2).await, [5, 2]);
        client.send([&[1, 6][..], b"team-a", &[5], password.as_bytes()].concat()).await;
        assert_eq!(client.exactly(2).await, [1, verdict], "{password}");
        if verdict == 0 {
            // Loopback, port 22: not allowed by the rules.
            client.send([5, 1, 0, 1, 127, 0, 0, 1, 0, 22]).await;
            assert_eq!(client.exactly(2).await, [5, 2]);
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_user_who_comes_by_socks_is_the_label_too() {
    let Some((_upstream, gate, elsewhere)) = started("") else { return };
    let mut stream = TcpStream::connect(elsewhere).await.unwrap();
    let mut said = async |bytes: &[u8], answer: usize| {
        stream.write_all(bytes).await.unwrap();
        let mut answered = vec![0; answer];
        guard(stream.read_exact(&mut answered)).await.unwrap();
        answered
    };
    assert_eq!(said(&[5, 1, 2], 2).await, [5, 2]);
    assert_eq!(said(b"\x01\x06team-a\x05alpha", 2).await, [1, 0]);
    assert_eq!(said(b"\x05\x01\x00\x03\x0eapi.openai.com\x01\xbb", 10).await[..2], [5, 0]);
    let stream = handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap();
    let mut client = Raw::over(stream);
    let call = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk\r\n\
         x-tollgate-label: team-b\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    client.send(call).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let entries = gate.wait_for_entries(1).await;
    assert_eq!(entries[0].client.label.as_deref(), Some("team-a"));
    assert_eq!(entries[0].ingress, Ingress::Socks5);
}

/// An upstream, a gate that listens everywhere, and where it is reached as from another machine.
fn started(listen: &str) -> Option<(Upstream, TestGate, SocketAddr)> {
    let address: IpAddr = own_address()?;
    let upstream = Upstream::start(Options::default());
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("standin.pem"), upstream.ca_pem()).unwrap();
    let at = upstream.address();
    let text = format!(
        r#"{{
          listen: {{ proxy: "0.0.0.0:0", admin: "127.0.0.1:0", {listen} users: [{{name: "team-a", password: "alpha"}}] }},
          upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{at}" }} }},
          workers: 1,
        }}"#
    );
    let gate = TestGate::from_text(folder, &text);
    let elsewhere = SocketAddr::new(address, gate.proxy().port());
    Some((upstream, gate, elsewhere))
}

fn to(at: SocketAddr, uri: &str, credential: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post(uri).header("authorization", "Bearer sk-client").header("host", at.to_string());
    if let Some(credential) = credential {
        request = request.header("proxy-authorization", credential);
    }
    request.header("content-type", "application/json").body(Full::from(BODY)).unwrap()
}

async fn posted(at: SocketAddr, uri: &str, credential: Option<&str>) -> Answered {
    Client::plain(at).await.send(to(at, uri, credential)).await
}

async fn got(at: SocketAddr, uri: &str, credential: Option<&str>) -> Answered {
    let mut request = to(at, uri, credential);
    *request.method_mut() = Method::GET;
    *request.body_mut() = Full::default();
    Client::plain(at).await.send(request).await
}
