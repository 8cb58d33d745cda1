//! URLs of endpoints, taken apart without changing them.

use std::net::SocketAddr;

use http::Uri;
use http::uri::PathAndQuery;

use crate::config::field::Field;
use crate::net::host::{Host, HostPort};
use crate::policy::target::Scheme;

/// An `http` or `https` URL.
#[derive(Debug)]
pub(super) struct Address {
    /// How the bytes travel.
    pub(super) scheme: Scheme,
    /// Where to connect.
    pub(super) at: HostPort,
    /// Path and query as written.
    pub(super) path: PathAndQuery,
}

impl Address {
    /// Reads a URL that does not lead back to one of the gate's `own` listeners.
    pub(super) fn read(field: &Field<'_>, own: &[SocketAddr]) -> Option<Self> {
        match Self::parse(field.filled_text()?) {
            Ok(address) if leads_home(&address.at, own) => {
                field.wrong("must not be an address on which the gate itself listens");
                None
            }
            Ok(address) => Some(address),
            // The URL is not shown: it may hold a password.
            Err(predicate) => {
                field.wrong(predicate);
                None
            }
        }
    }

    /// Takes a URL apart.
    ///
    /// # Errors
    /// What is wrong with it, without the URL.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('#') {
            return Err("must not hold a fragment (`#`)");
        }
        let uri: Uri = text.parse().map_err(|_| NO_URL)?;
        let scheme = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(NO_URL),
        };
        let authority = uri.authority().ok_or(NO_URL)?.as_str();
        if authority.contains('@') {
            return Err("must not hold a user name or password");
        }
        let at = HostPort::parse(authority, scheme.default_port()).map_err(|_| NO_URL)?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { scheme, at, path })
    }
}

/// Whether `at` is one of the gate's own listeners, so that a call would come back for ever.
pub(super) fn leads_home(at: &HostPort, own: &[SocketAddr]) -> bool {
    own.iter().any(|listener| {
        let same_host = match &at.host {
            Host::Address(address) => {
                let everywhere = listener.ip().is_unspecified() && address.is_loopback();
                *address == listener.ip() || address.is_unspecified() || everywhere
            }
            Host::Name(name) => &**name == "localhost" || name.ends_with(".localhost"),
        };
        same_host && at.port == listener.port()
    })
}

const NO_URL: &str = "must be an http or https URL";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_paths_stay_verbatim() {
        for (text, at, path) in [
            ("http://127.0.0.1/v1/completions", "127.0.0.1:80", "/v1/completions"),
            ("HTTPS://Api.Example.com", "api.example.com:443", "/"),
            ("https://[::1]:8443/a%2Fb//c?x=%41&y", "[::1]:8443", "/a%2Fb//c?x=%41&y"),
            ("http://h.test?x=1", "h.test:80", "/?x=1"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.at.to_string().as_str(), address.path.to_string().as_str()), (at, path), "{text}");
        }
        let bad =
            ["", "127.0.0.1/x", "ftp://h/x", "http://", "http://u:p@h/", "http://h/#x", "http://h:0/", "http://a b/"];
        for text in bad {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_gates_own_listeners_are_recognised() {
        let own = ["127.0.0.1:8484".parse().unwrap()];
        let home = |text: &str| leads_home(&HostPort::parse(text, 80).unwrap(), &own);
        for text in ["127.0.0.1:8484", "localhost:8484", "a.localhost:8484", "0.0.0.0:8484", "[::]:8484"] {
            assert!(home(text), "{text}");
        }
        for text in ["127.0.0.1:8485", "example.com:8484", "127.0.0.2:8484"] {
            assert!(!home(text), "{text}");
        }
    }
}
