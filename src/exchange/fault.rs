//! What a client is told when it cannot be served, in the shape that OpenAI's clients parse.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use serde_json::json;

use crate::exchange::answer::Answer;
use crate::net::strict;
use crate::policy::target::Target;
use crate::upstream::failure::{Failure, FailureKind};

/// An error answer of the gate's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Whose fault it is; decides the error's `type`.
    pub blame: Blame,
    /// The status.
    pub status: StatusCode,
    /// `error.code`.
    pub code: Option<&'static str>,
    /// `error.param`.
    pub param: Option<Cow<'static, str>>,
    /// `error.message`: culprit, place and remedy, without secrets.
    pub message: String,
    /// Nothing was sent upstream, so that trying again costs nothing.
    pub retry: bool,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The client asked for something that cannot be done.
    Client,
    /// The gate itself failed.
    Gate,
    /// The owner's budgets have no room.
    Quota,
    /// The upstream failed.
    Upstream,
}

impl Fault {
    /// The client asked for something that cannot be done.
    pub fn client(status: StatusCode, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { blame: Blame::Client, status, code, param: None, message: message.into(), retry: false }
    }

    /// The client sent no credential of its own, so that no configured key is spent for it.
    pub fn no_credential(route: &str) -> Self {
        Self::client(
            StatusCode::UNAUTHORIZED,
            Some("invalid_api_key"),
            format!(
                "You didn't provide an API key. The gate adds the key of `{route}` only to calls that carry \
                 some key of their own in an Authorization header (any value will do)."
            ),
        )
    }

    /// The request stands for one whose framing could not be trusted; see [`strict`].
    pub fn malformed<B>(request: &Request<B>) -> Option<Self> {
        if request.method().as_str() != strict::MALFORMED {
            return None;
        }
        if request.uri().path() == strict::TOO_LARGE {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Some(Self::client(
                status,
                None,
                "the request's head is larger than the gate's `limits.headerBytes`",
            ));
        }
        let message = "the gate could not read this request: its HTTP framing is malformed";
        Some(Self::client(StatusCode::BAD_REQUEST, None, message))
    }

    /// Host names of one request disagree.
    pub fn misdirected(asked: &str) -> Self {
        Self::client(
            StatusCode::MISDIRECTED_REQUEST,
            Some("misdirected_request"),
            format!(
                "this connection was made to `{asked}`; the request or the TLS handshake names another host or none"
            ),
        )
    }

    /// Nobody comes in from another machine without a user's password.
    pub fn unauthenticated() -> Self {
        Self::client(
            StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Some("proxy_authentication_required"),
            "this gate wants to know who comes from another machine: send `Proxy-Authorization: Basic ...` with the name \
             and password of one of its users (`listen.users`), as in the proxy's URL `http://NAME:PASSWORD@HOST:PORT`. \
             This is beside the `Authorization` header, which is OpenAI's, and goes no further than to the gate.",
        )
    }

    /// Too many calls wait for their tokens to be counted.
    pub fn busy() -> Self {
        Self {
            blame: Blame::Gate,
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: Some("busy"),
            param: None,
            message: "the gate has too many calls to translate or to count at this moment".into(),
            retry: true,
        }
    }

    /// The owner wants no call sent whose price is not known.
    pub fn unpriced(model: Option<&str>, tier: Option<&str>, target: &Target) -> Self {
        let model = model.map_or_else(|| "a call that names no model".into(), |model| format!("the model `{model}`"));
        let tier = tier.map_or_else(String::new, |tier| format!(" in the service tier `{tier}`"));
        let remedy = match (&target.custom, target.is_on_azure()) {
            (Some(_), _) => "add `tokenPricing` to its line, or a table in `pricing.files`",
            (None, true) => "name the base model of the deployment (`deployments`), or add a table to `pricing.files`",
            (None, false) => "add a table with it to `pricing.files`",
        };
        let message = format!(
            "the gate knows no price of {model}{tier} by way of `{}`, and is set to refuse such calls \
             (`pricing.unknown`): {remedy}",
            target.route.name
        );
        let param = Some("model".into());
        Self { param, ..Self::client(StatusCode::BAD_REQUEST, Some("unknown_price"), message) }
    }

    /// The exchange broke down inside the gate.
    pub fn internal() -> Self {
        Self {
            blame: Blame::Gate,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: Some("internal_error"),
            param: None,
            message: "the gate failed while it handled this call; its log says more".into(),
            retry: false,
        }
    }

    /// An upstream that gave no answer.
    pub fn upstream(failure: &Failure) -> Self {
        let (status, code) = match &failure.kind {
            FailureKind::Broken { .. } => (StatusCode::BAD_GATEWAY, "upstream_broken"),
            FailureKind::Certificate { .. } => (StatusCode::BAD_GATEWAY, "upstream_certificate"),
            FailureKind::ClientBody => (StatusCode::BAD_REQUEST, "incomplete_body"),
            FailureKind::Closed { .. } => (StatusCode::BAD_GATEWAY, "upstream_closed"),
            FailureKind::Connect { .. } => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
            FailureKind::Inside { .. } => (StatusCode::FORBIDDEN, "inside_address"),
            FailureKind::Own { .. } => (StatusCode::FORBIDDEN, "own_address"),
            FailureKind::OuterProxy { .. } => (StatusCode::BAD_GATEWAY, "outer_proxy"),
            FailureKind::OuterTimeout { .. } | FailureKind::Timeout { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout")
            }
            FailureKind::Unreadable { .. } => (StatusCode::BAD_GATEWAY, "upstream_unreadable"),
        };
        // An own address and a wrong certificate stay what they are however often one tries.
        let lasting = match failure.kind {
            FailureKind::Own { .. } | FailureKind::Inside { .. } | FailureKind::Certificate { .. } => true,
            FailureKind::OuterProxy { lasting, .. } => lasting,
            _ => false,
        };
        let clients = matches!(failure.kind, FailureKind::ClientBody | FailureKind::Inside { .. });
        let blame = if clients { Blame::Client } else { Blame::Upstream };
        Self {
            blame,
            status,
            code: Some(code),
            param: None,
            message: failure.to_string(),
            retry: failure.unsent && !lasting,
        }
    }

    /// The answer itself.
    pub fn answer(&self) -> Response<Answer> {
        let kind = match self.blame {
            Blame::Client => "invalid_request_error",
            Blame::Gate | Blame::Upstream => "server_error",
            Blame::Quota => "insufficient_quota",
        };
        let body = json!({"error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }});
        let mut response = Response::new(Answer::full(Bytes::from(body.to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let retry = if self.retry { "true" } else { "false" };
        headers.insert("x-should-retry", HeaderValue::from_static(retry));
        if self.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            headers.insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"tollgate\""));
        }
        if self.retry {
            headers.insert("retry-after-ms", HeaderValue::from_static("500"));
        }
        response
    }
}
