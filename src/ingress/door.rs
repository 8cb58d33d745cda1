//! The listeners, and what a connection to one of them speaks: told once, by its first byte, which stays unread.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchange::peer::Peer;
use crate::ingress::{front, redirected, socks};
use crate::net::parting::part;
use crate::net::shutdown::Phase;
use crate::session::arrival::Client;
use crate::session::hello::HANDSHAKE;
use crate::session::house::House;
use crate::session::serve::REST;

/// A listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// `listen.proxy`: HTTP, SOCKS5, and TLS of programs that take the gate for the host itself.
    Proxy,
    /// `listen.transparent`: whatever the system led here.
    Transparent,
}

/// Serves a connection to the proxy's listener until it ends.
///
/// # Errors
/// In words for the log.
pub async fn enter(stream: TcpStream, peer: Rc<Peer>, house: Rc<House>) -> Result<(), String> {
    // What follows is boxed: a connection that rests before its first byte keeps no room for it, and one that has become
    // something else keeps no room for the rest.
    match first_byte(&stream, &house).await {
        None => Ok(()),
        Some(HANDSHAKE) => Box::pin(redirected::at_home(client(stream), peer, house)).await,
        Some(SOCKS5) => Box::pin(socks::serve(client(stream), peer, house)).await,
        Some(SOCKS4) => {
            Box::pin(turn_away(stream, &peer)).await;
            Ok(())
        }
        Some(_) => Box::pin(front::serve(stream, peer, house)).await.map_err(|error| error.to_string()),
    }
}

/// The byte that a client sends first; `None` if it sends none.
async fn first_byte(stream: &TcpStream, house: &House) -> Option<u8> {
    let mut first = [0];
    let sent = tokio::select! {
        biased;
        sent = timeout(REST, stream.peek(&mut first)) => matches!(sent, Ok(Ok(1..))),
        () = house.stopping.reached(Phase::Draining) => false,
    };
    sent.then_some(first[0])
}

/// Refuses a SOCKS4 client in its own words.
async fn turn_away(mut stream: TcpStream, peer: &Peer) {
    tracing::warn!(client = %peer.address, "a client spoke SOCKS4, which is refused; set its proxy to SOCKS5 (socks5h://)");
    let _ = stream.write_all(&SOCKS4_REFUSED).await;
    part(stream).await;
}

/// The client's end of a connection from which nothing was read.
pub fn client(stream: TcpStream) -> Client {
    Client::new(Bytes::new(), stream)
}

const SOCKS4: u8 = 4;
const SOCKS5: u8 = 5;
/// "Request rejected or failed", with a port and an address that say nothing.
const SOCKS4_REFUSED: [u8; 8] = [0, 0x5b, 0, 0, 0, 0, 0, 0];
