//! Host names and ports, normalised once so that they can be compared.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A host: a DNS name in lower case without its final dot, or an address.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// A DNS name (A-labels), lower case, no final dot.
    Name(Box<str>),
}

impl Host {
    /// Whether this is a name, and which.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Name(name) => Some(name),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Some(inside) = text.strip_prefix('[') {
            let inside = inside.strip_suffix(']').ok_or(HostError::Name)?;
            let address: Ipv6Addr = inside.parse().map_err(|_| HostError::Name)?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let fine = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if name.len() > 253 || !name.split('.').all(fine) {
            return Err(HostError::Name);
        }
        // A last label of digits alone would be read as an address by some resolvers ("127.1", "2130706433").
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
            return Err(HostError::Name);
        }
        Ok(Self::Name(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostPort {
    /// The host.
    pub host: Host,
    /// The port, 1 to 65535.
    pub port: u16,
}

impl HostPort {
    /// Reads `host` or `host:port`, with `default` where no port is given.
    ///
    /// # Errors
    /// A name, address or port that is not one.
    pub fn parse(text: &str, default: u16) -> Result<Self, HostError> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text[colon..].contains(']') && !text[..colon].contains(':') | text.starts_with('[') => {
                (&text[..colon], Some(&text[colon + 1..]))
            }
            _ => (text, None),
        };
        let port = match port {
            None => default,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0).ok_or(HostError::Port)?
            }
            Some(_) => return Err(HostError::Port),
        };
        if host.contains(':') && !host.starts_with('[') {
            return Err(HostError::Name);
        }
        Ok(Self { host: host.parse()?, port })
    }

    /// Reads the authority of a CONNECT, where the port is not optional.
    ///
    /// # Errors
    /// As [`HostPort::parse`], and a missing port.
    pub fn parse_connect(text: &str) -> Result<Self, HostError> {
        let authority = Self::parse(text, 0)?;
        if authority.port == 0 { Err(HostError::Port) } else { Ok(authority) }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Address(address.ip()), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A name with all of its subdomains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostPattern(Box<str>);

impl HostPattern {
    /// Whether `host` is this name or lies below it; labels are compared whole.
    pub fn matches(&self, host: &Host) -> bool {
        let Some(name) = host.name() else { return false };
        name.strip_suffix(&*self.0).is_some_and(|left| left.is_empty() || left.ends_with('.'))
    }

    /// The name itself.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        match text.parse()? {
            Host::Name(name) => Ok(Self(name)),
            Host::Address(_) => Err(HostError::Name),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a host or a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HostError {
    /// Neither a DNS name nor an address.
    #[error("not a host name or an address")]
    Name,
    /// Not a port from 1 to 65535.
    #[error("not a port from 1 to 65535")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_read_and_normalised() {
        for (text, shown) in [
            ("API.OpenAI.com:443", "api.openai.com:443"),
            ("api.openai.com.", "api.openai.com:80"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("[::1]:443", "[::1]:443"),
            ("[::1]", "[::1]:80"),
            ("localhost", "localhost:80"),
        ] {
            assert_eq!(HostPort::parse(text, 80).map(|at| at.to_string()), Ok(shown.into()), "{text}");
        }
    }

    #[test]
    fn bad_authorities_are_refused() {
        for text in [
            "",
            "host:0",
            "host:70000",
            "host:+1",
            "u@host:443",
            "[::1%eth0]:443",
            "host:443/x",
            "a b:1",
            "::1:443",
            "host:",
            ":443",
            "a..b:1",
            "127.1:80",
            "2130706433:80",
            "0x7f000001:80",
            "[::1]x:1",
        ] {
            assert!(HostPort::parse_connect(text).is_err(), "{text}");
        }
        assert!(HostPort::parse_connect("host").is_err());
        assert!(HostPort::parse_connect(&format!("{}:443", "a".repeat(8192))).is_err());
    }

    #[test]
    fn a_pattern_matches_whole_labels_only() {
        let pattern: HostPattern = "openai.com".parse().unwrap_or_else(|_| unreachable!());
        let host = |text: &str| text.parse::<Host>().unwrap_or_else(|_| unreachable!());
        for name in ["openai.com", "API.openai.com", "eu.api.openai.com."] {
            assert!(pattern.matches(&host(name)), "{name}");
        }
        for name in ["evilopenai.com", "openai.com.evil.com", "127.0.0.1", "com"] {
            assert!(!pattern.matches(&host(name)), "{name}");
        }
    }
}
