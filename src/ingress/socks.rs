//! SOCKS5 (RFC 1928): a client says where it wants to go, by name or by address.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use fast_socks5::server::states::CommandRead;
use fast_socks5::server::{AuthMethod, AuthMethodSuccessState, Socks5ServerProtocol, SocksServerError};
use fast_socks5::util::target_addr::TargetAddr;
use fast_socks5::{ReplyError, Socks5Command};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::exchange::caller::bounded;
use crate::exchange::origin::Whose;
use crate::exchange::peer::Peer;
use crate::ledger::entry::Ingress;
use crate::net::host::HostPort;
use crate::net::keepers::Keepers;
use crate::net::parting::part;
use crate::net::reach::Asker;
use crate::session::arrival::{Arrival, Client, place};
use crate::session::bypass::relented;
use crate::session::house::House;
use crate::session::look::{follow, open};
use crate::session::tunnel::{note, tunnel};
use crate::session::verdict::{Verdict, by_destination};
use crate::upstream::failure::{Failure, FailureKind};

/// Serves one SOCKS5 connection until it ends.
///
/// # Errors
/// In words for the log.
pub async fn serve(mut client: Client, peer: Rc<Peer>, house: Rc<House>) -> Result<(), String> {
    let (reply, arrival) = match timeout(house.limits.header_timeout, asked(&mut client, peer, &house.keepers)).await {
        Ok(Ok(asked)) => asked,
        Ok(Err(reason)) => {
            part(client).await;
            return Err(reason);
        }
        Err(_) => return Err("its SOCKS5 request did not come to an end".into()),
    };
    let verdict = by_destination(&house.relay.policy().interception, &arrival.destination.host);
    let verdict = relented(verdict, &arrival, &house).await;
    if let Some(Verdict::Intercept(_)) = verdict {
        said(reply.reply_success(NOWHERE).await)?;
        return open(client, arrival, house).await;
    }
    // Dialled before the success: a client that hears a refusal knows what a broken connection would hide.
    let upstream = match house.connector.dial(&arrival.destination, arrival.peer.asker()).await {
        Ok(upstream) => upstream,
        Err(failure) => {
            said(reply.reply_error(&code(&failure)).await)?;
            part(client).await;
            return Err(failure.to_string());
        }
    };
    let own_end = upstream.local_addr().unwrap_or(NOWHERE);
    if verdict.is_none() {
        said(reply.reply_success(own_end).await)?;
        return follow(client, upstream, arrival, house).await;
    }
    note(Some(&arrival.destination.host), &house);
    said(reply.reply_success(own_end).await)?;
    tunnel(client, upstream, house).await;
    Ok(())
}

/// A connection on which the answer is still to be said.
type Reply<'a> = Socks5ServerProtocol<&'a mut Client, CommandRead>;

/// Reads the greeting and the request; what cannot be served is answered.
async fn asked<'a>(client: &'a mut Client, peer: Rc<Peer>, keepers: &Keepers) -> Result<(Reply<'a>, Arrival), String> {
    // Of another machine nobody is let in without a name.
    let (methods, keepers) = match peer.asker() {
        Asker::Here => (&METHODS[..], None),
        Asker::Elsewhere => (&METHODS[..1], Some(keepers)),
    };
    let greeted = said(Socks5ServerProtocol::start(client).negotiate_auth(methods).await)?;
    let (admitted, label) = admitted(greeted, keepers).await?;
    let (reply, command, target) = said(admitted.finish_auth().read_command().await)?;
    if command != Socks5Command::TCPConnect {
        said(reply.reply_error(&ReplyError::CommandNotSupported).await)?;
        return Err(format!("only CONNECT is served, not {command:?}"));
    }
    let destination = match &target {
        TargetAddr::Ip(address) => Some(place(*address)),
        TargetAddr::Domain(name, port) => name.parse().ok().map(|host| HostPort { host, port: *port }),
    };
    let Some(destination) = destination.filter(|destination| destination.port != 0) else {
        said(reply.reply_error(&ReplyError::GeneralFailure).await)?;
        return Err("the request names no usable host and port".into());
    };
    Ok((reply, Arrival::new(destination, Ingress::Socks5, peer).labelled(label)))
}

/// Who the client says it is.
///
/// Where there are no keepers, everybody is let in; so the name is taken for a label and the password is not looked at.
async fn admitted<'a>(
    greeted: Greeted<&'a mut Client>,
    keepers: Option<&Keepers>,
) -> Result<(Admitted<&'a mut Client>, Whose), String> {
    let client = match greeted {
        Greeted::Free(client) => return Ok((Admitted(client), Whose::Unknown)),
        Greeted::Named(client) => client,
    };
    let broken = |error: std::io::Error| error.to_string();
    if client.read_u8().await.map_err(broken)? != RFC1929 {
        client.write_all(&[RFC1929, 1]).await.map_err(broken)?;
        return Err("its user and password are in no known form".into());
    }
    let name = short(client).await.map_err(broken)?;
    let password = short(client).await.map_err(broken)?;
    let whose = match keepers {
        None => {
            let name = std::str::from_utf8(&name).unwrap_or_default();
            Some(Whose::said((!name.is_empty()).then(|| bounded(name))))
        }
        Some(keepers) => keepers.admits(&name, &password).map(Whose::Proven),
    };
    let Some(whose) = whose else {
        client.write_all(&[RFC1929, 1]).await.map_err(broken)?;
        return Err("a client of another machine showed no password of `listen.users`".into());
    };
    client.write_all(&[RFC1929, 0]).await.map_err(broken)?;
    Ok((Admitted(client), whose))
}

/// Up to 255 bytes with their number before them.
async fn short(client: &mut Client) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// The code of RFC 1928 for a connection that could not be made.
fn code(failure: &Failure) -> ReplyError {
    match (&failure.kind, failure.system) {
        (FailureKind::Own { .. } | FailureKind::Inside { .. }, _) => ReplyError::ConnectionNotAllowed,
        (FailureKind::Timeout { .. }, _) | (_, Some(ErrorKind::HostUnreachable | ErrorKind::TimedOut)) => {
            ReplyError::HostUnreachable
        }
        (_, Some(ErrorKind::ConnectionRefused)) => ReplyError::ConnectionRefused,
        (_, Some(ErrorKind::NetworkUnreachable)) => ReplyError::NetworkUnreachable,
        _ => ReplyError::GeneralFailure,
    }
}

fn said<T>(outcome: Result<T, SocksServerError>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

/// How a client can say who it is.
///
/// The crate's own reader of user and password writes both of them to the log, and refuses empty ones.
#[derive(Clone, Copy, Debug)]
enum Method {
    Free,
    Named,
}

/// A client with which a method was agreed.
enum Greeted<T> {
    Free(T),
    Named(T),
}

/// A client that was let in.
struct Admitted<T>(T);

impl<T> AuthMethod<T> for Method {
    type StartingState = Greeted<T>;

    fn method_id(self) -> u8 {
        match self {
            Self::Free => 0,
            Self::Named => 2,
        }
    }

    fn new(self, client: T) -> Greeted<T> {
        match self {
            Self::Free => Greeted::Free(client),
            Self::Named => Greeted::Named(client),
        }
    }
}

impl<T> AuthMethodSuccessState<T> for Admitted<T> {
    fn into_inner(self) -> T {
        self.0
    }
}

/// The first that the client offers too is agreed: a client that has a name is asked for it.
const METHODS: [Method; 2] = [Method::Named, Method::Free];
/// The version of the exchange of user and password.
const RFC1929: u8 = 1;
/// What is said of an end that there is not.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
