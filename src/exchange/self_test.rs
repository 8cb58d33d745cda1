//! The answers of the self-test host: made here, before there is anything to book or to dial.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::json;

use crate::exchange::answer::Answer;
use crate::ledger::entry::Ingress;
use crate::policy::self_test::{branches, nonce, token};

/// Whatever is asked for: JSON with the token of the nonce in the path, or for git a repository with one branch.
pub fn answer(head: &Parts, ingress: Ingress) -> Response<Answer> {
    let (kind, body) = match nonce(head.uri.path()).map(token) {
        Some(token) if is_for_branches(head) => ("application/x-git-upload-pack-advertisement", branches(&token)),
        token => {
            let told = json!({ "object": "tollgate.self_test", "ok": true, "token": token, "ingress": ingress });
            ("application/json", told.to_string())
        }
    };
    let mut response = Response::new(Answer::full(Bytes::from(body)));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_for_branches(head: &Parts) -> bool {
    head.uri.path().ends_with("/info/refs") && head.uri.query() == Some("service=git-upload-pack")
}
