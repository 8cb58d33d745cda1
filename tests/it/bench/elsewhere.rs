//! How a program of another machine looks to the gate: it comes over an address that is not loopback.

use std::net::{IpAddr, UdpSocket};

/// An address of this machine that is not loopback; `None` where it has none, as without a network.
///
/// What is sent there stays on this machine, and comes from there.
pub fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent by this: the system only says from where it would be.
    socket.connect("203.0.113.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
