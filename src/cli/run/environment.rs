//! The files that a program's environment names, made for this run, and the environment itself.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::ca::bundle::Collection;
use crate::cli::problem::Problem;
use crate::cli::run::folder::state;
use crate::config::load::Loaded;
use crate::system::environment::java;
use crate::system::environment::{ADDED_FILES, Files, TRUSTED_FILES, TRUSTED_FOLDERS, Variable, Way, variables};
use crate::system::kept::{fingerprint, keep};
use crate::system::roots::machine_roots;

/// The files, ready.
#[derive(Debug)]
pub struct Prepared {
    /// Where they are.
    pub files: Files,
    /// What could not be taken over from the user's environment, each a sentence.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// The environment; see [`variables`].
    pub fn variables(
        &self,
        loaded: &Loaded,
        proxy: Option<&str>,
        now: &dyn Fn(&str) -> Option<OsString>,
    ) -> Vec<Variable> {
        let way = Way { proxy, intercepted: loaded.policy.interception.hosts(), files: &self.files };
        variables(&way, now)
    }
}

/// Makes the files for a program that would run in the environment `now`. They are named by what they hold, so that runs
/// at the same time, with other environments, do not disturb each other. `modules` are code for Node and Python.
///
/// # Errors
/// No authority yet, or a folder that cannot be written.
pub fn prepare(loaded: &Loaded, modules: bool, now: &dyn Fn(&str) -> Option<OsString>) -> Result<Prepared, Problem> {
    let certs = &loaded.setup.certs;
    let folder = state(now).unwrap_or_else(|| certs.join("run"));
    let (trust, code) = (folder.join("trust"), folder.join("modules"));
    let failed = |error: io::Error| {
        anyhow::Error::from(error).context(format!("cannot keep the files of programs in `{}`", folder.display()))
    };
    let root_path = certs.join("ca.pem");
    let root = fs::read(&root_path)
        .with_context(|| format!("cannot read `{}`, which programs are to trust", root_path.display()))?;

    let named = |name: &&str| now(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    // An environment made by this program names our own files; what they hold is there anyway, or is out of date.
    let users = |path: &PathBuf| !path.starts_with(certs);
    let paths = |names: &[&str]| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = names.iter().filter_map(named).filter(users).collect();
        paths.sort();
        paths.dedup();
        paths
    };
    let mut all = Collection::default();
    all.add(machine_roots().certificates.iter().map(AsRef::as_ref));
    paths(&TRUSTED_FILES).iter().for_each(|path| all.add_path(path));
    let folders = now(TRUSTED_FOLDERS).unwrap_or_default();
    env::split_paths(&folders).filter(|path| path.is_absolute()).for_each(|path| all.add_path(&path));
    all.add_text(&root);
    let mut warnings: Vec<String> = all
        .skipped
        .iter()
        .map(|(path, cause)| {
            format!("`{}` is trusted by your environment, but not wholly used: {cause}", path.display())
        })
        .collect();
    let bundle = keep(&trust, "bundle.pem", all.pem().as_bytes()).map_err(failed)?;

    let added = match paths(&ADDED_FILES) {
        users if users.is_empty() => root_path,
        users => {
            let mut added = Collection::default();
            users.iter().for_each(|path| added.add_path(path));
            added.add_text(&root);
            keep(&trust, "added.pem", added.pem().as_bytes()).map_err(failed)?
        }
    };
    let java = java_store(&mut all, &trust, now, &mut warnings).map_err(failed)?;
    let php = in_folder(&trust, "php", "tollgate.ini", php_settings(&bundle).as_bytes()).map_err(failed)?;
    let wget = keep(&trust, "wgetrc", wget_settings(&bundle, now).as_bytes()).map_err(failed)?;
    let (mut node, mut python) = (None, None);
    if modules {
        node = Some(keep(&code, "node.cjs", NODE).map_err(failed)?);
        python = Some(in_folder(&code, "python", "sitecustomize.py", PYTHON).map_err(failed)?);
    }
    let files = Files { added, bundle, java, node, php: Some(php), python, wget: Some(wget) };
    Ok(Prepared { files, warnings })
}

/// A folder of its own for a file whose name is not ours to choose.
fn in_folder(folder: &Path, stem: &str, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let inner = folder.join(format!("{stem}-{}", fingerprint(bytes)));
    let path = inner.join(name);
    if !fs::read(&path).is_ok_and(|found| found == bytes) {
        fs::create_dir_all(&inner)?;
        crate::system::kept::replace(&path, bytes, 0o644)?;
    }
    Ok(inner)
}

/// The trust store for Java, where there is one: what it trusts by itself, what the user's options name, and the rest.
fn java_store(
    all: &mut Collection,
    trust: &Path,
    now: &dyn Fn(&str) -> Option<OsString>,
    warnings: &mut Vec<String>,
) -> io::Result<Option<PathBuf>> {
    let Some(home) = java_home(now) else { return Ok(None) };
    let options = now("JAVA_TOOL_OPTIONS").unwrap_or_default().to_string_lossy().into_owned();
    let own = ["lib/security/jssecacerts", "lib/security/cacerts", "jre/lib/security/cacerts"];
    let own = own.iter().map(|name| home.join(name)).find(|path| path.is_file());
    let users = java::named_store(&options).map(PathBuf::from).filter(|path| !path.starts_with(trust));
    for path in own.into_iter().chain(users) {
        let bytes = fs::read(&path).unwrap_or_default();
        match java::certificates(&bytes) {
            Some(found) => all.add(found),
            None => match listed(&home, &path) {
                Some(text) => all.add_text(&text),
                None => warnings.push(format!(
                    "Java trusts the certificates in `{}`, which cannot be read here without `keytool`",
                    path.display()
                )),
            },
        }
    }
    let certificates: Vec<&[u8]> = all.certificates().collect();
    keep(trust, "java.jks", &java::store(&certificates)).map(Some)
}

/// The certificates of a store in a form that only Java's own tool reads.
fn listed(home: &Path, store: &Path) -> Option<Vec<u8>> {
    let tool = Some(home.join("bin/keytool")).filter(|tool| tool.is_file()).unwrap_or_else(|| "keytool".into());
    let output = Command::new(tool)
        .args(["-list", "-rfc", "-storepass", "changeit", "-keystore"])
        .arg(store)
        .env_remove("JAVA_TOOL_OPTIONS")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
}

/// Where Java is: as `JAVA_HOME` says, or as the first `java` of `PATH` leads.
fn java_home(now: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let said = now("JAVA_HOME").map(PathBuf::from).filter(|home| home.join("bin/java").is_file());
    said.or_else(|| {
        let path = now("PATH")?;
        let found = env::split_paths(&path).map(|folder| folder.join("java")).find(|file| file.is_file())?;
        Some(fs::canonicalize(found).ok()?.parent()?.parent()?.into())
    })
}

fn php_settings(bundle: &Path) -> String {
    let path = bundle.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("openssl.cafile=\"{path}\"\ncurl.cainfo=\"{path}\"\n")
}

/// The machine's settings and one more; the user's own file is read after it and may say otherwise.
fn wget_settings(bundle: &Path, now: &dyn Fn(&str) -> Option<OsString>) -> String {
    let file = now("SYSTEM_WGETRC").map_or_else(|| PathBuf::from("/etc/wgetrc"), PathBuf::from);
    let machine = fs::read(file).unwrap_or_default();
    let machine = String::from_utf8_lossy(&machine);
    let machine = machine.split(MARK).next().unwrap_or_default().trim_end();
    format!("{machine}\n{MARK}\nca_certificate = {}\n", bundle.display())
}

/// From here on a file of settings is ours.
const MARK: &str = "# For programs that run through Tollgate:";

/// Leads the connections of a Node that knows no proxy variables.
const NODE: &[u8] = include_bytes!("modules/node.cjs");
/// For libraries of Python that know no proxy or trust variables.
const PYTHON: &[u8] = include_bytes!("modules/sitecustomize.py");
