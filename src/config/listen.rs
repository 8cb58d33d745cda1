//! Where the gate listens.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::document::Node;
use crate::config::field::{Field, Fields, shown};
use crate::config::load::Sources;
use crate::config::review::{Review, Source};

/// The gate's listeners.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listen {
    /// For programs.
    pub(super) proxy: SocketAddr,
    /// For the owner.
    pub(super) admin: SocketAddr,
}

impl Listen {
    /// Reads `listen`; arguments win over the file.
    pub(super) fn read<'a>(top: &Fields<'a>, review: &'a Review<'a>, sources: &Sources<'_>) -> Self {
        let fields = top.find("listen").and_then(|field| field.fields(&["proxy", "admin", "transparent"]));
        let written = |key| fields.as_ref().and_then(|fields| loopback(&fields.find(key)?));
        if let Some(fields) = &fields {
            fields.refuse("transparent");
        }
        let argument = |key: &str, text: Option<&String>| {
            let node = Node::argument(text?);
            let flag = format!("--{key}");
            let source = Source { file: &flag, folder: Path::new(""), may_look: true };
            loopback(&Field::root(review, source, &node).called(format!("listen.{key}")))
        };
        let (proxy, admin) = (written("proxy"), written("admin"));
        let listen = Self {
            proxy: argument("proxy", sources.proxy.as_ref()).or(proxy).unwrap_or(PROXY),
            admin: argument("admin", sources.admin.as_ref()).or(admin).unwrap_or(ADMIN),
        };
        if listen.proxy == listen.admin && listen.proxy.port() != 0 {
            let place = fields.and_then(|fields| fields.find("admin")).unwrap_or_else(|| top.field.clone());
            place.called("listen.admin").wrong("must not be the same address as listen.proxy");
        }
        listen
    }

    /// Both addresses, except those whose port is not known yet.
    pub(super) fn own(&self) -> Vec<SocketAddr> {
        [self.proxy, self.admin].into_iter().filter(|address| address.port() != 0).collect()
    }
}

/// An address that only this machine can reach.
fn loopback(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.filled_text()?;
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse::<SocketAddr>(),
        None => text.parse(),
    };
    let Ok(address) = address else {
        field.wrong(format!("must be an address with a port such as `127.0.0.1:8484`, not `{}`", shown(text)));
        return None;
    };
    if !address.ip().is_loopback() {
        let hint = "authentication is not available yet; listen on `127.0.0.1` or `[::1]`";
        field.wrong_hint(&format!("must be a loopback address, not `{}`", address.ip()), hint);
        return None;
    }
    Some(address)
}

/// The address on which programs find the gate unless told otherwise.
const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8484);

/// The admin surface's address unless told otherwise.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8485);
