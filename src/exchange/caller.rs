//! Who calls, as the books show it.

use std::sync::Arc;

use http::HeaderMap;
use http::header::USER_AGENT;

use crate::exchange::headers::LABEL;
use crate::exchange::origin::Origin;
use crate::ledger::entry::Client;
use crate::ledger::names::shortened;

/// Reads the caller from the connection and the request's headers.
pub fn caller(origin: &Origin, headers: &HeaderMap) -> Client {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(bounded);
    Client {
        address: origin.client.to_canonical(),
        process: None,
        path: None,
        agent: text(USER_AGENT),
        label: text(LABEL).filter(|label| !label.is_empty()),
        key: None,
    }
}

/// A name that a client chose, cut to what the books take.
pub fn bounded(text: &str) -> Arc<str> {
    shortened(text).into()
}
