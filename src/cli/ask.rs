//! Asks a running gate's admin surface one question.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::cli::run::gate::elsewhere;
use crate::cli::sources::{configured_token, quietly_loaded};
use crate::net::host::{Host, HostPort};
use crate::net::secret::Secret;

/// The running gate that is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Door {
    /// The gate's admin address
    #[arg(long, value_name = "ADDR", env = "TOLLGATE_ADMIN", default_value = DEFAULT_ADMIN)]
    pub admin: String,
    /// The gate's `admin.token`; that of the configuration if absent
    #[arg(long, value_name = "TOKEN", env = "TOLLGATE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Configuration file (JSON5) that has the token
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Door {
    /// A gate at this address that wants no token.
    pub fn at(admin: &str) -> Self {
        Self { admin: admin.into(), token: None, config: None }
    }

    /// Asks it; see [`ask`].
    ///
    /// # Errors
    /// As [`ask`], or a configuration whose token cannot be read.
    pub fn ask(&self, path: &str) -> anyhow::Result<Bytes> {
        let secret = self.secret()?;
        match ask(&self.admin, path, secret.as_ref()) {
            Err(error) => match self.elsewhere(&error) {
                Some(admin) => Ok(ask(&admin, path, secret.as_ref())?),
                None => Err(error.into()),
            },
            answered => Ok(answered?),
        }
    }

    /// Asks it, and writes the answer to `out` as it comes, however long it is.
    ///
    /// # Errors
    /// As [`Door::ask`], an answer that breaks off, and whatever writing gives.
    pub fn copy(&self, path: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let secret = self.secret()?;
        match copy(&self.admin, path, secret.as_ref(), out) {
            Err(error) => match error.downcast_ref().and_then(|error| self.elsewhere(error)) {
                Some(admin) => copy(&admin, path, secret.as_ref(), out),
                None => Err(error),
            },
            copied => copied,
        }
    }

    /// Where a gate runs that was started for a program, if no address was named and none answers where one would be.
    fn elsewhere(&self, error: &AskError) -> Option<String> {
        let is_absent = matches!(error, AskError::NotRunning { .. } | AskError::Foreign(_) | AskError::Silent(_));
        if !is_absent || self.admin != DEFAULT_ADMIN {
            return None;
        }
        let loaded = quietly_loaded(self.config.clone())?;
        Some(elsewhere(&loaded, &|name| std::env::var_os(name))?.to_string())
    }

    fn secret(&self) -> anyhow::Result<Option<Secret>> {
        match &self.token {
            Some(token) => Ok(Some(Secret::new(token.trim()))),
            None => configured_token(self.config.clone()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// `--admin` is no address.
    #[error("`{0}` is not an address such as `{DEFAULT_ADMIN}`")]
    Address(Box<str>),
    /// The connection broke, or what answers is no gate.
    #[error("what listens on `{0}` does not answer as a gate does")]
    Foreign(Box<str>),
    /// No request could be sent from here.
    #[error("cannot ask")]
    Local(#[source] io::Error),
    /// The answer began and broke off.
    #[error("the answer of `{0}` broke off; what was written is not all")]
    Cut(Box<str>),
    /// Nothing listens there.
    #[error("no gate is running at `{admin}`")]
    NotRunning {
        /// Where one was looked for.
        admin: Box<str>,
        /// What the system said.
        source: io::Error,
    },
    /// The gate understood and refused.
    #[error("{0}")]
    Refused(Box<str>),
    /// No answer in time.
    #[error("`{0}` did not answer within 10 seconds")]
    Silent(Box<str>),
}

impl AskError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotRunning { .. } => {
                Some("start one with `tollgate serve`, or name another address with `--admin` or `TOLLGATE_ADMIN`")
            }
            Self::Foreign(_) => Some("name the gate's admin address with `--admin` or `TOLLGATE_ADMIN`"),
            Self::Address(_) | Self::Cut(_) | Self::Local(_) | Self::Refused(_) | Self::Silent(_) => None,
        }
    }
}

/// The body of `GET path` at `admin` (`HOST:PORT`, with or without `http://`); waits at most ten seconds.
///
/// # Errors
/// Any reason that there is no answer with status 200.
pub fn ask(admin: &str, path: &str, token: Option<&Secret>) -> Result<Bytes, AskError> {
    let at = address(admin)?;
    let runtime = runtime()?;
    let answer = async {
        let response = fetch(&at, path, token).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|_| AskError::Foreign(admin.into()))?;
        Ok((status, body.to_bytes()))
    };
    let (status, body) = match runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await }) {
        Ok(answer) => answer?,
        Err(_) => return Err(AskError::Silent(admin.into())),
    };
    if status == StatusCode::OK { Ok(body) } else { Err(refused(admin, &body)) }
}

/// As [`ask`], but each piece of the body is written as it comes, and only for the next one is it waited ten seconds.
fn copy(admin: &str, path: &str, token: Option<&Secret>, out: &mut dyn Write) -> anyhow::Result<()> {
    let at = address(admin)?;
    let silent = |_| AskError::Silent(admin.into());
    runtime()?.block_on(async {
        let response = tokio::time::timeout(PATIENCE, fetch(&at, path, token)).await.map_err(silent)??;
        let status = response.status();
        let mut body = response.into_body();
        let mut refusal = Vec::new();
        while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(silent)? {
            let piece = frame.map_err(|_| AskError::Cut(admin.into()))?.into_data().unwrap_or_default();
            if status == StatusCode::OK {
                out.write_all(&piece)?;
            } else {
                refusal.extend_from_slice(&piece);
            }
        }
        if status == StatusCode::OK { Ok(()) } else { Err(refused(admin, &refusal).into()) }
    })
}

fn address(admin: &str) -> Result<HostPort, AskError> {
    let authority = admin.strip_prefix("http://").unwrap_or(admin);
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    HostPort::parse_connect(authority).map_err(|_| AskError::Address(admin.into()))
}

fn runtime() -> Result<Runtime, AskError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AskError::Local)
}

/// What an answer with another status says.
fn refused(admin: &str, body: &[u8]) -> AskError {
    let message = serde_json::from_slice::<Value>(body).ok();
    let message = message.as_ref().and_then(|answer| answer["error"]["message"].as_str());
    message.map_or_else(|| AskError::Foreign(admin.into()), |message| AskError::Refused(message.into()))
}

/// `name=value` pairs behind `path`, those without a value left out.
pub(crate) fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut url = path.to_owned();
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~:,/".contains(&byte) {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    url
}

async fn fetch(at: &HostPort, path: &str, token: Option<&Secret>) -> Result<Response<Incoming>, AskError> {
    let admin = at.to_string();
    let foreign = || AskError::Foreign(admin.as_str().into());
    let connecting = match &at.host {
        Host::Address(address) => TcpStream::connect((*address, at.port)).await,
        Host::Name(name) => TcpStream::connect((&**name, at.port)).await,
    };
    let stream = connecting.map_err(|source| AskError::NotRunning { admin: admin.as_str().into(), source })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| foreign())?;
    // It ends with the answer, or with the runtime.
    tokio::spawn(connection);
    let mut request = Request::get(path).header(header::HOST, &admin).header(header::CONNECTION, "close");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| foreign())?;
    sender.send_request(request).await.map_err(|_| foreign())
}

/// Where a gate's admin surface is unless somebody moved it.
pub(crate) const DEFAULT_ADMIN: &str = "127.0.0.1:8485";

const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_is_not_running_is_said_in_one_sentence_with_a_hint() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = ask(&free.to_string(), "/stats", None).unwrap_err();
        assert_eq!(error.to_string(), format!("no gate is running at `{free}`"));
        assert!(error.hint().unwrap().contains("tollgate serve"));
    }

    #[test]
    fn an_admin_address_needs_host_and_port() {
        for admin in ["", "localhost", "127.0.0.1:x", "https://127.0.0.1:1", "127.0.0.1:1/stats"] {
            assert!(matches!(ask(admin, "/", None), Err(AskError::Address(_))), "{admin}");
        }
    }

    #[test]
    fn queries_are_escaped() {
        let url = with_query("/x", &[("a", Some("b&c=d é")), ("none", None), ("m", Some("org/m-1"))]);
        assert_eq!(url, "/x?a=b%26c%3Dd%20%C3%A9&m=org/m-1");
    }
}
