//! The other end of a client connection: what is found out once for all of its calls.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use http::HeaderMap;

use crate::exchange::headers::clients_key;
use crate::net::mark::Marker;
use crate::system::programs::Asked;

/// The other end of a client connection; stays on its thread.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Its program, once that is known.
    pub program: Asked,
    marker: Marker,
    hasher: RandomState,
    /// The key that was seen last, as a hash, and its mark: most clients send the same with every call.
    seen: RefCell<Option<(u64, Arc<str>)>>,
}

impl Peer {
    /// The other end at `address`, whose keys are marked by `marker`.
    pub fn new(address: IpAddr, program: Asked, marker: Marker) -> Self {
        Self { address, program, marker, hasher: RandomState::default(), seen: RefCell::default() }
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

    use http::{HeaderName, HeaderValue};

    use super::*;

    fn sent(name: &'static str, value: &'static str) -> HeaderMap {
        [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn a_key_has_one_mark_in_whatever_form_it_comes_and_after_others() {
        let peer = Peer::new(Ipv4Addr::LOCALHOST.into(), Asked::default(), Marker::new(&[7; 32]));
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
