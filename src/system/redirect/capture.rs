//! What is led to the gate and what never is, whichever tool writes the rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Everything that a set of rules is made of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Capture {
    /// Tells these rules from anybody else's: 16 hexadecimal digits.
    pub id: Box<str>,
    /// Of the program that wrote them.
    pub version: Box<str>,
    /// Where the gate takes what was redirected.
    pub port: u16,
    /// Where the intercepted hosts are.
    pub hosts: Addresses,
    /// The families in which the gate listens; in the other one connections are reset, so that programs try this one.
    pub listens: Families,
    /// How the gate's own connections are told from those of programs.
    pub spared: Spared,
    /// Programs of this machine.
    pub own: Option<Who>,
    /// What other machines and namespaces send through this one.
    pub forwarded: Option<Forwarded>,
}

/// Addresses of both families, sorted, each once.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Addresses {
    /// IPv4.
    pub v4: Vec<Ipv4Addr>,
    /// IPv6.
    pub v6: Vec<Ipv6Addr>,
}

impl Addresses {
    /// Both addresses of this machine to itself.
    pub fn loopback() -> Self {
        Self { v4: vec![Ipv4Addr::LOCALHOST], v6: vec![Ipv6Addr::LOCALHOST] }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// All of them, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.v4.iter().copied().map(IpAddr::V4);
        v4.chain(self.v6.iter().copied().map(IpAddr::V6))
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut both = Self::default();
        for address in addresses {
            match address.to_canonical() {
                IpAddr::V4(address) => both.v4.push(address),
                IpAddr::V6(address) => both.v6.push(address),
            }
        }
        both.v4.sort_unstable();
        both.v4.dedup();
        both.v6.sort_unstable();
        both.v6.dedup();
        both
    }
}

/// One of the two protocols, as the tools need it again and again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// Which families.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    /// Whether this one is among them.
    pub fn has(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// What the gate's own connections have that no other has; both may hold.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Spared {
    /// The mark of its sockets.
    pub mark: Option<u32>,
    /// The user that it runs as, who is then not captured at all.
    pub uid: Option<u32>,
}

impl Spared {
    /// Neither: the gate would be led to itself.
    pub fn nobody(self) -> bool {
        self.mark.is_none() && self.uid.is_none()
    }
}

/// Whose programs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Who {
    /// Everybody's but the gate's.
    All,
    /// This user's.
    User(u32),
}

/// Traffic that comes in by an interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Forwarded {
    /// Its name; every interface but the loopback one if absent.
    pub interface: Option<Box<str>>,
    /// By TPROXY, which leaves the destination as it is; else by REDIRECT.
    pub tproxy: Option<Tproxy>,
}

/// What TPROXY needs beside its rule: packets with this mark are delivered on this machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tproxy {
    /// The mark of such packets; another one than that of the gate's sockets.
    pub mark: u32,
    /// The routing table that says so, and the priority of the rule that leads there.
    pub table: u32,
}

/// The port of the intercepted hosts.
pub const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sorted_by_family_and_each_is_there_once() {
        let given = ["2001:db8::2", "10.0.0.9", "::ffff:10.0.0.1", "10.0.0.9", "2001:db8::1"];
        let both: Addresses = given.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect();
        let shown: Vec<String> = both.iter().map(|address| address.to_string()).collect();
        assert_eq!(shown, ["10.0.0.1", "10.0.0.9", "2001:db8::1", "2001:db8::2"]);
        assert!(Addresses::default().is_empty() && !both.is_empty());
    }
}
