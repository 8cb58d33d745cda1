//! Reading a request body that must be known whole before it can be routed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::dialect::call::CallError;
use crate::dialect::coding::CodingError;
use crate::exchange::fault::Fault;

/// The whole body of a request with these headers; no copy where it came in one piece.
///
/// # Errors
/// Too large, too slow, or broken off.
pub async fn collect(mut body: Incoming, headers: &HeaderMap, limit: usize) -> Result<Bytes, InboundError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        Box::pin(discard(body, headers)).await;
        return Err(InboundError::TooLarge(limit));
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    loop {
        let frame = timeout(PATIENCE, body.frame()).await.map_err(|_| InboundError::TooSlow)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| InboundError::Broken)?.into_data() else { continue };
        match &first {
            None => first = Some(data),
            Some(begun) => {
                if rest.is_empty() {
                    // Reserving what was only announced would let a client hold memory that it never sends.
                    rest.reserve(announced.min(1 << 20).max(begun.len() + data.len()));
                    rest.extend_from_slice(begun);
                }
                rest.extend_from_slice(&data);
            }
        }
        if rest.len().max(first.as_ref().map_or(0, Bytes::len)) > limit {
            // The client sends already, whatever it once waited for.
            Box::pin(discard(body, &HeaderMap::new())).await;
            return Err(InboundError::TooLarge(limit));
        }
    }
    if rest.is_empty() { Ok(first.unwrap_or_default()) } else { Ok(rest.freeze()) }
}

/// Takes in a body that nobody wants, within bounds, so that the client gets to read the answer.
///
/// Many clients read only after they have written everything, and a connection that is closed with bytes unread is
/// reset, which destroys the answer on its way.
pub async fn discard(mut body: Incoming, headers: &HeaderMap) {
    if headers.contains_key(EXPECT) || body.size_hint().lower() > MOST_DISCARDED {
        return;
    }
    let mut taken = 0;
    let reading = timeout(PATIENCE, async {
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len) as u64;
            if taken > MOST_DISCARDED {
                return;
            }
        }
    });
    let _ = reading.await;
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InboundError {
    /// It ended before its end.
    Broken,
    /// More bytes than the limit.
    TooLarge(usize),
    /// Nothing came for too long.
    TooSlow,
}

impl InboundError {
    /// What the client is told.
    pub fn into_fault(self) -> Fault {
        match self {
            Self::Broken => {
                Fault::client(StatusCode::BAD_REQUEST, Some("incomplete_body"), "the request body broke off")
            }
            Self::TooLarge(limit) => Fault::client(
                StatusCode::PAYLOAD_TOO_LARGE,
                Some("request_too_large"),
                format!("the request body is larger than {limit} bytes, the limit `limits.bodyBytes` of the gate"),
            ),
            Self::TooSlow => Fault::client(
                StatusCode::REQUEST_TIMEOUT,
                Some("request_timeout"),
                format!("no byte of the request body came for {PATIENCE:?}"),
            ),
        }
    }
}

/// What the client is told of a body that cannot be a call.
pub fn call_fault(error: &CallError) -> Fault {
    let status = match error {
        CallError::Coding(CodingError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    Fault::client(status, Some("invalid_body"), error.to_string())
}

/// Bytes of a body that are taken in for nothing.
const MOST_DISCARDED: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
