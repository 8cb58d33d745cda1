//! Connections: accepting them, speaking HTTP/1 or HTTP/2 on them, and breaking them.

use std::future::Future;
use std::net::TcpListener as StdListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::serve::{self, House};

/// One connection as its exchanges see it.
pub struct Link {
    /// Counted from 1.
    pub number: u64,
    /// The name in the TLS greeting.
    pub tls_name: Option<String>,
    socket: Socket,
    broken: Notify,
    leaving: Notify,
}

impl Link {
    /// Resets the connection: what was not sent is lost.
    pub fn reset(&self) {
        self.socket.set_linger(Some(Duration::ZERO)).unwrap();
        self.broken.notify_one();
    }

    /// Takes no further requests: GOAWAY, or `connection: close`.
    pub fn leave(&self) {
        self.leaving.notify_one();
    }
}

/// Accepts until told to stop.
pub async fn accept(house: Arc<House>, listener: StdListener, mut stopped: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let number = house.books.connect();
            speak(&house, number, stream).await;
            house.books.disconnect();
        });
    }
}

async fn speak(house: &Arc<House>, number: u64, stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let socket = SockRef::from(&stream).try_clone().unwrap();
    let link = |tls_name| Link { number, tls_name, socket, broken: Notify::new(), leaving: Notify::new() };
    let Some(acceptor) = &house.acceptor else {
        return speak_http1(house, Arc::new(link(None)), stream).await;
    };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let session = stream.get_ref().1;
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let link = Arc::new(link(session.server_name().map(str::to_owned)));
    if is_http2 {
        speak_http2(house, link, stream).await;
    } else {
        speak_http1(house, link, stream).await;
    }
}

async fn speak_http1<S>(house: &Arc<House>, link: Arc<Link>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request| serve::answer(Arc::clone(house), Arc::clone(&link), request));
    let mut speaking = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades());
    if is_over(speaking.as_mut(), &link).await {
        return;
    }
    speaking.as_mut().graceful_shutdown();
    is_over(speaking, &link).await;
}

async fn speak_http2<S>(house: &Arc<House>, link: Arc<Link>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (house, at) = (Arc::clone(house), Arc::clone(&link));
    let service = service_fn(move |request| serve::answer(Arc::clone(&house), Arc::clone(&at), request));
    let mut speaking = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
    if is_over(speaking.as_mut(), &link).await {
        return;
    }
    speaking.as_mut().graceful_shutdown();
    is_over(speaking, &link).await;
}

/// Whether the connection has ended, rather than having been asked to leave.
async fn is_over(speaking: impl Future, link: &Link) -> bool {
    tokio::select! {
        _ = speaking => true,
        () = link.broken.notified() => true,
        () = link.leaving.notified() => false,
    }
}
