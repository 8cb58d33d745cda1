//! The upstream of the demo: plays OpenAI, an Azure resource and a custom server on loopback.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The running upstream; ends with the process.
#[derive(Debug)]
pub(super) struct Upstream {
    address: SocketAddr,
    ca_pem: String,
    last: Arc<Mutex<Option<Arrived>>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// Its `Host`.
    pub(super) host: String,
    /// Its path and query.
    pub(super) path: String,
    /// Which credential it carried, without the key.
    pub(super) credential: &'static str,
}

impl Upstream {
    /// Listens on a free port of loopback, with a certificate authority of its own.
    pub(super) fn start() -> anyhow::Result<Self> {
        let (config, ca_pem) = identity()?;
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let last = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&last);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        thread::Builder::new().name("upstream".into()).spawn(move || {
            runtime.block_on(serve(listener, TlsAcceptor::from(config), seen));
        })?;
        Ok(Self { address, ca_pem, last })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate by which it is verified.
    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The latest request.
    pub(super) fn last(&self) -> Option<Arrived> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: StdListener, acceptor: TlsAcceptor, seen: Arc<Mutex<Option<Arrived>>>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            // Without it small answers wait for acknowledgements, and the demo would look slow.
            let _ = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request| answer(request, Arc::clone(&seen)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Option<Arrived>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let credential = match (text(AUTHORIZATION), head.headers.contains_key("api-key")) {
        (_, true) => "the Azure key as api-key",
        ("Bearer sk-of-the-program", _) => "the program's own key",
        ("", _) => "no key",
        _ => "another key",
    };
    let arrived = Arrived { host: text(HOST).to_owned(), path: head.uri.to_string(), credential };
    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(arrived);
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (kind, body) = reply(head.uri.path(), &asked);
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// What the operation answers, in OpenAI's form.
fn reply(path: &str, asked: &Value) -> (&'static str, String) {
    let azure = path.starts_with("/openai/");
    let model = if azure { "gpt-4o-2024-08-06" } else { asked["model"].as_str().unwrap_or("gpt-4.1-mini") };
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": WORDS.len(), "total_tokens": 10 + WORDS.len() });
    let words = WORDS.concat();
    let whole = if path.ends_with("/chat/completions") && asked["stream"] == true {
        return ("text/event-stream", stream(model, azure, &usage));
    } else if path.ends_with("/chat/completions") {
        json!({ "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": model, "usage": usage,
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": words } }] })
    } else if path.ends_with("/completions") {
        json!({ "id": "cmpl-demo", "object": "text_completion", "created": 0, "model": model, "usage": usage,
            "choices": [{ "index": 0, "finish_reason": "stop", "text": words }] })
    } else if path.ends_with("/embeddings") {
        json!({ "object": "list", "model": model, "usage": { "prompt_tokens": 1, "total_tokens": 1 },
            "data": [{ "object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125] }] })
    } else {
        json!({ "id": "resp_demo", "object": "response", "created_at": 0, "model": model, "status": "completed",
            "output": [{ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": words }] }],
            "usage": { "input_tokens": 10, "output_tokens": WORDS.len(), "total_tokens": 10 + WORDS.len(),
                "input_tokens_details": { "cached_tokens": 4 } } })
    };
    ("application/json", whole.to_string())
}

fn stream(model: &str, azure: bool, usage: &Value) -> String {
    let chunk = |choices: Value, usage: &Value| {
        json!({ "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": choices, "usage": usage })
    };
    let mut chunks = Vec::new();
    if azure {
        chunks.push(
            json!({ "id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [] }),
        );
    }
    let spoken = |text: &&str| chunk(json!([{ "index": 0, "delta": { "content": text } }]), &Value::Null);
    chunks.extend(WORDS.iter().map(spoken));
    chunks.push(chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]), &Value::Null));
    chunks.push(chunk(json!([]), usage));
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events.chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// A certificate for everything that the demo plays, and the authority that signed it.
fn identity() -> anyhow::Result<(Arc<ServerConfig>, String)> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let names = ["api.openai.com", "demo.openai.azure.com", "127.0.0.1"].map(String::from).to_vec();
    let leaf = CertificateParams::new(names)?.signed_by(&key, &Issuer::new(ca, ca_key))?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .context("the demo's certificate")?;
    Ok((Arc::new(config), ca_pem))
}

const WORDS: [&str; 4] = ["Hello", " from", " the", " upstream."];
