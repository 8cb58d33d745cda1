//! Where the gate listens, and who may come in from other machines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// For what the system leads here.
    pub(super) transparent: Option<SocketAddr>,
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
        let transparent = fields.as_ref().and_then(|fields| transparent(&fields.given("transparent")?));
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
            transparent,
        };
        if listen.proxy == listen.admin && listen.proxy.port() != 0 {
            let place = fields.as_ref().and_then(|fields| fields.find("admin")).unwrap_or_else(|| top.field.clone());
            place.called("listen.admin").wrong("must not be the same address as listen.proxy");
        }
        let others = [("listen.proxy", listen.proxy), ("listen.admin", listen.admin)];
        for (key, other) in others.into_iter().filter(|(_, other)| other.port() != 0) {
            // It is taken on both loopback addresses.
            if transparent.is_some_and(|at| at.port() == other.port()) {
                let place = fields.as_ref().and_then(|fields| fields.find("transparent"));
                let place = place.unwrap_or_else(|| top.field.clone());
                place.wrong(format!("must not have the port of {key}"));
            }
        }
        listen
    }

    /// All addresses, except those whose port is not known yet.
    pub(super) fn own(&self) -> Vec<SocketAddr> {
        let transparent = self.transparent.into_iter().flat_map(|at| {
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(|ip: IpAddr| SocketAddr::new(ip, at.port()))
        });
        [self.proxy, self.admin].into_iter().chain(transparent).filter(|address| address.port() != 0).collect()
    }
}

/// An address of this machine to which its system can lead connections.
///
/// Loopback, like the others: clients that do not know of the gate cannot say who they are, and whoever reaches it may
/// spend the keys of the owner. Those of other machines and of network namespaces come by `TPROXY`, which delivers to a
/// loopback address whatever the destination was.
fn transparent(field: &Field<'_>) -> Option<SocketAddr> {
    if !cfg!(target_os = "linux") {
        let hint = "use the system proxy or `tollgate run`; only Linux tells where a redirected connection was going";
        field.wrong_hint("is available on Linux only", hint);
        return None;
    }
    let address = address(field)?;
    if !address.ip().is_loopback() {
        let hint =
            "a redirected client cannot say who it is; listen on `127.0.0.1` and let the rules of a gateway use TPROXY";
        field.wrong_hint(&format!("must be a loopback address, not `{}`", address.ip()), hint);
        return None;
    }
    Some(address)
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
const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8484);

/// The admin surface's address unless told otherwise.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8485);

const PROXY_NEEDS: &str = "is reached from other machines, so that it needs `listen.users`";
const PROXY_HINT: &str = "add `users: [{name: \"team-a\", password: {env: \"TEAM_A\"}}]`, or listen on `127.0.0.1`";
const ADMIN_NEEDS: &str = "is reached from other machines, so that it needs `admin.token`";
const ADMIN_HINT: &str = "set `admin: {token: {env: \"TOLLGATE_TOKEN\"}}`, or listen on `127.0.0.1`";
