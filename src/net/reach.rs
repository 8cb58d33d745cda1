//! Where programs of other machines may be led: not into the gate's own machine and network, but for what its owner lists.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::net::host::{Host, HostError, HostPort};

/// Who asks to be led somewhere.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Asker {
    /// A program of this machine, or the gate itself: it reaches the same places without the gate.
    Here,
    /// A program that came over an address that other machines reach: the gate's own network is none of its business.
    Elsewhere,
}

/// The places within the gate's own network that everybody may be led to.
#[derive(Clone, Debug, Default)]
pub struct Reach(Vec<Place>);

impl Reach {
    /// Opens these places.
    pub fn new(places: Vec<Place>) -> Self {
        Self(places)
    }

    /// Whether the owner has listed this address of `at`.
    pub fn lists(&self, at: &HostPort, address: IpAddr) -> bool {
        self.0.iter().any(|place| place.holds(at, address.to_canonical()))
    }

    /// As they were listed.
    pub fn places(&self) -> &[Place] {
        &self.0
    }
}

/// A host, one of its ports, or a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// All ports of a host, by the name or address that is asked for.
    Host(Host),
    /// One port of it.
    Port(HostPort),
    /// All addresses that begin with so many bits of this one.
    Network(IpAddr, u8),
}

impl Place {
    fn holds(&self, at: &HostPort, address: IpAddr) -> bool {
        match self {
            Self::Host(host) => at.host == *host,
            Self::Port(place) => at == place,
            Self::Network(network, length) => begin_alike(*network, address, *length),
        }
    }
}

impl FromStr for Place {
    type Err = HostError;

    /// `printer.lan`, `printer.lan:631`, `10.0.0.7`, `[fd00::7]:80` or `10.0.0.0/8`.
    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Some((address, length)) = text.split_once('/') {
            let network: IpAddr = address.parse().map_err(|_| HostError::Name)?;
            let most = if network.is_ipv4() { 32 } else { 128 };
            let plain = length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
            let length = length.parse().ok().filter(|length| plain && *length <= most).ok_or(HostError::Name)?;
            return Ok(Self::Network(network, length));
        }
        if let Ok(host) = text.parse() {
            return Ok(Self::Host(host));
        }
        HostPort::parse_connect(text).map(Self::Port)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Port(at) => at.fmt(f),
            Self::Network(network, length) => write!(f, "{network}/{length}"),
        }
    }
}

/// Whether an address is one that only means something within one machine or one network.
///
/// By the registries of special-purpose addresses (RFC 6890 and its updates): this machine, private and shared networks,
/// what is link-local (where clouds keep the keys of their machines, 169.254.169.254), multicast, and what stands for such
/// an address in another form.
pub fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => is_inside_v6(address),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        // 100.64.0.0/10, shared by a provider's customers; some clouds keep the keys of their machines there.
        || (first == 100 && second & 0xc0 == 64)
        // 192.0.0.0/24, protocol assignments; 198.18.0.0/15, benchmarks within a network.
        || (first, second, third) == (192, 0, 0)
        || (first == 198 && second & 0xfe == 18)
        || first >= 240
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    let words = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_inside_v4(Ipv4Addr::new(a, b, c, d))
    };
    match words {
        // ::, ::1, and the old form of IPv4 addresses.
        [0, 0, 0, 0, 0, 0, ..] => true,
        // NAT64, with a prefix that is known and one that each network chooses.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x64, 0xff9b, 1, ..] => true,
        // 6to4.
        [0x2002, high, low, ..] => embedded(high, low),
        // Unique local, link-local, site-local, multicast.
        [first, ..] => first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80 || first >= 0xff00,
    }
}

fn begin_alike(network: IpAddr, address: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4),
        IpAddr::V6(address) => (address.to_bits(), 6),
    };
    let ((network, family), (address, other)) = (bits(network), bits(address));
    let differ = (network ^ address).checked_shr(128 - u32::from(length)).unwrap_or(0);
    family == other && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_within_a_machine_or_a_network_are_told_from_those_of_the_world() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fdff::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
        ] {
            assert!(is_inside(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "162.159.140.245",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "192.169.0.1",
            "169.253.0.1",
            "223.255.255.255",
            "2606:4700::1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "::ffff:1.1.1.1",
            "fbff::1",
            "2001:db8::1",
        ] {
            assert!(!is_inside(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_place_holds_what_it_names_and_nothing_beside() {
        let reach = |place: &str| Reach::new(vec![place.parse().unwrap()]);
        for (place, at, address, listed) in [
            ("printer.lan", "printer.lan:631", "10.0.0.7", true),
            ("printer.lan", "PRINTER.lan.:80", "10.0.0.7", true),
            ("printer.lan", "x.printer.lan:80", "10.0.0.7", false),
            ("printer.lan:631", "printer.lan:631", "10.0.0.7", true),
            ("printer.lan:631", "printer.lan:22", "10.0.0.7", false),
            ("10.0.0.7", "10.0.0.7:80", "10.0.0.7", true),
            // By the name it was not listed.
            ("10.0.0.7", "evil.example:80", "10.0.0.7", false),
            ("10.0.0.7/32", "evil.example:80", "10.0.0.7", true),
            ("10.0.0.0/8", "a.example:80", "10.255.0.1", true),
            ("10.0.0.0/8", "a.example:80", "11.0.0.1", false),
            ("10.0.0.0/8", "a.example:80", "192.168.0.1", false),
            ("10.0.0.0/8", "a.example:80", "::ffff:10.1.1.1", true),
            ("fd00::/16", "a.example:80", "fd00::9", true),
            ("fd00::/16", "a.example:80", "fd01::9", false),
            ("0.0.0.0/0", "a.example:80", "127.0.0.1", true),
            ("0.0.0.0/0", "a.example:80", "::1", false),
            ("[fd00::7]:80", "[fd00::7]:80", "fd00::7", true),
        ] {
            let at = HostPort::parse_connect(at).unwrap();
            assert_eq!(reach(place).lists(&at, address.parse().unwrap()), listed, "{place} {at} {address}");
        }
    }

    #[test]
    fn places_are_shown_as_they_are_written_and_others_are_refused() {
        for text in
            ["printer.lan", "printer.lan:631", "10.0.0.7", "10.0.0.0/8", "[fd00::7]:80", "[fd00::7]", "fd00::/8"]
        {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()).as_deref(), Ok(text));
        }
        for text in
            ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/+8", "a.example/8", "a b", "host:0", "http://x"]
        {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
