//! `tollgate reconcile` finds no gap between the books and exports made of the upstream's own bill, and every gap that is
//! put there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::books::Billed;
use crate::bench::upstream::{Options, Upstream};

const SECONDS_OF_A_DAY: i64 = 86_400;

async fn traffic(upstream: &Upstream) -> TestGate {
    let gate = TestGate::start(upstream, "");
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let said = json!([{"role": "user", "content": "some words"}]);
    let mut made = 0;
    for model in ["gpt-4o", "gpt-4o-mini", "o4-mini"] {
        for stream in [false, true, true] {
            let body = json!({"model": model, "stream": stream, "messages": said});
            client.post("/v1/chat/completions", body.to_string()).await;
            made += 1;
        }
    }
    for (path, body) in [
        ("/v1/responses", json!({"model": "gpt-5", "input": "some words"})),
        ("/v1/completions", json!({"model": "gpt-3.5-turbo-instruct", "prompt": "some words"})),
        ("/v1/embeddings", json!({"model": "text-embedding-3-small", "input": "some words"})),
        ("/v1/chat/completions", json!({"model": "no-such-model", "messages": said})),
    ] {
        client.post(path, body.to_string()).await;
        made += 1;
    }
    gate.wait_for_entries(made).await;
    gate
}

/// The bill by export and model: requests, input, cached, output.
fn summed(bill: &[Billed]) -> BTreeMap<(&'static str, String), [u64; 4]> {
    let mut sums = BTreeMap::<_, [u64; 4]>::new();
    for line in bill {
        let export = if line.endpoint == "/v1/embeddings" { "embeddings" } else { "completions" };
        let sum = sums.entry((export, line.model.clone())).or_default();
        for (place, number) in sum.iter_mut().zip([1, line.input, line.cached, line.output]) {
            *place += number;
        }
    }
    sums
}

/// The bill as `GET /v1/organization/usage/EXPORT` would tell it today, a page a model.
fn pages(bill: &[Billed], export: &str) -> String {
    let today = Timestamp::now().as_second().div_euclid(SECONDS_OF_A_DAY) * SECONDS_OF_A_DAY;
    let sums = summed(bill);
    let rows: Vec<_> = sums.iter().filter(|((found, _), _)| *found == export).collect();
    let page = |(at, ((_, model), [requests, input, cached, output])): (usize, &(&(&str, String), &[u64; 4]))| {
        let mut result = json!({"object": format!("organization.usage.{export}.result"), "model": model,
            "num_model_requests": requests, "input_tokens": input, "project_id": null});
        if export == "completions" {
            result["input_cached_tokens"] = json!(cached);
            result["output_tokens"] = json!(output);
        }
        let bucket =
            json!({"object": "bucket", "start_time": today, "end_time": today + SECONDS_OF_A_DAY, "results": [result]});
        json!({"object": "page", "data": [bucket], "has_more": at + 1 < rows.len(), "next_page": null}).to_string()
    };
    rows.iter().enumerate().map(page).collect::<Vec<_>>().join("\n")
}

/// The bill as the dashboard writes it, in buckets of a day.
fn sheet(bill: &[Billed]) -> String {
    let today = Timestamp::now().as_second().div_euclid(SECONDS_OF_A_DAY) * SECONDS_OF_A_DAY;
    let end = today + SECONDS_OF_A_DAY;
    let mut text =
        "start_time,end_time,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens\n".to_owned();
    for ((_, model), [requests, input, cached, output]) in
        summed(bill).into_iter().filter(|((export, _), _)| *export == "completions")
    {
        text.push_str(&format!("{today},{end},{requests}.0,{model},{input}.0,{output}.0,{cached}.0\n"));
    }
    text
}

fn reconcile(gate: &TestGate, arguments: &[&str], files: &[&Path]) -> Output {
    let admin = gate.admin().to_string();
    run(&gate.path(""), &[arguments, &["--admin", &admin]].concat(), files)
}

fn run(folder: &Path, arguments: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("reconcile").args(arguments).args(files);
    command.env("HOME", folder).env_remove("TOLLGATE_ADMIN").current_dir(folder).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_of_the_bill_equal_the_books_and_a_changed_number_is_found() {
    let upstream = Upstream::start(Options::default());
    let gate = traffic(&upstream).await;
    let bill: Vec<Billed> = upstream.bill();
    assert!(bill.len() >= 12);
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let completions = file("completions.jsonl", pages(&bill, "completions"));
    let embeddings = file("embeddings.json", pages(&bill, "embeddings"));
    let written = file("completions_usage.csv", sheet(&bill));
    for files in [vec![&*completions, &*embeddings], vec![&*completions], vec![&*embeddings], vec![&*written]] {
        let output = reconcile(&gate, &[], &files);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{files:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.trim_end().ends_with("lines") && text.contains("\nequal: "), "{text}");
    }

    let mut changed = bill.clone();
    changed[0].output += 1;
    let completions = file("completions.jsonl", pages(&changed, "completions"));
    let output = reconcile(&gate, &["--json"], &[&completions]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["equal"], false);
    let lines = found["tables"][0]["lines"].as_array().unwrap();
    for line in lines {
        let expected = if line["model"] == *bill[0].model { -1 } else { 0 };
        assert_eq!(line["difference"], json!({"requests": 0, "input": 0, "cached": 0, "output": expected}), "{line}");
    }

    let output = reconcile(&gate, &[], &[&file("notes.csv", "a,b\n1,2\n".into())]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("error: `") && said.contains("notes.csv`: it has neither the column `input_tokens`"),
        "{said}"
    );

    let journal = gate.path("data/ledger.sqlite");
    gate.gate.stop();
    for (export, code) in [(&embeddings, 0), (&completions, 1)] {
        let output = run(folder.path(), &["--ledger", journal.to_str().unwrap()], &[export]);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
