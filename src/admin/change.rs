//! What can be changed: the lines of the models file, replaced as a whole, and the configuration, read anew.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::admin::answer::{json as as_json, refusal, with_status};
use crate::admin::state::listed;
use crate::admin::surface::{Flaw, Rejected, Reloaded, Surface, Unchanged};

/// Replaces the lines by the body, or says what is wrong with it.
pub(crate) async fn models(State(surface): State<Arc<Surface>>, body: Body) -> Response {
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the lines must arrive whole and have at most 1 MiB");
    };
    let text = match String::from_utf8(bytes.into()) {
        Ok(text) => text,
        Err(error) => return wrong(&[flaw(error.as_bytes(), error.utf8_error().valid_up_to())], 0),
    };
    let reviser = surface.reviser.clone();
    let Ok(outcome) = tokio::task::spawn_blocking(move || reviser.revise(&text)).await else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the lines could not be read");
    };
    match outcome {
        Ok(saved) => {
            let mut shown = listed(&surface.policy.now());
            shown["warnings"] = json!(saved.warnings);
            shown["file"] = json!(saved.file.display().to_string());
            as_json(&shown)
        }
        Err(Rejected::Mistakes { first, more }) => wrong(&first, more),
        Err(Rejected::NoFile) => refusal(
            StatusCode::CONFLICT,
            "the configuration names no models file; set `modelsFile` to the path of a text file and restart the gate",
        ),
        Err(Rejected::Unsaved(error)) => {
            refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("the models file cannot be written: {error}"))
        }
    }
}

/// Reads the configuration anew, or says what is wrong with it.
pub(crate) async fn reload(State(surface): State<Arc<Surface>>) -> Response {
    let reloader = surface.reloader.clone();
    let Ok(outcome) = tokio::task::spawn_blocking(move || reloader.reload()).await else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the configuration could not be read");
    };
    match outcome {
        Ok(Reloaded { needs_restart, warnings }) => {
            as_json(&json!({ "reloaded": true, "needsRestart": needs_restart, "warnings": warnings }))
        }
        Err(Unchanged::Mistakes { first, more }) => {
            let message = match first.len() + more {
                1 => "one mistake; nothing was changed".to_owned(),
                all => format!("{all} mistakes; nothing was changed"),
            };
            let told = json!({ "error": { "message": message, "param": null, "mistakes": first, "more": more } });
            with_status(StatusCode::UNPROCESSABLE_ENTITY, &told)
        }
        Err(Unchanged::Nowhere) => {
            refusal(StatusCode::CONFLICT, "this gate has no configuration that could be read again")
        }
        Err(Unchanged::Unreadable(why)) => {
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("{why}; nothing was changed"))
        }
    }
}

fn wrong(first: &[Flaw], more: usize) -> Response {
    let message = match first {
        [only] => format!("line {}: {}; nothing was changed", only.line, only.message),
        all if more == 0 => format!("{} mistakes; nothing was changed", all.len()),
        all => format!("{} mistakes, of which the first are told; nothing was changed", all.len() + more),
    };
    let told = json!({ "error": { "message": message, "param": null, "mistakes": first, "more": more } });
    with_status(StatusCode::BAD_REQUEST, &told)
}

/// The place of the first byte that is no UTF-8.
fn flaw(bytes: &[u8], at: usize) -> Flaw {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Flaw { file: None, line: before.matches('\n').count() + 1, column, message: "not UTF-8".into(), hint: None }
}

/// Bytes of a body.
const LARGEST: usize = 1 << 20;
