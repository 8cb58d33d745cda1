//! The PAC as engines of JavaScript and browsers run it: intercepted hosts to the gate, all else past it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::Gate;
use super::script::{Script, Way, assert_same};
use super::upstream::{Options, Upstream};

use tollgate::policy::auditing::Auditing;
use tollgate::policy::interception::Interception;
use tollgate::policy::pac;

#[test]
#[ignore = "needs node"]
fn the_script_leads_whole_labels_in_any_case_and_nothing_beside() {
    let hosts = ["api.openai.com", "example.org"].map(|host| host.parse().unwrap());
    let interception = Interception::new(hosts.into());
    for mandatory in [false, true] {
        let auditing = Auditing { mandatory, ..Auditing::default() };
        let script = pac::script(&interception, auditing, "127.0.0.1:8484".parse().unwrap());
        let gate = if mandatory { "PROXY 127.0.0.1:8484" } else { "PROXY 127.0.0.1:8484; DIRECT" };
        let table = [
            ("api.openai.com", gate),
            ("API.OpenAI.com", gate),
            ("api.openai.com.", gate),
            ("eu.api.openai.com", gate),
            ("a.b.example.org", gate),
            ("mtlsx.api.openai.com", gate),
            ("x.mtls.api.openai.com", gate),
            ("mtls.api.openai.com", "DIRECT"),
            ("MTLS-eu.api.openai.com.", "DIRECT"),
            ("evilapi.openai.com", "DIRECT"),
            ("notexample.org", "DIRECT"),
            ("openai.com", "DIRECT"),
            ("api.openai.com.evil.example", "DIRECT"),
            ("example.org.evil", "DIRECT"),
            ("127.0.0.1", "DIRECT"),
            ("localhost", "DIRECT"),
            ("", "DIRECT"),
        ];
        for ((host, expected), found) in table.iter().zip(run(&script, &table.map(|(host, _)| host))) {
            assert_eq!(found, *expected, "{host}");
        }
        for (host, _) in table {
            let Ok(parsed) = host.parse() else { continue };
            let led = table.iter().any(|(other, way)| *other == host && *way == gate);
            assert_eq!(interception.opens(&parsed), led, "the gate itself decides otherwise: {host}");
        }
    }
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn a_browser_that_is_led_by_the_pac_cannot_tell_the_gate() {
    let upstream = Upstream::start(Options::default());
    let folder = TempDir::new().unwrap();
    let gate = Gate::start(&upstream, &folder);
    let direct = Script::Browser.run(&Way::Direct.environment(&upstream, None, &folder));
    upstream.clear();
    let seen = Script::Browser.run(&Way::Pac.environment(&upstream, Some(&gate), &folder));
    assert_same(&direct, &seen, Script::Browser, Way::Pac);
    // What is seen is the same without the gate: the books say that it was there.
    let entries = gate.ask("/entries?limit=100");
    let ways: Vec<&Value> = entries["entries"].as_array().unwrap().iter().map(|entry| &entry["ingress"]).collect();
    assert!(ways.len() >= direct.len() && ways.iter().all(|way| **way == json!("connect")), "{ways:?}");
}

/// What `FindProxyForURL` says of each host.
fn run(script: &str, hosts: &[&str]) -> Vec<String> {
    let program = "
        const { script, hosts } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const context = require('vm').createContext({});
        require('vm').runInContext(script, context);
        const found = hosts.map((host) => context.FindProxyForURL(`https://${host}/v1`, host));
        console.log(JSON.stringify(found));";
    let mut node =
        Command::new("node").args(["-e", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = json!({ "script": script, "hosts": hosts }).to_string();
    node.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    serde_json::from_slice(&node.wait_with_output().unwrap().stdout).unwrap()
}
