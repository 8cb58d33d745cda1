//! `tollgate demo`: everything at once, offline, by the same code as `serve`.

mod caller;
pub(in crate::cli) mod folder;
mod upstream;

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::cli::arguments::DemoArgs;
use crate::cli::ask::ask;
use crate::cli::books::{BooksArgs, CallArgs, GroupArgs};
use crate::cli::problem::Problem;
use crate::cli::serve::signals::stop_on_signals;
use crate::cli::stats::{self, StatsArgs};
use crate::cli::tail::{TailArgs, Watch};
use crate::config::load::{Sources, load};
use crate::gate::{Gate, Surroundings};

use self::caller::Caller;
use self::folder::Folder;
use self::upstream::Upstream;

/// Starts a gate and an upstream of its own, sends a few calls of each kind, and prints the books.
///
/// # Errors
/// A machine that does not let the gate start, or a call that fails.
pub fn run(args: &DemoArgs) -> Result<(), Problem> {
    let folder = Folder::make("demo").context("cannot make a folder for the demo's certificates")?;
    let upstream = Upstream::start().context("cannot start the demo's own upstream")?;
    let gate = start(&folder, &upstream)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(calls(&gate, &upstream, args.json))?;
    let admin = gate.admin_address().to_string();
    settle(&admin, CALLS.len())?;
    let mut out = io::stdout().lock();
    if args.json {
        let parsed = |path: &str| -> anyhow::Result<Value> { Ok(serde_json::from_slice(&ask(&admin, path, None)?)?) };
        let shown = json!({
            "calls": told, "stats": parsed("/stats?by=model,route")?, "entries": parsed("/entries?limit=100")?["entries"],
        });
        writeln!(out, "{shown:#}")?;
    } else {
        print_books(&admin, &mut out)?;
    }
    if !args.stay {
        drop(out);
        gate.stop();
        return Ok(());
    }
    writeln!(out, "\nproxy  http://{}\nadmin  http://{admin}", gate.proxy_address())?;
    writeln!(out, "ca     {}", gate.authority().root_path().display())?;
    writeln!(out, "The gate stays up with the demo's own upstream; interrupt to end it.")?;
    drop(out);
    stop_on_signals(gate.stopper())?;
    gate.wait();
    Ok(())
}

/// The gate, configured by a file as anybody would.
fn start(folder: &Folder, upstream: &Upstream) -> Result<Gate, Problem> {
    let at = upstream.address();
    folder.write("upstream.pem", upstream.ca_pem())?;
    let config = folder.write(
        "tollgate.json5",
        &format!(
            r#"{{
  listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
  models: [
    {{name:"databricks/dolly-v2-3b", endpointUrl:"https://{at}/v1/completions", tokenPricing:{{prompt:0.0001, completion:0.0002}}}},
  ],
  duplicates: [
    {{ name: "azure-eu", kind: "azure", url: "https://demo.openai.azure.com", apiKey: "demo-azure-key", apiVersion: "2024-10-21",
      deployments: {{ "gpt-4o": {{ deployment: "prod-4o", model: "gpt-4o-2024-08-06" }} }}, models: ["gpt-4o"] }},
  ],
  ledger: {{ path: null }},
  upstream: {{ ca: "upstream.pem", resolve: {{ "api.openai.com:443": "{at}", "demo.openai.azure.com:443": "{at}" }} }},
}}
"#
        ),
    )?;
    let sources = Sources {
        file: Some(config),
        environment: &|_| None,
        working_directory: folder.path().to_owned(),
        proxy: None,
        admin: None,
        models: Vec::new(),
    };
    Ok(Gate::start(load(&sources)?, Surroundings::default())?)
}

/// Sends every call and tells what was asked, where it went, and what came back.
async fn calls(gate: &Gate, upstream: &Upstream, quiet: bool) -> anyhow::Result<Vec<Value>> {
    let caller = Caller::new(gate.proxy_address(), gate.authority().root_pem())?;
    let mut told = Vec::new();
    let mut out = io::stdout();
    if !quiet {
        writeln!(
            out,
            "A gate and an upstream of its own are running on loopback. The program of this demo knows only"
        )?;
        writeln!(out, "https://api.openai.com and trusts the gate's certificate; it reaches the gate as its proxy.\n")?;
    }
    for call in CALLS {
        let reply = caller.call(call.path, call.body).await.with_context(|| format!("the call `{}`", call.what))?;
        let request = upstream.last().ok_or_else(|| anyhow!("the upstream saw no request"))?;
        if !quiet {
            writeln!(out, "{}", call.what)?;
            writeln!(out, "  asked     https://api.openai.com{}", call.path)?;
            writeln!(out, "  arrived   https://{}{} with {}", request.host, request.path, request.credential)?;
            writeln!(out, "  answered  {}\n", reply.text)?;
        }
        told.push(json!({
            "what": call.what, "path": call.path, "status": reply.status,
            "arrived": { "host": request.host, "path": request.path, "credential": request.credential },
            "answer": reply.text,
        }));
    }
    Ok(told)
}

/// Waits until the books hold `count` entries: the last one is posted when its last byte has left.
fn settle(admin: &str, count: usize) -> anyhow::Result<()> {
    for _ in 0..200 {
        let stats: Value = serde_json::from_slice(&ask(admin, "/stats", None)?)?;
        if stats["totals"]["requests"].as_u64() == u64::try_from(count).ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(anyhow!("the books do not hold the {count} calls that were made"))
}

fn print_books(admin: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "The books:\n")?;
    let tail =
        TailArgs { follow: false, limit: 20, json: false, calls: CallArgs::default(), books: BooksArgs::at(admin) };
    Watch::new(&tail).print_last(out)?;
    writeln!(out)?;
    stats::print(
        &StatsArgs {
            since: "24h".into(),
            until: None,
            by: "model,route".into(),
            json: false,
            groups: GroupArgs::default(),
            books: BooksArgs::at(admin),
        },
        out,
    )
}

/// One call of the demo.
struct Call {
    what: &'static str,
    path: &'static str,
    body: &'static str,
}

const CALLS: [Call; 6] = [
    Call {
        what: "A chat call, intercepted and passed on to OpenAI",
        path: "/v1/chat/completions",
        body: r#"{"model":"gpt-4.1-mini","messages":[{"role":"user","content":"Say hello."}]}"#,
    },
    Call {
        what: "The same as a stream; the gate asks for usage and hides it from the program",
        path: "/v1/chat/completions",
        body: r#"{"model":"gpt-4.1-mini","stream":true,"messages":[{"role":"user","content":"Say hello."}]}"#,
    },
    Call {
        what: "A custom model: the same program, another server",
        path: "/v1/completions",
        body: r#"{"model":"databricks/dolly-v2-3b","prompt":"Once upon a time"}"#,
    },
    Call {
        what: "A model that an Azure duplicate serves: deployment path, api-version and key are rewritten",
        path: "/v1/chat/completions",
        body: r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Say hello."}]}"#,
    },
    Call { what: "The Responses API", path: "/v1/responses", body: r#"{"model":"gpt-5-mini","input":"Say hello."}"# },
    Call { what: "Embeddings", path: "/v1/embeddings", body: r#"{"model":"text-embedding-3-small","input":"hello"}"# },
];
