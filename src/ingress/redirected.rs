//! Connections that were not meant for the gate: the system led them here, and their client takes it for the host itself.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::exchange::peer::Peer;
use crate::ledger::entry::Ingress;
use crate::net::host::HostPort;
use crate::net::parting::part;
use crate::net::reach::Asker;
use crate::policy::target::Scheme;
use crate::session::arrival::{Arrival, Client, place};
use crate::session::bypass::relented;
use crate::session::hello::Look;
use crate::session::house::House;
use crate::session::look::{follow, look, open, refused};
use crate::session::tunnel::{note, tunnel};
use crate::session::verdict::{Verdict, by_hello};
use crate::system::programs::Program;
use crate::upstream::road::Road;

/// Serves a connection that was on its way to `original`.
///
/// Only its TLS greeting decides. A name inside of it, such as that of a `Host` field, says nothing about where it goes.
///
/// # Errors
/// In words for the log.
pub async fn serve(mut client: Client, original: SocketAddr, peer: Rc<Peer>, house: Rc<House>) -> Result<(), String> {
    let arrival = Arrival::new(place(original), Ingress::Transparent, peer);
    let mut first = [0];
    match timeout(QUIET, client.read(&mut first)).await {
        Ok(Ok(1..)) => client.put_back(first.to_vec()),
        Ok(_) => return Ok(()),
        Err(_) => {
            // Where servers speak first, the client waits for them.
            let upstream = reached(&client, &arrival, &house).await?;
            return follow(client, upstream, arrival, house).await;
        }
    }
    let look = look(&mut client, house.limits.handshake_timeout).await;
    let verdict = by_hello(&house.relay.policy().interception, &look);
    let verdict = relented(Some(verdict), &arrival, &house).await.unwrap_or(Verdict::Tunnel(None));
    match verdict {
        Verdict::Intercept(host) => open(client, arrival.named(host), house).await,
        Verdict::Refuse(reason) => Err(refused(&arrival, reason)),
        Verdict::Tunnel(host) => {
            let upstream = reached(&client, &arrival, &house).await?;
            note(host.as_ref(), &house);
            tunnel(client, upstream, house).await;
            Ok(())
        }
    }
}

/// Serves TLS to the gate's own address, as where a hosts file or a resolver gives that for an intercepted host.
///
/// Nobody knows where a connection for any other host should go. It is told so and ended: sent to where its name leads, it
/// would come back.
///
/// # Errors
/// In words for the log.
pub async fn at_home(mut client: Client, peer: Rc<Peer>, house: Rc<House>) -> Result<(), String> {
    if peer.asker() == Asker::Elsewhere {
        // There is no place in TLS for a user and a password.
        let reason = "it came from another machine by TLS to the gate itself, where nobody can say who he is";
        tracing::warn!(client = %peer.address, reason, "a connection was ended");
        return Err(reason.into());
    }
    let look = look(&mut client, house.limits.handshake_timeout).await;
    let verdict = by_hello(&house.relay.policy().interception, &look);
    if let Verdict::Intercept(host) = verdict {
        let at = HostPort { host, port: Scheme::Https.default_port() };
        let arrival = Arrival::new(at, Ingress::Transparent, peer);
        let verdict = Some(Verdict::Intercept(arrival.destination.host.clone()));
        if let Some(Verdict::Tunnel(host)) = relented(verdict, &arrival, &house).await {
            let upstream = reached(&client, &arrival, &house).await?;
            note(host.as_ref(), &house);
            tunnel(client, upstream, house).await;
            return Ok(());
        }
        return open(client, arrival, house).await;
    }
    let (asked, reason) = match (&look, verdict) {
        (_, Verdict::Refuse(reason)) => (None, reason),
        (Look::Hello(hello), _) => {
            (hello.name.clone(), "it came to the gate's own address for a host that is not intercepted")
        }
        _ => (None, "it came to the gate's own address and speaks no TLS; where it was going is not known"),
    };
    let asked = asked.map(|host| host.to_string());
    tracing::warn!(client = %peer.address, asked, reason, "a connection was ended");
    if matches!(look, Look::Hello(_)) {
        let _ = client.write_all(&UNRECOGNIZED_NAME).await;
        part(client).await;
    }
    Err(reason.to_owned())
}

/// A connection to where the client was going; without one the client sees its own end in the way it would have.
///
/// Where the rules redirect the gate's own connections too, each would come back here and make the next one.
async fn reached(client: &Client, arrival: &Arrival, house: &House) -> Result<Road, String> {
    arrival.peer.program.settled().await;
    if arrival.peer.program.program().is_some_and(Program::is_this) {
        return Err(refused(arrival, OWN));
    }
    house.connector.dial(&arrival.destination, arrival.peer.asker()).await.map_err(|failure| {
        let _ = SockRef::from(client.get_ref()).set_linger(Some(Duration::ZERO));
        tracing::info!(client = %arrival.peer.address, cause = %failure, "a redirected connection was ended");
        failure.to_string()
    })
}

/// Why a connection of the gate's own goes no further.
const OWN: &str = "the rules of the redirection lead the gate's own connections back to it; they must exclude it";
/// How long a client that speaks first may take for its first byte before the server is asked too; a client that takes
/// longer loses nothing by it.
const QUIET: Duration = Duration::from_millis(250);
/// A fatal alert in a record of TLS 1.2, as RFC 6066 has it for a server without that name.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
