//! The stand-in upstream: this program once more, as a process of its own with one thread.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificate::{KEY, LEAF};
use crate::process::Process;

/// A running stand-in.
pub(crate) struct StandIn {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl StandIn {
    /// Starts this program as the stand-in with the certificate in `folder`.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut process = Process::start(Command::new(std::env::current_exe()?).arg(ARGUMENT).arg(folder))?;
        let address = process.line(ADDRESS)?.parse()?;
        Ok(Self { address, _process: process })
    }
}

/// Is the stand-in until standard input is closed.
pub(crate) fn serve(folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (closed, ends) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });
    let acceptor = acceptor(folder)?;
    runtime.block_on(async {
        tokio::select! {
            outcome = accept(acceptor) => outcome,
            _ = ends => Ok(()),
        }
    })
}

async fn accept(acceptor: TlsAcceptor) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{ADDRESS}{}", listener.local_addr()?)?;
    let events: Arc<[Bytes]> = events().into();
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, events) = (acceptor.clone(), Arc::clone(&events));
        tokio::spawn(async move {
            // A client that breaks off is none of the stand-in's concern.
            let _ = converse(stream, acceptor, events).await;
        });
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, events: Arc<[Bytes]>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let service = service_fn(|request| answer(request, Arc::clone(&events)));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}

async fn answer(request: Request<Incoming>, events: Arc<[Bytes]>) -> Result<Response<Burst>, Infallible> {
    // A request that breaks off has no reader for any answer.
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let asks = |text: &[u8]| memchr::memmem::find(&body, text).is_some();
    let (kind, events) = if asks(b"\"stream\":true") {
        let end = if asks(b"\"include_usage\":true") { events.len() } else { events.len() - 2 };
        let mut burst: Vec<Bytes> = events[..end].to_vec();
        if end < events.len() {
            burst.push(events[events.len() - 1].clone());
        }
        ("text/event-stream; charset=utf-8", burst)
    } else {
        ("application/json", vec![Bytes::from_static(REPLY.as_bytes())])
    };
    let mut response = Response::new(Burst { length: None, events: events.into(), next: 0, paused: false });
    if kind == "application/json" {
        response.body_mut().length = Some(REPLY.len() as u64);
    }
    let fields = [
        ("content-type", kind),
        ("openai-organization", "org-load"),
        ("openai-processing-ms", "412"),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-request-id", "req_7f0c9d3a5b1e4c2f8a6d0e9b7c5f3a1d"),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    Ok(response)
}

/// A body whose pieces are each sent alone, with no time between them.
struct Burst {
    length: Option<u64>,
    events: Arc<[Bytes]>,
    next: usize,
    paused: bool,
}

impl Body for Burst {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(event) = self.events.get(self.next).cloned() else { return Poll::Ready(None) };
        // The server flushes when it must wait, so that every event is a record of its own.
        if self.next > 0 && !self.paused {
            self.paused = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.paused = false;
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(event))))
    }

    fn is_end_stream(&self) -> bool {
        self.next == self.events.len()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// The events of a stream, then its usage, then its end.
fn events() -> Vec<Bytes> {
    let chunk = |choices: &str, usage: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-load\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\
             \"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_load\",\
             \"choices\":[{choices}],\"usage\":{usage}}}\n\n"
        ))
    };
    let word = "{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}";
    let mut events = vec![chunk(word, "null"); EVENTS];
    events.push(chunk("", "{\"prompt_tokens\":170,\"completion_tokens\":200,\"total_tokens\":370}"));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn acceptor(folder: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(folder.join(LEAF))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Makes this program the stand-in.
pub(crate) const ARGUMENT: &str = "stand-in";
/// Events of a stream, usage and end not counted.
pub(crate) const EVENTS: usize = 200;
const ADDRESS: &str = "stand-in at ";
/// A chat completion of about 0.9 kB.
const REPLY: &str = concat!(
    r#"{"id":"chatcmpl-load","object":"chat.completion","created":1763800000,"model":"gpt-4o-2024-08-06","#,
    r#""choices":[{"index":0,"message":{"role":"assistant","content":"A toll gate stands across the road. "#,
    r#"Whoever comes by stops, says where the journey goes, and pays what the board beside it asks for. The keeper "#,
    r#"writes a line into the book, lifts the bar, and the road goes on as if there had been no gate at all.","#,
    r#""refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":170,"#,
    r#""completion_tokens":61,"total_tokens":231,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"#,
    r#""completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"#,
    r#""rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_load"}"#,
);
