//! The links of an isolated network: the loopback, to which every route leads, and one that only looks like a way out.

use std::io;
use std::net::IpAddr;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::system::isolation::addresses::{GATE_V4, GATE_V6, OWN_V4, OWN_V6, PREFIX_V4, PREFIX_V6};
use crate::system::isolation::netlink::{ACK, CREATE, EXCLUSIVE, Message, tell};

/// Brings the links up and lays the routes; says whether there is IPv6.
///
/// # Errors
/// The kernel's refusal.
pub fn lay() -> io::Result<bool> {
    ask(up(LOOPBACK))?;
    // Programs look for a link that is no loopback before they believe in a network. Nothing ever goes out on it: the
    // local routes come first. Kernels without it have the addresses on the loopback.
    let link = ask(dummy()).and_then(|()| index(NAME)).unwrap_or(LOOPBACK);
    ask(address(OWN_V4.into(), PREFIX_V4, link))?;
    ask(address(GATE_V4.into(), 32, LOOPBACK))?;
    ask(everything(OWN_V4.into()))?;
    if link != LOOPBACK {
        let _ = ask(shown(OWN_V4.into(), link));
    }
    let v6 = ask(address(OWN_V6.into(), PREFIX_V6, link))
        .and_then(|()| ask(address(GATE_V6.into(), 128, LOOPBACK)))
        .and_then(|()| ask(everything(OWN_V6.into())))
        .is_ok();
    if v6 && link != LOOPBACK {
        let _ = ask(shown(OWN_V6.into(), link));
    }
    Ok(v6)
}

fn ask(message: Message) -> io::Result<()> {
    tell(None, &message.finished(), 1)
}

fn index(name: &str) -> io::Result<u32> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(name_to_index(&socket, name)?)
}

/// `ip link set INDEX up`.
fn up(index: u32) -> Message {
    Message::new(NEW_LINK, ACK, 1, &link(index))
}

/// `ip link add NAME up type dummy`.
fn dummy() -> Message {
    Message::new(NEW_LINK, ACK | CREATE | EXCLUSIVE, 1, &link(0))
        .text(IFLA_IFNAME, NAME)
        .nested(IFLA_LINKINFO, |inner| inner.text(IFLA_INFO_KIND, "dummy"))
}

/// `struct ifinfomsg` of a link that is to be up.
fn link(index: u32) -> Vec<u8> {
    [&[0; 4][..], &index.to_ne_bytes(), &UP.to_ne_bytes(), &UP.to_ne_bytes()].concat()
}

/// `ip address add ADDRESS/PREFIX dev LINK nodad`.
fn address(own: IpAddr, prefix: u8, link: u32) -> Message {
    let family = if own.is_ipv4() { V4 } else { V6 };
    // `struct ifaddrmsg`.
    let head = [&[family, prefix, NO_DETECTION, 0][..], &link.to_ne_bytes()].concat();
    let bytes = octets(own);
    Message::new(NEW_ADDRESS, ACK | CREATE, 1, &head).with(IFA_LOCAL, &bytes).with(IFA_ADDRESS, &bytes)
}

/// `ip route add local default dev lo src OWN`: every address is this machine's own.
fn everything(own: IpAddr) -> Message {
    route(own, [TABLE_LOCAL, SCOPE_HOST, KIND_LOCAL], LOOPBACK)
}

/// `ip route add default dev LINK src OWN`: for programs that look at the routes.
fn shown(own: IpAddr, link: u32) -> Message {
    let scope = if own.is_ipv4() { SCOPE_LINK } else { 0 };
    route(own, [TABLE_MAIN, scope, KIND_UNICAST], link)
}

fn route(own: IpAddr, [table, scope, kind]: [u8; 3], link: u32) -> Message {
    let family = if own.is_ipv4() { V4 } else { V6 };
    // `struct rtmsg`.
    let head = [family, 0, 0, 0, table, STATIC, scope, kind, 0, 0, 0, 0];
    Message::new(NEW_ROUTE, ACK | CREATE, 1, &head).with(RTA_OIF, &link.to_ne_bytes()).with(RTA_PREFSRC, &octets(own))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

/// The loopback is the first link of every network.
const LOOPBACK: u32 = 1;
const NAME: &str = "tollgate0";

// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const NO_DETECTION: u8 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
const STATIC: u8 = 4;
const SCOPE_HOST: u8 = 254;
const SCOPE_LINK: u8 = 253;
const KIND_UNICAST: u8 = 1;
const KIND_LOCAL: u8 = 2;
const V4: u8 = 2;
const V6: u8 = 10;
