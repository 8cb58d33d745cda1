//! A hub on loopback that serves a real repository layout, with the moves, tags, breaks and refusals of the real one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A running hub; it ends with the test's runtime.
pub struct Hub {
    /// Where it listens.
    pub address: SocketAddr,
    house: Arc<House>,
}

/// A request as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// `GET /path`.
    pub line: String,
    /// The credential, if any.
    pub credential: Option<String>,
    /// What part of a file was asked for.
    pub range: Option<String>,
    /// Whether it came to the host that large files lie on.
    pub at_cdn: bool,
}

struct House {
    files: HashMap<String, Vec<u8>>,
    asked: Mutex<Vec<Asked>>,
    quirks: Quirks,
    cdn: Mutex<String>,
    gate: Semaphore,
}

/// What the hub does otherwise than well.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// `X-Error-Code` for everything.
    pub refuses: Option<&'static str>,
    /// The first download of this file breaks off in the middle.
    pub cuts: Option<&'static str>,
    /// Bodies wait until they are let go.
    pub holds: bool,
    /// In the place of the true commit.
    pub commit: Option<&'static str>,
    /// In the place of the true etag.
    pub etag: Option<&'static str>,
    /// In the place of the true size.
    pub size: Option<u64>,
    /// `org/name` has moved to here.
    pub moved: bool,
}

impl Hub {
    /// Serves the files of a folder as `org/name`; `tokenizer.json` lies on another host.
    pub async fn serve(folder: &Path, quirks: Quirks) -> Self {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.is_file());
        let files =
            files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()));
        let gate = Semaphore::new(if quirks.holds { 0 } else { Semaphore::MAX_PERMITS });
        let house =
            Arc::new(House { files: files.collect(), asked: Mutex::default(), quirks, cdn: Mutex::default(), gate });
        let cdn = listen(Arc::clone(&house), true).await;
        *house.cdn.lock().unwrap() = format!("http://{cdn}");
        let address = listen(Arc::clone(&house), false).await;
        Self { address, house }
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.house.asked.lock().unwrap().clone()
    }

    /// Lets held bodies go.
    pub fn release(&self) {
        self.house.gate.add_permits(1 << 20);
    }
}

async fn listen(house: Arc<House>, at_cdn: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(Arc::clone(&house), stream, at_cdn));
        }
    });
    address
}

async fn converse(house: Arc<House>, mut stream: TcpStream, at_cdn: bool) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.to_lowercase().strip_prefix(name).map(|_| line[name.len()..].trim().to_owned()))
    };
    let (credential, range) = (field("authorization:"), field("range:"));
    let asked = Asked { line: line.clone(), credential, range: range.clone(), at_cdn };
    let again = house.asked.lock().unwrap().iter().any(|before| before.line == line && before.at_cdn == at_cdn);
    house.asked.lock().unwrap().push(asked);
    let (head, body) = house.answer(&line, range.as_deref(), (at_cdn, again));
    if stream.write_all(head.as_bytes()).await.is_err() || line.starts_with("HEAD") {
        return;
    }
    let Ok(permit) = house.gate.acquire().await else { return };
    permit.forget();
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}

impl House {
    fn answer(&self, line: &str, range: Option<&str>, (at_cdn, again): (bool, bool)) -> (String, Vec<u8>) {
        let path = line.split(' ').nth(1).unwrap();
        let plain = |status: &str, fields: &str| {
            (format!("HTTP/1.1 {status}\r\n{fields}content-length: 0\r\n\r\n"), Vec::new())
        };
        if let Some(code) = self.quirks.refuses {
            return plain("403 Forbidden", &format!("x-error-code: {code}\r\n"));
        }
        if self.quirks.moved && path.starts_with("/org/name/") {
            return plain(
                "307 Temporary Redirect",
                &format!("location: {}\r\n", path.replace("/org/name/", "/new/name/")),
            );
        }
        let commit = self.quirks.commit.unwrap_or("0123456789abcdef0123456789abcdef01234567");
        let file = path.rsplit('/').next().unwrap();
        let Some(bytes) = self.files.get(file) else {
            return plain("404 Not Found", &format!("x-error-code: EntryNotFound\r\nx-repo-commit: {commit}\r\n"));
        };
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = self.quirks.etag.unwrap_or(&sum);
        let size = self.quirks.size.unwrap_or(bytes.len() as u64);
        if file == "tokenizer.json" && !at_cdn {
            let cdn = self.cdn.lock().unwrap().clone();
            return plain(
                "302 Found",
                &format!(
                    "location: {cdn}/{file}\r\nx-repo-commit: {commit}\r\nx-linked-etag: \"{etag}\"\r\nx-linked-size: {size}\r\n"
                ),
            );
        }
        let from: usize =
            range.and_then(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().ok()).unwrap_or(0);
        let (status, part) = match range {
            Some(_) => {
                ("206 Partial Content", format!("content-range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()))
            }
            None => ("200 OK", String::new()),
        };
        let mut rest = bytes[from..].to_vec();
        let length = if line.starts_with("HEAD") { size } else { rest.len() as u64 };
        if self.quirks.cuts == Some(file) && !again && line.starts_with("GET") {
            rest.truncate(rest.len() / 2);
        }
        let head = format!(
            "HTTP/1.1 {status}\r\n{part}etag: W/\"{etag}\"\r\nx-repo-commit: {commit}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        (head, rest)
    }
}
