//! The addresses of an isolated network: its own, the gate's inside, and those that stand for names.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The program's own address; in the block that RFC 2544 keeps for tests, which nobody routes.
pub const OWN_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The bits of the network's prefix.
pub const PREFIX_V4: u8 = 15;
/// Where names are asked for, and where every connection ends.
pub const GATE_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// As [`OWN_V4`], in a unique local prefix (RFC 4193).
pub const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd74, 0x6f6c, 0x6c67, 0, 0, 0, 0, 1);
/// The bits of the network's prefix.
pub const PREFIX_V6: u8 = 64;
/// As [`GATE_V4`].
pub const GATE_V6: Ipv6Addr = Ipv6Addr::new(0xfd74, 0x6f6c, 0x6c67, 0, 0, 0, 0, 2);
/// How many names can have an address at once.
pub const MOST_NAMES: usize = 1 << 16;

/// The address that stands for the name of this number; numbers lie below [`MOST_NAMES`].
pub fn v4_of(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(FIRST_V4.wrapping_add(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// As [`v4_of`].
pub fn v6_of(number: usize) -> Ipv6Addr {
    Ipv6Addr::from(FIRST_V6.wrapping_add(number as u128))
}

/// What an IPv4 address is.
pub fn v4_is(address: Ipv4Addr) -> Kind {
    if address.is_loopback() || address.is_unspecified() || address == OWN_V4 {
        return Kind::Inside;
    }
    let bits = u32::from(address);
    if bits >> (32 - PREFIX_V4) != u32::from(OWN_V4) >> (32 - PREFIX_V4) {
        return Kind::Elsewhere;
    }
    bits.checked_sub(FIRST_V4).map_or(Kind::Inside, |number| Kind::Name(number as usize))
}

/// What an IPv6 address is.
pub fn v6_is(address: Ipv6Addr) -> Kind {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return v4_is(mapped);
    }
    if address.is_loopback() || address.is_unspecified() || address == OWN_V6 {
        return Kind::Inside;
    }
    let bits = u128::from(address);
    if bits >> (128 - PREFIX_V6) != u128::from(OWN_V6) >> (128 - PREFIX_V6) {
        return Kind::Elsewhere;
    }
    let number = bits.checked_sub(FIRST_V6).and_then(|number| usize::try_from(number).ok());
    number.map_or(Kind::Inside, Kind::Name)
}

/// What an address inside the network leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The isolated network itself, or nothing.
    Inside,
    /// The name of this number, if there is one.
    Name(usize),
    /// A real address.
    Elsewhere,
}

const FIRST_V4: u32 = u32::from_be_bytes([198, 18, 1, 0]);
const FIRST_V6: u128 = 0xfd74_6f6c_6c67_0000_0000_0000_0001_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn every_number_has_an_address_that_leads_back_to_it() {
        for number in [0, 1, 255, 256, 4095, MOST_NAMES - 1] {
            assert_eq!(v4_is(v4_of(number)), Kind::Name(number), "{}", v4_of(number));
            assert_eq!(v6_is(v6_of(number)), Kind::Name(number), "{}", v6_of(number));
        }
        assert_eq!(v4_of(0), Ipv4Addr::new(198, 18, 1, 0));
        assert_eq!(v4_of(MOST_NAMES - 1), Ipv4Addr::new(198, 19, 0, 255));
    }

    #[test]
    fn what_is_inside_never_leads_out_and_real_addresses_stay_what_they_are() {
        for (text, kind) in [
            ("127.0.0.1", Kind::Inside),
            ("127.9.8.7", Kind::Inside),
            ("0.0.0.0", Kind::Inside),
            ("198.18.0.1", Kind::Inside),
            ("198.18.0.2", Kind::Inside),
            ("198.17.255.255", Kind::Elsewhere),
            ("198.20.0.0", Kind::Elsewhere),
            ("10.0.0.1", Kind::Elsewhere),
            ("::1", Kind::Inside),
            ("::", Kind::Inside),
            ("fd74:6f6c:6c67::1", Kind::Inside),
            ("fd74:6f6c:6c67::2", Kind::Inside),
            ("fd74:6f6c:6c67:1::1:0", Kind::Elsewhere),
            ("2606:4700::1", Kind::Elsewhere),
            ("::ffff:127.0.0.1", Kind::Inside),
            ("::ffff:198.18.1.3", Kind::Name(3)),
            ("::ffff:10.0.0.1", Kind::Elsewhere),
        ] {
            let found = match text.parse().unwrap() {
                IpAddr::V4(address) => v4_is(address),
                IpAddr::V6(address) => v6_is(address),
            };
            assert_eq!(found, kind, "{text}");
        }
    }
}
