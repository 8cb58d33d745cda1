//! TLS with a client of an intercepted host: hello, leaf, then HTTP as agreed by ALPN.

use std::io;
use std::rc::Rc;
use std::time::SystemTime;

use rustls::server::Acceptor;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::host::Host;
use crate::net::shutdown::Phase;
use crate::policy::target::Scheme;
use crate::session::arrival::Arrival;
use crate::session::bypass::{self, AT_ONCE, is_refusal};
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
    let limit = house.limits.handshake_timeout;
    let shaken = timeout(limit, Box::pin(handshake(stream, &arrival, &house))).await;
    let heard = match shaken {
        Ok(Ok(shaken)) => Ok(Box::pin(first_word(shaken, &arrival, &house)).await),
        Ok(Err(broken)) => Ok(Err(broken)),
        Err(late) => Err(late),
    };
    let (stream, misdirected) = match heard {
        Ok(Ok(heard)) => heard,
        Ok(Err(Break { error, refusal })) => {
            if refusal {
                Box::pin(bypass::refused(&arrival, &house, &error)).await;
            } else {
                tracing::warn!(host = %arrival.destination, client = %arrival.peer.address, %error,
                    "a TLS handshake with a client failed");
            }
            return Err(error.to_string());
        }
        Err(_) => {
            tracing::warn!(host = %arrival.destination, client = %arrival.peer.address, ?limit,
                "a client did not complete its TLS handshake in time");
            return Err(format!("the handshake took longer than {limit:?}"));
        }
    };
    let speaks_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let origin = Rc::new(arrival.into_origin(Scheme::Https, misdirected));
    let served = if speaks_h2 {
        Box::pin(serve_h2(stream, origin, &house)).await
    } else {
        Box::pin(serve_h1(stream, origin, &house)).await
    };
    served.map_err(|error| error.to_string())
}

/// A handshake that came to nothing.
struct Break {
    error: io::Error,
    /// It is the certificate that the client did not like.
    refusal: bool,
}

impl Break {
    /// After the client was shown the certificate.
    fn after(shown: Instant, error: io::Error) -> Self {
        Self { refusal: is_refusal(&error, shown.elapsed()), error }
    }
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        Self { error, refusal: false }
    }
}

/// TLS with a client that has said nothing over it yet.
struct Shaken<S> {
    stream: TlsStream<S>,
    /// The client wants another host than its connection was made to.
    misdirected: bool,
    /// When it was shown the certificate.
    shown: Instant,
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    arrival: &Arrival,
    house: &House,
) -> Result<Shaken<S>, Break> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let asked = start.client_hello().server_name().map(str::parse::<Host>);
    // The leaf is always for the host of the CONNECT: no other name is ever minted at a client's wish.
    // The hosts that are opened do not serve clients that name none, so nothing works only without a name.
    let misdirected = asked.is_none_or(|asked| asked.as_ref() != Ok(&arrival.destination.host));
    let config =
        house.authority.server_config(&arrival.destination.host, SystemTime::now()).map_err(io::Error::other)?;
    // From here on the client sees the certificate.
    let shown = Instant::now();
    let stream = start.into_stream(config).await.map_err(|error| Break::after(shown, error))?;
    Ok(Shaken { stream, misdirected, shown })
}

/// Waits a moment for the client's first word, by which it takes the certificate; nothing is taken out of the stream.
async fn first_word<S: AsyncRead + AsyncWrite + Unpin>(
    shaken: Shaken<S>,
    arrival: &Arrival,
    house: &House,
) -> Result<(TlsStream<S>, bool), Break> {
    let Shaken { mut stream, misdirected, shown } = shaken;
    // Some clients look at the certificate only when the handshake is over.
    let first = tokio::select! {
        first = timeout(AT_ONCE, stream.fill_buf()) => first,
        () = house.stopping.reached(Phase::Draining) => return Ok((stream, misdirected)),
    };
    match first {
        Ok(Ok(word)) if !word.is_empty() => bypass::accepted(arrival, house).await,
        // Whoever says goodbye has refused nothing, and whoever is silent may still speak.
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => return Err(Break::after(shown, error)),
    }
    Ok((stream, misdirected))
}
