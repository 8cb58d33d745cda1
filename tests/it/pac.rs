//! The PAC is to be had on every way to the gate, tells each asker an address that it can reach, and strangers nothing.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;

use crate::bench::admin::{ask, ask_as};
use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn the_same_script_is_given_on_all_three_ways() {
    for (more, fallback) in [("", "; DIRECT"), (r#"auditing: "mandatory","#, "")] {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, more);
        let proxy = gate.proxy().to_string();
        let admin = ask(gate.admin(), "/proxy.pac").await;
        let direct = got(&gate, "/proxy.pac", &proxy).await;
        let through = got(&gate, "http://tollgate.internal/proxy.pac", "tollgate.internal").await;
        for answered in [&admin, &direct, &through] {
            assert_eq!(answered.status, StatusCode::OK);
            assert_eq!(answered.headers["content-type"], "application/x-ns-proxy-autoconfig");
            assert!(answered.text().contains(&format!("return \"PROXY {proxy}{fallback}\";")), "{}", answered.text());
            assert_eq!(answered.text(), admin.text());
        }
        assert!(gate.entries().is_empty() && upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn a_stranger_whose_name_leads_here_gets_no_script() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let proxy = gate.proxy();
    for host in ["evil.example", "127.0.0.1.nip.io", "192.0.2.1:8484", "localhost.evil.example", "tollgate.internal"] {
        let answered = got(&gate, "/proxy.pac", host).await;
        assert_eq!(answered.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        let message = answered.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("its own address only"), "{message}");
        assert!(message.contains(&format!("http://{proxy}/proxy.pac")), "{message}");
        assert!(!answered.text().contains("FindProxyForURL"));
    }
    assert_eq!(ask_as(gate.admin(), "evil.example", "/proxy.pac").await.status, StatusCode::FORBIDDEN);
    for host in ["localhost", "127.0.0.1", "[::1]:1", "LOCALHOST.:9"] {
        assert_eq!(got(&gate, "/proxy.pac", host).await.status, StatusCode::OK, "{host}");
    }
    // A call to the API is no question for the script, whatever its path.
    assert_ne!(
        got(&gate, "/proxy.pac", "api.openai.com").await.headers["content-type"],
        "application/x-ns-proxy-autoconfig"
    );
    assert_eq!(upstream.seen().len(), 1);
}

async fn got(gate: &TestGate, uri: &str, host: &str) -> Answered {
    let request = Request::get(uri).header("host", host).body(Full::<Bytes>::default()).unwrap();
    Client::plain(gate.proxy()).await.send(request).await
}
