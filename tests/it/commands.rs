//! What `check`, `route` and `count` say of custom models, as their reader sees it.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const LINES: &str = r#"{models: [
 {name:'org/chat', endpointUrl:'http://127.0.0.1:9/v1/chat/completions', maxSequenceLength: 4096,
  tokenPricing: {prompt: 0.03, completion: 0.06}},
 {name:'org/said', endpointUrl:'http://127.0.0.1:9/generate', type:'chat-completion'},
 {name:'org/assumed', endpointUrl:'http://127.0.0.1:9/generate'},
 {name:'org/vectors', endpointUrl:'http://127.0.0.1:9/embeddings'},
]}"#;

#[test]
fn check_tells_the_type_of_every_custom_model_and_how_it_is_known() {
    let folder = folder(LINES);
    let plain = done(&run(&folder, &["check"]));
    for line in [
        "org/chat /v1/chat/completions -> http://127.0.0.1:9/v1/chat/completions (chat-completion, told by the path)",
        "org/said /v1/chat/completions -> http://127.0.0.1:9/generate (chat-completion, said by the line)",
        "org/assumed /v1/completions -> http://127.0.0.1:9/generate \
         (completion, assumed: neither `type` nor the path says it)",
        "org/vectors /v1/embeddings -> http://127.0.0.1:9/embeddings (text-embedding, told by the path)",
    ] {
        assert!(plain.contains(&format!("route   {line}\n")), "{line}\n{plain}");
    }
    let document: Value = serde_json::from_str(&done(&run(&folder, &["check", "--json"]))).unwrap();
    let routes = document["routes"].as_array().unwrap();
    let types: Vec<_> = routes.iter().map(|route| (&route["model"], &route["type"], &route["typeFrom"])).collect();
    let expected = [
        [json!("org/assumed"), json!("completion"), json!("assumed")],
        [json!("org/chat"), json!("chat-completion"), json!("path")],
        [json!("org/said"), json!("chat-completion"), json!("line")],
        [json!("org/vectors"), json!("text-embedding"), json!("path")],
    ];
    assert!(types.iter().eq(expected.iter().map(|[model, kind, from]| (model, kind, from)).collect::<Vec<_>>().iter()));
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let line = r#"{name:'a\u001b[31mb', endpointUrl:'http://127.0.0.1:9/v1/completions'}"#;
    let folder = folder(&format!("{{models: [{line}, {line}]}}"));
    for arguments in [&["check"][..], &["route", "a\u{1b}[31mb"]] {
        let output = run(&folder, arguments);
        assert!(done(&output).contains("a\u{fffd}[31mb") && !output.stderr.contains(&0x1b), "{arguments:?}");
    }
}

#[test]
fn check_counts_what_it_does_not_tell() {
    let folder = folder("{modelsFile: 'models.txt'}");
    fs::write(folder.path().join("models.txt"), "x\n".repeat(1000)).unwrap();
    let told = refused(&run(&folder, &["check"]), 2);
    assert_eq!(told.lines().filter(|line| line.starts_with("error: ")).count(), 21, "{told}");
    assert!(told.ends_with("error: and 980 more\n"), "{told}");
}

#[test]
fn route_tells_all_of_a_custom_model_and_what_is_missing() {
    let folder = folder(LINES);
    let told = done(&run(&folder, &["route", "org/chat"]));
    for line in [
        "url        http://127.0.0.1:9/v1/chat/completions",
        "type       chat-completion (told by the path)",
        "price      input 30.00, output 60.00 USD per million tokens (tokenPricing)",
        "model at   https://huggingface.co/org/chat",
        "tokenizer  not there: counts are estimates",
        "template   none here: the server has its own",
        "length     4096 tokens (the line)",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    let known = done(&run(&folder, &["route", "gpt-5.4"]));
    for line in [
        "price      input 2.50, cachedInput 0.25, output 15.00 USD per million tokens; fileSearch 2.50 USD per thousand; codeSession 0.03 USD per session (litellm-1.109.1:gpt-5.4)",
        ">272000    input 5.00, cachedInput 0.50, output 22.50 USD per million tokens",
        "flex       input 1.25, cachedInput 0.13, output 7.50 USD per million tokens",
    ] {
        assert!(known.lines().any(|known| known.starts_with(line)), "{line}\n{known}");
    }
    let seconds = done(&run(&folder, &["route", "whisper-1", "--path", "/v1/audio/transcriptions"]));
    assert!(seconds.contains("price      second 0.0001 USD per second (litellm-1.109.1:whisper-1)"), "{seconds}");
    let unknown = done(&run(&folder, &["route", "nobody-knows-it"]));
    assert!(unknown.contains("price      unknown: calls are booked as unpriced"), "{unknown}");
    let missing = told.lines().find_map(|line| line.strip_prefix("missing    ")).expect("nothing is in the cache");
    assert!(missing.contains("`org/chat/tokenizer.json` is not in the cache"), "{told}");
    let mistyped = run(&folder, &["route", "Org/chatt"]);
    assert!(done(&mistyped).contains("the host that the client asked for"));
    assert!(text(&mistyped.stderr).contains("hint: there is a custom model `org/chat`"), "{}", text(&mistyped.stderr));
    assert!(!text(&run(&folder, &["route", "gpt-4o"]).stderr).contains("hint: "));
    let bare = done(&run(&folder, &["route", "org/assumed"]));
    for word in ["`tokenPricing` would say", "`maxSequenceLength` would say", "plain form", "assumed", "bridge "] {
        assert!(bare.contains(word), "{word}\n{bare}");
    }
    let vectors = done(&run(&folder, &["route", "org/vectors"]));
    assert!(vectors.contains("http://127.0.0.1:9/embeddings") && !vectors.contains("template"), "{vectors}");
    let document: Value = serde_json::from_str(&done(&run(&folder, &["route", "org/vectors", "--json"]))).unwrap();
    let custom = &document["custom"];
    assert_eq!((&document["path"], &custom["typeFrom"]), (&json!("/v1/embeddings"), &json!("path")));
    for (arguments, culprit) in [
        (&["route", "org/chat", "--path", "/v1/embeddings"][..], "of type `chat-completion`"),
        (&["route", "org/chat", "--path", "v1"], "`v1` is not a path"),
        (&["route", "org/chat", "--path", "/v1/files"], "not a call that names a model"),
    ] {
        assert!(refused(&run(&folder, arguments), 2).contains(culprit), "{culprit}");
    }
}

#[test]
fn count_takes_texts_and_requests_and_says_what_it_cannot_take() {
    let folder = folder(LINES);
    let put = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    put("text", b"hello world");
    put("chat.json", br#"{"messages":[{"role":"user","content":"hi"}]}"#);
    put("broken.json", br#"{"messages":[{"role":"user","content":"hi"}]"#);
    put("other.json", br#"{"a":1}"#);
    put("wrong.json", br#"{"messages":5}"#);
    put("bytes", b"ab\xff");
    put("empty", b"");
    let count = |file: &str| run(&folder, &["count", "--model", "gpt-4o", "--model", "org/chat", file]);
    let table = done(&count("text"));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["MODEL", "TOKENIZER", "EXACT", "TOKENS", "BYTES"]);
    assert_eq!(rows[1], ["gpt-4o", "o200k_base", "yes", "2", "11"]);
    assert_eq!((rows[2][..3].to_vec(), rows.len()), (vec!["org/chat", "none", "no"], 3));
    assert!(done(&count("chat.json")).contains("gpt-4o    o200k_base  yes         8     45"));
    assert!(done(&count("empty")).lines().nth(1).unwrap().ends_with("0      0  "));
    for (file, note) in [
        ("broken.json", "`broken.json` begins as JSON but is none (EOF while parsing"),
        ("other.json", "`other.json` is JSON but no request"),
    ] {
        let output = count(file);
        done(&output);
        assert!(text(&output.stderr).contains(note), "{}", text(&output.stderr));
    }
    let assumed = run(&folder, &["count", "--model", "gpt-6", "chat.json"]);
    assert!(done(&assumed).contains(" no ") && text(&assumed.stderr).contains("`gpt-6`: an estimate: its encoding"));
    assert!(refused(&count("wrong.json"), 2).contains("`messages` must be a list"));
    assert!(refused(&count("bytes"), 1).contains("error: `bytes` is not a text in UTF-8\n"));
    assert!(refused(&count("config"), 1).contains("cannot read `config`"));
    assert!(refused(&count("nowhere"), 1).contains("cannot read `nowhere`"));
    let unknown = refused(&run(&folder, &["count", "--model", "org/chatt", "text"]), 2);
    assert!(unknown.contains("no tokenizer is known for `org/chatt`") && unknown.contains("`org/chat`"), "{unknown}");

    let mut child =
        command(&folder, &["count", "--model", "org/chat", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let document: Value = serde_json::from_str(&done(&child.wait_with_output().unwrap())).unwrap();
    let missing = document["counts"][0]["missing"].as_str().unwrap();
    assert!(missing.contains("`org/chat/tokenizer.json` is not in the cache"), "{missing}");
    assert_eq!((&document["input"], &document["bytes"]), (&json!("text"), &json!(5)));
}

fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("config")).unwrap();
    fs::write(folder.path().join("config/tollgate.json5"), text).unwrap();
    folder
}

/// The program in that folder, asking no hub.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("HF_HUB_OFFLINE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), String::new()), "{}", text(&output.stderr));
    text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
