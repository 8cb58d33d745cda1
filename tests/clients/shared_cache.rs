//! One cache of the Hugging Face hub for the gate and for Hugging Face's own library, before and after their change of
//! how they write it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::script::{folder, home};

/// Environments with `huggingface_hub`: it resumed what another had begun up to its version 0, and never since.
const LIBRARIES: [&str; 2] = ["templates/venv", "hub-0"];

#[test]
#[ignore = "needs the libraries that setup.sh installs"]
fn what_we_download_is_found_by_hugging_faces_own_library() {
    for library in LIBRARIES {
        let house = House::new(&[]);
        let counted = house.count(Network::Online);
        assert!(counted.exact && counted.missing.is_none(), "{counted:?}");
        let mut names: Vec<&str> = house.files.keys().map(String::as_str).collect();
        names.push("chat_template.jinja");
        let read = house.python(library, &[&["read"], &*names].concat(), Network::Offline);
        for name in names {
            let content = house.files.get(name).filter(|_| name != "generation_config.json");
            let found = match (name, content) {
                (_, Some(_)) => "file",
                // Nothing needs it, so nobody has asked whether it is there.
                ("generation_config.json", _) => "unknown",
                _ => "absent",
            };
            let whole = json!({"downloaded": content, "cached": content, "snapshot": content, "found": found});
            assert_eq!(read[name], whole, "{library}: {name}");
        }
        house.assert_nothing_is_left_over(library);
    }
}

#[test]
#[ignore = "needs the libraries that setup.sh installs"]
fn what_hugging_faces_own_library_downloads_is_counted_with_offline() {
    for library in LIBRARIES {
        let house = House::new(&[]);
        let fetched = house.python(library, &["fetch"], Network::Online);
        let text = house.text();
        let ours = house.count(Network::Offline);
        let theirs = house.python(LIBRARIES[0], &["count", text.to_str().unwrap()], Network::Offline);
        assert!(ours.exact, "{ours:?} from {fetched}");
        assert_eq!(json!(ours.tokens), theirs["tokens"], "{library}");
    }
}

#[test]
#[ignore = "needs the libraries that setup.sh installs"]
fn both_may_download_the_same_at_the_same_time() {
    for library in LIBRARIES {
        for round in 0..ROUNDS {
            let house = House::new(&["--meet"]);
            let counting = house.counting(Network::Online);
            let fetched = house.python(library, &["fetch"], Network::Online);
            let counted = Count::of(&counting.wait_with_output().unwrap());
            assert!(counted.exact && counted.missing.is_none(), "{library}, round {round}: {counted:?}");
            let snapshot = Path::new(fetched["folder"].as_str().unwrap());
            for (name, content) in &house.files {
                assert_eq!(&fs::read_to_string(snapshot.join(name)).unwrap(), content, "{library}: {name}");
            }
            house.assert_nothing_is_left_over(library);
        }
    }
}

/// How often both begin anew: how their steps fall together is never twice the same.
const ROUNDS: usize = 4;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Network {
    Offline,
    Online,
}

/// A hub, and a home with a cache that is empty at first; dropping it ends the hub.
struct House {
    hub: Child,
    address: String,
    files: BTreeMap<String, String>,
    home: TempDir,
}

impl House {
    fn new(ways: &[&str]) -> Self {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hub/tiny");
        let mut hub = Command::new("python3")
            .arg(folder().join("shared_cache/serve.py"))
            .arg(&tiny)
            .args(ways)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(hub.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let paths = fs::read_dir(&tiny).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = paths.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect();
        let home = TempDir::new().unwrap();
        let line = json!({"name": "org/name", "endpointUrl": "http://127.0.0.1:9/v1/completions"});
        fs::write(home.path().join("tollgate.json5"), json!({"models": [line]}).to_string()).unwrap();
        let text = "It's one cache for two — は, да 12345\n\n   und <|im_start|> ist Text 👋🏽.\n".repeat(50);
        fs::write(home.path().join("text"), text).unwrap();
        Self { hub, address: address.trim().to_owned(), files, home }
    }

    fn text(&self) -> PathBuf {
        self.home.path().join("text")
    }

    /// Has the text counted by the built program.
    fn counting(&self, network: Network) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["count", "--text", "--json", "--model", "org/name", "--config"]);
        command.arg(self.home.path().join("tollgate.json5")).arg(self.text());
        self.surround(&mut command, network).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn count(&self, network: Network) -> Count {
        Count::of(&self.counting(network).wait_with_output().unwrap())
    }

    /// Runs `use.py` with that environment's library.
    fn python(&self, library: &str, arguments: &[&str], network: Network) -> Value {
        let python = home().join(library).join("bin/python");
        assert!(python.is_file(), "`{library}` is not installed; run tests/clients/setup.sh first");
        let mut command = Command::new(python);
        command.arg(folder().join("shared_cache/use.py")).args(arguments);
        said(&self.surround(&mut command, network).output().unwrap())
    }

    fn surround<'a>(&self, command: &'a mut Command, network: Network) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("LANG", "C.UTF-8")
            .env("HOME", self.home.path())
            .env("HF_HOME", self.home.path().join("hf"))
            .env("HF_ENDPOINT", &self.address)
            .env("HF_HUB_DISABLE_TELEMETRY", "1")
            .env("HF_HUB_OFFLINE", if network == Network::Offline { "1" } else { "0" })
            .current_dir(self.home.path())
            .stdin(Stdio::null())
    }

    fn assert_nothing_is_left_over(&self, library: &str) {
        let blobs = self.home.path().join("hf/hub/models--org--name/blobs");
        let names = fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let parts: Vec<String> = names.filter(|name| name.contains('.')).collect();
        assert!(parts.is_empty(), "{library}: {parts:?}");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.hub.kill().unwrap();
        self.hub.wait().unwrap();
    }
}

/// What our program said.
#[derive(Debug, Deserialize)]
struct Count {
    tokens: u64,
    exact: bool,
    missing: Option<String>,
}

impl Count {
    fn of(output: &Output) -> Self {
        serde_json::from_value(said(output)["counts"][0].take()).unwrap()
    }
}

fn said(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
