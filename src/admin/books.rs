//! `/stats` and `/entries`: the books as JSON, JSON lines and CSV.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::admin::answer::{escaped, json, of_type};
use crate::admin::csv;
use crate::admin::parameters::{self, Format, Pairs};
use crate::admin::surface::Surface;
use crate::ledger::page::Page;

/// The sums of a period.
pub(crate) async fn stats(State(surface): State<Arc<Surface>>, Query(pairs): Query<Pairs>) -> Response {
    match parameters::stats(&pairs, Timestamp::now()) {
        Ok(query) => json(&surface.ledger.stats(&query)),
        Err(bad) => bad.answer(),
    }
}

/// The entries themselves; beside JSON, the next cursor travels in `x-next-cursor`.
pub(crate) async fn entries(State(surface): State<Arc<Surface>>, Query(pairs): Query<Pairs>) -> Response {
    let (query, format) = match parameters::entries(&pairs, Timestamp::now()) {
        Ok(read) => read,
        Err(bad) => return bad.answer(),
    };
    let page = surface.ledger.entries(&query);
    let mut response = match format {
        Format::Csv => of_type("text/csv; charset=utf-8; header=present", csv::write(&page)),
        Format::Json => return json(&page),
        Format::JsonLines => of_type("application/x-ndjson", lines(&page)),
    };
    if let Some(next) = page.next {
        response.headers_mut().insert(HeaderName::from_static("x-next-cursor"), HeaderValue::from(next));
    }
    response
}

fn lines(page: &Page) -> String {
    let mut text = String::new();
    for kept in &page.entries {
        if let Ok(line) = serde_json::to_string(&kept.entry) {
            // An upstream's own usage object is kept verbatim and may span lines.
            text.push_str(&escaped(&line).replace(['\n', '\r'], " "));
            text.push('\n');
        }
    }
    text
}
