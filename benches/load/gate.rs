//! The gate under test: the release program with a configuration of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;

/// A running gate.
pub(crate) struct GateUnderTest {
    /// Its process.
    pub(crate) process: Process,
    /// Where programs reach it.
    pub(crate) proxy: SocketAddr,
    /// The certificate that programs trust.
    pub(crate) ca: PathBuf,
    admin: SocketAddr,
}

impl GateUnderTest {
    /// Starts `tollgate serve` in `folder`, with one worker, for which the API's host is at `upstream`.
    ///
    /// Its log is as it is by default and goes to a file; `RUST_LOG` is passed on. Its journal lies in the folder too;
    /// with `LOAD_WITHOUT_JOURNAL` in the environment there is none.
    pub(crate) fn start(folder: &Path, upstream: SocketAddr, upstream_ca: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let config = folder.join("tollgate.json5");
        let ca = upstream_ca.display();
        let ledger = if std::env::var_os("LOAD_WITHOUT_JOURNAL").is_some() { "path: null" } else { "" };
        fs::write(
            &config,
            format!(
                r#"{{
                  listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
                  workers: 1,
                  ledger: {{ {ledger} }},
                  models: [{{name: "databricks/dolly-v2-3b", endpointUrl: "http://127.0.0.1:9/v1/completions"}}],
                  upstream: {{ ca: "{ca}", resolve: {{ "api.openai.com:443": "{upstream}" }} }},
                }}"#
            ),
        )?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let mut process =
            Process::start(command.args(["serve", "--config"]).arg(&config).current_dir(folder).stderr(log))
                .context("the gate does not start")?;
        let proxy = process.line("proxy    http://")?.parse()?;
        let admin = process.line("admin    http://")?.parse()?;
        let ca = process.line("ca       ")?.into();
        Ok(Self { process, proxy, ca, admin })
    }

    /// Calls in its books.
    pub(crate) async fn booked(&self) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = format!("GET /stats HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let (_, body) = text.split_once("\r\n\r\n").context("the books do not answer")?;
        let stats: serde_json::Value = serde_json::from_str(body)?;
        stats["totals"]["requests"].as_u64().context("the books do not count requests")
    }
}
