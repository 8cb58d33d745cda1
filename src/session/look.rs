//! The first bytes of a connection, and what is done where they say what it is.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::net::shutdown::Phase;
use crate::policy::target::Scheme;
use crate::session::arrival::{Arrival, Client};
use crate::session::bypass::relented;
use crate::session::hello::{HelloReader, Look};
use crate::session::house::House;
use crate::session::serve::serve_h1;
use crate::session::terminate::terminate;
use crate::session::tunnel::{note, tunnel};
use crate::session::verdict::{Verdict, by_hello};
use crate::upstream::road::Road;

/// Reads what a client says first, and gives all of it back.
pub async fn look(client: &mut Client, patience: Duration) -> Look {
    let mut reader = HelloReader::default();
    let reading = async {
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            piece.clear();
            if !matches!(client.read_buf(&mut piece).await, Ok(1..)) {
                return Look::Unfinished;
            }
            if let Some(look) = reader.feed(&piece) {
                return look;
            }
        }
    };
    let look = timeout(patience, reading).await.unwrap_or(Look::Unfinished);
    client.put_back(reader.into_bytes());
    look
}

/// Goes on with a connection to a bare address, to which `upstream` was made: opened where the client asks there for an
/// intercepted host, else passed on unseen.
///
/// Whoever speaks first decides. Nothing is waited for where that is the server.
///
/// # Errors
/// In words for the log.
pub async fn follow(mut client: Client, mut upstream: Road, arrival: Arrival, house: Rc<House>) -> Result<(), String> {
    let mut first = [0];
    let spoke = tokio::select! {
        biased;
        read = client.read(&mut first) => matches!(read, Ok(1..)),
        () = upstream.spoken() => false,
        () = house.stopping.reached(Phase::Halting) => return Ok(()),
    };
    let mut verdict = Verdict::Tunnel(None);
    if spoke {
        client.put_back(first.to_vec());
        let look = look(&mut client, house.limits.handshake_timeout).await;
        let seen = by_hello(&house.relay.policy().interception, &look);
        verdict = relented(Some(seen), &arrival, &house).await.unwrap_or(verdict);
    }
    match verdict {
        Verdict::Intercept(host) => {
            drop(upstream);
            open(client, arrival.named(host), house).await
        }
        Verdict::Refuse(reason) => Err(refused(&arrival, reason)),
        Verdict::Tunnel(host) => {
            note(host.as_ref(), &house);
            tunnel(client, upstream, house).await;
            Ok(())
        }
    }
}

/// Serves a connection to an intercepted host until it ends: over TLS, or in the clear where the client speaks HTTP at
/// the port that is for that.
///
/// # Errors
/// In words for the log.
pub async fn open(mut client: Client, arrival: Arrival, house: Rc<House>) -> Result<(), String> {
    let may_be_plain = arrival.destination.port == Scheme::Http.default_port();
    if may_be_plain && look(&mut client, house.limits.handshake_timeout).await == Look::NotTls {
        let origin = Rc::new(arrival.into_origin(Scheme::Http, false));
        return Box::pin(serve_h1(client, origin, &house)).await.map_err(|error| error.to_string());
    }
    Box::pin(terminate(client, arrival, house)).await
}

/// Says that a connection was ended, and why.
pub fn refused(arrival: &Arrival, reason: &str) -> String {
    let Arrival { destination, peer, .. } = arrival;
    tracing::warn!(%destination, client = %peer.address, reason, "a connection was ended");
    reason.to_owned()
}

const PIECE: usize = 2048;
