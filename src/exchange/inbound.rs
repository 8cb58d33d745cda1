//! Reading a request body that must be known whole before it can be routed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::dialect::call::CallError;
use crate::dialect::coding::CodingError;
use crate::exchange::fault::Fault;

/// The whole body; no copy where it came in one piece.
///
/// # Errors
/// Too large, too slow, or broken off.
pub async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, InboundError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
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
            return Err(InboundError::TooLarge(limit));
        }
    }
    if rest.is_empty() { Ok(first.unwrap_or_default()) } else { Ok(rest.freeze()) }
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

const PATIENCE: Duration = Duration::from_secs(60);
