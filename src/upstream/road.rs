//! What leads to a destination: TCP, or what an outer proxy passes on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

/// The bytes to a destination, before any TLS with it.
#[derive(Debug)]
pub enum Road {
    /// TCP alone.
    Direct(TcpStream),
    /// Through an outer proxy; the reader holds what came together with the proxy's own answer.
    Through(BufReader<Box<dyn Leg>>),
}

impl Road {
    /// The address from which the gate dialled; through an outer proxy it is of no meaning to the destination.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Direct(stream) => stream.local_addr().ok(),
            Self::Through(_) => None,
        }
    }

    /// Waits until the destination has said something, or nothing more can come; takes nothing of it.
    pub async fn spoken(&mut self) {
        match self {
            Self::Direct(stream) => drop(stream.peek(&mut [0]).await),
            Self::Through(stream) => drop(stream.fill_buf().await.map(<[u8]>::len)),
        }
    }
}

/// The connection to an outer proxy: TCP, or TLS over it.
pub trait Leg: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Leg for S {}

impl AsyncRead for Road {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Direct(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Through(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Road {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Direct(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Through(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Direct(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Through(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Direct(stream) => stream.is_write_vectored(),
            Self::Through(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Direct(stream) => Pin::new(stream).poll_flush(cx),
            Self::Through(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Direct(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Through(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
