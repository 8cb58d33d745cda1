//! A client that speaks over a WebSocket: through CONNECT, with an absolute URL, to the base URL, or directly.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::client::{connect, handshake};
use super::gate::TestGate;

/// What a WebSocket runs over.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}

/// How the gate is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// By a CONNECT to `api.openai.com`, over TLS.
    Connect,
    /// With an absolute URL.
    Forward,
    /// The gate itself is the base URL.
    BaseUrl,
}

/// An open WebSocket.
pub struct Talk {
    socket: WebSocketStream<Box<dyn Bytes>>,
    /// The head of the answer.
    pub headers: HeaderMap,
}

/// An answer that is no switch.
#[derive(Debug)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// As much of the body as had come.
    pub body: Vec<u8>,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Forward, Self::BaseUrl];

    /// Opens a WebSocket with a key in a header.
    pub async fn open(self, gate: &TestGate, path: &str) -> Talk {
        self.try_open(gate, path, &[("authorization", "Bearer sk-client")]).await.expect("it switches")
    }

    /// Opens a WebSocket with these fields, or gives what was answered instead.
    pub async fn try_open(self, gate: &TestGate, path: &str, fields: &[(&str, &str)]) -> Result<Talk, Refused> {
        let stream = self.stream(gate).await;
        match self {
            Self::Connect => talk(stream, &format!("wss://api.openai.com{path}"), fields).await,
            Self::Forward => talk(stream, &format!("ws://api.openai.com{path}"), fields).await,
            Self::BaseUrl => talk(stream, &format!("ws://{}{path}", gate.proxy()), fields).await,
        }
    }

    /// What the WebSocket runs over.
    pub async fn stream(self, gate: &TestGate) -> Box<dyn Bytes> {
        if self != Self::Connect {
            return Box::new(TcpStream::connect(gate.proxy()).await.unwrap());
        }
        let stream = connect(gate.proxy(), "api.openai.com:443").await.unwrap();
        Box::new(handshake(stream, "api.openai.com", &gate.root_pem(), "http/1.1").await.unwrap())
    }
}

/// Opens a WebSocket without the gate.
pub async fn direct(address: SocketAddr, ca_pem: &str, path: &str, fields: &[(&str, &str)]) -> Result<Talk, Refused> {
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = handshake(stream, "api.openai.com", ca_pem, "http/1.1").await.unwrap();
    talk(Box::new(stream), &format!("wss://api.openai.com{path}"), fields).await
}

async fn talk(stream: Box<dyn Bytes>, url: &str, fields: &[(&str, &str)]) -> Result<Talk, Refused> {
    let mut request: Request<()> = url.into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let opened = timeout(PATIENCE, client_async_with_config(request, stream, Some(config))).await.expect("it hangs");
    match opened {
        Ok((socket, response)) => Ok(Talk { socket, headers: response.headers().clone() }),
        Err(Error::Http(response)) => {
            let (head, body) = response.into_parts();
            Err(Refused { status: head.status.as_u16(), headers: head.headers, body: body.unwrap_or_default() })
        }
        Err(other) => panic!("{other}"),
    }
}

impl Talk {
    /// Sends an event.
    pub async fn send(&mut self, event: &Value) {
        self.socket.send(Message::text(event.to_string())).await.unwrap();
    }

    /// The next message, pings and pongs passed over; `None` at the end.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("it hangs")? {
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(message) => return Some(message),
                Err(_) => return None,
            }
        }
    }

    /// The next event of this type; those before it are passed over.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            let Some(Message::Text(text)) = &message else { panic!("no `{kind}` but {message:?}") };
            let event: Value = serde_json::from_str(text).unwrap();
            if event["type"] == kind || event["event"]["type"] == kind {
                return event;
            }
        }
    }

    /// Says goodbye, and reads to the end.
    pub async fn close(mut self) -> Option<CloseFrame> {
        let _ = self.socket.close(None).await;
        self.ended().await
    }

    /// Reads to the end, and gives the close frame.
    pub async fn ended(&mut self) -> Option<CloseFrame> {
        let mut last = None;
        while let Some(message) = self.next().await {
            if let Message::Close(frame) = message {
                last = frame;
            }
        }
        last
    }
}

/// The header of a key, as an OpenAI client sends it.
pub const KEY: (&str, &str) = ("authorization", "Bearer sk-client");
/// The protocols of a page.
pub const PAGE: (&str, &str) = ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-page");

const PATIENCE: Duration = Duration::from_secs(20);
