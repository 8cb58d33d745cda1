//! Where the gate listens, and who may come in from other machines.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::document::{Node, Shape};
use crate::config::field::{Field, Fields, shown};
use crate::config::load::Sources;
use crate::config::review::{Review, Source};
use crate::config::users;
use crate::net::keepers::Keepers;
use crate::net::reach::{Place, Reach};

/// The gate's listeners.
#[derive(Clone, Debug)]
pub(super) struct Listen {
    /// For programs.
    pub(super) proxy: SocketAddr,
    /// For the owner.
    pub(super) admin: SocketAddr,
    /// Who may come in from other machines.
    pub(super) keepers: Keepers,
    /// Where they may be led within the gate's own network.
    pub(super) reach: Reach,
}

impl Listen {
    /// Reads `listen`; arguments win over the file.
    pub(super) fn read<'a>(top: &Fields<'a>, review: &'a Review<'a>, sources: &Sources<'_>) -> Self {
        let fields = top.find("listen").and_then(|field| field.fields(&KEYS));
        let users = fields.as_ref().and_then(|fields| fields.given("users"));
        // What is listed counts here, also where it has mistakes of its own.
        let has_users =
            users.as_ref().is_some_and(|field| matches!(field.shape(), Shape::List(list) if !list.is_empty()));
        let keep = |key: &str, field: &Field<'_>| {
            let address = address(field)?;
            if address.ip().is_loopback() {
                return Some(address);
            }
            let (kept, predicate, hint) = match key {
                "admin" => (has_token(top), ADMIN_NEEDS, ADMIN_HINT),
                _ => (has_users, PROXY_NEEDS, PROXY_HINT),
            };
            if !kept {
                field.wrong_hint(predicate, hint);
                return None;
            }
            if key == "admin" {
                field.warn("is reached from other machines: the token and the books travel in the clear");
            }
            Some(address)
        };
        let written = |key| fields.as_ref().and_then(|fields| keep(key, &fields.find(key)?));
        if let Some(fields) = &fields {
            fields.refuse("transparent");
        }
        let argument = |key: &str, text: Option<&String>| {
            let node = Node::argument(text?);
            let flag = format!("--{key}");
            let source = Source { file: &flag, folder: Path::new(""), may_look: true };
            keep(key, &Field::root(review, source, &node).called(format!("listen.{key}")))
        };
        let (proxy, admin) = (written("proxy"), written("admin"));
        let reach = fields.as_ref().and_then(|fields| fields.given("reach"));
        let listen = Self {
            proxy: argument("proxy", sources.proxy.as_ref()).or(proxy).unwrap_or(PROXY),
            admin: argument("admin", sources.admin.as_ref()).or(admin).unwrap_or(ADMIN),
            keepers: users.map(|field| users::read(&field)).unwrap_or_default(),
            reach: Reach::new(reach.map(|field| field.items().iter().filter_map(place).collect()).unwrap_or_default()),
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

fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.filled_text()?;
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse::<SocketAddr>(),
        None => text.parse(),
    };
    if address.is_err() {
        field.wrong(format!("must be an address with a port such as `127.0.0.1:8484`, not `{}`", shown(text)));
    }
    address.ok()
}

/// Whether there is an `admin.token`, be it as it may.
fn has_token(top: &Fields<'_>) -> bool {
    top.find("admin").is_some_and(|field| Fields { field }.given("token").is_some())
}

fn place(field: &Field<'_>) -> Option<Place> {
    let text = field.filled_text()?;
    let place = text.parse();
    if place.is_err() {
        let rule = "must be a host, a host with a port, or a network such as `10.0.0.0/8`";
        field.wrong(format!("{rule}, not `{}`", shown(text)));
    }
    place.ok()
}

/// The keys of `listen`.
const KEYS: [&str; 5] = ["proxy", "admin", "transparent", "users", "reach"];

/// The address on which programs find the gate unless told otherwise.
const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8484);

/// The admin surface's address unless told otherwise.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8485);

const PROXY_NEEDS: &str = "is reached from other machines, so that it needs `listen.users`";
const PROXY_HINT: &str = "add `users: [{name: \"team-a\", password: {env: \"TEAM_A\"}}]`, or listen on `127.0.0.1`";
const ADMIN_NEEDS: &str = "is reached from other machines, so that it needs `admin.token`";
const ADMIN_HINT: &str = "set `admin: {token: {env: \"TOLLGATE_TOKEN\"}}`, or listen on `127.0.0.1`";
