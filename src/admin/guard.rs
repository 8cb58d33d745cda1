//! Who may read the admin surface: programs of this machine, and no web page of another site.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, StatusCode};

use crate::admin::answer::refusal;

/// The names under which a browser of this machine may reach the listener.
#[derive(Debug)]
pub(crate) struct Guard {
    loopback: bool,
    hosts: [String; 3],
}

impl Guard {
    pub(crate) fn new(at: SocketAddr) -> Self {
        let hosts = ["127.0.0.1", "[::1]", "localhost"].map(|host| format!("{host}:{}", at.port()));
        Self { loopback: at.ip().is_loopback(), hosts }
    }

    /// Why a request is refused; a name that a stranger's DNS can point here is what the host check is for.
    fn refuses(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let Some(host) = only(headers, &HOST) else {
            return Some(refusal(StatusCode::BAD_REQUEST, "exactly one host header is needed"));
        };
        if !self.loopback {
            return Some(refusal(StatusCode::FORBIDDEN, "the admin surface answers on loopback addresses only"));
        }
        if !self.knows(host.as_bytes()) || authority.is_some_and(|authority| !self.knows(authority.as_bytes())) {
            return Some(refusal(StatusCode::FORBIDDEN, "this host name is not served here"));
        }
        if self.is_foreign(headers) {
            return Some(refusal(StatusCode::FORBIDDEN, "requests of other sites are refused"));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(refused);
        }
        None
    }

    fn knows(&self, host: &[u8]) -> bool {
        self.hosts.iter().any(|known| known.as_bytes() == host)
    }

    fn is_foreign(&self, headers: &HeaderMap) -> bool {
        let cross_site = headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .any(|site| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none");
        let own =
            |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://").is_some_and(|host| self.knows(host));
        cross_site || !headers.get_all(ORIGIN).iter().all(own)
    }
}

/// Runs before any route: refuses what [`Guard`] refuses and marks every answer as private.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refuses(&request) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    for (name, value) in MARKS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { None } else { first }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// On every answer, also on refusals.
const MARKS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];
