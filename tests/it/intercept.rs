//! A program that only trusts the gate's certificate reaches OpenAI through it, and its calls are on the books.

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};
use tollgate::ledger::entry::Outcome;

#[tokio::test]
async fn a_call_through_the_gate_is_the_call_itself_and_is_booked_as_billed() {
    for alpn in ["http/1.1", "h2"] {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, "");
        let body = r#"{"messages":[{"role":"user","content":"say something nice"}],"model":"gpt-4o"}"#;
        let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), alpn).await;
        let expected = direct.post("/v1/chat/completions", body).await;
        upstream.clear();

        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
        let answered = client.post("/v1/chat/completions", body).await;
        assert_eq!(answered.status, expected.status, "{}", answered.text());
        assert_eq!(answered.text(), expected.text());
        assert_eq!(upstream.seen()[0].body, body.as_bytes());

        let entries = gate.wait_for_entries(1).await;
        let bill = upstream.bill();
        assert_eq!(entries.len(), 1);
        let usage = entries[0].usage.expect("usage was reported");
        assert_eq!((usage.input, usage.output), (Some(bill[0].input), Some(bill[0].output)));
        assert!(entries[0].cost.is_some());
    }
}

#[tokio::test]
async fn a_reply_that_was_read_whole_is_booked_as_whole_whatever_the_protocols() {
    for upstream_speaks in [Alpn::Http1, Alpn::Http2] {
        let upstream = Upstream::start(Options { alpn: upstream_speaks, ..Options::default() });
        let gate = TestGate::start(&upstream, "");
        let root = gate.root_pem();
        let mut clients = [
            Client::intercepted(gate.proxy(), "api.openai.com", &root, "http/1.1").await,
            Client::intercepted(gate.proxy(), "api.openai.com", &root, "h2").await,
            Client::plain(gate.proxy()).await,
        ];
        let mut made = 0;
        for client in &mut clients {
            for stream in [false, true] {
                let body =
                    format!(r#"{{"model":"gpt-4o","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#);
                assert!(client.post("/v1/chat/completions", body).await.whole);
                made += 1;
                let entries = gate.wait_for_entries(made).await;
                assert_eq!(entries[made - 1].outcome, Outcome::Ok, "{upstream_speaks:?}, stream {stream}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_reaches_the_client_without_a_trace_of_the_usage_that_the_gate_asked_for() {
    for alpn in ["http/1.1", "h2"] {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, "");
        let body = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"count to ten"}]}"#;
        let mut direct = Client::direct(upstream.address(), "api.openai.com", upstream.ca_pem(), alpn).await;
        let expected = direct.post("/v1/chat/completions", body).await;
        upstream.clear();

        let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), alpn).await;
        let answered = client.post("/v1/chat/completions", body).await;
        assert_eq!(answered.text(), expected.text());
        assert!(answered.whole);

        let entries = gate.wait_for_entries(1).await;
        let bill = upstream.bill();
        let usage = entries[0].usage.expect("usage was reported");
        assert_eq!((usage.input, usage.output), (Some(bill[0].input), Some(bill[0].output)));
    }
}
