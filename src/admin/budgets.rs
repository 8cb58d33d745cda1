//! `/budgets`: what may be spent, and what has been.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use crate::admin::answer::json as as_json;
use crate::admin::surface::Surface;

/// The state of every budget, in the order of the configuration.
pub(crate) async fn budgets(State(surface): State<Arc<Surface>>) -> Response {
    as_json(&json!({ "budgets": surface.ledger.budgets(Timestamp::now()) }))
}
