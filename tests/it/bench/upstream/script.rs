//! A reply as it will be played: a head and the pieces of a body, each with what it costs.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::books::Billed;

/// A reply before faults are applied.
pub struct Script {
    /// The status.
    pub status: StatusCode,
    /// The `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub pieces: Vec<Piece>,
    /// Whether the pieces are events of a stream.
    pub streamed: bool,
    /// The line of the bill, without output; `None` for what costs nothing.
    pub billed: Option<Billed>,
}

/// A part of a body that is sent at once.
#[derive(Clone)]
pub struct Piece {
    /// What is sent.
    pub bytes: Bytes,
    /// Output tokens that generating it took, reasoning included.
    pub output: u64,
    /// Reasoning tokens that it took.
    pub reasoning: u64,
}

impl Script {
    /// A JSON document that costs nothing.
    pub fn json(status: u16, document: &Value) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            content_type: "application/json",
            pieces: vec![Piece::new(document.to_string())],
            streamed: false,
            billed: None,
        }
    }

    /// A JSON document that is charged with all its output at once.
    pub fn whole(document: &Value, output: u64, reasoning: u64) -> Self {
        let mut script = Self::json(200, document);
        script.pieces[0].output = output;
        script.pieces[0].reasoning = reasoning;
        script
    }

    /// A stream of server-sent events.
    pub fn stream(pieces: Vec<Piece>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/event-stream; charset=utf-8",
            pieces,
            streamed: true,
            billed: None,
        }
    }

    /// An error in OpenAI's shape.
    pub fn error(status: u16, kind: &str, code: &str, message: &str) -> Self {
        let code = if code.is_empty() { Value::Null } else { json!(code) };
        Self::json(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
    }

    /// An error in Azure's shape.
    pub fn azure_error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message}}))
    }

    /// A page of the network in front of the API.
    pub fn page(status: u16) -> Self {
        let mut script = Self::json(status, &Value::Null);
        script.content_type = "text/html; charset=UTF-8";
        script.pieces = vec![Piece::new("<html><head><title>502 Bad Gateway</title></head><body></body></html>\n")];
        script
    }

    /// Charges it.
    pub fn charged(mut self, billed: Billed) -> Self {
        self.billed = Some(billed);
        self
    }
}

impl Piece {
    /// A piece that took no tokens.
    pub fn new(text: impl Into<String>) -> Self {
        Self { bytes: Bytes::from(text.into()), output: 0, reasoning: 0 }
    }

    /// `data: ...`.
    pub fn data(document: &Value) -> Self {
        Self::new(format!("data: {document}\n\n"))
    }

    /// `event: ...` with its `data: ...`.
    pub fn event(name: &str, document: &Value) -> Self {
        Self::new(format!("event: {name}\ndata: {document}\n\n"))
    }

    /// `data: [DONE]`.
    pub fn done() -> Self {
        Self::new("data: [DONE]\n\n")
    }

    /// The same piece, having taken so many output tokens of which so many were reasoning.
    pub fn costing(mut self, output: u64, reasoning: u64) -> Self {
        self.output = output;
        self.reasoning = reasoning;
        self
    }
}
