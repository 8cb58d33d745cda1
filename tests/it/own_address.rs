//! Nobody reaches the gate's own listeners through the gate, by whatever name, and no route leads back into it.

use std::net::{SocketAddr, TcpListener};

use http::Request;
use http_body_util::Full;
use tempfile::TempDir;
use tollgate::config::load::{Sources, load};
use tollgate::gate::{Gate, Surroundings};

use crate::bench::client::{Client, connect};
use crate::bench::gate::{TestGate, loaded};
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_connect_to_the_gates_own_ports_is_refused_before_anything_is_dialled() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for port in [gate.admin().port(), gate.proxy().port()] {
        let before = connections_to(gate.admin());
        for host in NAMES {
            let refusal = guard(connect(gate.proxy(), &format!("{host}:{port}"))).await.unwrap_err();
            assert!(refusal.starts_with("HTTP/1.1 403 "), "{host}: {refusal}");
            assert!(refusal.contains("own_address"), "{host}: {refusal}");
            // Trying again changes nothing.
            assert!(refusal.contains("x-should-retry: false"), "{host}: {refusal}");
        }
        assert_eq!(connections_to(gate.admin()), before);
    }
}

#[tokio::test]
async fn an_absolute_url_of_the_gates_own_ports_is_refused_before_anything_is_dialled() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for port in [gate.admin().port(), gate.proxy().port()] {
        let before = connections_to(gate.admin());
        for host in NAMES {
            let mut client = Client::plain(gate.proxy()).await;
            let request = Request::get(format!("http://{host}:{port}/stats"))
                .header("host", format!("{host}:{port}"))
                .body(Full::default())
                .unwrap();
            let answered = guard(client.send(request)).await;
            assert_eq!(answered.status, 403, "{host}");
            assert_eq!(answered.json()["error"]["code"], "own_address", "{host}");
        }
        assert_eq!(connections_to(gate.admin()), before);
    }
}

#[tokio::test]
async fn the_same_port_elsewhere_and_other_ports_here_are_nobodys_own() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    assert!(guard(connect(gate.proxy(), &upstream.address().to_string())).await.is_ok());
    // 192.0.2.0/24 belongs to nobody, so whatever comes of it, it is not the gate itself.
    let gate = TestGate::with_upstream(&upstream, r#"connectTimeout: "50ms""#, "");
    let refusal = guard(connect(gate.proxy(), &format!("192.0.2.1:{}", gate.admin().port()))).await.unwrap_err();
    assert!(!refusal.contains("own_address"), "{refusal}");
}

#[test]
fn a_configuration_whose_routes_lead_back_is_refused() {
    for member in [
        r#"upstream: { resolve: { "api.openai.com:443": "127.0.0.1:48484" } }"#,
        r#"upstream: { resolve: { "books.example:443": "127.0.0.1:48485" } }"#,
        r#"models: [{ name: "m", endpointUrl: "http://127.0.0.1:48484/v1/chat/completions" }]"#,
        r#"models: [{ name: "m", endpointUrl: "http://localhost:48484/v1/chat/completions" }]"#,
        r#"models: [{ name: "m", endpointUrl: "http://0.0.0.0:48485/v1/chat/completions" }]"#,
        r#"duplicates: [{ name: "d", url: "https://127.0.0.1:48484" }]"#,
        r#"duplicates: [{ name: "d", url: "https://localhost:48485" }]"#,
    ] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("tollgate.json5");
        let listen = r#"listen: { proxy: "127.0.0.1:48484", admin: "127.0.0.1:48485" }"#;
        std::fs::write(&file, format!("{{ {listen}, {member} }}")).unwrap();
        let outcome = load(&Sources {
            file: Some(file),
            environment: &|_| None,
            working_directory: folder.path().to_owned(),
            proxy: None,
            admin: None,
            models: Vec::new(),
        });
        let message = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("on which the gate itself listens"), "{member}: {message}");
    }
}

#[tokio::test]
async fn a_route_that_turns_out_to_lead_back_ends_at_the_first_hop() {
    let upstream = Upstream::start(Options::default());
    for (route, model) in [
        (r#"models: [{ name: "m", endpointUrl: "http://127.0.0.1:PORT/v1/chat/completions" }]"#, "m"),
        (r#"duplicates: [{ name: "d", url: "http://127.0.0.1:PORT", apiKey: "sk-d" }]"#, "gpt-4o"),
    ] {
        let (gate, _folder) = leading_back(route);
        let mut client = Client::plain(gate.proxy_address()).await;
        let request = Request::post("/v1/chat/completions")
            .header("host", gate.proxy_address().to_string())
            .header("authorization", "Bearer sk-client")
            .body(Full::from(format!(r#"{{"model":"{model}","messages":[]}}"#)))
            .unwrap();
        let answered = guard(client.send(request)).await;
        assert_eq!(answered.status, 403, "{route}: {}", answered.text());
        assert_eq!(answered.json()["error"]["code"], "own_address", "{route}");
    }
    assert!(upstream.seen().is_empty());
}

/// A gate whose route names its own port, which the configuration could not know when it was read.
fn leading_back(route: &str) -> (Gate, TempDir) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = TempDir::new().unwrap();
    let route = route.replace("PORT", &port.to_string());
    let text = format!(r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1, {route} }}"#);
    let mut loaded = loaded(&folder, &text);
    loaded.setup.proxy.set_port(port);
    (Gate::start(loaded, Surroundings::default()).unwrap(), folder)
}

/// How many connections the kernel knows at this port, those just closed included.
fn connections_to(listener: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{:04X}", listener.port());
    let rows = table.lines().skip(1).filter(|row| {
        let mut columns = row.split_whitespace().skip(1);
        let ends = [columns.next(), columns.next()];
        ends.iter().flatten().any(|end| end.ends_with(&port)) && columns.next() != Some(LISTENING)
    });
    rows.count()
}

const LISTENING: &str = "0A";

/// Ways to write an address of this machine.
const NAMES: [&str; 8] =
    ["127.0.0.1", "127.0.0.2", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "localhost", "LocalHost."];
