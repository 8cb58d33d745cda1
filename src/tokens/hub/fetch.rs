//! Downloads from a hub, over the gate's own connector: asked first, resumed after a break, used only when whole.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, LOCATION, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{Instant, sleep, timeout};

use crate::net::host::HostPort;
use crate::policy::target::{Destination, Scheme};
use crate::system::hugging_face::HubSettings;
use crate::tokens::hub::address::Repository;
use crate::tokens::hub::cache::{Cache, Found, Lock, is_commit, is_etag, is_hex};
use crate::tokens::hub::progress::Progress;
use crate::tokens::hub::trouble::HubError;
use crate::upstream::connect::Connector;

/// Fetches files of repositories into the cache.
#[derive(Debug)]
pub struct Fetcher {
    connector: Arc<Connector>,
    settings: HubSettings,
}

/// What a hub says about a file before it sends it.
#[derive(Debug)]
struct Announced {
    commit: String,
    etag: String,
    bytes: Option<u64>,
}

impl Fetcher {
    /// Over this connector, as the environment says.
    pub fn new(connector: Arc<Connector>, settings: HubSettings) -> Self {
        if settings.token.is_some() && !settings.endpoint.parse().is_ok_and(|endpoint| is_private(&endpoint)) {
            let endpoint = &*settings.endpoint;
            tracing::warn!(endpoint, "HF_TOKEN is not sent: the way to HF_ENDPOINT is not encrypted; https would be");
        }
        Self { connector, settings }
    }

    /// What the environment says.
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// The path of a file of a repository, of at most so many bytes; `None` where the repository has no such file.
    ///
    /// What is in the cache is used as it is, without a question.
    ///
    /// # Errors
    /// It is not in the cache and cannot be downloaded.
    pub async fn file(&self, from: &Repository, file: &str, limit: u64) -> Result<Option<PathBuf>, HubError> {
        let cache = Cache::of(from, &self.settings);
        match cache.find(&from.revision, file) {
            Found::Here(path) => return Ok(Some(path)),
            Found::Absent => return Ok(None),
            Found::Unknown => {}
        }
        if self.settings.offline {
            return Err(HubError::Offline(format!("{}/{file}", from.id)));
        }
        let url = from.url(file);
        let told = match self.ask(from, &url).await? {
            Told::Is(announced) => announced,
            Told::Absent(commit) => {
                if let Some(commit) = commit {
                    cache.note_absent((&from.revision, &commit), file)?;
                }
                return Ok(None);
            }
        };
        let too_large = |bytes| HubError::TooLarge { file: format!("{}/{file}", from.id), bytes, limit };
        if let Some(bytes) = told.bytes.filter(|bytes| *bytes > limit) {
            return Err(too_large(bytes));
        }
        let blob = cache.blob(&told.etag);
        if !blob.is_file() {
            cache.prepare()?;
            let lock = self.locked(&cache, &told.etag).await?;
            let lock = lock.ok_or_else(|| HubError::Busy(format!("{}/{file}", from.id)))?;
            // Who had it before may have brought what is wanted.
            if !blob.is_file() {
                self.download(from, (file, &url), &told, (&blob, limit)).await?;
            }
            drop(lock);
        }
        cache.link((&from.revision, &told.commit), file, &told.etag).map(Some)
    }

    /// The right to write a blob, waited for while another program downloads it; `None` where that takes too long.
    async fn locked(&self, cache: &Cache, etag: &str) -> Result<Option<Lock>, HubError> {
        let until = Instant::now() + self.settings.patience;
        loop {
            let lock = cache.lock(etag)?;
            if lock.is_some() || Instant::now() >= until {
                return Ok(lock);
            }
            // No file system tells when a lock is free.
            sleep(LOOK_AGAIN).await;
        }
    }

    /// The path of a file that is in the cache.
    pub fn kept(&self, from: &Repository, file: &str) -> Option<PathBuf> {
        match Cache::of(from, &self.settings).find(&from.revision, file) {
            Found::Here(path) => Some(path),
            Found::Absent | Found::Unknown => None,
        }
    }

    /// Asks for a file's etag, commit and size.
    async fn ask(&self, from: &Repository, url: &str) -> Result<Told, HubError> {
        let mut uri = parse(url)?;
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(from, Method::HEAD, &uri, None).await?;
            let headers = response.headers();
            let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
            let commit = text(&REPO_COMMIT).filter(|commit| is_commit(commit)).map(str::to_owned);
            let status = response.status();
            // A file that lies elsewhere is announced by the hub itself; only moves within the hub are followed.
            let elsewhere = status.is_redirection() && text(&LINKED_ETAG).is_some();
            if status.is_redirection() && !elsewhere {
                uri = moved(&uri, text(&LOCATION))?;
                continue;
            }
            if !status.is_success() && !elsewhere {
                return refused(from, &host_of(&uri), status, text(&ERROR_CODE), commit);
            }
            let etag =
                text(&LINKED_ETAG).or_else(|| text(&ETAG)).map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
            let etag = etag.filter(|etag| is_etag(etag)).map(str::to_owned);
            let size = text(&LINKED_SIZE).or_else(|| text(&CONTENT_LENGTH).filter(|_| !elsewhere));
            let bytes = size.and_then(|size| size.parse().ok());
            let (Some(commit), Some(etag)) = (commit, etag) else {
                return Err(no_hub(&uri, "it names no commit or no etag that could be a file's name"));
            };
            return Ok(Told::Is(Announced { commit, etag, bytes }));
        }
        Err(no_hub(&uri, "it sends in circles"))
    }

    /// Downloads a blob; what has come stays for the next time where it breaks off.
    async fn download(
        &self,
        from: &Repository,
        (file, url): (&str, &str),
        told: &Announced,
        (blob, limit): (&Path, u64),
    ) -> Result<(), HubError> {
        let part = blob.with_extension("incomplete");
        let failed = |cause| HubError::Cache { at: part.clone(), cause };
        let mut kept = OpenOptions::new().read(true).append(true).create(true).open(&part).map_err(failed)?;
        let begun = kept.seek(SeekFrom::End(0)).map_err(failed)?;
        let begun = if told.bytes.is_some_and(|bytes| begun > bytes) { 0 } else { begun };
        if told.bytes != Some(begun) || begun == 0 {
            self.pull(from, (file, url), told, &mut Part { kept: &mut kept, begun, limit }).await.inspect_err(
                |error| {
                    // What cannot become the file is not worth keeping.
                    if matches!(error, HubError::TooLarge { .. } | HubError::Damaged(_)) {
                        let _ = fs::remove_file(&part);
                    }
                },
            )?;
        }
        if !is_whole(&mut kept, told).map_err(failed)? {
            let _ = fs::remove_file(&part);
            return Err(HubError::Damaged(format!("{}/{file}", from.id)));
        }
        fs::rename(&part, blob).map_err(failed)?;
        tracing::info!(model = from.id, file, "downloaded");
        Ok(())
    }

    async fn pull(
        &self,
        from: &Repository,
        (file, url): (&str, &str),
        told: &Announced,
        part: &mut Part<'_>,
    ) -> Result<(), HubError> {
        let name = format!("{}/{file}", from.id);
        let (response, uri) = self.get(from, url, part.begun).await?;
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|range| range.starts_with(&format!("bytes {}-", part.begun)));
        let mut here = if resumed { part.begun } else { 0 };
        let failed = |cause: std::io::Error| HubError::Unreachable { host: name.clone(), cause: cause.to_string() };
        if !resumed {
            if response.status() == StatusCode::PARTIAL_CONTENT {
                return Err(no_hub(&uri, "it sends another part of the file than was asked for"));
            }
            part.kept.set_len(0).map_err(failed)?;
        }
        let mut progress = Progress::of(name.clone(), told.bytes.unwrap_or(0), self.settings.shows_progress);
        tracing::info!(model = from.id, file, bytes = told.bytes, resumed, "downloading");
        let mut body = response.into_body();
        loop {
            let frame = timeout(self.settings.patience, body.frame()).await;
            let Some(frame) = frame.map_err(|_| slow(&uri, self.settings.patience))? else { break };
            let frame = frame.map_err(|error| unreachable(&uri, &error))?;
            let Ok(bytes) = frame.into_data() else { continue };
            here += bytes.len() as u64;
            if here > part.limit {
                return Err(HubError::TooLarge { file: name, bytes: here, limit: part.limit });
            }
            part.kept.write_all(&bytes).map_err(failed)?;
            if let Some(progress) = &mut progress {
                progress.at(here);
            }
        }
        Ok(())
    }

    /// The file itself, from wherever the hub sends to; the token goes no further than the hub.
    async fn get(&self, from: &Repository, url: &str, begun: u64) -> Result<(Response<Incoming>, Uri), HubError> {
        let mut uri = parse(url)?;
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(from, Method::GET, &uri, (begun > 0).then_some(begun)).await?;
            let status = response.status();
            if status.is_success() {
                return Ok((response, uri));
            }
            let text = |name: &HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
            if !status.is_redirection() {
                let code = text(&ERROR_CODE).map(str::to_owned);
                return match refused(from, &host_of(&uri), status, code.as_deref(), None) {
                    Err(error) => Err(error),
                    Ok(_) => Err(no_hub(&uri, "the file that it announced is gone")),
                };
            }
            uri = moved(&uri, text(&LOCATION))?;
        }
        Err(no_hub(&uri, "it sends in circles"))
    }

    async fn send(
        &self,
        from: &Repository,
        method: Method,
        uri: &Uri,
        begun: Option<u64>,
    ) -> Result<Response<Incoming>, HubError> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
        if let Some(begun) = begun
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={begun}-"))
        {
            headers.insert(RANGE, range);
        }
        self.add_token(headers, from, uri);
        let asking = self.exchange(request, uri);
        timeout(self.settings.patience.max(LEAST_PATIENCE), asking)
            .await
            .map_err(|_| slow(uri, self.settings.patience))?
    }

    /// The token is for the endpoint that the environment names, and for nobody else.
    fn add_token(&self, headers: &mut HeaderMap, from: &Repository, uri: &Uri) {
        let Some(token) = self.settings.token.as_ref().filter(|_| from.is_usual) else { return };
        let usual: Option<Uri> = self.settings.endpoint.parse().ok();
        let same = usual.is_some_and(|usual| usual.scheme() == uri.scheme() && usual.authority() == uri.authority());
        if same
            && is_private(uri)
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }

    async fn exchange(&self, mut request: Request<Empty<Bytes>>, uri: &Uri) -> Result<Response<Incoming>, HubError> {
        let scheme = if uri.scheme_str() == Some("http") { Scheme::Http } else { Scheme::Https };
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let at = HostPort::parse(&authority, scheme.default_port()).map_err(|_| no_hub(uri, "it has no host"))?;
        let wire = self.connector.connect(&Destination { scheme, at, dialled: None, roots: None }).await;
        let wire = wire.map_err(|failure| HubError::Unreachable { host: host_of(uri), cause: failure.to_string() })?;
        let broken = |error: hyper::Error| unreachable(uri, &error);
        if wire.speaks_h2() {
            *request.uri_mut() = uri.clone();
            let io = TokioIo::new(wire);
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(broken)?;
            tokio::spawn(connection);
            return sender.send_request(request).await.map_err(broken);
        }
        *request.uri_mut() = uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
        if let Ok(host) = HeaderValue::from_str(&authority) {
            request.headers_mut().insert(HOST, host);
        }
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(wire)).await.map_err(broken)?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(broken)
    }
}

/// What a hub says when asked for a file.
enum Told {
    Absent(Option<String>),
    Is(Announced),
}

/// A download that is under way.
struct Part<'a> {
    kept: &'a mut File,
    begun: u64,
    limit: u64,
}

fn refused(
    from: &Repository,
    host: &str,
    status: StatusCode,
    code: Option<&str>,
    commit: Option<String>,
) -> Result<Told, HubError> {
    let id = from.id.clone();
    match (code, status) {
        (Some("EntryNotFound"), _) => Ok(Told::Absent(commit)),
        (Some("GatedRepo"), _) => Err(HubError::Gated(id)),
        (Some("RevisionNotFound"), _) => Err(HubError::NoRevision(format!("{id}/tree/{}", from.revision))),
        // A hub tells strangers that what is not there, or not theirs, asks for a token.
        (Some("RepoNotFound"), _) | (None, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Err(HubError::NoModel(id))
        }
        // Mirrors without the codes.
        (None, StatusCode::NOT_FOUND) => Ok(Told::Absent(commit)),
        _ => Err(HubError::NoHub { host: host.to_owned(), what: format!("status {status}") }),
    }
}

/// Whether a file is what was announced.
fn is_whole(kept: &mut File, told: &Announced) -> std::io::Result<bool> {
    let length = kept.seek(SeekFrom::End(0))?;
    if told.bytes.is_some_and(|bytes| bytes != length) {
        return Ok(false);
    }
    // Large files are named by what is in them.
    if !is_hex(&told.etag, 64) {
        return Ok(true);
    }
    kept.seek(SeekFrom::Start(0))?;
    let mut sum = Context::new(&SHA256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = kept.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        sum.update(&buffer[..count]);
    }
    let sum: String = sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(sum.eq_ignore_ascii_case(&told.etag))
}

fn parse(url: &str) -> Result<Uri, HubError> {
    let uri: Option<Uri> = url.parse().ok();
    let known = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    uri.filter(known).ok_or_else(|| HubError::Address(format!("leads to `{url}`, which is no http address")))
}

/// Where a redirect leads.
fn moved(from: &Uri, location: Option<&str>) -> Result<Uri, HubError> {
    let location = location.ok_or_else(|| no_hub(from, "a redirect leads nowhere"))?;
    if location.contains("://") {
        let to = parse(location)?;
        if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
            return Err(no_hub(from, "a redirect leaves https"));
        }
        return Ok(to);
    }
    if !location.starts_with('/') || location.starts_with("//") {
        return Err(no_hub(from, "a redirect leads nowhere"));
    }
    let authority = from.authority().map(ToString::to_string).unwrap_or_default();
    parse(&format!("{}://{authority}{location}", from.scheme_str().unwrap_or("https")))
}

/// Whether nobody can listen on the way there: by TLS, or because it does not leave this machine.
fn is_private(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = || match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    uri.scheme_str() == Some("https") || is_near()
}

fn host_of(uri: &Uri) -> String {
    uri.authority().map(ToString::to_string).unwrap_or_default()
}

fn no_hub(uri: &Uri, what: &str) -> HubError {
    HubError::NoHub { host: host_of(uri), what: what.into() }
}

fn slow(uri: &Uri, patience: Duration) -> HubError {
    HubError::Unreachable { host: host_of(uri), cause: format!("nothing came for {patience:?}") }
}

fn unreachable(uri: &Uri, error: &hyper::Error) -> HubError {
    HubError::Unreachable { host: host_of(uri), cause: error.to_string() }
}

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const REPO_COMMIT: HeaderName = HeaderName::from_static("x-repo-commit");
const MOST_REDIRECTS: usize = 8;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A connection has to be made too.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_travels_in_the_clear() {
        for (address, expected) in [
            ("https://huggingface.co/a", true),
            ("http://127.0.0.1:9/a", true),
            ("http://[::1]:9/a", true),
            ("http://localhost/a", true),
            ("http://mirror.test/a", false),
            ("http://10.0.0.1/a", false),
            ("http://127.0.0.1.mirror.test/a", false),
        ] {
            assert_eq!(is_private(&address.parse().unwrap()), expected, "{address}");
        }
    }
}
