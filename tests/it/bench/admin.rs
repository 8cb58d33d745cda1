//! Questions to the admin surface of a running gate, over HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::client::{Answered, Client};

/// Gets a path of the surface at `at`.
pub async fn ask(at: SocketAddr, path: &str) -> Answered {
    ask_as(at, &at.to_string(), path).await
}

/// The same under another name in `Host`.
pub async fn ask_as(at: SocketAddr, host: &str, path: &str) -> Answered {
    let request = Request::get(path).header("host", host).body(Full::<Bytes>::default()).unwrap();
    Client::plain(at).await.send(request).await
}
