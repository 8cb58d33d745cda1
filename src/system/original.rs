//! Where a connection was going before the system led it to this program.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::net::TcpStream;

/// Tells where redirected connections were going; cheap to clone.
#[derive(Clone)]
pub struct Originals(Arc<Find>);

/// Finds where a connection was going.
type Find = dyn Fn(&TcpStream) -> Option<SocketAddr> + Send + Sync;

impl Originals {
    /// Tells what `find` finds, in the place of the system.
    pub fn new(find: impl Fn(&TcpStream) -> Option<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// Where a connection was going; `None` where it was meant for this program itself or that is not known.
    ///
    /// This program listens on loopback alone. So a destination there is its own address, or one that a hosts file gives
    /// for a host elsewhere: neither can be dialled without coming back here.
    pub fn of(&self, stream: &TcpStream) -> Option<SocketAddr> {
        let original = (self.0)(stream)?;
        let original = SocketAddr::new(original.ip().to_canonical(), original.port());
        let leads_here = original.ip().is_loopback() || original.ip().is_unspecified() || original.port() == 0;
        (!leads_here).then_some(original)
    }
}

impl Default for Originals {
    fn default() -> Self {
        Self::new(of_the_system)
    }
}

impl fmt::Debug for Originals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Originals")
    }
}

/// What the kernel remembers of a connection whose destination it rewrote (`REDIRECT`). One that came with its
/// destination untouched (`TPROXY`) has that as its local address.
#[cfg(target_os = "linux")]
fn of_the_system(stream: &TcpStream) -> Option<SocketAddr> {
    let socket = socket2::SockRef::from(stream);
    let local = stream.local_addr().ok()?;
    // A socket of the new protocol that speaks the old one is asked for what it speaks.
    let found = if local.ip().to_canonical().is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    found.ok().and_then(|address| address.as_socket()).or(Some(local))
}

#[cfg(not(target_os = "linux"))]
fn of_the_system(_: &TcpStream) -> Option<SocketAddr> {
    None
}

/// Lets a listener take connections to addresses that are not this machine's, where that is permitted: `TPROXY` needs it.
///
/// Whether it is permitted is not known beforehand, and `REDIRECT` goes without it; so a refusal is no error.
pub fn take_foreign(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(listener);
        let _ = match listener.local_addr() {
            Ok(SocketAddr::V6(_)) => socket.set_ip_transparent_v6(true),
            _ => socket.set_ip_transparent_v4(true),
        };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(original: Option<&str>) -> Option<SocketAddr> {
        let original = original.map(|address| address.parse().unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            Originals::new(move |_| original).of(&stream)
        })
    }

    #[test]
    fn what_leads_back_to_this_machine_is_nowhere_to_go() {
        for (original, told_as) in [
            (Some("192.0.2.1:443"), Some("192.0.2.1:443")),
            (Some("[2001:db8::1]:443"), Some("[2001:db8::1]:443")),
            (Some("[::ffff:192.0.2.1]:443"), Some("192.0.2.1:443")),
            (Some("127.0.0.1:443"), None),
            (Some("127.8.8.8:8486"), None),
            (Some("[::1]:443"), None),
            (Some("[::ffff:127.0.0.1]:443"), None),
            (Some("0.0.0.0:443"), None),
            (Some("192.0.2.1:0"), None),
            (None, None),
        ] {
            assert_eq!(told(original), told_as.map(|address| address.parse().unwrap()), "{original:?}");
        }
    }

    #[test]
    fn a_connection_that_nobody_redirected_was_meant_for_this_program() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            for address in ["127.0.0.1:0", "[::1]:0"] {
                let Ok(listener) = TcpListener::bind(address) else { continue };
                take_foreign(&listener);
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                assert_eq!(Originals::default().of(&stream), None, "{address}");
            }
        });
    }
}
