//! Who may use the admin surface: programs of this machine, and no web page of another site; for changes, who knows the
//! token.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, StatusCode};

use crate::admin::answer::refusal;
use crate::net::secret::Secret;

/// The names under which a browser of this machine may reach the listener.
#[derive(Debug)]
pub(crate) struct Guard {
    loopback: bool,
    hosts: [String; 3],
    /// What is kept of the token: enough to compare.
    token: Option<Digest>,
}

impl Guard {
    pub(crate) fn new(at: SocketAddr, token: Option<&Secret>) -> Self {
        let hosts = ["127.0.0.1", "[::1]", "localhost"].map(|host| format!("{host}:{}", at.port()));
        Self { loopback: at.ip().is_loopback(), hosts, token: token.map(|token| digested(token.reveal().as_bytes())) }
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
        let writes = WRITES.contains(&request.uri().path());
        let (fits, allowed) = match *request.method() {
            Method::POST => (writes, READS),
            Method::GET | Method::HEAD => (!writes, "POST"),
            _ => (false, if writes { "POST" } else { READS }),
        };
        if !fits {
            let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("only {allowed} is served here"));
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
            return Some(refused);
        }
        self.refuses_without_token(headers, request.uri().path())
    }

    /// Why a request without the token is refused.
    fn refuses_without_token(&self, headers: &HeaderMap, path: &str) -> Option<Response> {
        let Some(token) = &self.token else {
            let remedy = "changes need a token; set `admin.token` in the configuration and restart the gate";
            return WRITES.contains(&path).then(|| refusal(StatusCode::FORBIDDEN, remedy));
        };
        if OPEN.contains(&path) {
            return None;
        }
        // Digests have one length, so that the time of the comparison tells nothing about the token.
        let fits = |sent: &[u8]| verify_slices_are_equal(digested(sent).as_ref(), token.as_ref()).is_ok();
        if only(headers, &AUTHORIZATION).and_then(|value| bearer(value.as_bytes())).is_some_and(fits) {
            return None;
        }
        let remedy =
            "the token of this gate is needed: `Authorization: Bearer TOKEN`, with `admin.token` of its configuration";
        let mut refused = refusal(StatusCode::UNAUTHORIZED, remedy);
        refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(refused)
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

fn digested(token: &[u8]) -> Digest {
    digest(&SHA256, token)
}

/// The token of `Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { None } else { first }
}

/// The paths that change something.
const WRITES: [&str; 2] = ["/config/models", "/reload"];

/// Paths that say nothing private.
const OPEN: [&str; 4] = ["/ca.crt", "/ca.pem", "/healthz", "/readyz"];

/// The methods of every other path.
const READS: &str = "GET, HEAD";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// On every answer, also on refusals.
const MARKS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];
