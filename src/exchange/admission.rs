//! Who may come in: everybody of this machine, and from elsewhere whoever shows a user's password.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;

use crate::exchange::caller::{basic, proxy_user};
use crate::exchange::fault::Fault;
use crate::exchange::origin::Whose;
use crate::exchange::peer::Peer;
use crate::net::keepers::Keepers;
use crate::net::reach::Asker;

/// The user whose calls these are; `None` for programs of this machine, which need to show nothing.
///
/// Credentials that come again over the same connection are only compared, not taken apart again.
///
/// # Errors
/// A client of another machine without a user's password.
pub fn admit(peer: &Peer, keepers: &Keepers, headers: &HeaderMap) -> Result<Option<Arc<str>>, Fault> {
    if peer.asker() == Asker::Here {
        return Ok(None);
    }
    let value = headers.get(PROXY_AUTHORIZATION).ok_or_else(Fault::unauthenticated)?;
    if let Some((before, user)) = &*peer.admitted.borrow()
        && verify_slices_are_equal(before.as_bytes(), value.as_bytes()).is_ok()
    {
        return Ok(Some(Arc::clone(user)));
    }
    let admitted = basic(value, LONGEST).and_then(|bytes| {
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        keepers.admits(&bytes[..colon], &bytes[colon + 1..])
    });
    let Some(user) = admitted else {
        tracing::warn!(client = %peer.address, "a client of another machine showed no password of `listen.users`");
        return Err(Fault::unauthenticated());
    };
    peer.admitted.replace(Some((value.clone(), Arc::clone(&user))));
    Ok(Some(user))
}

/// Whose calls come by a way in: the user's that was admitted, else whose the client says.
pub fn whose(user: Option<Arc<str>>, headers: &HeaderMap) -> Whose {
    user.map_or_else(|| Whose::said(proxy_user(headers)), Whose::Proven)
}

/// Bytes of name and password together; longer ones are nobody's.
const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::net::mark::Marker;
    use crate::net::secret::Secret;
    use crate::system::programs::Asked;

    fn peer(address: &str) -> Peer {
        let at = format!("{address}:1").parse().ok();
        Peer::new(address.parse().unwrap(), at, Asked::default(), Marker::new(&[7; 32]))
    }

    fn sent(value: &str) -> HeaderMap {
        [(PROXY_AUTHORIZATION, HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn from_elsewhere_only_a_users_password_opens_and_each_request_must_bring_it() {
        let keepers = Keepers::new(
            [("team", "secret"), ("other", "x:y")].map(|(name, password)| (Arc::from(name), Secret::new(password))),
        );
        let elsewhere = peer("192.0.2.7");
        let user = |headers: &HeaderMap| admit(&elsewhere, &keepers, headers).map(|user| user.unwrap().to_string());
        assert_eq!(user(&HeaderMap::new()), Err(Fault::unauthenticated()));
        for (value, expected) in [
            ("Basic dGVhbTpzZWNyZXQ=", Some("team")),
            ("Basic dGVhbTpzZWNyZXQ=", Some("team")),
            ("Basic dGVhbTpzZWNyZXR4", None),
            ("basic  b3RoZXI6eDp5", Some("other")),
            ("Basic dGVhbTpzZWNyZXQ=", Some("team")),
            ("Basic dGVhbTo=", None),
            ("Basic dGVhbQ==", None),
            ("Bearer dGVhbTpzZWNyZXQ=", None),
            ("Basic ", None),
        ] {
            assert_eq!(user(&sent(value)).ok().as_deref(), expected, "{value}");
        }
        // Once admitted, a request without it is still refused.
        assert_eq!(user(&HeaderMap::new()), Err(Fault::unauthenticated()));
        assert_eq!(admit(&peer("127.0.0.1"), &keepers, &HeaderMap::new()), Ok(None));
        // Nobody comes in from elsewhere where there are no users.
        let none = admit(&peer("192.0.2.7"), &Keepers::default(), &sent("Basic dGVhbTpzZWNyZXQ="));
        assert_eq!(none, Err(Fault::unauthenticated()));
    }
}
