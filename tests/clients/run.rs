//! `tollgate run` with real programs: each call goes through a gate that was started for it, and bears the label.

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::gate::Gate;
use super::script::home;
use super::upstream::{Options, Upstream};

/// A program that makes one call for a completion and prints the answer.
struct Caller {
    name: &'static str,
    command: Vec<String>,
    /// Java cannot be told the user of a proxy.
    bears_label: bool,
}

fn caller(name: &'static str, command: &[&str]) -> Caller {
    Caller { name, command: command.iter().map(|part| (*part).to_owned()).collect(), bears_label: true }
}

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn programs_of_every_runtime_are_led_through_a_gate_that_was_started_for_them() {
    let (upstream, folder) = (Upstream::start(Options::default()), TempDir::new().unwrap());
    let gate = Gate::for_runs(&upstream, &folder);
    std::fs::write(folder.path().join("Call.java"), JAVA).unwrap();
    let mut failed = Vec::new();
    for caller in callers(&folder) {
        upstream.clear();
        let output = run(&folder, &caller);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let served = upstream.bill().len();
        let booked = booked(&gate, caller.name);
        let expected = if caller.bears_label { Some(caller.name.to_owned()) } else { None };
        let is_right = output.status.success() && said.contains("chat.completion") && served == 1;
        if is_right && booked.as_ref() == Some(&expected) {
            println!("{:<24} ok", caller.name);
        } else {
            failed.push(format!("{}: served {served}, booked {booked:?}\n{said}\n{errors}", caller.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// The label of the latest entry, and whether it came through the proxy.
fn booked(gate: &Gate, name: &str) -> Option<Option<String>> {
    for _ in 0..500 {
        let entries = gate.ask("/entries?limit=50");
        let entries = entries["entries"].as_array().cloned().unwrap_or_default();
        let latest = entries.first().cloned().unwrap_or(Value::Null);
        let client = &latest["client"];
        if client["label"] == name || client["process"].as_str().is_some_and(|process| process.starts_with("java")) {
            return Some(client["label"].as_str().map(str::to_owned));
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    None
}

fn run(folder: &TempDir, caller: &Caller) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["run", "--label", caller.name, "--config"])
        .arg(folder.path().join("config/tollgate.json5"))
        .arg("--")
        .args(&caller.command)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.path())
        .env("OPENAI_API_KEY", "sk-client")
        .env("NODE_PATH", home().join("node_modules"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn callers(folder: &TempDir) -> Vec<Caller> {
    let python = |environment: &str| home().join(environment).join("bin/python").display().to_string();
    let (three, one, requests) = (python("python-3"), python("python-1"), python("litellm"));
    let java = folder.path().join("Call.java").display().to_string();
    let header = "authorization: Bearer sk-client";
    let kind = "content-type: application/json";
    let mut all = vec![
        caller("curl", &["curl", "-sS", URL, "-H", header, "-H", kind, "-d", BODY]),
        caller("wget", &["wget", "-q", "-O", "-", "--header", header, "--header", kind, "--post-data", BODY, URL]),
        caller("urllib", &[&three, "-c", &URLLIB.replace("BODY", BODY)]),
        caller("openai-python-3", &[&three, "-c", OPENAI_PYTHON]),
        caller("openai-python-1", &[&one, "-c", OPENAI_PYTHON]),
        caller("requests", &[&requests, "-c", &REQUESTS.replace("BODY", BODY)]),
        caller(
            "httpx",
            &[
                &requests,
                "-c",
                &REQUESTS.replace("requests", "httpx").replace("data=", "content=").replace("BODY", BODY),
            ],
        ),
        caller("certifi", &[&requests, "-c", &CERTIFI.replace("BODY", BODY)]),
        caller("aiohttp", &[&requests, "-c", &AIOHTTP.replace("BODY", BODY)]),
        caller("node-https", &["node", "-e", &NODE_HTTPS.replace("BODY", BODY)]),
        caller("node-http2", &["node", "-e", &NODE_HTTP2.replace("BODY", BODY)]),
        caller("node-fetch", &["node", "-e", &NODE_FETCH.replace("BODY", BODY)]),
        caller("openai-node", &["node", "-e", OPENAI_NODE]),
        caller("undici", &["node", "-e", &UNDICI.replace("BODY", BODY)]),
    ];
    for way in ["client", "connection"] {
        let name = if way == "client" { "java-http-client" } else { "java-url-connection" };
        let mut one = caller(name, &["java", &java, way, BODY]);
        one.bears_label = false;
        all.push(one);
    }
    all
}

const URL: &str = "https://api.openai.com/v1/chat/completions";

const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;

const URLLIB: &str = r#"
import urllib.request
request = urllib.request.Request("https://api.openai.com/v1/chat/completions", b'''BODY''',
    {"authorization": "Bearer sk-client", "content-type": "application/json"})
print(urllib.request.urlopen(request).read().decode())
"#;

const OPENAI_PYTHON: &str = r#"
from openai import OpenAI
print(OpenAI().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}]).to_json())
"#;

const REQUESTS: &str = r#"
import requests
print(requests.post("https://api.openai.com/v1/chat/completions", data='''BODY''',
    headers={"authorization": "Bearer sk-client", "content-type": "application/json"}).text)
"#;

/// As a library does it that makes its own settings of TLS.
const CERTIFI: &str = r#"
import ssl, certifi, httpx
trust = ssl.create_default_context(cafile=certifi.where())
print(httpx.Client(verify=trust).post("https://api.openai.com/v1/chat/completions", content='''BODY''',
    headers={"authorization": "Bearer sk-client", "content-type": "application/json"}).text)
"#;

const AIOHTTP: &str = r#"
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.post("https://api.openai.com/v1/chat/completions", data='''BODY''',
                headers={"authorization": "Bearer sk-client", "content-type": "application/json"}) as answer:
            print(await answer.text())
asyncio.run(main())
"#;

const NODE_HTTPS: &str = r#"
const request = require("https").request("https://api.openai.com/v1/chat/completions",
  { method: "POST", headers: { authorization: "Bearer sk-client", "content-type": "application/json" } },
  (answer) => answer.pipe(process.stdout));
request.end(`BODY`);
"#;

const NODE_HTTP2: &str = r#"
const session = require("http2").connect("https://api.openai.com");
const stream = session.request({ ":method": "POST", ":path": "/v1/chat/completions",
  authorization: "Bearer sk-client", "content-type": "application/json" });
stream.on("data", (bytes) => process.stdout.write(bytes)).on("end", () => session.close());
stream.end(`BODY`);
"#;

const NODE_FETCH: &str = r#"
fetch("https://api.openai.com/v1/chat/completions", { method: "POST", body: `BODY`,
  headers: { authorization: "Bearer sk-client", "content-type": "application/json" } })
  .then((answer) => answer.text()).then((text) => console.log(text));
"#;

const OPENAI_NODE: &str = r#"
const { OpenAI } = require("openai");
new OpenAI().chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "hi" }] })
  .then((answer) => console.log(JSON.stringify(answer)));
"#;

const UNDICI: &str = r#"
require("undici").request("https://api.openai.com/v1/chat/completions", { method: "POST", body: `BODY`,
  headers: { authorization: "Bearer sk-client", "content-type": "application/json" } })
  .then((answer) => answer.body.text()).then((text) => console.log(text));
"#;

const JAVA: &str = r#"
import java.net.URI;
import java.net.http.*;

public class Call {
    public static void main(String[] arguments) throws Exception {
        URI at = URI.create("https://api.openai.com/v1/chat/completions");
        if (arguments[0].equals("client")) {
            var request = HttpRequest.newBuilder(at).header("authorization", "Bearer sk-client")
                .header("content-type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
            System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
            return;
        }
        var connection = (java.net.HttpURLConnection) at.toURL().openConnection();
        connection.setRequestProperty("authorization", "Bearer sk-client");
        connection.setRequestProperty("content-type", "application/json");
        connection.setDoOutput(true);
        connection.getOutputStream().write(arguments[1].getBytes());
        System.out.println(new String(connection.getInputStream().readAllBytes()));
    }
}
"#;
