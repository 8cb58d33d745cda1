//! The program of the demo: it knows api.openai.com, a proxy, and one certificate to trust.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Calls api.openai.com through a proxy.
#[derive(Debug)]
pub(super) struct Caller {
    proxy: SocketAddr,
    trust: Arc<ClientConfig>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: u16,
    /// The text of the answer, in a few words.
    pub(super) text: String,
}

impl Caller {
    /// Trusts `root_pem` and nothing else.
    pub(super) fn new(proxy: SocketAddr, root_pem: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { proxy, trust: Arc::new(trust) })
    }

    /// One call on a connection of its own: CONNECT, TLS, POST.
    pub(super) async fn call(&self, path: &str, body: &'static str) -> anyhow::Result<Reply> {
        let stream = TcpStream::connect(self.proxy).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let connect = Request::builder().method(Method::CONNECT).uri(AUTHORITY).header(HOST, AUTHORITY);
        let answer = sender.send_request(connect.body(Empty::<Bytes>::new())?).await?;
        if !answer.status().is_success() {
            return Err(anyhow!("the proxy answered the CONNECT with {}", answer.status()));
        }
        let tunnel = TokioIo::new(hyper::upgrade::on(answer).await?);
        let name = ServerName::try_from(NAME)?;
        let stream = TlsConnector::from(Arc::clone(&self.trust))
            .connect(name, tunnel)
            .await
            .context("the gate's certificate was not accepted")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, NAME)
            .header(AUTHORIZATION, "Bearer sk-of-the-program")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Reply { status, text: gist(&String::from_utf8_lossy(&body)) })
    }
}

/// The words of an answer, whole or streamed.
fn gist(body: &str) -> String {
    let documents: Vec<Value> = if body.starts_with('{') {
        serde_json::from_str(body).into_iter().collect()
    } else {
        body.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect()
    };
    let words: Vec<String> = documents.iter().filter_map(words).collect();
    let kind = if body.starts_with('{') { String::new() } else { format!(" ({} chunks)", documents.len()) };
    format!("{}{kind}", words.concat())
}

fn words(document: &Value) -> Option<String> {
    let choice = &document["choices"][0];
    let text = [
        &choice["message"]["content"],
        &choice["delta"]["content"],
        &choice["text"],
        &document["output"][0]["content"][0]["text"],
    ];
    let text = text.into_iter().find_map(Value::as_str).map(str::to_owned);
    text.or_else(|| Some(format!("a vector of {} numbers", document["data"][0]["embedding"].as_array()?.len())))
}

const AUTHORITY: &str = "api.openai.com:443";
const NAME: &str = "api.openai.com";
