//! The mark on the gate's own sockets, by which redirect rules leave them alone.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

/// What marked packets carry (`SO_MARK`; "toll"): rules that lead connections to the gate must except it, or the gate's
/// own connections would come back to it.
pub const OWN_TRAFFIC: u32 = 0x746f_6c6c;

/// Connects to `address`, from a marked socket where `marked`.
///
/// # Errors
/// As connecting; also where the mark cannot be set, since an unmarked connection would come back.
pub async fn connect(address: SocketAddr, marked: bool) -> io::Result<TcpStream> {
    if !marked {
        return TcpStream::connect(address).await;
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    mark(&socket)?;
    socket.connect(address).await
}

/// Whether this process may mark its sockets: that needs `CAP_NET_ADMIN` or, since Linux 5.17, `CAP_NET_RAW`.
///
/// # Errors
/// What the system said; another system than Linux has no marks.
pub fn try_to_mark() -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    mark(&socket)
}

#[cfg(target_os = "linux")]
fn mark(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).set_mark(OWN_TRAFFIC)
}

#[cfg(not(target_os = "linux"))]
fn mark<S>(_socket: &S) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux marks sockets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_is_marked_exactly_where_that_was_asked_for_and_is_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mark_of = |stream: &TcpStream| socket2::SockRef::from(stream).mark().unwrap();
        assert_eq!(mark_of(&connect(address, false).await.unwrap()), 0);
        match (try_to_mark(), connect(address, true).await) {
            (Ok(()), Ok(stream)) => assert_eq!(mark_of(&stream), OWN_TRAFFIC),
            // Without the right to it there is no connection, rather than one that would come back.
            (Err(error), Err(again)) => assert_eq!(error.kind(), again.kind()),
            (tried, connected) => panic!("{tried:?}, but {connected:?}"),
        }
    }
}
