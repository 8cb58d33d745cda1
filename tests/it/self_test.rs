//! The self-test host is answered by the gate itself on every way in: nothing is booked, nothing is dialled, and no other name is it.

use std::net::SocketAddr;

use http::{Method, Request};
use http_body_util::Full;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tollgate::gate::Surroundings;
use tollgate::ledger::stats::StatsQuery;
use tollgate::policy::self_test::token;
use tollgate::system::original::Originals;

use crate::bench::client::{Answered, Client, connect, handshake};
use crate::bench::gate::TestGate;
use crate::bench::raw::guard;
use crate::bench::socks;
use crate::bench::upstream::{Options, Upstream};

const HOST: &str = "tollgate-self-test.api.openai.com";
const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"say something nice"}]}"#;

#[tokio::test]
async fn every_way_in_answers_with_the_token_and_the_books_stay_empty() {
    let (upstream, gate) = gate();
    let (proxy, root) = (gate.proxy(), gate.root_pem());
    for (alpn, number) in [("http/1.1", 1), ("h2", 2)] {
        let mut client = Client::intercepted(proxy, HOST, &root, alpn).await;
        is_answer(&asked(&mut client, Method::GET, number).await, number, "connect");
        let stream = socks::connect(proxy, &format!("{HOST}:443")).await.unwrap();
        let stream = handshake(stream, HOST, &root, alpn).await.unwrap();
        let mut client = Client::over_tls(stream, alpn).await;
        is_answer(&asked(&mut client, Method::GET, number).await, number, "socks5");
        let mut client = Client::direct(gate.gate.transparent_address().unwrap(), HOST, &root, alpn).await;
        is_answer(&asked(&mut client, Method::GET, number).await, number, "transparent");
        // A call in form is none: nobody would be asked, and nobody billed.
        is_answer(&asked(&mut client, Method::POST, number).await, number, "transparent");
    }
    let mut client = Client::plain(proxy).await;
    is_answer(&asked(&mut client, Method::GET, 3).await, 3, "base-url");
    let absolute = Request::get(format!("http://{HOST}/n4")).header("host", HOST).body(Full::default()).unwrap();
    is_answer(&guard(client.send(absolute)).await, 4, "forward");
    is_untouched(&upstream, &gate);
    // The same connection that is refused for another name books nothing either.
    let mut client = Client::intercepted(proxy, HOST, &root, "http/1.1").await;
    let elsewhere = Request::get("/v1/models").header("host", "api.openai.com").body(Full::default()).unwrap();
    assert_eq!(guard(client.send(elsewhere)).await.status, 421);
    is_untouched(&upstream, &gate);
}

#[tokio::test]
async fn git_is_told_of_one_branch_whose_commit_is_the_token() {
    let (upstream, gate) = gate();
    let mut client = Client::intercepted(gate.proxy(), HOST, &gate.root_pem(), "h2").await;
    let request = Request::get(format!("https://{HOST}/n7/info/refs?service=git-upload-pack"));
    let answered = guard(client.send(request.body(Full::default()).unwrap())).await;
    assert_eq!(answered.headers["content-type"], "application/x-git-upload-pack-advertisement");
    assert!(answered.text().contains(&format!("{} refs/heads/self-test\0", token("n7"))), "{}", answered.text());
    is_untouched(&upstream, &gate);
}

#[tokio::test]
async fn no_other_name_is_answered_in_its_place() {
    let (upstream, gate) = gate();
    // Not intercepted: led on to where it was going, which is here.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = TempDir::new().unwrap();
    let foreign = listener.local_addr().unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ resolve: {{ "tollgate-self-test.evil.com:443": "{foreign}" }} }} }}"#
    );
    let other = TestGate::from_text(folder, &text);
    let stream = connect(other.proxy(), "tollgate-self-test.evil.com:443").await;
    assert!(stream.is_ok() && guard(listener.accept()).await.is_ok());
    // By the base URL it is nobody.
    let mut client = Client::plain(gate.proxy()).await;
    let request = Request::get("/n1").header("host", "tollgate-self-test.evil.com").body(Full::default()).unwrap();
    assert_eq!(guard(client.send(request)).await.status, 421);
    // The intercepted host itself is served as ever.
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(client.post("/v1/chat/completions", CHAT).await.status, 200);
    gate.wait_for_entries(1).await;
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_client_that_refuses_its_certificate_again_and_again_is_not_passed_on() {
    let (upstream, gate) = gate();
    let (_, stranger) = self::gate();
    for _ in 0..8 {
        let stream = guard(connect(gate.proxy(), &format!("{HOST}:443"))).await.unwrap();
        assert!(guard(handshake(stream, HOST, &stranger.root_pem(), "h2")).await.is_err());
    }
    let mut client = Client::intercepted(gate.proxy(), HOST, &gate.root_pem(), "h2").await;
    is_answer(&asked(&mut client, Method::GET, 9).await, 9, "connect");
    is_untouched(&upstream, &gate);
}

fn gate() -> (Upstream, TestGate) {
    let upstream = Upstream::start(Options::default());
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("roots.pem"), upstream.ca_pem()).unwrap();
    let at = upstream.address();
    // Whatever is dialled for the host would be seen.
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0", transparent: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ ca: "roots.pem", resolve: {{ "api.openai.com:443": "{at}", "{HOST}:443": "{at}", "{HOST}:80": "{at}" }} }} }}"#
    );
    let own: SocketAddr = "127.0.0.1:443".parse().unwrap();
    let originals = Originals::new(move |_| Some(own));
    let gate = TestGate::amid(folder, &text, Surroundings { originals, ..Surroundings::default() });
    (upstream, gate)
}

async fn asked(client: &mut Client, method: Method, number: u32) -> Answered {
    let uri = match client {
        Client::H1(_) => format!("/n{number}"),
        Client::H2(_) => format!("https://{HOST}/n{number}"),
    };
    let mut request = Request::builder().method(method.clone()).uri(uri).header("content-type", "application/json");
    if let Client::H1(_) = client {
        request = request.header("host", HOST);
    }
    let body = if method == Method::POST { CHAT } else { "" };
    guard(client.send(request.body(Full::from(body)).unwrap())).await
}

fn is_answer(answered: &Answered, number: u32, ingress: &str) {
    assert_eq!(answered.status, 200, "{ingress}: {}", answered.text());
    let told = answered.json();
    assert_eq!((&told["object"], &told["ok"]), (&"tollgate.self_test".into(), &true.into()));
    assert_eq!((&told["token"], &told["ingress"]), (&token(&format!("n{number}")).into(), &ingress.into()));
}

fn is_untouched(upstream: &Upstream, gate: &TestGate) {
    assert_eq!((upstream.connections().0, upstream.seen().len(), gate.entries().len()), (0, 0, 0));
    let stats = gate.gate.ledger().stats(&StatsQuery::default());
    assert_eq!((stats.tunnels.connections, gate.gate.ledger().open_calls()), (0, 0));
}
