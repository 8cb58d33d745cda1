//! Memory of a process that keeps no, one and ten tokenizers, as the gate keeps them.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tollgate::net::host::HostPort;
use tollgate::policy::custom::CustomModel;
use tollgate::policy::target::{Destination, Scheme};
use tollgate::system::hugging_face::HubSettings;
use tollgate::system::roots::machine_roots;
use tollgate::tokens::library::Library;
use tollgate::upstream::connect::{Connector, ConnectorParts};

/// The first word of the command line of the process that is measured.
pub(crate) const ARGUMENT: &str = "--keep";

/// What a process takes that keeps some tokenizers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Kept {
    /// Models that were asked for.
    pub(crate) models: usize,
    /// Those whose tokenizer is still there, the bound on memory considered.
    pub(crate) held: usize,
    /// Bytes of their files together.
    pub(crate) file_bytes: u64,
    /// Memory in use, in units of 1024 bytes.
    pub(crate) resident_kb: u64,
    /// Time to load all of them.
    pub(crate) load_ms: u64,
}

/// A fresh process for each number of tokenizers.
pub(crate) fn measure(files: &[PathBuf]) -> anyhow::Result<Vec<Kept>> {
    [0, 1, 10].into_iter().filter(|count| *count <= files.len()).map(|count| of(&files[..count])).collect()
}

fn of(files: &[PathBuf]) -> anyhow::Result<Kept> {
    let output = Command::new(std::env::current_exe()?).arg(ARGUMENT).args(files).stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Loads these tokenizers into a library as the gate's is, and tells on standard output what that took.
pub(crate) fn report(files: &[String]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let library = library()?;
    let begun = Instant::now();
    let models: Vec<Arc<CustomModel>> = files.iter().map(|file| model(file, &folder)).collect::<Result<_, _>>()?;
    let held_at_once = |model| library.acquire(model).tokenizer.is_some();
    anyhow::ensure!(models.iter().all(held_at_once), "a tokenizer could not be loaded");
    let load_ms = u64::try_from(begun.elapsed().as_millis())?;
    let kept = Kept {
        models: models.len(),
        held: library.tokenizers(),
        file_bytes: files.iter().map(|file| fs::metadata(file).map_or(0, |about| about.len())).sum(),
        resident_kb: resident_kb()?,
        load_ms,
    };
    library.finish();
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&kept)?)?;
    Ok(())
}

fn library() -> anyhow::Result<Library> {
    let connector =
        Connector::new(ConnectorParts { limit: Duration::from_secs(1), ..ConnectorParts::new(machine_roots()) })?;
    // Nothing is asked for beyond this machine: the models are folders.
    let settings = HubSettings { offline: true, ..HubSettings::from_environment(&|_| None) };
    Ok(Library::start(settings, Arc::new(connector))?)
}

/// A model whose repository is a folder with nothing but this tokenizer.
fn model(file: &str, folder: &tempfile::TempDir) -> anyhow::Result<Arc<CustomModel>> {
    let file = PathBuf::from(file);
    let name = file.file_stem().and_then(|stem| stem.to_str()).context("a file without a name")?.to_owned();
    let own = folder.path().join(&name);
    fs::create_dir(&own)?;
    std::os::unix::fs::symlink(&file, own.join("tokenizer.json"))?;
    let at = HostPort::parse("127.0.0.1", 1).context("no address")?;
    let destination = Destination { scheme: Scheme::Http, at, dialled: None, roots: None };
    Ok(Arc::new(CustomModel {
        model_url: format!("file://{}", own.display()).into(),
        model_url_given: true,
        ..CustomModel::new(&name, destination, "/v1/completions".parse()?)
    }))
}

fn resident_kb() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
