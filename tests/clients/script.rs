//! The client programs, the ways they reach the API, and what they print.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::Gate;
use super::upstream::Upstream;

/// A client program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Script {
    /// The openai library for Python, from the environment of that name.
    Python(&'static str),
    /// The openai library for Node.
    Node,
    /// curl.
    Curl,
    /// A page in Chromium.
    Browser,
    /// WebSockets, by the library of that name and by openai's.
    Realtime,
}

/// How a client reaches the API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Without the gate.
    Direct,
    /// By proxy and trust settings alone.
    Proxy,
    /// By the gate's PAC and trust settings alone: for browsers.
    Pac,
    /// With the gate as the base URL.
    BaseUrl,
}

/// What a client saw in one case.
#[derive(Clone, Debug)]
pub struct Line {
    case: String,
    version: Option<String>,
    result: Value,
}

impl Script {
    /// Runs it in that environment; it must succeed.
    pub fn run(self, environment: &[(String, String)]) -> Vec<Line> {
        let mut command = self.command();
        command.env_clear().envs(environment.iter().cloned()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?} failed with {environment:#?}\n{errors}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Line> = printed.lines().map(Line::read).collect();
        assert!(!lines.is_empty(), "{self:?} printed nothing\n{errors}");
        lines
    }

    fn command(self) -> Command {
        let (program, script) = match self {
            Self::Python(environment) => (home().join(environment).join("bin/python"), "openai_python.py"),
            Self::Realtime => (home().join("realtime/bin/python"), "realtime.py"),
            Self::Node => (PathBuf::from("node"), "openai_node.mjs"),
            Self::Curl => (PathBuf::from("bash"), "curl.sh"),
            Self::Browser => (PathBuf::from("node"), "browser.mjs"),
        };
        assert!(home().is_dir(), "nothing is installed; run tests/clients/setup.sh first");
        let mut command = Command::new(program);
        command.arg(folder().join(script));
        command
    }
}

impl Way {
    /// The whole environment of a client that goes this way.
    pub fn environment(self, upstream: &Upstream, gate: Option<&Gate>, folder: &TempDir) -> Vec<(String, String)> {
        let trusted = folder.path().join("standin.pem");
        std::fs::write(&trusted, upstream.ca_pem()).unwrap();
        let mut set = vec![
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", text(folder.path())),
            ("LANG", "C.UTF-8".to_owned()),
            ("TOLLGATE_CLIENTS_HOME", text(&home())),
            ("OPENAI_API_KEY", "sk-client".to_owned()),
        ];
        match (self, gate) {
            (Self::Proxy, Some(gate)) => {
                set.extend(trust(&gate.certs().join("bundle.pem"), &gate.certs().join("ca.pem")));
                set.push(("HTTPS_PROXY", gate.proxy().to_owned()));
            }
            (Self::Pac, Some(gate)) => {
                set.extend(trust(&gate.certs().join("bundle.pem"), &gate.certs().join("ca.pem")));
                set.push(("TOLLGATE_PAC", format!("{}/proxy.pac", gate.proxy())));
            }
            (Self::BaseUrl, Some(gate)) => {
                set.extend(trust(&gate.certs().join("bundle.pem"), &gate.certs().join("ca.pem")));
                set.push(("OPENAI_BASE_URL", format!("{}/v1", gate.proxy())));
            }
            _ => {
                set.extend(trust(&trusted, &trusted));
                set.push(("OPENAI_BASE_URL", format!("{}/v1", upstream.url())));
                set.push(("TOLLGATE_RESOLVE", upstream.address().to_string()));
            }
        }
        set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Line {
    fn read(line: &str) -> Self {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let version = line["version"].as_str().map(str::to_owned);
        Self { case: line["case"].as_str().unwrap().to_owned(), version, result: line["result"].take() }
    }

    /// What the same case gives by that way: through the gate, the list of models has the custom ones too.
    fn expected(&self, way: Way) -> Value {
        let mut result = self.result.clone();
        if way != Way::Direct
            && self.case == "models"
            && let Some(models) = result.as_array_mut()
        {
            let custom = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "custom", "context_length": 2048});
            models.extend(["databricks/dolly-v2-3b", "local/chat"].map(custom));
        }
        result
    }
}

/// Holds what a client saw against what it saw in a direct call.
pub fn assert_same(direct: &[Line], seen: &[Line], script: Script, way: Way) {
    let cases = |lines: &[Line]| lines.iter().map(|line| line.case.clone()).collect::<Vec<_>>();
    assert_eq!(cases(seen), cases(direct), "{script:?} by {way:?}: the cases");
    for (seen, direct) in seen.iter().zip(direct) {
        let case = &direct.case;
        assert_eq!(
            seen.result,
            direct.expected(way),
            "{script:?} by {way:?}, case `{case}`: left is what it saw, right what a direct call gives"
        );
        // A plain base URL cannot carry HTTP/2; every other way does if the client would.
        if way != Way::BaseUrl {
            assert_eq!(seen.version, direct.version, "{script:?} by {way:?}, case `{case}`: the HTTP version");
        }
    }
}

/// Shows that a client chose HTTP/2, so that the comparison of versions says something.
pub fn assert_http2(lines: &[Line]) {
    assert!(lines.iter().all(|line| line.version.as_deref() == Some("2")), "{lines:#?}");
}

/// Where the clients are installed: `$TOLLGATE_CLIENTS_HOME`, or `target/clients`.
pub fn home() -> PathBuf {
    let given = std::env::var_os("TOLLGATE_CLIENTS_HOME").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients"))
}

/// Where the scripts are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The variables by which each runtime is told what to trust: some replace their list, others add to it.
fn trust(whole: &Path, added: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("SSL_CERT_FILE", text(whole)),
        ("CURL_CA_BUNDLE", text(whole)),
        ("NODE_EXTRA_CA_CERTS", text(added)),
        ("TOLLGATE_CA", text(added)),
    ]
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
