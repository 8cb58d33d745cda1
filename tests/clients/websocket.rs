//! Real WebSocket clients, unchanged: what they see is what they see without the gate, and every turn is in the books.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::gate::Gate;
use super::script::{self, Script, Way};
use super::upstream::books::Billed;
use super::upstream::{Options, Upstream};

/// Connections that the script opens and that switch.
const CONNECTIONS: usize = 12;

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn websockets_and_openai_python_cannot_tell_the_gate_and_every_turn_is_booked() {
    let (upstream, folder) = (Upstream::start(Options::default()), tempfile::tempdir().unwrap());
    let direct = Script::Realtime.run(&Way::Direct.environment(&upstream, None, &folder));
    let billed = upstream.bill().len();
    assert!(billed > 20, "the script talks");
    for way in [Way::Proxy, Way::BaseUrl] {
        upstream.clear();
        let gate = Gate::start(&upstream, &folder);
        let seen = Script::Realtime.run(&way.environment(&upstream, Some(&gate), &folder));
        script::assert_same(&direct, &seen, Script::Realtime, way);
        let bill = upstream.bill();
        assert_eq!(bill.len(), billed);
        assert_booked(&gate, &bill);
    }
}

/// What is counted of a turn: its model, and its input, cached and output tokens.
type Counted = (String, u64, u64, u64);

fn assert_booked(gate: &Gate, bill: &[Billed]) {
    // The turns, the seconds of the live session, the connections, and the one that was refused.
    let entries = entries(gate, bill.len() + 1 + CONNECTIONS + 1);
    let (turns, connections): (Vec<Value>, Vec<Value>) =
        entries.into_iter().partition(|entry| !entry["session"].is_null());
    let (lasted, turns): (Vec<Value>, Vec<Value>) = turns.into_iter().partition(|turn| turn["upstreamId"].is_null());
    assert_eq!((lasted.len(), &lasted[0]["usage"]["seconds"]), (1, &Value::from(9)));
    let switched = connections.iter().filter(|connection| connection["status"] == 101);
    let outcomes: Vec<&Value> = switched.map(|connection| &connection["outcome"]).collect();
    assert_eq!(outcomes, vec!["ok"; CONNECTIONS]);

    let booked: BTreeMap<String, Counted> = turns.iter().map(counted).collect();
    assert_eq!(booked.len(), turns.len(), "no turn is booked twice");
    let charged: BTreeMap<String, Counted> =
        bill.iter().map(|line| (line.id.clone(), (line.model.clone(), line.input, line.cached, line.output))).collect();
    assert_eq!(booked, charged, "left are the gate's entries, right is the upstream's bill");
    for turn in turns.iter().filter(|turn| turn["endpoint"] == "/v1/responses+ws") {
        assert!(turn["costUsd"].is_string(), "{turn}");
    }
}

fn counted(turn: &Value) -> (String, Counted) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let count = |name: &str| turn["usage"][name].as_u64().unwrap_or(0);
    (text(&turn["upstreamId"]), (text(&turn["model"]["served"]), count("input"), count("cachedInput"), count("output")))
}

/// All entries, once there are so many.
fn entries(gate: &Gate, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let entries = gate.ask("/entries?limit=1000")["entries"].as_array().unwrap().clone();
        if entries.len() >= count {
            assert_eq!(entries.len(), count, "{entries:#?}");
            return entries;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the books lack something: {} of {count}", entries.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}
