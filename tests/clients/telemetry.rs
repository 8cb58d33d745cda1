//! Metrics and spans, read by the libraries of Prometheus and of OpenTelemetry, equal the upstream's bill.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::books::{assert_equal, price};
use super::gate::{Gate, configuration};
use super::script::{Script, Way, folder, home};
use super::upstream::books::Billed;
use super::upstream::{Options, Upstream};

/// The program that reads both.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start() -> Self {
        let mut child = Command::new(home().join("telemetry/bin/python"))
            .arg(folder().join("telemetry/watch.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("what telemetry/setup.sh installs");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        let line = self.lines.next().expect("the reader has not failed").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, address: &str) -> Value {
        writeln!(self.child.stdin.as_mut().unwrap(), "{address}").unwrap();
        loop {
            let line = self.line();
            if line.get("older").is_some() {
                return line;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn cost(line: &Billed) -> u64 {
    price(&line.model).unwrap().of(line)
}

#[test]
#[ignore = "needs the readers that setup.sh installs"]
fn what_prometheus_and_a_collector_read_equals_the_bill() {
    let (upstream, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    let mut watch = Watch::start();
    let port = watch.line()["port"].as_u64().unwrap();
    std::fs::create_dir_all(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/standin.pem"), upstream.ca_pem()).unwrap();
    let mut configuration = configuration(&upstream, folder.path());
    configuration["telemetry"] = json!({"otlp": {"endpoint": format!("http://127.0.0.1:{port}"), "interval": "1s"}});
    let gate = Gate::configured(&folder, &configuration);
    Script::Curl.run(&Way::Proxy.environment(&upstream, Some(&gate), &folder));
    let bill = upstream.bill();
    assert!(bill.len() > 3);
    assert_equal(&gate, &bill);

    let sum = |of: fn(&Billed) -> u64| bill.iter().map(of).sum::<u64>();
    let (input, output, pico) = (sum(|line| line.input), sum(|line| line.output), sum(cost));
    let entries = gate.ask("/entries?limit=1000")["entries"].as_array().unwrap().len();
    let nearly = |value: &Value| (value.as_f64().unwrap() * 1e12).round() as u64;
    // Every message is followed by a line, so that this ends.
    let told = loop {
        let line = watch.line();
        let whole = line["metrics"]["tollgate.requests|"].as_u64() == Some(entries as u64);
        if whole && line["spans"].as_u64() == Some(entries as u64) {
            break line;
        }
    };
    assert_eq!((&told["input"], &told["output"], &told["cost"]), (&json!(input), &json!(output), &json!(pico)));
    let metrics = &told["metrics"];
    assert_eq!(metrics["gen_ai.client.token.usage|input"].as_f64(), Some(input as f64));
    assert_eq!(metrics["gen_ai.client.token.usage|output"].as_f64(), Some(output as f64));
    assert_eq!(nearly(&metrics["tollgate.cost|"]), pico);

    let scraped = watch.ask(&format!("{}/metrics", gate.admin()));
    for (form, kind) in
        [("older", "text/plain; version=0.0.4"), ("newer", "application/openmetrics-text; version=1.0.0")]
    {
        let Value::Object(read) = &scraped[form] else { panic!("{scraped}") };
        assert!(read["kind"].as_str().unwrap().starts_with(kind), "{scraped}");
        let sums = &read["sums"];
        assert_eq!(sums["gen_ai_client_token_usage_sum|input"].as_f64(), Some(input as f64), "{sums}");
        assert_eq!(sums["gen_ai_client_token_usage_sum|output"].as_f64(), Some(output as f64), "{sums}");
        assert_eq!(sums["tollgate_requests_total|"].as_f64(), Some(entries as f64), "{sums}");
        assert_eq!(nearly(&sums["tollgate_cost_usd_total|"]), pico, "{sums}");
    }
}
