//! The Autobahn test suite, which drives WebSockets into every corner: through the gate its verdicts are those without it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::gate::Gate;
use super::script;

/// Framing, pings, reserved bits and opcodes, fragments, UTF-8, closes, and some of the large, many and compressed
/// messages; all of those take a quarter of an hour.
const CASES: &[&str] = &[
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.1", "9.1.2", "9.2.1", "9.2.2", "9.3.1", "9.4.1", "9.5.1",
    "9.6.1", "9.7.1", "9.8.1", "10.*", "12.1.1", "12.1.2", "12.1.3", "12.2.1", "12.3.1", "12.4.1", "12.5.1", "13.1.1",
    "13.3.1", "13.7.1",
];

#[test]
#[ignore = "needs the test suite that setup.sh installs"]
fn a_websocket_conformance_run_gives_the_same_verdicts_through_the_gate() {
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start();
    let gate = Gate::configured(
        &folder,
        &json!({
            "listen": {"proxy": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "duplicates": [{"name": "echo", "url": format!("http://127.0.0.1:{}", echo.port)}],
            "ledger": {"path": null},
        }),
    );
    let gate_port = gate.proxy().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let server =
        |agent: &str, port: u16, path: &str| json!({"agent": agent, "url": format!("ws://127.0.0.1:{port}{path}")});
    let spec = json!({
        "outdir": "reports",
        "servers": [
            server("direct", echo.port, METERED),
            server("metered", gate_port, METERED),
            server("unknown", gate_port, "/v1/echo"),
        ],
        "cases": CASES,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    std::fs::write(folder.path().join("spec.json"), spec.to_string()).unwrap();
    run_suite(folder.path());
    let reports: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("reports/index.json")).unwrap()).unwrap();
    let direct = reports["direct"].as_object().unwrap();
    assert!(direct.len() > 250, "{} cases", direct.len());
    assert!(direct.values().filter(|case| case["behavior"] == "OK").count() > 200, "the server itself conforms");
    for agent in ["metered", "unknown"] {
        for (case, expected) in direct {
            let seen = &reports[agent][case];
            assert_eq!(verdict(seen), verdict(expected), "case {case}, {agent}");
        }
    }
    // The suite came through the gate.
    let tunnels = &gate.ask("/stats")["tunnels"];
    assert_eq!(tunnels["upgrades"], direct.len(), "{tunnels}");
}

/// What the suite says of a case: of the behaviour, of the close, and the code of the close.
fn verdict(case: &Value) -> (&str, &str, &Value) {
    let text = |name: &str| case[name].as_str().unwrap_or("absent");
    // `NON-STRICT` passes too: how much came back before a server saw the fault is a matter of how its reads fell.
    let behaviour = if text("behavior") == "NON-STRICT" { "OK" } else { text("behavior") };
    (behaviour, text("behaviorClose"), &case["remoteCloseCode"])
}

fn run_suite(folder: &Path) {
    let home = script::home().join("conformance");
    let run = "import sys; from autobahntestsuite.wstest import run; run()";
    let outcome = Command::new(home.join("debian/root/usr/bin/python2.7"))
        .args(["-c", run, "-m", "fuzzingclient", "-s", "spec.json"])
        .env("PYTHONPATH", home.join("packages"))
        .env("PYTHONWARNINGS", "ignore")
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&outcome.stdout);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    assert!(outcome.status.success(), "{last:?}\n{}", String::from_utf8_lossy(&outcome.stderr));
}

/// A server that sends back what it gets.
struct Echo {
    child: Child,
    port: u16,
}

impl Echo {
    fn start() -> Self {
        let mut child = Command::new(script::home().join("realtime/bin/python"))
            .arg(script::folder().join("conformance/echo.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It tells of every broken frame.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A path whose events the gate reads.
const METERED: &str = "/v1/realtime?model=gpt-realtime";
