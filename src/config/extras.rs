//! Keys of a line that the custom-models document does not have: stops, a chat template, headers.

use http::HeaderName;

use crate::config::document::Shape;
use crate::config::field::{Field, shown};
use crate::config::files::read_text;
use crate::config::secrets::secret;
use crate::dialect::template::Template;
use crate::net::secret::Secret;

/// `chatTemplate`.
pub(super) struct ChatTemplate {
    text: Box<str>,
    file: Option<String>,
}

impl ChatTemplate {
    /// The Jinja text, and the file that it came from, as written.
    pub(super) fn parts(self) -> (Option<Box<str>>, Option<String>) {
        (Some(self.text), self.file)
    }
}

/// Reads a Jinja text, or `{file: "PATH"}`.
pub(super) fn chat_template(field: &Field<'_>) -> Option<ChatTemplate> {
    let (text, file) = match field.shape() {
        Shape::Text(text) => (text.clone(), None),
        Shape::Object(_) => {
            let name = field.fields(&["file"])?.required("file")?.filled_text()?.to_owned();
            if !field.may_look() {
                return None;
            }
            match read_text(&field.resolve(&name), LARGEST_TEMPLATE) {
                Ok(text) => (text, Some(name)),
                Err(error) => {
                    field.wrong(format!("names `{}`, which cannot be read: {error}", shown(&name)));
                    return None;
                }
            }
        }
        _ => {
            field.wrong_kind("a text or `{file: \"PATH\"}`");
            return None;
        }
    };
    match Template::compile(&text, &serde_json::Map::new()) {
        Ok(_) => Some(ChatTemplate { text: text.into(), file }),
        Err(error) => {
            field.wrong(format!("cannot be used: {error}"));
            None
        }
    }
}

/// Reads a text or a list of texts that end an answer.
pub(super) fn stops(field: &Field<'_>) -> Vec<Box<str>> {
    let one = |field: &Field<'_>| {
        let text = field.text()?;
        if text.is_empty() || text.len() > LONGEST_STOP {
            field.wrong(format!("must have from 1 to {LONGEST_STOP} bytes"));
            return None;
        }
        Some(Box::from(text))
    };
    match field.shape() {
        Shape::Text(_) => one(field).into_iter().collect(),
        Shape::List(items) if items.len() > MOST_STOPS => {
            field.wrong(format!("must have at most {MOST_STOPS} texts"));
            Vec::new()
        }
        Shape::List(_) => field.items().iter().filter_map(one).collect(),
        _ => {
            field.wrong_kind("a text or a list of texts");
            Vec::new()
        }
    }
}

/// Reads `{name: secret}`; names that belong to the connection, the body or the key are refused.
pub(super) fn headers(field: &Field<'_>) -> Vec<(HeaderName, Secret)> {
    headers_but(field, &REFUSED)
}

/// The same where a key is a header like any other.
pub(super) fn headers_with_key(field: &Field<'_>) -> Vec<(HeaderName, Secret)> {
    let refused: Vec<(&str, &str)> = REFUSED.into_iter().filter(|(_, why)| *why != OF_THE_KEY).collect();
    headers_but(field, &refused)
}

fn headers_but(field: &Field<'_>, refused: &[(&str, &str)]) -> Vec<(HeaderName, Secret)> {
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    for (typed, value) in field.members() {
        let Ok(name) = HeaderName::from_bytes(typed.as_bytes()) else {
            value.wrong("must have the name of a header as its key");
            continue;
        };
        if let Some((_, hint)) = refused.iter().find(|(refused, _)| *refused == name.as_str()) {
            value.wrong_hint("is a header that cannot be set", *hint);
            continue;
        }
        if name.as_str().starts_with("proxy-") {
            value.wrong_hint("is a header that cannot be set", OF_THE_CONNECTION);
            continue;
        }
        if headers.iter().any(|(before, _)| *before == name) {
            value.wrong("stands twice: upper and lower case are one in the name of a header");
            continue;
        }
        if let Some(secret) = secret(&value) {
            headers.push((name, secret));
        }
    }
    headers
}

/// Headers that a line cannot set, and why.
const REFUSED: [(&str, &str); 14] = [
    ("accept-encoding", OF_THE_BODY),
    ("api-key", OF_THE_KEY),
    ("authorization", OF_THE_KEY),
    ("connection", OF_THE_CONNECTION),
    ("content-encoding", OF_THE_BODY),
    ("content-length", OF_THE_BODY),
    ("content-type", OF_THE_BODY),
    ("expect", OF_THE_CONNECTION),
    ("host", "it follows from the URL"),
    ("keep-alive", OF_THE_CONNECTION),
    ("te", OF_THE_CONNECTION),
    ("trailer", OF_THE_CONNECTION),
    ("transfer-encoding", OF_THE_CONNECTION),
    ("upgrade", OF_THE_CONNECTION),
];

const OF_THE_BODY: &str = "it follows from the body of the call";
const OF_THE_CONNECTION: &str = "it belongs to the connection, not to the call";
const OF_THE_KEY: &str = "use `apiKey`";

/// Bytes of a template's file; the longest that are published have a tenth of it.
const LARGEST_TEMPLATE: u64 = 1 << 20;

/// Bytes of a text that ends an answer.
const LONGEST_STOP: usize = 4096;

const MOST_STOPS: usize = 64;
