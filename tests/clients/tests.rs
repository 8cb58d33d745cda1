//! The promises, a test for each client.

use std::process::Command;

use tempfile::TempDir;

use super::books;
use super::gate::Gate;
use super::script::{self, Script, Way};
use super::upstream::{Options, Upstream};

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn openai_python_3_cannot_tell_the_gate() {
    cannot_tell(Script::Python("python-3"));
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn openai_python_1_cannot_tell_the_gate() {
    cannot_tell(Script::Python("python-1"));
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn openai_node_cannot_tell_the_gate() {
    cannot_tell(Script::Node);
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn curl_cannot_tell_the_gate() {
    cannot_tell(Script::Curl);
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn a_browser_cannot_tell_the_gate() {
    cannot_tell(Script::Browser);
}

#[test]
#[ignore = "needs the verifiers that setup.sh installs"]
fn stolen_issuer_is_refused_by_every_verifier() {
    let (upstream, folder) = (Upstream::start(Options::default()), tempfile::tempdir().unwrap());
    let gate = Gate::start(&upstream, &folder);
    let outcome = Command::new("bash")
        .arg(script::folder().join("constraints.sh"))
        .arg(gate.certs())
        .env("TOLLGATE_VENV", script::home().join("python-3"))
        .output()
        .unwrap();
    let said = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success(), "{}\n{}", said.0, said.1);
}

/// A comparison with the gate says something only if two direct runs give the same.
#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn two_direct_runs_give_the_same() {
    for script in [Script::Python("python-3"), Script::Python("python-1"), Script::Node, Script::Curl, Script::Browser]
    {
        let (upstream, folder) = (Upstream::start(Options::default()), tempfile::tempdir().unwrap());
        let first = direct(script, &upstream, &folder);
        let bill = upstream.bill();
        script::assert_same(&first, &direct(script, &upstream, &folder), script, Way::Direct);
        assert!(bill.iter().all(|line| line.completed) && bill == upstream.bill(), "{script:?}: {bill:#?}");
        assert!(bill.iter().any(|line| books::price(&line.model).is_some()), "{script:?}: {bill:#?}");
    }
}

fn cannot_tell(script: Script) {
    let (upstream, folder) = (Upstream::start(Options::default()), tempfile::tempdir().unwrap());
    let expected = direct(script, &upstream, &folder);
    let charged = upstream.bill();
    for way in [Way::Proxy, Way::BaseUrl] {
        let gate = Gate::start(&upstream, &folder);
        upstream.clear();
        let seen = script.run(&way.environment(&upstream, Some(&gate), &folder));
        script::assert_same(&expected, &seen, script, way);
        assert_eq!(upstream.bill(), charged, "{script:?} by {way:?}: the upstream charges as in a direct call");
        books::assert_keys_stayed_home(&upstream.seen());
        books::assert_equal(&gate, &charged);
        // A library may hang up once it has read `[DONE]`; curl reads to the end.
        if script == Script::Curl {
            books::assert_all_ok(&gate);
        }
    }
}

fn direct(script: Script, upstream: &Upstream, folder: &TempDir) -> Vec<script::Line> {
    upstream.clear();
    let lines = script.run(&Way::Direct.environment(upstream, None, folder));
    if script == Script::Curl {
        script::assert_http2(&lines);
    }
    lines
}
