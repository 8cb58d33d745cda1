//! `/stats` and `/entries`: the books as JSON, JSON lines and CSV.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::admin::answer::{json, of_type, refusal};
use crate::admin::desk::{Desk, unanswered};
use crate::admin::parameters::{self, Format, Pairs};
use crate::admin::surface::Surface;
use crate::admin::walk::Walk;

/// The sums of a period.
pub(crate) async fn stats(
    State(surface): State<Arc<Surface>>,
    Extension(desk): Extension<Desk>,
    Query(pairs): Query<Pairs>,
) -> Response {
    let query = match parameters::stats(&pairs, Timestamp::now()) {
        Ok(query) => query,
        Err(bad) => return bad.answer(),
    };
    let ledger = surface.ledger.clone();
    desk.ask(move || json(&ledger.stats(&query))).await.unwrap_or_else(unanswered)
}

/// The entries themselves; beside JSON, the next cursor of a short list travels in `x-next-cursor`.
pub(crate) async fn entries(
    State(surface): State<Arc<Surface>>,
    Extension(desk): Extension<Desk>,
    Query(pairs): Query<Pairs>,
) -> Response {
    let (query, format) = match parameters::entries(&pairs, Timestamp::now()) {
        Ok(read) => read,
        Err(bad) => return bad.answer(),
    };
    let Some(walk) = Walk::begin(surface.ledger.clone(), desk, query, format).await else { return unanswered() };
    if format == Format::Json {
        return of_type("application/json", walk.body());
    }
    if let Some(missing) = walk.missing() {
        // A list in these forms cannot say that it ends too early.
        let message = format!("{missing}; `format=json` lists what is in memory");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, &message);
    }
    let next = walk.only_page_leads_to();
    let mut response = match format {
        Format::Csv => of_type("text/csv; charset=utf-8; header=present", walk.body()),
        Format::Json | Format::JsonLines => of_type("application/x-ndjson", walk.body()),
    };
    let headers = response.headers_mut();
    if format == Format::Csv {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"entries.csv\""));
    }
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        headers.insert(HeaderName::from_static("x-next-cursor"), next);
    }
    response
}
