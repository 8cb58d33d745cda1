//! A changed configuration comes into force while the gate runs; one with mistakes changes nothing.

use std::fs;
use std::net::SocketAddr;

use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client};
use crate::bench::process::{Home, Process};
use crate::bench::raw::guard;
use crate::bench::upstream::{Options, Upstream};

async fn reload(admin: SocketAddr, token: &str) -> Answered {
    let request = Request::post("/reload")
        .header("host", admin.to_string())
        .header("authorization", format!("Bearer {token}"))
        .body(Full::default())
        .unwrap();
    guard(Client::plain(admin).await.send(request)).await
}

/// A home whose configuration has a token, and that configuration with more members.
fn home(upstream: &Upstream) -> (Home, impl Fn(&Home, &str)) {
    let home = Home::toward(upstream, "workers: 1, limits: { drainTimeout: '60s' }");
    let good = fs::read_to_string(home.path("config/tollgate.json5")).unwrap();
    let write = move |home: &Home, members: &str| {
        let text = good.replacen('{', &format!("{{ {members}"), 1);
        fs::write(home.path("config/tollgate.json5"), text).unwrap();
    };
    write(&home, TOKEN);
    (home, write)
}

async fn models(gate: &Process) -> Value {
    let request = Request::get("/models")
        .header("host", gate.admin.to_string())
        .header("authorization", "Bearer t0ken")
        .body(Full::default())
        .unwrap();
    guard(Client::plain(gate.admin).await.send(request)).await.json()["models"].clone()
}

const TOKEN: &str = "admin: { token: 't0ken' },";
const MODEL: &str = "models: [{name: 'mine', endpointUrl: 'http://127.0.0.1:9/v1/completions'}],";

#[tokio::test]
async fn what_can_change_does_and_what_cannot_is_named() {
    let upstream = Upstream::start(Options::default());
    let (home, write) = home(&upstream);
    let gate = home.start().await;
    assert_eq!(models(&gate).await, serde_json::json!([]));
    write(
        &home,
        &format!(
            "{TOKEN} {MODEL} budgets: [{{name: 'all', limit: 1, per: 'day'}}], intercept: ['api.openai.com', 'example.com'],"
        ),
    );
    assert_eq!(reload(gate.admin, "wrong").await.status, 401);
    assert_eq!(models(&gate).await, serde_json::json!([]));
    let answered = reload(gate.admin, "t0ken").await;
    assert_eq!(answered.status, 200, "{}", answered.text());
    let told = answered.json();
    assert_eq!(told["reloaded"], true);
    let needs: Vec<&str> = told["needsRestart"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(needs.len(), 2, "{needs:?}");
    assert_eq!(needs[0], "budgets");
    assert!(
        needs[1].starts_with("intercept: ") && needs[1].contains("`example.com`; run `tollgate ca renew`"),
        "{needs:?}"
    );
    assert_eq!(models(&gate).await[0]["name"], "mine");
    // A secret is not shown, and known to have changed nevertheless; it is the old one that counts.
    write(&home, &format!("admin: {{ token: 'other' }}, {MODEL}"));
    assert_eq!(reload(gate.admin, "t0ken").await.json()["needsRestart"], serde_json::json!(["admin.token"]));
    write(&home, &format!("{TOKEN} auditing: 'mandatory',"));
    assert_eq!(reload(gate.admin, "t0ken").await.json()["needsRestart"], serde_json::json!([]));
    assert_eq!(models(&gate).await, serde_json::json!([]));
}

#[tokio::test]
async fn a_configuration_with_mistakes_changes_nothing_and_all_of_them_are_told() {
    let upstream = Upstream::start(Options::default());
    let (home, write) = home(&upstream);
    write(&home, &format!("{TOKEN} {MODEL}"));
    let gate = home.start().await;
    write(&home, &format!("{TOKEN} intercpt: [], metering: {{ onDisconnect: 'maybe' }},"));
    let answered = reload(gate.admin, "t0ken").await;
    assert_eq!(answered.status, 422, "{}", answered.text());
    let mistakes = answered.json()["error"]["mistakes"].clone();
    assert_eq!(mistakes.as_array().unwrap().len(), 2, "{mistakes}");
    for mistake in mistakes.as_array().unwrap() {
        assert!(mistake["file"].as_str().unwrap().ends_with("tollgate.json5") && mistake["line"] == 1, "{mistake}");
    }
    assert_eq!(models(&gate).await[0]["name"], "mine");
    fs::remove_file(home.path("config/tollgate.json5")).unwrap();
    fs::create_dir(home.path("config/tollgate.json5")).unwrap();
    assert_eq!(reload(gate.admin, "t0ken").await.status, 422);
    assert_eq!(models(&gate).await[0]["name"], "mine");
}

#[tokio::test]
async fn a_hang_up_reloads_and_does_not_end_the_gate() {
    let upstream = Upstream::start(Options::default());
    let (home, write) = home(&upstream);
    let gate = home.start().await;
    write(&home, &format!("{TOKEN} {MODEL}"));
    gate.signal("HUP");
    guard(async {
        while models(&gate).await == serde_json::json!([]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(ask(gate.admin, "/healthz").await.status, 200);
    gate.stop().await;
}
