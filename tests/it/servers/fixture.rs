//! The recorded and written replies of servers, and what a client must see of each.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::bench::replay::split;

/// One reply of one server.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    /// `<server>/<case>`.
    pub(super) name: String,
    /// Status line, fields, blank line, body.
    pub(super) http: Vec<u8>,
    /// What the client sends.
    pub(super) request: Value,
    /// What it must see, asked in one dialect and the other.
    pub(super) sights: Vec<Sight>,
}

/// What a client must see that asks in one dialect. What a file does not say is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sight {
    /// Where the client asks.
    pub(super) path: String,
    /// The text of each choice.
    pub(super) texts: Option<Vec<String>>,
    /// Why each choice ended; empty where an error came first.
    pub(super) finish: Option<Vec<String>>,
    /// Whether `texts`, `finish` and `usage` are known.
    pub(super) usage: Reported,
    /// Whether the client gets the very bytes of the server.
    pub(super) verbatim: Same,
    /// The error that ends the reply, or that is all of it.
    pub(super) error: Option<Trouble>,
}

/// The usage that a server reports.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reported {
    /// Nobody wrote it down.
    #[default]
    Unsaid,
    /// It reports none, so that the gate's own count stands in.
    None,
    /// Tokens of the prompt and of the answer.
    #[serde(untagged)]
    Tokens([u64; 2]),
}

/// When a reply reaches the client as the server's very bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Same {
    /// In any case.
    Always,
    /// Never, or it does not matter.
    #[default]
    Never,
    /// Where the client asked for usage.
    WithUsage,
    /// Where it did not.
    WithoutUsage,
}

/// An error, as the client must see it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trouble {
    /// The status of the reply: 200 where a stream had begun.
    pub(super) status: u16,
    /// A part of the message.
    pub(super) message: String,
    /// `type`; any text where it is left out.
    pub(super) r#type: Option<String>,
    /// `code`; a text or null where it is left out.
    pub(super) code: Option<String>,
}

impl Fixture {
    /// All fixtures of all servers, by server.
    pub(super) fn folders() -> Vec<Vec<Self>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/servers");
        let folders = entries(&root).into_iter().filter(|path| path.is_dir());
        let folders: Vec<Vec<Self>> = folders.map(|folder| Self::of(&folder)).filter(|all| !all.is_empty()).collect();
        assert!(folders.len() >= 15, "{} servers", folders.len());
        folders
    }

    fn of(folder: &Path) -> Vec<Self> {
        let replies = entries(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "http"));
        replies.filter_map(|path| Self::read(&path)).collect()
    }

    /// One reply; `None` where what was asked is neither a chat nor a completion.
    fn read(path: &Path) -> Option<Self> {
        let case = path.file_stem()?.to_str()?;
        let name = format!("{}/{case}", path.parent()?.file_name()?.to_str()?);
        let json = |end: &str| -> Option<Value> {
            let text = fs::read_to_string(path.with_file_name(format!("{case}.{end}.json"))).ok()?;
            Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}.{end}.json: {error}")))
        };
        let request = json("request").unwrap_or_else(|| panic!("{name} has no request"));
        if !is_chat(&request) && request.get("prompt").is_none() {
            return None;
        }
        let sights = json("expect").map_or_else(unsaid, |expect| sights(&name, expect));
        Some(Self { http: fs::read(path).unwrap(), name, request, sights })
    }

    /// Where the server answers.
    pub(super) fn served(&self) -> &'static str {
        if is_chat(&self.request) { CHAT } else { COMPLETIONS }
    }

    /// Whether the client asks for a stream.
    pub(super) fn streams(&self) -> bool {
        self.request["stream"] == true
    }

    /// The status of the reply.
    pub(super) fn status(&self) -> u16 {
        let (head, _) = split(&self.http);
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
    }

    /// What the client sends in the dialect of `path`, with a wish about usage where it asks for a stream.
    pub(super) fn body(&self, path: &str, model: &str, asks_usage: bool) -> Value {
        let mut body = self.request.clone();
        let members = body.as_object_mut().expect("an object");
        members.insert("model".into(), model.into());
        if self.streams() {
            members.remove("stream_options");
            if asks_usage {
                members.insert("stream_options".into(), json!({"include_usage": true}));
            }
        }
        if path == CHAT
            && let Some(prompt) = members.remove("prompt")
        {
            members.insert("messages".into(), json!([{"role": "user", "content": prompt}]));
        }
        if path == COMPLETIONS
            && let Some(messages) = members.remove("messages")
        {
            let said =
                messages.as_array().and_then(|all| all.last()).map_or(Value::Null, |last| last["content"].clone());
            members.insert("prompt".into(), said);
        }
        body
    }
}

impl Same {
    /// Whether it holds for a client that asked for usage, or did not.
    pub(super) fn holds(self, asks_usage: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::WithUsage => asks_usage,
            Self::WithoutUsage => !asks_usage,
        }
    }
}

/// `asked` names the paths; what stands beside it holds for each of them that does not say otherwise.
fn sights(name: &str, mut expect: Value) -> Vec<Sight> {
    let asked = expect.as_object_mut().and_then(|members| members.remove("asked"));
    let asked = asked.unwrap_or_else(|| panic!("{name} does not say where it was asked"));
    let each = asked.as_array().expect("a list").iter().map(|own| {
        let mut sight = expect.clone();
        let members = sight.as_object_mut().expect("an object");
        members.extend(own.as_object().expect("an object").clone());
        serde_json::from_value(sight).unwrap_or_else(|error| panic!("{name}.expect.json: {error}"))
    });
    each.collect()
}

fn unsaid() -> Vec<Sight> {
    [CHAT, COMPLETIONS].map(|path| Sight { path: path.into(), ..Sight::default() }).into()
}

fn is_chat(request: &Value) -> bool {
    request.get("messages").is_some()
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub(super) const CHAT: &str = "/v1/chat/completions";
pub(super) const COMPLETIONS: &str = "/v1/completions";
