//! Who may use the admin surface: programs of this machine, and no web page of another site; for changes, and from other
//! machines for everything, who knows the token.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, StatusCode};
use tokio::net::TcpListener;

use crate::admin::answer::refusal;
use crate::net::secret::Secret;
use crate::policy::pac;

/// The gate's own address that a connection reached; `None` where the system does not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached(pub(crate) Option<SocketAddr>);

impl Connected<IncomingStream<'_, TcpListener>> for Reached {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        Self(stream.io().local_addr().ok().map(canonical))
    }
}

impl Reached {
    /// Whether only this machine can have reached it.
    fn is_loopback(self) -> bool {
        self.0.is_some_and(|at| at.ip().is_loopback())
    }
}

/// The names under which the listener may be reached, and the token.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Those of this machine.
    hosts: [String; 3],
    /// What is kept of the token: enough to compare.
    token: Option<Digest>,
}

impl Guard {
    pub(crate) fn new(at: SocketAddr, token: Option<&Secret>) -> Self {
        let hosts = ["127.0.0.1", "[::1]", "localhost"].map(|host| format!("{host}:{}", at.port()));
        Self { hosts, token: token.map(|token| digested(token.reveal().as_bytes())) }
    }

    /// Why a request is refused; a name that a stranger's DNS can point here is what the host check is for.
    fn refuses(&self, request: &Request, reached: Reached) -> Option<Response> {
        let headers = request.headers();
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let Some(host) = only(headers, &HOST) else {
            return Some(refusal(StatusCode::BAD_REQUEST, "exactly one host header is needed"));
        };
        let known = |host: &[u8]| self.knows(host, reached);
        if !known(host.as_bytes()) || authority.is_some_and(|authority| !known(authority.as_bytes())) {
            return Some(refusal(StatusCode::FORBIDDEN, "this host name is not served here"));
        }
        if self.is_foreign(headers, reached) {
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
        self.refuses_without_token(headers, request.uri().path(), reached)
    }

    /// Why a request without the token is refused.
    fn refuses_without_token(&self, headers: &HeaderMap, path: &str, reached: Reached) -> Option<Response> {
        let Some(token) = &self.token else {
            let remedy = "changes need a token; set `admin.token` in the configuration and restart the gate";
            if !reached.is_loopback() {
                let remedy = "other machines need a token; set `admin.token` in the configuration and restart the gate";
                return Some(refusal(StatusCode::FORBIDDEN, remedy));
            }
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

    /// Over loopback the names of this machine, else the address that was reached: no name that a stranger's DNS has.
    fn knows(&self, host: &[u8], reached: Reached) -> bool {
        if reached.is_loopback() {
            return self.hosts.iter().any(|known| known.as_bytes() == host);
        }
        reached.0.is_some_and(|at| at.to_string().as_bytes() == host)
    }

    fn is_foreign(&self, headers: &HeaderMap, reached: Reached) -> bool {
        let cross_site = headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .any(|site| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none");
        let own = |origin: &HeaderValue| {
            origin.as_bytes().strip_prefix(b"http://").is_some_and(|host| self.knows(host, reached))
        };
        cross_site || !headers.get_all(ORIGIN).iter().all(own)
    }
}

/// Runs before any route: refuses what [`Guard`] refuses and marks every answer as private.
pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(reached): ConnectInfo<Reached>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.refuses(&request, reached) {
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
const OPEN: [&str; 5] = ["/ca.crt", "/ca.pem", "/healthz", pac::PATH, "/readyz"];

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

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(path: &str, host: &str, token: Option<&str>) -> Request {
        let mut request = Request::get(path).header(HOST, host);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn from_another_machine_the_address_that_was_reached_and_the_token_let_in() {
        let at: SocketAddr = "0.0.0.0:8485".parse().unwrap();
        let elsewhere = Reached(Some("192.0.2.7:8485".parse().unwrap()));
        let guard = Guard::new(at, Some(&Secret::new("t")));
        for (path, host, token, status) in [
            ("/stats", "192.0.2.7:8485", Some("t"), None),
            ("/stats", "192.0.2.7:8485", Some("x"), Some(401)),
            ("/stats", "192.0.2.7:8485", None, Some(401)),
            // What says nothing private.
            ("/proxy.pac", "192.0.2.7:8485", None, None),
            ("/ca.pem", "192.0.2.7:8485", None, None),
            // Names of a machine are those of the one that asks.
            ("/stats", "127.0.0.1:8485", Some("t"), Some(403)),
            ("/stats", "localhost:8485", Some("t"), Some(403)),
            ("/proxy.pac", "evil.example:8485", None, Some(403)),
            ("/stats", "192.0.2.7", Some("t"), Some(403)),
        ] {
            let refused = guard.refuses(&asked(path, host, token), elsewhere);
            assert_eq!(refused.map(|refused| refused.status().as_u16()), status, "{path} {host} {token:?}");
        }
        let here = Reached(Some("127.0.0.1:8485".parse().unwrap()));
        assert!(guard.refuses(&asked("/stats", "127.0.0.1:8485", Some("t")), here).is_none());
        assert!(guard.refuses(&asked("/stats", "192.0.2.7:8485", Some("t")), here).is_some());
    }

    #[test]
    fn without_a_token_nobody_from_another_machine_is_told_anything() {
        let guard = Guard::new("0.0.0.0:8485".parse().unwrap(), None);
        for path in ["/stats", "/proxy.pac", "/ca.pem", "/healthz"] {
            for reached in [Reached(Some("192.0.2.7:8485".parse().unwrap())), Reached(None)] {
                let refused = guard.refuses(&asked(path, "192.0.2.7:8485", None), reached).unwrap();
                assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{path}");
            }
        }
    }
}
