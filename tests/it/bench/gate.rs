//! A gate in this process, built as `tollgate serve` builds it, on free ports and in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use tollgate::config::load::{Loaded, Sources, load};
use tollgate::gate::{Gate, Surroundings};
use tollgate::ledger::entry::Entry;
use tollgate::ledger::page::Query;

use super::upstream::Upstream;

/// A running gate and the folder that it lives in.
pub struct TestGate {
    /// The gate itself.
    pub gate: Gate,
    folder: TempDir,
}

impl TestGate {
    /// Starts a gate for which `api.openai.com` is the stand-in; `more` are further members of its configuration.
    pub fn start(origin: &Upstream, more: &str) -> Self {
        Self::with_upstream(origin, "", more)
    }

    /// As [`TestGate::start`], with further members of `upstream`.
    pub fn with_upstream(origin: &Upstream, upstream: &str, more: &str) -> Self {
        Self::toward(origin.address(), origin.ca_pem(), upstream, more)
    }

    /// As [`TestGate::with_upstream`], for any server whose certificate `ca_pem` signed.
    pub fn toward(address: SocketAddr, ca_pem: &str, upstream: &str, more: &str) -> Self {
        Self::beside(TempDir::new().unwrap(), (address, ca_pem), (upstream, more))
    }

    /// As [`TestGate::start`], with the certificate of another stand-in as the file `other.pem`.
    pub fn trusting(origin: &Upstream, other: &Upstream, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("other.pem"), other.ca_pem()).unwrap();
        Self::beside(folder, (origin.address(), origin.ca_pem()), ("", more))
    }

    fn beside(folder: TempDir, (address, ca_pem): (SocketAddr, &str), (upstream, more): (&str, &str)) -> Self {
        let ca = folder.path().join("standin.pem");
        std::fs::write(&ca, ca_pem).unwrap();
        let text = format!(
            r#"{{
              listen: {{ proxy: "127.0.0.1:0", admin: "127.0.0.1:0" }},
              upstream: {{
                ca: "standin.pem",
                resolve: {{ "api.openai.com:443": "{address}", "mirror.example.com:443": "{address}",
                           "res.openai.azure.com:443": "{address}" }},
                {upstream}
              }},
              workers: 1,
              {more}
            }}"#
        );
        Self::from_text(folder, &text)
    }

    /// Starts a gate from a whole configuration; files that it names lie in `folder`.
    pub fn from_text(folder: TempDir, text: &str) -> Self {
        Self::amid(folder, text, Surroundings::default())
    }

    /// As [`TestGate::from_text`], with something around it.
    pub fn amid(folder: TempDir, text: &str, surroundings: Surroundings) -> Self {
        let gate = Gate::start(loaded(&folder, text), surroundings).unwrap();
        Self { gate, folder }
    }

    /// Where programs reach it.
    pub fn proxy(&self) -> SocketAddr {
        self.gate.proxy_address()
    }

    /// Where its books are shown.
    pub fn admin(&self) -> SocketAddr {
        self.gate.admin_address()
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate that clients trust.
    pub fn root_pem(&self) -> String {
        self.gate.authority().root_pem().to_owned()
    }

    /// What is in the books, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        let query = Query { limit: 1000, ..Query::default() };
        let mut entries: Vec<Entry> =
            self.gate.ledger().entries(&query).entries.iter().map(|entry| entry.entry.clone()).collect();
        entries.reverse();
        entries
    }

    /// Waits until `count` entries are in the books, and fails after ten seconds.
    pub async fn wait_for_entries(&self, count: usize) -> Vec<Entry> {
        let begun = std::time::Instant::now();
        loop {
            let entries = self.entries();
            if entries.len() >= count {
                return entries;
            }
            assert!(begun.elapsed().as_secs() < 10, "waited in vain for {count} entries: {entries:#?}");
            // The books are a fact of another thread that tells nobody; ask again when others have run.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }
}

/// Loads a configuration text as `--config` would.
pub fn loaded(folder: &TempDir, text: &str) -> Loaded {
    let file = folder.path().join("tollgate.json5");
    std::fs::write(&file, text).unwrap();
    load(&Sources {
        file: Some(file),
        environment: &|_| None,
        working_directory: folder.path().to_owned(),
        proxy: None,
        admin: None,
        models: Vec::new(),
    })
    .unwrap_or_else(|error| panic!("{error}"))
}
