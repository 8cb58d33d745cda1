//! Destinations that are reached without the outer proxy, as `NO_PROXY` names them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::net::host::{Host, HostPattern, HostPort};

/// A list of destinations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bypass(pub Vec<Excepted>);

impl Bypass {
    /// Whether `at` is on the list, or on this machine's own loopback, which no outer proxy can reach.
    ///
    /// A name is compared as it is written and never looked up for the sake of a network on the list.
    pub fn covers(&self, at: &HostPort) -> bool {
        is_loopback(&at.host) || self.0.iter().any(|excepted| excepted.covers(at))
    }
}

/// One item of the list: `example.com` with its subdomains (`.example.com` and `*.example.com` are the same), an
/// address, a network such as `10.0.0.0/8`, or `*` for all; names and addresses may have a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Excepted {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    Everything,
    Names(HostPattern),
    Network { address: IpAddr, bits: u8 },
}

impl Excepted {
    fn covers(&self, at: &HostPort) -> bool {
        if self.port.is_some_and(|port| port != at.port) {
            return false;
        }
        match (&self.what, &at.host) {
            (What::Everything, _) => true,
            (What::Names(pattern), host) => pattern.matches(host),
            (What::Network { address, bits }, Host::Address(asked)) => shares(*address, asked.to_canonical(), *bits),
            (What::Network { .. }, Host::Name(_)) => false,
        }
    }
}

impl FromStr for Excepted {
    type Err = NoException;

    fn from_str(text: &str) -> Result<Self, NoException> {
        if text == "*" {
            return Ok(Self { what: What::Everything, port: None });
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| NoException)?;
            let digits = bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit());
            let bits: u8 = bits.parse().ok().filter(|bits| digits && *bits <= width(address)).ok_or(NoException)?;
            return Ok(Self { what: What::Network { address, bits }, port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { what: one(address), port: None });
        }
        let text = text.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(text);
        // A host without a port reads as one with port 0, which none that is written can be.
        let at = HostPort::parse(text.strip_prefix('.').unwrap_or(text), 0).map_err(|_| NoException)?;
        let what = match &at.host {
            Host::Address(address) => one(*address),
            Host::Name(name) => What::Names(name.parse().map_err(|_| NoException)?),
        };
        Ok(Self { what, port: Some(at.port).filter(|port| *port != 0) })
    }
}

impl fmt::Display for Excepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Everything => f.write_str("*")?,
            What::Names(pattern) => pattern.fmt(f)?,
            What::Network { address, bits } if *bits == width(*address) => Host::Address(*address).fmt(f)?,
            What::Network { address, bits } => write!(f, "{address}/{bits}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A text that names no destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("neither a host name nor an address nor a network")]
pub struct NoException;

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.to_canonical().is_loopback() || address.to_canonical().is_unspecified(),
        Host::Name(name) => &**name == "localhost" || name.ends_with(".localhost"),
    }
}

fn one(address: IpAddr) -> What {
    let address = address.to_canonical();
    What::Network { address, bits: width(address) }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether two addresses of one family agree in their first bits.
fn shares(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let differ = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => u128::from(network.to_bits() ^ address.to_bits()) << 96,
        (IpAddr::V6(network), IpAddr::V6(address)) => network.to_bits() ^ address.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(list: &str, at: &str) -> bool {
        let list = list.split(',').filter(|item| !item.is_empty()).map(|item| item.parse().unwrap()).collect();
        Bypass(list).covers(&HostPort::parse_connect(at).unwrap())
    }

    #[test]
    fn what_is_on_the_list_goes_direct_and_nothing_else() {
        for (list, at, direct) in [
            ("example.com", "example.com:443", true),
            ("example.com", "a.b.Example.com:80", true),
            ("example.com", "notexample.com:443", false),
            ("example.com", "example.com.evil.net:443", false),
            (".example.com", "example.com:443", true),
            (".example.com", "api.example.com:443", true),
            ("*.example.com", "api.example.com:443", true),
            ("*.example.com", "example.com:443", true),
            ("EXAMPLE.com.", "example.com:443", true),
            ("intranet", "intranet:80", true),
            ("intranet", "intranet.example.com:80", false),
            ("example.com:8080", "example.com:8080", true),
            ("example.com:8080", "example.com:443", false),
            (".example.com:8080", "api.example.com:8080", true),
            ("*", "anything.example:443", true),
            ("*", "192.0.2.1:1", true),
            ("10.0.0.0/8", "10.255.0.1:443", true),
            ("10.0.0.0/8", "11.0.0.1:443", false),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:443", true),
            ("10.1.2.3/8", "10.9.9.9:443", true),
            ("0.0.0.0/0", "192.0.2.1:443", true),
            ("0.0.0.0/0", "[2001:db8::1]:443", false),
            ("::/0", "[2001:db8::1]:443", true),
            ("::/0", "192.0.2.1:443", false),
            ("2001:db8::/33", "[2001:db8:7fff::1]:443", true),
            ("2001:db8::/33", "[2001:db8:8000::1]:443", false),
            ("192.0.2.1", "192.0.2.1:443", true),
            ("192.0.2.1", "192.0.2.2:443", false),
            ("192.0.2.1:80", "192.0.2.1:443", false),
            ("2001:db8::1", "[2001:db8::1]:443", true),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", true),
            ("[2001:db8::1]:80", "[2001:db8::1]:443", false),
            // A name is never looked up for the sake of a network.
            ("10.0.0.0/8", "ten.example.com:443", false),
            ("", "example.com:443", false),
            ("a.test,b.test", "b.test:443", true),
        ] {
            assert_eq!(covers(list, at), direct, "{list} {at}");
        }
    }

    #[test]
    fn loopback_goes_direct_without_a_list() {
        for at in ["127.0.0.1:80", "127.9.9.9:1", "[::1]:80", "[::ffff:127.0.0.1]:80", "localhost:80", "a.localhost:1"]
        {
            assert!(covers("", at), "{at}");
        }
        assert!(!covers("", "localhost.example.com:80"));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in
            ["", "127.*", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "a/8", "::/129", "a b", "http://a", "a:0", "*a"]
        {
            assert_eq!(text.parse::<Excepted>(), Err(NoException), "{text}");
        }
    }

    #[test]
    fn an_item_is_shown_so_that_it_reads_the_same() {
        for text in ["*", "example.com", "example.com:80", "10.0.0.0/8", "192.0.2.1", "[2001:db8::1]:80", "::/0", "::1"]
        {
            let item: Excepted = text.parse().unwrap();
            assert_eq!(item.to_string().parse(), Ok(item), "{text}");
        }
    }
}
