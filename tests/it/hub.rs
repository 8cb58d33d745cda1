//! Tokenizer, template and length of a model come from a hub in the background, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::gate::Surroundings;
use tollgate::net::host::HostPort;
use tollgate::net::secret::Secret;
use tollgate::policy::custom::CustomModel;
use tollgate::policy::target::{Destination, Scheme};
use tollgate::system::hugging_face::HubSettings;
use tollgate::system::roots::machine_roots;
use tollgate::tokens::kit::Kit;
use tollgate::tokens::library::Library;
use tollgate::tokens::tokenizer::Specials;
use tollgate::units::Basis;
use tollgate::upstream::connect::{Connector, ConnectorParts};

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::hub::{Hub, Quirks};
use crate::bench::upstream::tls::Alpn;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn a_model_is_fetched_once_and_then_used_without_a_network() {
    let (hub, cache) = (Hub::serve(&tiny(), Quirks::default()).await, TempDir::new().unwrap());
    let kit = acquired(&settings(&hub, &cache), &model("org/name", None)).await;
    assert_whole(&kit);
    let root = cache.path().join("models--org--name");
    let commit = fs::read_to_string(root.join("refs/main")).unwrap();
    let link = root.join("snapshots").join(&commit).join("tokenizer.json");
    assert!(fs::read_link(&link).unwrap().starts_with("../../blobs"), "the layout of the hub's own tools");
    assert!(root.join(".no_exist").join(&commit).join("chat_template.jinja").exists());
    let asked = hub.asked().len();
    let offline = HubSettings { offline: true, ..settings(&hub, &cache) };
    assert_whole(&acquired(&offline, &model("org/name", None)).await);
    assert_eq!(hub.asked().len(), asked);
}

#[tokio::test]
async fn a_cache_that_another_tool_made_is_used_as_it_is() {
    let cache = TempDir::new().unwrap();
    let snapshot = cache.path().join("models--org--name/snapshots/abc123");
    fs::create_dir_all(&snapshot).unwrap();
    for entry in fs::read_dir(tiny()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, snapshot.join(path.file_name().unwrap())).unwrap();
    }
    fs::create_dir_all(cache.path().join("models--org--name/refs")).unwrap();
    fs::write(cache.path().join("models--org--name/refs/main"), "abc123").unwrap();
    let offline = HubSettings { offline: true, ..at("http://127.0.0.1:9", &cache) };
    let kit = acquired(&offline, &model("org/name", None)).await;
    assert!(kit.tokenizer.is_some() && kit.template.is_some() && kit.length == Some(256), "{:?}", kit.missing);
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_never_to_where_it_sends() {
    let (hub, cache) =
        (Hub::serve(&tiny(), Quirks { moved: true, ..Quirks::default() }).await, TempDir::new().unwrap());
    let settings = HubSettings { token: Some(Secret::new("hf_secret")), ..settings(&hub, &cache) };
    assert_whole(&acquired(&settings, &model("org/name", None)).await);
    let asked = hub.asked();
    assert!(asked.iter().any(|asked| asked.at_cdn) && asked.iter().any(|asked| asked.line.contains("/new/name/")));
    for asked in asked {
        assert_eq!(asked.credential.is_some(), !asked.at_cdn, "{asked:?}");
    }
    // A mirror that the environment does not name gets no token.
    let (mirror, cache) = (Hub::serve(&tiny(), Quirks::default()).await, TempDir::new().unwrap());
    let elsewhere = HubSettings { token: Some(Secret::new("hf_secret")), ..at("http://127.0.0.1:9", &cache) };
    let url = format!("http://{}/org/name/tree/v1.0", mirror.address);
    assert_whole(&acquired(&elsewhere, &model("org/name", Some(&url))).await);
    assert!(mirror.asked().iter().all(|asked| asked.credential.is_none()));
    assert!(mirror.asked().iter().any(|asked| asked.line.contains("/org/name/resolve/v1.0/config.json")));
    assert!(!cache.path().join("models--org--name").exists(), "nobody vouches for a mirror");
}

#[tokio::test]
async fn a_download_that_broke_off_is_resumed_and_used_only_when_whole() {
    let quirks = Quirks { cuts: Some("tokenizer.json"), ..Quirks::default() };
    let (hub, cache) = (Hub::serve(&tiny(), quirks).await, TempDir::new().unwrap());
    let kit = acquired(&settings(&hub, &cache), &model("org/name", None)).await;
    assert!(kit.tokenizer.is_none() && kit.missing.is_some() && kit.length == Some(256), "what came whole is used");
    let blobs = cache.path().join("models--org--name/blobs");
    let parts =
        || fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some());
    assert_eq!(parts().count(), 1);
    assert_whole(&acquired(&settings(&hub, &cache), &model("org/name", None)).await);
    assert!(hub.asked().iter().any(|asked| asked.range.as_deref().is_some_and(|range| range != "bytes=0-")));
    assert_eq!(parts().count(), 0);
}

#[tokio::test]
async fn no_call_waits_for_a_download_and_counts_are_marked_until_it_is_there() {
    let quirks = Quirks { holds: true, ..Quirks::default() };
    let (hub, cache) = (Hub::serve(&tiny(), quirks).await, TempDir::new().unwrap());
    let (origin, other) = (Upstream::start(Options::default()), serving());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("standin.pem"), origin.ca_pem()).unwrap();
    let text = format!(
        r#"{{ listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }}, workers: 1,
             upstream: {{ ca: "standin.pem", resolve: {{ "api.openai.com:443": "{}" }} }},
             models: [{{ name: "org/name", endpointUrl: "{}/serve/completions" }}] }}"#,
        origin.address(),
        other.url()
    );
    let hub_settings = HubSettings { patience: Duration::from_secs(60), ..settings(&hub, &cache) };
    let gate = TestGate::amid(folder, &text, Surroundings { hub: Some(hub_settings), ..Surroundings::default() });
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let body = json!({"model": "org/name", "prompt": "one two three"}).to_string();
    other.fault_next("no-usage");
    assert_eq!(client.post("/v1/completions", body.clone()).await.status, StatusCode::OK);
    assert_eq!(gate.wait_for_entries(1).await[0].basis, Basis::Estimated);
    hub.release();
    let begun = std::time::Instant::now();
    while client.get("/v1/models/org%2Fname").await.json()["context_length"] != 256 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
    }
    other.fault_next("no-usage");
    let reply = client.post("/v1/completions", body).await.json();
    let entry = gate.wait_for_entries(2).await.remove(1);
    assert_eq!(entry.basis, Basis::Counted, "{:?}", entry.error);
    assert_eq!(reply["usage"]["prompt_tokens"].as_u64(), entry.usage.unwrap().input);
    // The template is the model's own now.
    let chat = json!({"model": "org/name", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    assert_eq!(client.post("/v1/chat/completions", chat).await.status, StatusCode::OK);
    let sent: Value = serde_json::from_slice(&other.seen().last().unwrap().body).unwrap();
    assert_eq!(sent["prompt"], "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    assert_eq!(sent["stop"].as_array().unwrap()[..2], [json!("<|endoftext|>"), json!("<|im_end|>")]);
}

#[tokio::test]
async fn what_a_hub_should_not_say_harms_nothing_and_is_told() {
    for (quirks, says) in [
        (Quirks { refuses: Some("GatedRepo"), ..Quirks::default() }, "open only to those"),
        (Quirks { refuses: Some("RepoNotFound"), ..Quirks::default() }, "is not on the hub"),
        (Quirks { refuses: Some("RevisionNotFound"), ..Quirks::default() }, "no such revision"),
        (Quirks { commit: Some("../../../tmp/x"), ..Quirks::default() }, "no commit or no etag"),
        (Quirks { etag: Some("../../x"), ..Quirks::default() }, "no commit or no etag"),
        (Quirks { size: Some(200 << 20), ..Quirks::default() }, "more than the"),
        (
            Quirks {
                etag: Some("0000000000000000000000000000000000000000000000000000000000000000"),
                ..Quirks::default()
            },
            "came damaged",
        ),
    ] {
        let (hub, cache) = (Hub::serve(&tiny(), quirks.clone()).await, TempDir::new().unwrap());
        let kit = acquired(&settings(&hub, &cache), &model("org/name", None)).await;
        assert!(kit.tokenizer.is_none(), "{quirks:?}");
        let missing = kit.missing.unwrap();
        assert!(missing.contains(says), "{quirks:?}: {missing}");
        let left = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let known = [".locks", "models--org--name"];
        assert!(left.into_iter().all(|name| known.iter().any(|known| name == **known)), "{quirks:?}");
    }
}

#[tokio::test]
async fn a_line_that_is_posted_is_fetched_before_its_first_call() {
    let (origin, cache) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    let hub = Hub::serve(&tiny(), Quirks::default()).await;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("standin.pem"), origin.ca_pem()).unwrap();
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let text = r#"{ listen: { proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }, workers: 1, modelsFile: "models.txt",
                    admin: { token: "t0ken" }, upstream: { ca: "standin.pem" } }"#;
    let hub_settings = Surroundings { hub: Some(settings(&hub, &cache)), ..Surroundings::default() };
    let gate = TestGate::amid(folder, text, hub_settings);
    let request = http::Request::post("/config/models")
        .header("host", gate.admin().to_string())
        .header("authorization", "Bearer t0ken")
        .body(http_body_util::Full::from("{name:'org/name', endpointUrl:'http://127.0.0.1:9/v1/completions'}"))
        .unwrap();
    assert_eq!(Client::plain(gate.admin()).await.send(request).await.status, StatusCode::OK);
    let begun = std::time::Instant::now();
    while !hub.asked().iter().any(|asked| asked.line.contains("/tokenizer.json")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody asked for it");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_folder_is_used_directly_and_what_is_wrong_in_it_is_told() {
    let cache = TempDir::new().unwrap();
    let settings = at("http://127.0.0.1:9", &cache);
    let whole = format!("file://{}", tiny().display());
    assert_whole(&acquired(&settings, &model("org/name", Some(&whole))).await);
    for (file, text, says) in [
        ("tokenizer.json", "{\"version\":\"1.0\",\"model\":{\"type\":\"BPE\"", "tokenizer.json"),
        ("tokenizer.json", r#"{"version":"1.0","model":{"type":"Magic","vocab":{}}}"#, "tokenizer.json"),
        ("config.json", "{", "config.json is not JSON"),
        ("chat_template.jinja", "{% if %}", "chat_template.jinja"),
    ] {
        let folder = TempDir::new().unwrap();
        for entry in fs::read_dir(tiny()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        fs::write(folder.path().join(file), text).unwrap();
        let url = format!("file://{}", folder.path().display());
        let kit = acquired(&settings, &model("org/name", Some(&url))).await;
        let missing = kit.missing.unwrap();
        assert!(missing.contains(says), "{missing}");
        assert_eq!(kit.tokenizer.is_none(), file == "tokenizer.json");
    }
    let huge = TempDir::new().unwrap();
    fs::File::create(huge.path().join("tokenizer.json")).unwrap().set_len(200 << 20).unwrap();
    let kit = acquired(&settings, &model("org/name", Some(&format!("file://{}", huge.path().display())))).await;
    assert!(kit.tokenizer.is_none() && kit.missing.unwrap().contains("tokenizer.json"));
}

#[tokio::test]
async fn what_is_in_the_cache_is_used_whatever_the_hub_says_of_the_rest() {
    for (code, says) in [
        (Some("GatedRepo"), "open only to those"),
        (Some("RepoNotFound"), "is not on the hub"),
        (None, "could not be asked"),
    ] {
        let cache = TempDir::new().unwrap();
        left_by_another_tool(&cache, &["config.json", "tokenizer_config.json", "tokenizer.json"]);
        let hub = Hub::serve(&tiny(), Quirks { refuses: code, ..Quirks::default() }).await;
        let settings = if code.is_some() { settings(&hub, &cache) } else { at("http://127.0.0.1:9", &cache) };
        let kit = acquired(&settings, &model("org/name", None)).await;
        assert!(kit.tokenizer.is_some() && kit.template.is_some() && kit.length == Some(256), "{code:?}: {kit:?}");
        assert!(kit.missing.as_ref().is_some_and(|missing| missing.contains(says)), "{code:?}: {:?}", kit.missing);
    }
}

#[tokio::test]
async fn without_a_network_only_what_is_needed_is_missed() {
    let acquired_from = async |files: &[&str], model: CustomModel| {
        let cache = TempDir::new().unwrap();
        left_by_another_tool(&cache, files);
        let offline = HubSettings { offline: true, ..at("http://127.0.0.1:9", &cache) };
        acquired(&offline, &Arc::new(model)).await
    };
    let bare = || Arc::into_inner(model("org/name", None)).unwrap();
    let whole = ["config.json", "tokenizer_config.json", "tokenizer.json"];
    assert_whole(&acquired_from(&whole, bare()).await);
    let lacking = acquired_from(&whole[..2], bare()).await;
    assert!(lacking.missing.unwrap().contains("org/name/tokenizer.json` is not in the cache"));
    let told = CustomModel { max_sequence_length: Some(9), chat_template: Some("x".into()), ..bare() };
    assert_eq!(acquired_from(&whole[2..], told).await.missing, None, "the line says the rest");
}

#[tokio::test]
async fn nobody_waits_for_a_library_that_has_finished() {
    let quirks = Quirks { holds: true, ..Quirks::default() };
    let (hub, cache) = (Hub::serve(&tiny(), quirks).await, TempDir::new().unwrap());
    let library = library(HubSettings { patience: Duration::from_secs(600), ..settings(&hub, &cache) });
    let waiting = library.clone();
    let waited = tokio::task::spawn_blocking(move || waiting.acquire(&model("org/name", None)));
    while hub.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    library.finish();
    let kit = tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it waits").unwrap();
    assert!(kit.tokenizer.is_none());
    let late = tokio::task::spawn_blocking(move || library.acquire(&model("org/other", None)));
    assert!(tokio::time::timeout(Duration::from_secs(20), late).await.is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_or_has_no_end_is_told_and_harms_nothing() {
    let cache = TempDir::new().unwrap();
    for file in ["config.json", "tokenizer_config.json", "chat_template.jinja", "tokenizer.json"] {
        for odd in ["fifo", "folder", "device", "huge"] {
            let folder = TempDir::new().unwrap();
            for entry in fs::read_dir(tiny()).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
            }
            let at = folder.path().join(file);
            let _ = fs::remove_file(&at);
            match odd {
                "fifo" => assert!(std::process::Command::new("mkfifo").arg(&at).status().unwrap().success()),
                "folder" => fs::create_dir(&at).unwrap(),
                "device" => std::os::unix::fs::symlink("/dev/zero", &at).unwrap(),
                _ => fs::File::create(&at).unwrap().set_len(200 << 20).unwrap(),
            }
            let url = format!("file://{}", folder.path().display());
            let settings = self::at("http://127.0.0.1:9", &cache);
            let model = model("x", Some(&url));
            let kit = tokio::time::timeout(Duration::from_secs(60), acquired(&settings, &model));
            let kit = kit.await.unwrap_or_else(|_| panic!("{file} as a {odd} hangs"));
            let missing = kit.missing.unwrap_or_default();
            assert!(missing.contains(file), "{file} as a {odd}: {missing}");
            assert_eq!(kit.tokenizer.is_none(), file == "tokenizer.json", "{file} as a {odd}");
            assert!(file != "chat_template.jinja" || kit.template.is_none(), "{odd}: no other in its place");
        }
    }
}

#[tokio::test]
async fn a_model_that_is_posted_is_fetched_at_once() {
    let (hub, cache) = (Hub::serve(&tiny(), Quirks::default()).await, TempDir::new().unwrap());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("models.txt"), "").unwrap();
    let text = r#"{ listen: { proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }, workers: 1, modelsFile: "models.txt",
                    admin: { token: "t0ken" } }"#;
    let surroundings = Surroundings { hub: Some(settings(&hub, &cache)), ..Surroundings::default() };
    let gate = TestGate::amid(folder, text, surroundings);
    let line = "{name:'org/name', endpointUrl:'http://127.0.0.1:9/v1/completions'}\n";
    let request = http::Request::post("/config/models").header("host", gate.admin().to_string());
    let request = request.header("authorization", "Bearer t0ken").body(line.into()).unwrap();
    assert_eq!(Client::plain(gate.admin()).await.send(request).await.status, StatusCode::OK);
    let begun = std::time::Instant::now();
    while !cache.path().join("models--org--name/refs/main").exists() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody asked for it");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn libraries_that_fetch_the_same_model_at_once_leave_it_whole() {
    let (hub, cache) = (Hub::serve(&tiny(), Quirks::default()).await, TempDir::new().unwrap());
    let settings = settings(&hub, &cache);
    let model = model("org/name", None);
    let both = tokio::join!(
        acquired(&settings, &model),
        acquired(&settings, &model),
        acquired(&settings, &model),
        acquired(&settings, &model)
    );
    for kit in [both.0, both.1, both.2, both.3] {
        assert_whole(&kit);
    }
    let offline = HubSettings { offline: true, ..settings };
    let kit = acquired(&offline, &model).await;
    for entry in fs::read_dir(cache.path().join("models--org--name/blobs")).unwrap() {
        let path = entry.unwrap().path();
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &fs::read(&path).unwrap());
        let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(path.file_name().unwrap().to_str(), Some(&*sum));
    }
    assert_whole(&kit);
}

/// A cache as a tool leaves it that asked for these files alone.
fn left_by_another_tool(cache: &TempDir, files: &[&str]) {
    let root = cache.path().join("models--org--name");
    fs::create_dir_all(root.join("snapshots/abc123")).unwrap();
    fs::create_dir_all(root.join("refs")).unwrap();
    fs::write(root.join("refs/main"), "abc123").unwrap();
    for file in files {
        fs::copy(tiny().join(file), root.join("snapshots/abc123").join(file)).unwrap();
    }
}

fn assert_whole(kit: &Kit) {
    assert_eq!(kit.missing, None);
    assert_eq!((kit.length, kit.length_from.as_deref()), (Some(256), Some("config.json")));
    assert_eq!(kit.template_from.as_deref(), Some("tokenizer_config.json"));
    let tokenizer = kit.tokenizer.as_ref().expect("it has a tokenizer");
    let tally = tokenizer.count("<|im_start|>", Specials::Rendered);
    assert!(tally.exact && tally.tokens == 1 && tokenizer.count("<|im_start|>", Specials::Text).tokens > 1);
}

async fn acquired(settings: &HubSettings, model: &Arc<CustomModel>) -> Kit {
    let (settings, model) = (settings.clone(), Arc::clone(model));
    let work = move || {
        let library = library(settings);
        let kit = library.acquire(&model);
        library.finish();
        kit
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn library(settings: HubSettings) -> Library {
    let connector = Connector::new(ConnectorParts::new(machine_roots()));
    Library::start(settings, Arc::new(connector.unwrap())).unwrap()
}

fn settings(hub: &Hub, cache: &TempDir) -> HubSettings {
    at(&format!("http://{}", hub.address), cache)
}

fn at(endpoint: &str, cache: &TempDir) -> HubSettings {
    let from_nothing = HubSettings::from_environment(&|_| None);
    HubSettings { endpoint: endpoint.into(), cache: cache.path().into(), ..from_nothing }
}

fn model(name: &str, url: Option<&str>) -> Arc<CustomModel> {
    let destination =
        Destination { scheme: Scheme::Http, at: HostPort::parse("127.0.0.1", 80).unwrap(), dialled: None, roots: None };
    let bare = CustomModel::new(name, destination, "/v1/completions".parse().unwrap());
    Arc::new(match url {
        Some(url) => CustomModel { model_url: url.into(), model_url_given: true, ..bare },
        None => bare,
    })
}

fn serving() -> Upstream {
    Upstream::start(Options { name: "custom", tls: false, alpn: Alpn::Http1, cors: false, ..Options::default() })
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub/tiny")
}
