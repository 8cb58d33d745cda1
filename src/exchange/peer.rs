//! The other end of a client connection: what is found out once for all of its calls.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::quality::RandomState;
use http::{HeaderMap, HeaderValue};

use crate::exchange::headers::clients_key;
use crate::net::mark::Marker;
use crate::net::reach::Asker;
use crate::system::programs::Asked;

/// The other end of a client connection; stays on its thread.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The gate's own address that it reached; `None` where the system does not say.
    pub reached: Option<SocketAddr>,
    /// Its program, once that is known.
    pub program: Asked,
    marker: Marker,
    hasher: RandomState,
    /// The key that was seen last, as a hash, and its mark: most clients send the same with every call.
    seen: RefCell<Option<(u64, Arc<str>)>>,
    /// The credentials that were admitted last, and whose they are: most clients send the same with every request.
    pub(super) admitted: RefCell<Option<(HeaderValue, Arc<str>)>>,
}

impl Peer {
    /// The other end at `address` that reached the gate at `reached`, and whose keys are marked by `marker`.
    pub fn new(address: IpAddr, reached: Option<SocketAddr>, program: Asked, marker: Marker) -> Self {
        let hasher = RandomState::default();
        Self { address, reached, program, marker, hasher, seen: RefCell::default(), admitted: RefCell::default() }
    }

    /// Where it comes from: over loopback only programs of this machine come.
    ///
    /// One end is enough. Connections that the system redirects come from an address of the network to one of loopback,
    /// and no system lets a packet of another machine in that bears an address of loopback.
    pub fn asker(&self) -> Asker {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        if is_loopback(self.address) || self.reached.is_some_and(|reached| is_loopback(reached.ip())) {
            Asker::Here
        } else {
            Asker::Elsewhere
        }
    }

    /// What stands for the key of these headers in the books; `None` where they have none.
    pub fn mark(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let key = clients_key(headers)?;
        let hash = self.hasher.hash_one(key);
        let mut seen = self.seen.borrow_mut();
        if let Some((before, mark)) = &*seen
            && *before == hash
        {
            return Some(Arc::clone(mark));
        }
        let mark = self.marker.mark(key.as_bytes());
        *seen = Some((hash, Arc::clone(&mark)));
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderName;

    use super::*;

    fn sent(name: &'static str, value: &'static str) -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn who_comes_over_loopback_is_of_this_machine_and_nobody_else() {
        for (address, reached, asker) in [
            ("127.0.0.1", Some("127.0.0.1:1"), Asker::Here),
            ("::1", Some("[::1]:1"), Asker::Here),
            ("::ffff:127.0.0.1", Some("[::ffff:127.0.0.1]:1"), Asker::Here),
            // Redirected.
            ("192.0.2.7", Some("127.0.0.1:1"), Asker::Here),
            // By its own address in the network, which others use too.
            ("192.0.2.7", Some("192.0.2.7:1"), Asker::Elsewhere),
            ("192.0.2.7", Some("192.0.2.1:1"), Asker::Elsewhere),
            ("::ffff:192.0.2.7", Some("[::ffff:192.0.2.1]:1"), Asker::Elsewhere),
            ("10.0.0.7", None, Asker::Elsewhere),
        ] {
            let reached = reached.map(|reached| reached.parse().unwrap());
            let peer = Peer::new(address.parse().unwrap(), reached, Asked::default(), Marker::new(&[7; 32]));
            assert_eq!(peer.asker(), asker, "{address} {reached:?}");
        }
    }

    #[test]
    fn a_key_has_one_mark_in_whatever_form_it_comes_and_after_others() {
        let peer = Peer::new(Ipv4Addr::LOCALHOST.into(), None, Asked::default(), Marker::new(&[7; 32]));
        let mark = peer.mark(&sent("authorization", "Bearer sk-one")).unwrap();
        assert_eq!((mark.len(), mark.contains("one")), (16, false));
        let other = peer.mark(&sent("authorization", "Bearer sk-two")).unwrap();
        assert_ne!(mark, other);
        for (name, value) in [
            ("authorization", "bearer  sk-one "),
            ("api-key", "sk-one"),
            ("api-key", "sk-one"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-one, openai-beta.realtime-v1"),
        ] {
            assert_eq!(peer.mark(&sent(name, value)).as_ref(), Some(&mark), "{name}");
        }
        for (name, value) in [
            ("authorization", "Bearer "),
            ("authorization", "Basic c2stb25l"),
            ("sec-websocket-protocol", "realtime"),
            ("cookie", "sk-one"),
        ] {
            assert_eq!(peer.mark(&sent(name, value)), None, "{name} {value}");
        }
    }
}
