//! The proxy that the user had before: a gate that is started keeps it for its own calls.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::net::host::{Host, HostPort};
use crate::system::environment::GATE_AS_PROXY;

/// A proxy of the user's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Outer {
    /// As the user wrote it; may hold a password.
    pub(super) url: String,
    /// The hosts that go past it, as the user wrote them.
    pub(super) spared: Option<String>,
}

impl Outer {
    /// The proxy that the environment `now` names for calls over TLS, unless it is one of the gates at `own`.
    pub(super) fn of(now: &dyn Fn(&str) -> Option<OsString>, own: &[SocketAddr]) -> Option<Self> {
        let text = |name: &str| now(name)?.into_string().ok().filter(|text| !text.trim().is_empty());
        let url = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].iter().find_map(|name| text(name))?;
        if text(GATE_AS_PROXY).as_ref() == Some(&url) || leads_to(&url, own) {
            return None;
        }
        Some(Self { url, spared: text("no_proxy").or_else(|| text("NO_PROXY")) })
    }

    /// Without user and password, for messages and files.
    pub(super) fn place(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("http", &self.url));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{}", place.trim_end_matches('/'))
    }
}

fn leads_to(url: &str, own: &[SocketAddr]) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place).trim_end_matches('/');
    let Ok(at) = HostPort::parse(place, 80) else { return false };
    let local = match &at.host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => &**name == "localhost",
    };
    local && own.iter().any(|own| own.port() == at.port)
}

/// What tells a gate about it.
pub(super) const PROXY: &str = "TOLLGATE_UPSTREAM_PROXY";
pub(super) const SPARED: &str = "TOLLGATE_UPSTREAM_NO_PROXY";

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(variables: &[(&str, &str)]) -> Option<Outer> {
        let now = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        Outer::of(&now, &["127.0.0.1:8484".parse().unwrap()])
    }

    #[test]
    fn a_proxy_of_the_user_is_kept_and_the_gate_is_not_taken_for_one() {
        let found = outer(&[("HTTPS_PROXY", "http://me:secret@corp:3128/"), ("NO_PROXY", "a.test")]).unwrap();
        assert_eq!((found.url.as_str(), found.spared.as_deref()), ("http://me:secret@corp:3128/", Some("a.test")));
        assert_eq!(found.place(), "http://corp:3128");
        assert_eq!(outer(&[("all_proxy", "socks5://[::1]:1080")]).unwrap().place(), "socks5://[::1]:1080");
        assert_eq!(outer(&[("https_proxy", "one:1"), ("HTTPS_PROXY", "two:2")]).unwrap().place(), "http://one:1");
        for gate in ["http://127.0.0.1:8484", "http://team:x@localhost:8484/", "[::1]:8484"] {
            assert_eq!(outer(&[("HTTPS_PROXY", gate)]), None, "{gate}");
        }
        let elsewhere = "http://team:x@127.0.0.1:40001";
        assert_eq!(outer(&[("HTTPS_PROXY", elsewhere), ("TOLLGATE_RUN_PROXY", elsewhere)]), None);
        assert_eq!(outer(&[("HTTP_PROXY", "http://corp:3128"), ("HTTPS_PROXY", "")]), None);
    }
}
