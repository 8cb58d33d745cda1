//! Writes a request's body from members as they came and values of our own.

use serde_json::{Value, json};

use super::members::Members;

/// A JSON object that grows member by member.
#[derive(Debug)]
pub(super) struct Body(String);

impl Body {
    /// With `model` as its first member.
    pub(super) fn new(model: &str) -> Self {
        Self(format!("{{\"model\":{}", Value::from(model)))
    }

    /// A value in its own JSON.
    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.0.push(',');
        self.0.push_str(&Value::from(key).to_string());
        self.0.push(':');
        self.0.push_str(value);
    }

    /// A value.
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.raw(key, &value.into().to_string());
    }

    /// `stop`: the first few of these, each once. Servers in OpenAI's form take no more; the rest is the gate's to
    /// enforce.
    pub(super) fn stops<'a>(&mut self, stops: impl Iterator<Item = &'a Box<str>>) {
        let mut sent: Vec<&str> = Vec::new();
        for stop in stops {
            if sent.len() < MOST_SENT && !stop.is_empty() && !sent.contains(&&**stop) {
                sent.push(stop);
            }
        }
        if !sent.is_empty() {
            self.put("stop", json!(sent));
        }
    }

    /// `stream` and its options; the client's own options stay.
    pub(super) fn stream(&mut self, options: Option<&Members>, include_usage: bool) {
        self.raw("stream", "true");
        let mut members: Vec<String> = Vec::new();
        for (key, value) in options.into_iter().flat_map(Members::iter) {
            if !(include_usage && key == "include_usage") {
                members.push(format!("{}:{value}", Value::from(key)));
            }
        }
        if include_usage {
            members.push(r#""include_usage":true"#.to_owned());
        }
        if !members.is_empty() {
            self.raw("stream_options", &format!("{{{}}}", members.join(",")));
        }
    }

    /// The whole.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.push('}');
        self.0.into_bytes()
    }
}

/// OpenAI's own bound of `stop`, which strict servers share.
const MOST_SENT: usize = 4;
