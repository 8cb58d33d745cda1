//! TLS with a client of an intercepted host: hello, leaf, then HTTP as agreed by ALPN.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::SystemTime;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use crate::ledger::tunnels::Gap;
use crate::net::host::Host;
use crate::policy::target::Scheme;
use crate::session::arrival::Arrival;
use crate::session::house::House;
use crate::session::serve::{serve_h1, serve_h2};

/// Opens an intercepted connection and serves it until it ends.
///
/// # Errors
/// In words for the log: the handshake, or HTTP itself.
pub async fn terminate(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    arrival: Arrival,
    house: Rc<House>,
) -> Result<(), String> {
    let handshake = async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| error.to_string())?;
        let asked = start.client_hello().server_name().map(str::parse::<Host>);
        // The leaf is always for the host of the CONNECT: no other name is ever minted at a client's wish.
        // The hosts that are opened do not serve clients that name none, so nothing works only without a name.
        let misdirected = asked.is_none_or(|asked| asked.as_ref() != Ok(&arrival.destination.host));
        let config = house
            .authority
            .server_config(&arrival.destination.host, SystemTime::now())
            .map_err(|error| error.to_string())?;
        let stream = start.into_stream(config).await.map_err(|error| {
            if is_refusal(&error) {
                house.ledger.gap(Gap::Pinned);
            }
            error.to_string()
        })?;
        Ok::<_, String>((stream, misdirected))
    };
    let limit = house.limits.handshake_timeout;
    let (stream, misdirected) = timeout(limit, Box::pin(handshake))
        .await
        .map_err(|_| format!("the handshake took longer than {limit:?}"))?
        .inspect_err(|error| {
            tracing::warn!(host = %arrival.destination, client = %arrival.peer.address, error,
                "a client did not accept the gate's certificate or broke off; does it trust certs/ca.pem?");
        })?;
    let speaks_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let origin = Rc::new(arrival.into_origin(Scheme::Https, misdirected));
    let served = if speaks_h2 {
        Box::pin(serve_h2(stream, origin, &house)).await
    } else {
        Box::pin(serve_h1(stream, origin, &house)).await
    };
    served.map_err(|error| error.to_string())
}

/// Whether the client ended a handshake because of what it was shown: by an alert, or by going.
fn is_refusal(error: &io::Error) -> bool {
    let alert = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(alert, Some(rustls::Error::AlertReceived(_)))
        || matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
