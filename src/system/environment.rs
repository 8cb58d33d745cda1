//! The environment in which a program's calls go through the gate, for every runtime: a pure table.
//!
//! Two kinds of variables name certificates. Some *add* to what a runtime trusts; they get the gate's root, or, where
//! the user has named certificates of his own, those and the root. Others *replace* it; they get a bundle of all
//! that the machine and the user trust, and the root. The sources of the table are the manuals of the runtimes.

pub mod java;
mod spared;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::net::host::HostPattern;
use crate::system::environment::spared::Spared;

/// Where a program is led, and the files that its environment names.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The gate as a proxy, `http://127.0.0.1:8484`, with user and password where it wants them; `None` where the
    /// program's connections reach the gate without it, so that every proxy variable is taken away.
    pub proxy: Option<&'a str>,
    /// The hosts whose connections are opened.
    pub intercepted: &'a [HostPattern],
    /// The files.
    pub files: &'a Files,
}

/// The files that an environment names. Where one is `None`, its variables are left as they are.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// What is added to a runtime's trust: the gate's root, and what the user added already (PEM).
    pub added: PathBuf,
    /// What replaces it: everything (PEM).
    pub bundle: PathBuf,
    /// As `bundle`, for Java (JKS).
    pub java: Option<PathBuf>,
    /// A module that leads the calls of a Node that knows no proxy variables.
    pub node: Option<PathBuf>,
    /// A folder of settings for PHP that names `bundle`.
    pub php: Option<PathBuf>,
    /// A folder with a `sitecustomize.py` for the libraries of Python that know no proxy or trust variables.
    pub python: Option<PathBuf>,
    /// As `/etc/wgetrc`, and names `bundle`.
    pub wget: Option<PathBuf>,
}

/// One variable as it is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is to be; `None` takes it away.
    pub value: Option<OsString>,
    /// Who reads it.
    pub reason: &'static str,
}

/// What is to change in the environment `now`. Nothing is looked at but the arguments.
pub fn variables(way: &Way<'_>, now: &dyn Fn(&str) -> Option<OsString>) -> Vec<Variable> {
    let spared = Spared::of(now, way.intercepted);
    let mut all = match way.proxy {
        Some(proxy) => led(proxy, &spared, way.intercepted, now),
        None => unled(now),
    };
    all.extend(trusting(way.files, now));
    let java = java::options(way.proxy, &spared, way.files.java.as_deref());
    if let Some(options) = java.filter(|_| way.files.java.is_some()) {
        all.push(set(JAVA, appended(now(JAVA.0), &options, " ")));
    }
    if let Some(module) = way.files.node.as_deref().filter(|_| way.proxy.is_some()) {
        let option = required(module);
        all.push(set(NODE, appended(now(NODE.0), OsStr::new(&option), " ")));
    }
    all
}

/// Proxy variables in force.
fn led(
    proxy: &str,
    spared: &Spared,
    intercepted: &[HostPattern],
    now: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<Variable> {
    let proxies = PROXIES.iter().map(|row| set(*row, proxy.into()));
    let replaced = PROXIES_REPLACED.iter().filter(|row| now(row.0).is_some()).map(|row| set(*row, proxy.into()));
    let sparing = SPARING.iter().map(|row| set(*row, spared.list().into()));
    let sparing_replaced = SPARING_REPLACED.iter().filter_map(|row| {
        let kept = Spared::kept(&now(row.0)?.to_string_lossy(), intercepted).join(",");
        Some(set(*row, kept.into()))
    });
    let hosts: Vec<&str> = intercepted.iter().map(HostPattern::name).collect();
    let own = [set(OWN_PROXY, proxy.into()), set(OWN_HOSTS, hosts.join(",").into())];
    proxies
        .chain(replaced)
        .chain(sparing)
        .chain(sparing_replaced)
        .chain([set(NODE_PROXY, "1".into())])
        .chain(own)
        .collect()
}

/// No proxy variables at all.
fn unled(now: &dyn Fn(&str) -> Option<OsString>) -> Vec<Variable> {
    let rows = PROXIES.iter().chain(&PROXIES_REPLACED).chain([&NODE_PROXY, &OWN_PROXY, &OWN_HOSTS]);
    let there = rows.filter(|row| now(row.0).is_some());
    there.map(|(name, _)| Variable { name, value: None, reason: "a proxy would lead past the gate" }).collect()
}

/// Variables of trust in force.
fn trusting(files: &Files, now: &dyn Fn(&str) -> Option<OsString>) -> Vec<Variable> {
    let path = |path: &Path| path.as_os_str().to_owned();
    let adding = ADDING.iter().map(|row| set(*row, path(&files.added)));
    let replacing = REPLACING.iter().map(|row| set(*row, path(&files.bundle)));
    let replaced = REPLACING_REPLACED.iter().filter(|row| now(row.0).is_some());
    let mut all: Vec<Variable> =
        adding.chain(replacing).chain(replaced.map(|row| set(*row, path(&files.bundle)))).collect();
    all.push(set(OWN_TRUST, path(&files.bundle)));
    all.extend(files.wget.as_deref().map(|file| set(WGET, path(file))));
    // An empty first part stands for the folders that PHP was built with.
    all.extend(
        files
            .php
            .as_deref()
            .map(|folder| set(PHP, appended(Some(now(PHP.0).unwrap_or_default()), folder.as_os_str(), ":"))),
    );
    all.extend(files.python.as_deref().map(|folder| set(PYTHON, prepended(folder.as_os_str(), now(PYTHON.0)))));
    all
}

/// `part` behind what is there, once.
fn appended(there: Option<OsString>, part: &OsStr, between: &str) -> OsString {
    let Some(mut whole) = there else { return part.to_owned() };
    if !contains(&whole, part) {
        whole.push(between);
        whole.push(part);
    }
    whole
}

/// `folder` before the folders that are there, once.
fn prepended(folder: &OsStr, there: Option<OsString>) -> OsString {
    match there {
        None => folder.to_owned(),
        Some(there) if there.is_empty() => folder.to_owned(),
        Some(there) if contains(&there, folder) => there,
        Some(there) => [folder, OsStr::new(":"), &there].into_iter().collect(),
    }
}

fn contains(whole: &OsStr, part: &OsStr) -> bool {
    let (whole, part) = (whole.as_encoded_bytes(), part.as_encoded_bytes());
    memchr::memmem::find(whole, part).is_some()
}

/// Node takes options apart at spaces, but for what stands in quotes.
fn required(module: &Path) -> String {
    let escaped = module.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("--require \"{escaped}\"")
}

fn set((name, reason): Row, value: OsString) -> Variable {
    Variable { name, value: Some(value), reason }
}

/// A variable and who reads it.
type Row = (&'static str, &'static str);

/// Where the proxy is. curl reads only the lower case of the first two, other programs only the upper.
const PROXIES: [Row; 4] = [
    ("HTTPS_PROXY", "nearly every runtime: curl, Python, Go, Ruby, Perl, .NET, Deno, Bun, git"),
    ("https_proxy", "those that look for lower case, such as wget"),
    ("HTTP_PROXY", "as HTTPS_PROXY, for URLs without TLS"),
    ("http_proxy", "curl and wget, which take no other spelling"),
];

/// Those that the variables above do for, unless the user has set them: then they would lead past the gate. They are not
/// set otherwise, because `ALL_PROXY` would also catch protocols that the gate does not speak, such as FTP.
const PROXIES_REPLACED: [Row; 13] = [
    ("ALL_PROXY", "was set, and would lead past the gate"),
    ("all_proxy", "was set, and would lead past the gate"),
    ("WSS_PROXY", "was set, and would lead past the gate"),
    ("wss_proxy", "was set, and would lead past the gate"),
    ("grpc_proxy", "gRPC, which prefers it"),
    ("GRPC_PROXY", "gRPC for Node, which prefers it"),
    ("npm_config_https_proxy", "npm, which prefers it"),
    ("NPM_CONFIG_HTTPS_PROXY", "npm, which prefers it"),
    ("npm_config_proxy", "npm, which prefers it"),
    ("NPM_CONFIG_PROXY", "npm, which prefers it"),
    ("CARGO_HTTP_PROXY", "cargo, which prefers it"),
    ("PIP_PROXY", "pip, which prefers it"),
    ("CGI_HTTP_PROXY", "PHP and Perl, which prefer it"),
];

/// The hosts that go past the gate.
const SPARING: [Row; 2] = [
    ("NO_PROXY", "as HTTPS_PROXY: this machine's own names, and what was spared already"),
    ("no_proxy", "as https_proxy: this machine's own names, and what was spared already"),
];

/// As above, of single tools.
const SPARING_REPLACED: [Row; 4] = [
    ("no_grpc_proxy", "gRPC, which prefers it"),
    ("NO_GRPC_PROXY", "gRPC for Node, which prefers it"),
    ("npm_config_noproxy", "npm, which prefers it"),
    ("NPM_CONFIG_NOPROXY", "npm, which prefers it"),
];

/// What adds to a runtime's trust.
const ADDING: [Row; 2] = [("NODE_EXTRA_CA_CERTS", "Node, Bun, npm, yarn; Deno from 2.8"), ("DENO_CERT", "Deno")];

/// What replaces it.
const REPLACING: [Row; 9] = [
    ("SSL_CERT_FILE", "OpenSSL and those that follow it: Python, httpx, Ruby, Go, .NET, rustls, uv"),
    ("CURL_CA_BUNDLE", "curl"),
    ("REQUESTS_CA_BUNDLE", "Python's requests, and pip"),
    ("GIT_SSL_CAINFO", "git, which takes no other"),
    ("AWS_CA_BUNDLE", "the command line and the libraries of AWS"),
    ("PERL_LWP_SSL_CA_FILE", "Perl's LWP"),
    ("HTTPLIB2_CA_CERTS", "Python's httplib2"),
    ("CODEX_CA_CERTIFICATE", "Codex, which prefers it"),
    ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "gRPC"),
];

/// Those that the variables above do for, unless the user has set them. They are not set otherwise, because they would
/// put aside what the tool's own configuration says.
const REPLACING_REPLACED: [Row; 8] = [
    ("PIP_CERT", "pip, which prefers it"),
    ("CARGO_HTTP_CAINFO", "cargo, which prefers it"),
    ("npm_config_cafile", "npm, which prefers it"),
    ("NPM_CONFIG_CAFILE", "npm, which prefers it"),
    ("YARN_HTTPS_CA_FILE_PATH", "yarn, which prefers it"),
    ("BUNDLE_SSL_CA_CERT", "Ruby's bundler, which prefers it"),
    ("NIX_SSL_CERT_FILE", "programs of Nix, which prefer it"),
    ("HEX_CACERTS_PATH", "Elixir's hex, which prefers it"),
];

const JAVA: Row = ("JAVA_TOOL_OPTIONS", "Java, which reads no proxy variable");
const NODE: Row = ("NODE_OPTIONS", "Node before 22.21 and 24.5, which reads no proxy variable");
const NODE_PROXY: Row = ("NODE_USE_ENV_PROXY", "Node, which looks at the proxy variables only if it is told to");
const PHP: Row = ("PHP_INI_SCAN_DIR", "PHP, which takes certificates from its settings only");
const PYTHON: Row = ("PYTHONPATH", "Python's aiohttp and certifi, which read no variables");
const WGET: Row = ("SYSTEM_WGETRC", "wget, which takes certificates from its settings only");
/// What the modules for Node and Python read; also how a run inside a run knows the gate from a proxy of the user's.
const OWN_PROXY: Row = ("TOLLGATE_RUN_PROXY", "the modules for Node and Python");
const OWN_HOSTS: Row = ("TOLLGATE_RUN_HOSTS", "the modules for Node and Python");
const OWN_TRUST: Row = ("TOLLGATE_RUN_TRUST", "the module for Python");

/// Variables whose files the user trusts already.
pub const TRUSTED_FILES: [&str; 17] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "PERL_LWP_SSL_CA_FILE",
    "HTTPLIB2_CA_CERTS",
    "CODEX_CA_CERTIFICATE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
    "BUNDLE_SSL_CA_CERT",
    "NIX_SSL_CERT_FILE",
];

/// Those of them that add to a runtime's trust.
pub const ADDED_FILES: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// The variable whose folders the user trusts already, with `:` between them.
pub const TRUSTED_FOLDERS: &str = "SSL_CERT_DIR";

/// The variable that says which proxy is the gate.
pub const GATE_AS_PROXY: &str = OWN_PROXY.0;
