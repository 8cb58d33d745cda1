//! Lines of custom models: whose key goes where, and lines that are posted while the gate runs.

use std::fs;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::client::{Answered, Client};
use crate::bench::gate::TestGate;
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn the_programs_own_key_goes_only_where_a_line_asks_for_it() {
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let gate = TestGate::start(
        &origin,
        &format!(
            "models: [{{name: 'asks', endpointUrl: '{url}/serve/chat/completions', apiKey: '<OPENAI>'}},
                      {{name: 'silent', endpointUrl: '{url}/serve/chat/completions'}}]",
            url = other.url()
        ),
    );
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    for (name, key) in [("asks", Some("Bearer sk-client")), ("silent", None)] {
        assert_eq!(chat(&mut client, name).await.status, StatusCode::OK);
        let seen = other.seen().pop().unwrap();
        assert_eq!(seen.headers.get("authorization").map(|value| value.to_str().unwrap()), key, "{name}");
        assert!(seen.headers.get("cookie").is_none());
    }
}

#[tokio::test]
async fn lines_that_are_posted_hold_for_the_next_call_and_after_a_restart() {
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("models.txt"), "// none yet\n").unwrap();
    let (gate, folder) = gate(&origin, folder);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    chat(&mut client, "late").await;
    assert_eq!((origin.seen().len(), other.seen().len()), (1, 0));
    let line = format!("{{name:'late', endpointUrl:'{}/serve/chat/completions', apiKey:'sk-late-key'}}\n", other.url());
    let answered = post(&gate, &line, "t0ken").await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
    assert_eq!(answered.json()["models"][0]["name"], "late");
    assert!(!answered.text().contains("sk-late-key"));
    assert_eq!(chat(&mut client, "late").await.status, StatusCode::OK);
    assert_eq!((origin.seen().len(), other.seen().len()), (1, 1));
    assert_eq!(fs::read_to_string(folder.join("models.txt")).unwrap(), line);

    for bad in ["{name:'x'}\n", "{name:'late', endpointUrl:\n'http://127.0.0.1/v1/completions'}\n", "nonsense\n"] {
        let refused = post(&gate, bad, "t0ken").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(refused.json()["error"]["mistakes"][0]["line"].is_u64(), "{}", refused.text());
        assert_eq!(fs::read_to_string(folder.join("models.txt")).unwrap(), line, "nothing changed");
    }
    assert_eq!(chat(&mut client, "late").await.status, StatusCode::OK);
    assert_eq!(other.seen().len(), 2);

    let again = TempDir::new().unwrap();
    fs::copy(folder.join("models.txt"), again.path().join("models.txt")).unwrap();
    let (gate, _) = self::gate(&origin, again);
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(chat(&mut client, "late").await.status, StatusCode::OK);
    assert_eq!(other.seen().len(), 3);
}

#[tokio::test]
async fn lines_are_changed_only_by_who_knows_the_token() {
    let (origin, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let (gate, folder) = gate(&origin, folder);
    let line = "{name:'x', endpointUrl:'http://127.0.0.1:9/v1/completions'}\n";
    for token in ["", "wrong", "t0ken2"] {
        assert_eq!(post(&gate, line, token).await.status, StatusCode::UNAUTHORIZED, "{token:?}");
    }
    let mut admin = Client::plain(gate.admin()).await;
    let read = Request::get("/stats").header("host", gate.admin().to_string()).body(Full::default()).unwrap();
    assert_eq!(admin.send(read).await.status, StatusCode::UNAUTHORIZED, "reading needs it too, once there is one");
    assert_eq!(fs::read_to_string(folder.join("models.txt")).unwrap(), "");
    let open = TestGate::start(&origin, "");
    let refused = post(&open, line, "any").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text().contains("admin.token"), "{}", refused.text());
}

fn gate(origin: &Upstream, folder: TempDir) -> (TestGate, std::path::PathBuf) {
    fs::write(folder.path().join("standin.pem"), origin.ca_pem()).unwrap();
    let path = folder.path().to_owned();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1, modelsFile: "models.txt",
             admin: {{ token: "t0ken" }},
             upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{}" }} }} }}"#,
        origin.address()
    );
    (TestGate::from_text(folder, &text), path)
}

async fn post(gate: &TestGate, lines: &str, token: &str) -> Answered {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/config/models")
        .header("host", gate.admin().to_string())
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::copy_from_slice(lines.as_bytes())))
        .unwrap();
    Client::plain(gate.admin()).await.send(request).await
}

async fn chat(client: &mut Client, model: &str) -> Answered {
    let body: Value = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    client.post("/v1/chat/completions", body.to_string()).await
}

fn serving() -> Upstream {
    Upstream::start(Options { name: "custom", tls: false, alpn: Alpn::Http1, cors: false, ..Options::default() })
}

#[tokio::test]
async fn a_long_bad_text_is_answered_in_few_words() {
    let (origin, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let (gate, _) = gate(&origin, folder);
    let refused = post(&gate, &"x\n".repeat(100_000), "t0ken").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let error = refused.json()["error"].clone();
    assert_eq!(error["mistakes"].as_array().unwrap().len(), 20);
    assert_eq!((&error["more"], &error["mistakes"][19]["line"]), (&json!(99_980), &json!(20)));
    assert!(error["message"].as_str().unwrap().starts_with("100000 mistakes"), "{}", error["message"]);
    let long = format!("{{name:'{}', endpointUrl:'http://h.test/v1/completions'}}\n", "n".repeat(50_000));
    let accepted = post(&gate, &long.repeat(20), "t0ken").await;
    assert_eq!(accepted.status, StatusCode::OK);
    assert!(accepted.json()["warnings"].to_string().len() < 20_000, "names are cut in warnings");
}

#[tokio::test]
async fn what_lines_may_not_read_is_told_with_its_remedy() {
    let (origin, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let (gate, folder) = gate(&origin, folder);
    let line = "{name:'m', endpointUrl:'http://127.0.0.1:9/v1/completions', apiKey:{file:'standin.pem'}}\n";
    let refused = post(&gate, line, "t0ken").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let error = &refused.json()["error"];
    assert!(error["message"].as_str().unwrap().starts_with("line 1: apiKey names something that the gate"), "{error}");
    assert!(error["mistakes"][0]["hint"].as_str().unwrap().contains("into the models file yourself"), "{error}");
    fs::write(folder.join("key"), "sk-own").unwrap();
    let own = line.replace("standin.pem", "key");
    fs::write(folder.join("models.txt"), &own).unwrap();
    let accepted = post(&gate, &own, "t0ken").await;
    assert_eq!(accepted.status, StatusCode::OK, "{}", accepted.text());
    assert!(!accepted.text().contains("sk-own"));
}

#[tokio::test]
async fn of_two_posts_at_once_each_is_answered_and_one_holds_whole() {
    let (origin, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let (gate, folder) = gate(&origin, folder);
    let text = |name: &str| {
        let line = |number| format!("{{name:'{name}-{number}', endpointUrl:'http://127.0.0.1:9/v1/completions'}}\n");
        (0..200).map(line).collect::<String>()
    };
    for _ in 0..5 {
        let (one, other) = (text("one"), text("other"));
        let (first, second) = tokio::join!(post(&gate, &one, "t0ken"), post(&gate, &other, "t0ken"));
        assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
        let file = fs::read_to_string(folder.join("models.txt")).unwrap();
        assert!(file == one || file == other);
        let name = if file == one { "one-" } else { "other-" };
        for path in ["/models", "/config"] {
            let shown = read(&gate, path).await;
            let models = shown["models"].as_array().unwrap();
            let held = models.iter().filter(|model| model["name"].as_str().unwrap().starts_with(name)).count();
            assert_eq!((held, models.len()), (200, 200), "{path} is not of the file");
        }
    }
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{names:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_changes_nothing() {
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let folder = TempDir::new().unwrap();
    let line = format!("{{name:'kept', endpointUrl:'{}/serve/chat/completions'}}\n", other.url());
    fs::write(folder.path().join("models.txt"), line).unwrap();
    let (gate, folder) = gate(&origin, folder);
    let models = folder.join("models.txt");
    fs::remove_file(&models).unwrap();
    // A folder in its place cannot be replaced by a file, whoever runs this.
    fs::create_dir_all(models.join("full")).unwrap();
    let refused = post(&gate, "{name:'new', endpointUrl:'http://127.0.0.1:9/v1/completions'}\n", "t0ken").await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    let told = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(told.starts_with("the models file cannot be written: ") && told.contains("irectory"), "{told}");
    let shown = read(&gate, "/models").await;
    assert_eq!((shown["models"].as_array().unwrap().len(), &shown["models"][0]["name"]), (1, &json!("kept")));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    assert_eq!(chat(&mut client, "kept").await.status, StatusCode::OK);
    assert_eq!(other.seen().len(), 1);
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".new")), "{names:?}");
}

async fn read(gate: &TestGate, path: &str) -> Value {
    let request = Request::get(path)
        .header("host", gate.admin().to_string())
        .header("authorization", "Bearer t0ken")
        .body(Full::default())
        .unwrap();
    Client::plain(gate.admin()).await.send(request).await.json()
}
