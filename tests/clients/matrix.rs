//! Every runtime by every way in: each cell of the table in the README is a real call, proven by the books.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::gate::{Gate, configuration};
use super::script::{folder, home};
use super::upstream::{Options, Upstream};

#[test]
#[ignore = "needs the clients that setup.sh installs"]
fn every_runtime_comes_by_every_way_in_that_it_knows() {
    let house = House::build();
    let mut table = String::from("| runtime |");
    for way in Way::ALL {
        let _ = write!(table, " {} |", way.title());
    }
    let _ = writeln!(table, "\n|{}", " --- |".repeat(Way::ALL.len() + 1));
    let mut failed = Vec::new();
    for runtime in runtimes() {
        let _ = write!(table, "| {} |", runtime.name);
        for way in Way::ALL {
            let cell = match runtime.command(way, &house) {
                None => "–",
                Some(command) => match house.call(way, &command, runtime.is_metered) {
                    Ok(()) => "yes",
                    Err(why) => {
                        failed.push(format!("{} by {}: {why}", runtime.name, way.title()));
                        "no"
                    }
                },
            };
            let _ = write!(table, " {cell} |");
        }
        table.push('\n');
    }
    println!("{table}");
    assert!(failed.is_empty(), "{}\n{table}", failed.join("\n\n"));
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (now, after) = rest.split_once(END).unwrap();
    if std::env::var_os("TOLLGATE_WRITE_MATRIX").is_some() {
        std::fs::write(readme, format!("{before}{BEGIN}\n{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(now.trim(), table.trim(), "the README shows another table; TOLLGATE_WRITE_MATRIX=1 writes this one");
}

const BEGIN: &str = "<!-- matrix:begin -->";
const END: &str = "<!-- matrix:end -->";

/// A way in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Run,
    Isolate,
    Socks,
    Pac,
    BaseUrl,
}

impl Way {
    const ALL: [Self; 5] = [Self::Run, Self::Isolate, Self::Socks, Self::Pac, Self::BaseUrl];

    fn title(self) -> &'static str {
        match self {
            Self::Run => "`run`",
            Self::Isolate => "`run --isolate`",
            Self::Socks => "SOCKS5",
            Self::Pac => "PAC",
            Self::BaseUrl => "base URL",
        }
    }

    /// As the books call it.
    fn ingress(self) -> &'static str {
        match self {
            // The relay of an isolated program is a client like others.
            Self::Run | Self::Isolate | Self::Pac => "connect",
            Self::Socks => "socks5",
            Self::BaseUrl => "base-url",
        }
    }
}

/// A program and how it is told what it must be told.
struct Runtime {
    name: &'static str,
    command: Vec<String>,
    /// Ways that it does not know.
    lacks: &'static [Way],
    /// It asks for a completion, not only for a page.
    is_metered: bool,
}

impl Runtime {
    fn command(&self, way: Way, house: &House) -> Option<Vec<String>> {
        if self.lacks.contains(&way) {
            return None;
        }
        let mut command = self.command.clone();
        let pac = format!("http://127.0.0.1:{}/proxy.pac", house.port);
        match (self.name, way) {
            ("Chromium", Way::Pac) => command.insert(1, format!("--proxy-pac-url={pac}")),
            ("Chromium", Way::Socks) => command.insert(1, format!("--proxy-server=socks5://127.0.0.1:{}", house.port)),
            ("Firefox", _) => {
                let profile = house.firefox(way, &pac);
                command.extend(["--profile".into(), profile.display().to_string()]);
                command.extend(["--screenshot".into(), profile.join("page.png").display().to_string(), PAGE.into()]);
            }
            _ => {}
        }
        Some(command)
    }
}

fn runtimes() -> Vec<Runtime> {
    let scripts = folder().join("matrix");
    let script = |name: &str| scripts.join(name).display().to_string();
    let program = |name: &str| home().join(name).join("bin/python").display().to_string();
    let row = |name, command: &[&str], lacks, is_metered| Runtime {
        name,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        lacks,
        is_metered,
    };
    let shell = |line: &str| ["sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let said = format!(r#"-H "authorization: Bearer sk-client" -H "content-type: application/json" -d '{BODY}'"#);
    let curl = shell(&format!("exec curl -sSf $BASE/chat/completions {said}"));
    let wget = shell(&format!(
        r#"exec wget -q -O - --header "authorization: Bearer sk-client" --header "content-type: application/json" --post-data '{BODY}' $BASE/chat/completions"#
    ));
    // The stand-in has no repository: that it was asked is what counts.
    let git = shell("git ls-remote $BASE/repository || true");
    let words = |line: &'_ [String; 3]| line.clone();
    let mut rows = vec![
        row("curl", &words(&curl).each_ref().map(String::as_str), PAGES, true),
        row("wget", &words(&wget).each_ref().map(String::as_str), NO_SOCKS, true),
        row("git", &words(&git).each_ref().map(String::as_str), PAGES, false),
    ];
    for (name, python, library, lacks) in [
        ("Python 3.11 urllib", "matrix", "urllib", NO_SOCKS),
        ("Python 3.11 requests", "matrix", "requests", PAGES),
        ("Python 3.11 httpx", "matrix", "httpx", PAGES),
        ("Python 3.11 aiohttp", "matrix", "aiohttp", NO_SOCKS),
        ("Python 3.13 urllib", "python-3.13", "urllib", NO_SOCKS),
        ("Python 3.13 requests", "python-3.13", "requests", PAGES),
        ("Python 3.13 httpx", "python-3.13", "httpx", PAGES),
        ("Python 3.13 aiohttp", "python-3.13", "aiohttp", NO_SOCKS),
        ("openai-python 1", "python-1", "openai", NO_SOCKS),
        ("openai-python 3", "python-3", "openai", NO_SOCKS),
        ("openai-python 3 on 3.13", "python-3.13", "openai", NO_SOCKS),
        ("LangChain", "matrix", "langchain", NO_SOCKS),
    ] {
        rows.push(row(name, &[&program(python), &script("call.py"), library], lacks, true));
    }
    rows.push(row("openai-node", &["node", &script("call.mjs"), "openai"], NO_SOCKS, true));
    rows.push(row("undici (fetch of Node 20)", &["node", &script("call.mjs"), "fetch"], NO_SOCKS, true));
    rows.push(row("Java 17 HttpClient", &["java", &script("Call.java")], NO_SOCKS, true));
    let mut chromium = vec!["chromium"];
    chromium.extend(CHROMIUM);
    chromium.push(PAGE);
    rows.push(row("Chromium", &chromium, &[Way::BaseUrl], false));
    rows.push(row("Firefox", &["firefox-esr", "--headless", "--no-remote"], &[Way::BaseUrl], false));
    rows
}

/// Programs that read no PAC.
const PAGES: &[Way] = &[Way::Pac];
/// Those that speak no SOCKS either, or only with a library of their own.
const NO_SOCKS: &[Way] = &[Way::Pac, Way::Socks];

const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
const PAGE: &str = "https://api.openai.com/v1/models";
const CHROMIUM: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=3000",
    "--dump-dom",
];

/// A gate at a known port, with its certificate in the store that browsers read.
struct House {
    _upstream: Upstream,
    gate: Gate,
    folder: tempfile::TempDir,
    port: u16,
}

impl House {
    fn build() -> Self {
        let (upstream, folder) = (Upstream::start(Options::default()), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join("config/standin.pem"), upstream.ca_pem()).unwrap();
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (proxy, admin) = (port(), port());
        let mut configuration = configuration(&upstream, folder.path());
        configuration["listen"] = json!({"proxy": format!("127.0.0.1:{proxy}"), "admin": format!("127.0.0.1:{admin}")});
        let gate = Gate::configured(&folder, &configuration);
        std::fs::create_dir_all(folder.path().join(".pki/nssdb")).unwrap();
        let house = Self { _upstream: upstream, gate, folder, port: proxy };
        house.trust(&house.folder.path().join(".pki/nssdb"));
        house
    }

    /// Puts the certificate into a store of NSS, as `tollgate ca trust --nss` does for the true ones.
    fn trust(&self, store: &Path) {
        let store = format!("sql:{}", store.display());
        let run = |arguments: &[&str]| {
            let outcome = Command::new("certutil").args(arguments).output().unwrap();
            assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stderr));
        };
        let root = self.gate.certs().join("ca.pem");
        run(&["-N", "-d", &store, "--empty-password"]);
        run(&["-A", "-d", &store, "-t", "C,,", "-n", "tollgate", "-i", root.to_str().unwrap()]);
    }

    /// A profile of Firefox that trusts the gate, with the proxy setting of this way.
    fn firefox(&self, way: Way, pac: &str) -> PathBuf {
        let profile = self.folder.path().join(format!("firefox-{way:?}"));
        std::fs::create_dir_all(&profile).unwrap();
        self.trust(&profile);
        let proxy = match way {
            Way::Pac => {
                format!(r#"user_pref("network.proxy.type", 2); user_pref("network.proxy.autoconfig_url", "{pac}");"#)
            }
            Way::Socks => format!(
                r#"user_pref("network.proxy.type", 1); user_pref("network.proxy.socks", "127.0.0.1"); user_pref("network.proxy.socks_port", {}); user_pref("network.proxy.socks_remote_dns", true);"#,
                self.port
            ),
            // What it does by itself: the setting of the system, which without a desktop are the variables.
            Way::Run | Way::Isolate | Way::BaseUrl => String::new(),
        };
        let quiet = r#"user_pref("browser.shell.checkDefaultBrowser", false); user_pref("datareporting.policy.dataSubmissionEnabled", false); user_pref("app.update.enabled", false); user_pref("network.captive-portal-service.enabled", false); user_pref("network.connectivity-service.enabled", false);"#;
        std::fs::write(profile.join("user.js"), format!("{proxy}\n{quiet}\n")).unwrap();
        profile
    }

    /// Makes the call; the books must show that it came by that way.
    fn call(&self, way: Way, program: &[String], is_metered: bool) -> Result<(), String> {
        let before = self.entries().len();
        let tollgate = env!("CARGO_BIN_EXE_tollgate").to_owned();
        let config = self.folder.path().join("config/tollgate.json5").display().to_string();
        let socks = format!("socks5h://127.0.0.1:{}", self.port);
        let mut words: Vec<String> = match way {
            Way::BaseUrl | Way::Pac => vec![],
            Way::Run | Way::Socks => vec![tollgate, "run".into(), "--config".into(), config, "--".into()],
            Way::Isolate => vec![tollgate, "run".into(), "--isolate".into(), "--config".into(), config, "--".into()],
        };
        if way == Way::Socks {
            // Trust as `run` sets it, and another proxy.
            words.push("env".into());
            for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
                words.extend(["-u".into(), name.into()]);
            }
            words.extend(["ALL_PROXY", "all_proxy"].map(|name| format!("{name}={socks}")));
        }
        words.extend(program.iter().cloned());
        let base = match way {
            Way::BaseUrl => format!("http://127.0.0.1:{}/v1", self.port),
            _ => "https://api.openai.com/v1".to_owned(),
        };
        let output = Command::new("timeout")
            .args(["-k", "5", "60"])
            .args(&words)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.folder.path())
            .env("BASE", base)
            .env("OPENAI_API_KEY", "sk-client")
            .env("NODE_PATH", home().join("node_modules"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = || {
            let text = [&output.stdout[..], &output.stderr].concat();
            String::from_utf8_lossy(&text).chars().take(2000).collect::<String>()
        };
        let begun = Instant::now();
        loop {
            let entries = self.entries();
            let new = &entries[..entries.len() - before];
            let counts = |entry: &&Value| {
                entry["ingress"] == way.ingress() && (!is_metered || entry["usage"]["output"].as_u64() > Some(0))
            };
            if new.iter().any(|entry| counts(&entry)) {
                return if is_metered && !output.status.success() { Err(said()) } else { Ok(()) };
            }
            if begun.elapsed() > Duration::from_secs(5) {
                return Err(format!("{:?}; booked {new:?}\n{}", output.status, said()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn entries(&self) -> Vec<Value> {
        self.gate.ask("/entries?limit=1000")["entries"].as_array().unwrap().clone()
    }
}
