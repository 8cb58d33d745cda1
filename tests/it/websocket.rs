//! Conversations over WebSockets are carried unchanged, and each of their turns is in the books.

use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tollgate::dialect::endpoint::{Endpoint, Socket};
use tollgate::ledger::entry::{AfterClose, Entry, Outcome};
use tollgate::units::Basis;

use crate::bench::admin::ask;
use crate::bench::gate::TestGate;
use crate::bench::raw::{Raw, guard};
use crate::bench::socket::{KEY, PAGE, Talk, Way};
use crate::bench::upstream::books::Billed;
use crate::bench::upstream::{Options, Upstream};

const REALTIME: &str = "/v1/realtime?model=gpt-realtime";

async fn turn(talk: &mut Talk, play: Value) -> Value {
    talk.send(&json!({"type": "response.create", "standin": play})).await;
    talk.until("response.done").await
}

/// The entry of the connection, and those of its turns.
fn parted(entries: Vec<Entry>) -> (Entry, Vec<Entry>) {
    let (turns, mut connections): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.session.is_some());
    assert_eq!(connections.len(), 1, "{connections:#?}");
    (connections.remove(0), turns)
}

/// Every line of the bill is in the books, once.
fn assert_billed(turns: &[Entry], bill: &[Billed]) {
    let booked: Vec<_> = turns
        .iter()
        .map(|turn| {
            let usage = turn.usage.unwrap_or_default();
            let model = turn.model.served.as_deref().unwrap_or_default().to_owned();
            let id = turn.upstream_id.as_deref().unwrap_or_default().to_owned();
            (id, model, usage.input, usage.cached_input.unwrap_or(0), usage.output)
        })
        .collect();
    let charged: Vec<_> = bill
        .iter()
        .map(|line| (line.id.clone(), line.model.clone(), Some(line.input), line.cached, Some(line.output)))
        .collect();
    assert_eq!(booked, charged);
}

#[tokio::test]
async fn every_turn_is_booked_as_it_is_billed_by_every_way_in() {
    for way in Way::ALL {
        let upstream = Upstream::start(Options::default());
        let gate = TestGate::start(&upstream, "");
        let mut talk = way.open(&gate, REALTIME).await;
        talk.until("session.created").await;
        for (number, play) in [
            json!({}),
            json!({"deltas": 5, "size": 4000}),
            json!({"deltas": 3, "size": 300, "fragments": 7}),
            json!({"status": "incomplete"}),
        ]
        .into_iter()
        .enumerate()
        {
            let done = turn(&mut talk, play).await;
            // Whoever reads the end of a turn finds it in the books.
            let booked = gate.entries();
            assert_eq!(booked.len(), number + 1, "{way:?}");
            let last = booked.last().unwrap();
            assert_eq!(last.upstream_id.as_deref(), done["response"]["id"].as_str());
            let raw: Value = serde_json::from_str(last.raw_usage.as_ref().unwrap().get()).unwrap();
            assert_eq!(raw, done["response"]["usage"]);
        }
        talk.close().await;
        let (connection, turns) = parted(gate.wait_for_entries(5).await);
        assert_billed(&turns, &upstream.bill());
        assert_eq!((connection.status, connection.outcome, connection.basis), (101, Outcome::Ok, Basis::None));
        assert_eq!(connection.endpoint, Endpoint::Socket(Socket::Realtime));
        assert!(connection.bytes_up > 100 && connection.bytes_down > 20_000, "{connection:#?}");
        for (number, entry) in (1..).zip(&turns) {
            assert_eq!(*entry.id, format!("{}-t{number}", connection.id));
            assert_eq!(entry.session.as_deref(), Some(&*connection.id));
            assert_eq!((entry.outcome, entry.basis), (Outcome::Ok, Basis::Reported));
            assert_eq!((entry.model.asked.as_deref(), &entry.endpoint), (Some("gpt-realtime"), &connection.endpoint));
            let usage = entry.usage.unwrap();
            assert_eq!((usage.audio_input, usage.audio_output), (Some(13), usage.output.map(|output| output - 5)));
            assert_eq!(usage.cached_audio, Some(5));
        }
    }
}

#[tokio::test]
async fn responses_over_a_websocket_are_booked_with_their_own_models_and_tiers() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, "/v1/responses").await;
    for (model, tier) in [("gpt-4o", None), ("gpt-4.1", Some("priority")), ("no-such-model", None), ("gpt-5", None)] {
        talk.send(&json!({"type": "response.create", "model": model, "service_tier": tier, "input": "hello"})).await;
        talk.until(if model == "no-such-model" { "error" } else { "response.completed" }).await;
    }
    talk.close().await;
    let (connection, turns) = parted(gate.wait_for_entries(4).await);
    assert_eq!((connection.model.asked, connection.endpoint), (None, Endpoint::Socket(Socket::Responses)));
    assert_billed(&turns, &upstream.bill());
    let asked: Vec<_> = turns.iter().map(|turn| turn.model.asked.as_deref().unwrap()).collect();
    assert_eq!(asked, ["gpt-4o", "gpt-4.1", "gpt-5"]);
    let tiers: Vec<_> = turns.iter().map(|turn| (turn.tier.asked.as_deref(), turn.tier.served.as_deref())).collect();
    assert_eq!(tiers, [(None, Some("default")), (Some("priority"), Some("priority")), (None, Some("default"))]);
    let costs: Vec<i128> = turns.iter().map(|turn| turn.cost.unwrap().0).collect();
    // 120 input of which 62 cached, 22 output: 58 * 2.5 + 62 * 1.25 + 22 * 10 dollars per million.
    assert_eq!(costs[0], 442_500_000);
    let stats = ask(gate.admin(), "/stats").await.json();
    assert_eq!(stats["totals"]["unpricedRequests"], 0, "{stats}");
}

#[tokio::test]
async fn what_is_written_down_of_speech_is_booked_apart_and_by_its_own_model() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, REALTIME).await;
    for model in ["gpt-4o-transcribe", "whisper-1"] {
        let session = json!({"audio": {"input": {"transcription": {"model": model}}}});
        talk.send(&json!({"type": "session.update", "session": session})).await;
        talk.until("session.updated").await;
        talk.send(&json!({"type": "input_audio_buffer.commit"})).await;
        talk.until("conversation.item.input_audio_transcription.completed").await;
        turn(&mut talk, json!({})).await;
    }
    talk.close().await;
    let (_, turns) = parted(gate.wait_for_entries(5).await);
    let bill = upstream.bill();
    let models = |turn: &Entry| (turn.model.asked.clone(), turn.model.served.as_deref().unwrap().to_owned());
    assert_eq!(models(&turns[0]), (None, "gpt-4o-transcribe".to_owned()));
    assert_eq!(models(&turns[2]), (None, "whisper-1".to_owned()));
    assert_eq!(turns[2].usage.unwrap().seconds, Some(9));
    assert_eq!(turns[2].usage.unwrap().input, None);
    let by_tokens = [turns[0].clone(), turns[1].clone(), turns[3].clone()];
    assert_billed(&by_tokens, &[bill[0].clone(), bill[1].clone(), bill[3].clone()]);
    let ids: Vec<_> = turns.iter().map(|turn| turn.upstream_id.as_deref().unwrap().to_owned()).collect();
    assert_eq!(ids, bill.iter().map(|line| line.id.clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn seconds_of_a_live_session_are_booked_once_and_delegated_turns_apart() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, "/v1/live/sessions").await;
    talk.send(&json!({"type": "session.start", "session": {"model": "gpt-live-1"}})).await;
    talk.until("session.started").await;
    for seconds in [3, 4, 5] {
        talk.send(&json!({"type": "session.input_audio.append", "seconds": seconds})).await;
        talk.until("session.usage.updated").await;
    }
    talk.send(&json!({"type": "session.delegate", "model": "gpt-4o"})).await;
    talk.until("response.completed").await;
    talk.close().await;
    let (connection, turns) = parted(gate.wait_for_entries(3).await);
    assert_eq!(connection.endpoint, Endpoint::Socket(Socket::Live));
    let (lasted, delegated): (Vec<_>, Vec<_>) = turns.into_iter().partition(|turn| turn.upstream_id.is_none());
    assert_billed(&delegated, &upstream.bill());
    assert_eq!(lasted.len(), 1);
    assert_eq!((lasted[0].usage.unwrap().seconds, lasted[0].model.served.as_deref()), (Some(12), Some("gpt-live-1")));
}

#[tokio::test]
async fn a_turn_that_is_told_twice_is_booked_once() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, REALTIME).await;
    turn(&mut talk, json!({"twice": true})).await;
    turn(&mut talk, json!({})).await;
    talk.close().await;
    let (_, turns) = parted(gate.wait_for_entries(3).await);
    assert_billed(&turns, &upstream.bill());
}

#[tokio::test]
async fn a_turn_whose_upstream_breaks_off_is_in_the_books_without_a_price() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, REALTIME).await;
    upstream.hold();
    talk.send(&json!({"type": "response.create", "standin": {"deltas": 2, "size": 10, "held": true, "cut": true}}))
        .await;
    talk.until("response.created").await;
    upstream.release_all();
    assert!(talk.ended().await.is_none(), "the client sees the break");
    let (connection, turns) = parted(gate.wait_for_entries(2).await);
    assert_eq!((connection.outcome, turns[0].outcome), (Outcome::UpstreamCut, Outcome::UpstreamCut));
    assert_eq!((turns[0].usage, turns[0].basis, turns[0].cost), (None, Basis::None, None));
    assert_eq!(turns[0].upstream_id.as_deref(), Some(&*upstream.bill()[0].id));
    let stats = ask(gate.admin(), "/stats").await.json();
    assert_eq!(stats["totals"]["unpricedRequests"], 1, "the turn, and not the connection: {stats}");
}

#[tokio::test]
async fn a_client_that_is_killed_in_a_turn_has_it_read_to_its_usage() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, REALTIME).await;
    upstream.hold();
    talk.send(&json!({"type": "response.create", "standin": {"held": true}})).await;
    talk.until("response.created").await;
    drop(talk);
    // The gate has noticed, or will; the turn ends only now.
    upstream.release_all();
    let (connection, turns) = parted(gate.wait_for_entries(2).await);
    assert_eq!((connection.outcome, turns[0].outcome), (Outcome::ClientClosed, Outcome::ClientClosed));
    assert_eq!(turns[0].after_close, Some(AfterClose::Drained));
    assert_billed(&turns, &upstream.bill());
}

#[tokio::test]
async fn a_client_that_is_killed_in_a_turn_ends_it_where_the_owner_wants_that() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, r#"metering: { onDisconnect: "cancel" }"#);
    let mut talk = Way::Connect.open(&gate, REALTIME).await;
    talk.send(&json!({"type": "response.create", "standin": {"silent": true}})).await;
    talk.until("response.created").await;
    drop(talk);
    let (connection, turns) = parted(gate.wait_for_entries(2).await);
    assert_eq!((connection.outcome, turns[0].outcome), (Outcome::ClientClosed, Outcome::ClientClosed));
    assert_eq!((turns[0].usage, turns[0].after_close), (None, Some(AfterClose::Cancelled)));
}

#[tokio::test]
async fn close_codes_and_big_events_come_through() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, REALTIME).await;
    // More than the meter gathers, in one frame and in several.
    for fragments in [0, 3] {
        talk.send(
            &json!({"type": "response.create", "standin": {"deltas": 1, "size": 17 << 20, "fragments": fragments}}),
        )
        .await;
        let delta = talk.until("response.output_audio.delta").await;
        assert_eq!(delta["delta"].as_str().unwrap().len(), 17 << 20);
        talk.until("response.done").await;
    }
    talk.send(&json!({"type": "response.create", "standin": {"close": 4321}})).await;
    talk.until("response.done").await;
    let frame = talk.ended().await.unwrap();
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4321, "as the script says"));
    let (connection, turns) = parted(gate.wait_for_entries(4).await);
    assert_billed(&turns, &upstream.bill());
    assert_eq!(connection.outcome, Outcome::Ok);
    assert_eq!(connection.error.as_deref(), Some("an event was too large to be read"));
}

#[tokio::test]
async fn only_compression_is_negotiated_where_events_are_read() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let offer = ("sec-websocket-extensions", "x-other, permessage-deflate; client_max_window_bits");
    let talk = Way::Connect.try_open(&gate, REALTIME, &[KEY, offer]).await.unwrap();
    assert!(!talk.headers.contains_key("sec-websocket-extensions"), "the upstream chose none");
    let seen = upstream.seen()[0].headers["sec-websocket-extensions"].clone();
    assert_eq!(seen, "permessage-deflate; client_max_window_bits");
    talk.close().await;
}

#[tokio::test]
async fn compressed_turns_are_booked_and_their_bytes_stay_what_they_are() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut deflate = Compress::new(Compression::default(), false);
    let mut squeezed = |event: &Value| {
        let mut out = Vec::with_capacity(1000);
        deflate.compress_vec(event.to_string().as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        [vec![0xC1, u8::try_from(out.len()).unwrap()], out].concat()
    };
    let turn = |id: &str| {
        json!({"type": "response.done", "response": {"id": id, "status": "completed", "usage":
            {"total_tokens": 18, "input_tokens": 11, "output_tokens": 7}}})
    };
    let frames = [squeezed(&turn("resp_1")), squeezed(&turn("resp_2")), vec![0x88, 2, 0x03, 0xE8]].concat();
    let sent = frames.clone();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Raw::over(stream);
        let request = guard(peer.until(b"\r\n\r\n")).await.unwrap();
        let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
        assert!(request.contains("sec-websocket-extensions: permessage-deflate\r\n"), "{request}");
        let accept = derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        peer.send(format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n")).await;
        peer.send(sent).await;
        peer.rest().await;
    });
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(
        &upstream,
        &format!(r#"duplicates: [{{ name: "mirror", url: "{url}", apiKey: "sk-mirror" }}]"#),
    );
    let mut client = Raw::open(gate.proxy()).await;
    client
        .send(format!(
            "GET {REALTIME} HTTP/1.1\r\nhost: api.openai.com\r\nconnection: Upgrade\r\nupgrade: websocket\r\nauthorization: Bearer sk-a\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
        ))
        .await;
    let head = String::from_utf8(guard(client.until(b"\r\n\r\n")).await.unwrap()).unwrap().to_ascii_lowercase();
    assert!(head.contains("sec-websocket-extensions: permessage-deflate\r\n"), "{head}");
    // The answer to the close of the upstream.
    client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]).await;
    client.finish().await;
    assert_eq!(client.rest().await, frames);
    server.await.unwrap();
    let (_, turns) = parted(gate.wait_for_entries(3).await);
    let mut used: Vec<_> =
        turns.iter().map(|turn| (turn.upstream_id.clone().unwrap(), turn.usage.as_ref().unwrap().input)).collect();
    used.sort();
    assert_eq!(used, vec![("resp_1".into(), Some(11)), ("resp_2".into(), Some(11))]);
}

#[tokio::test]
async fn a_key_is_swapped_for_a_duplicate_also_where_a_page_sends_it_as_a_protocol() {
    let upstream = Upstream::start(Options::default());
    let duplicate = r#"duplicates: [{ name: "mirror", url: "https://mirror.example.com", apiKey: "sk-mirror" }]"#;
    let gate = TestGate::start(&upstream, duplicate);
    for fields in [&[KEY][..], &[PAGE]] {
        let mut talk = Way::Connect.try_open(&gate, REALTIME, fields).await.unwrap();
        turn(&mut talk, json!({})).await;
        let is_page = fields[0] == PAGE;
        assert_eq!(talk.headers.get("sec-websocket-protocol").is_some_and(|chosen| chosen == "realtime"), is_page);
        talk.close().await;
    }
    let unkeyed = Way::Connect.try_open(&gate, REALTIME, &[]).await;
    assert_eq!(unkeyed.err().map(|refused| refused.status), Some(401));
    for seen in upstream.seen() {
        assert_eq!((&*seen.host, &*seen.path_and_query), ("mirror.example.com", REALTIME));
        assert_eq!(seen.headers["authorization"], "Bearer sk-mirror");
        let shown = format!("{:?}", seen.headers);
        assert!(!shown.contains("sk-page") && !shown.contains("sk-client"), "{shown}");
    }
    let entries = gate.wait_for_entries(5).await;
    let shown = serde_json::to_string(&entries).unwrap();
    assert!(!shown.contains("sk-"), "{shown}");
}

#[tokio::test]
async fn a_pages_key_stays_where_the_page_sent_it() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let talk = Way::Connect.try_open(&gate, REALTIME, &[PAGE]).await.unwrap();
    talk.close().await;
    assert_eq!(upstream.seen()[0].headers["sec-websocket-protocol"], PAGE.1);
    gate.wait_for_entries(1).await;
}

#[tokio::test]
async fn azure_gets_its_own_forms_and_prices_by_the_model_behind_the_deployment() {
    for (version, wanted) in [
        ("v1", "/openai/v1/realtime?model=voice"),
        ("2024-10-01-preview", "/openai/realtime?deployment=voice&api-version=2024-10-01-preview"),
    ] {
        let options = Options { deployments: vec![("voice".into(), "gpt-realtime".into())], ..Options::default() };
        let upstream = Upstream::start(options);
        let duplicate = format!(
            r#"duplicates: [{{ name: "az", url: "https://res.openai.azure.com", apiKey: "az-key", apiVersion: "{version}",
              deployments: {{ "gpt-realtime": {{ deployment: "voice", model: "gpt-4o" }} }} }}]"#
        );
        let gate = TestGate::start(&upstream, &duplicate);
        let mut talk = Way::Connect.open(&gate, REALTIME).await;
        turn(&mut talk, json!({})).await;
        talk.close().await;
        let seen = &upstream.seen()[0];
        assert_eq!((&*seen.host, &*seen.path_and_query), ("res.openai.azure.com", wanted));
        assert_eq!(seen.headers["api-key"], "az-key");
        assert!(!seen.headers.contains_key("authorization"));
        let (connection, turns) = parted(gate.wait_for_entries(2).await);
        assert_eq!(connection.model.sent.as_deref(), Some("voice"));
        assert_billed(&turns, &upstream.bill());
    }
}

#[tokio::test]
async fn a_custom_model_is_not_asked_by_the_name_of_another() {
    let upstream = Upstream::start(Options::default());
    let gate =
        TestGate::start(&upstream, r#"models: [{ name: "own", endpointUrl: "http://127.0.0.1:1/v1/completions" }]"#);
    let refused = Way::Connect.try_open(&gate, "/v1/realtime?model=own", &[KEY]).await.err().unwrap();
    assert_eq!(refused.status, 400);
    assert!(String::from_utf8_lossy(&refused.body).contains("/v1/realtime"), "{refused:?}");
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn foreign_pages_may_not_use_the_base_url() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    for origin in ["https://evil.example", "null"] {
        let refused = Way::BaseUrl.try_open(&gate, REALTIME, &[PAGE, ("origin", origin)]).await.err().unwrap();
        assert_eq!(refused.status, 403, "{origin}");
    }
    assert!(upstream.seen().is_empty());
    Way::BaseUrl.try_open(&gate, REALTIME, &[PAGE, ("origin", "http://localhost:3000")]).await.unwrap().close().await;
    // As a proxy the gate is what the browser uses anyway.
    Way::Connect.try_open(&gate, REALTIME, &[PAGE, ("origin", "https://page.example")]).await.unwrap().close().await;
}

#[tokio::test]
async fn a_websocket_that_nobody_knows_is_carried_and_counted_as_a_gap() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, "");
    let mut talk = Way::Connect.open(&gate, "/v1/something/new?model=gpt-4o").await;
    talk.send(&json!({"usage": {"input_tokens": 5}})).await;
    assert!(talk.next().await.is_some());
    talk.close().await;
    let (connection, turns) = parted(gate.wait_for_entries(1).await);
    assert_eq!((connection.endpoint, turns.len()), (Endpoint::Other, 0));
    let tunnels = ask(gate.admin(), "/stats").await.json()["tunnels"].take();
    assert_eq!((&tunnels["upgrades"], &tunnels["connections"]), (&json!(1), &json!(1)));
    assert_eq!(
        (tunnels["bytesUp"].as_u64(), tunnels["bytesDown"].as_u64()),
        (Some(connection.bytes_up), Some(connection.bytes_down))
    );
    assert!(connection.bytes_up > 20);
}

#[tokio::test]
async fn a_spent_budget_lets_no_further_websocket_through() {
    let upstream = Upstream::start(Options::default());
    let gate = TestGate::start(&upstream, r#"budgets: [{ name: "all", limit: "0.0001", per: "day" }]"#);
    let mut talk = Way::Connect.open(&gate, "/v1/responses").await;
    let create = json!({"type": "response.create", "model": "gpt-4o", "input": "hello"});
    talk.send(&create).await;
    talk.until("response.completed").await;
    let refused = Way::Connect.try_open(&gate, "/v1/responses", &[KEY]).await.err().unwrap();
    let error: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &error["error"]["code"]), (429, &json!("insufficient_quota")));
    assert_eq!(upstream.seen().len(), 1);
    // A conversation that has begun is not broken off.
    talk.send(&create).await;
    talk.until("response.completed").await;
    talk.close().await;
}
