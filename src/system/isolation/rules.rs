//! The one rule of an isolated network: every connection, and every question for a name, ends at the gate.
//!
//! Told to the kernel in its own words (nf_tables over netlink), so that no program is needed for it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::netlink::NETFILTER;

use crate::system::isolation::addresses::{OWN_V4, OWN_V6};
use crate::system::isolation::netlink::{ACK, APPEND, CREATE, Message, tell};

/// Leads every TCP connection to `streams` and every UDP question for a name to `names`, but for what is inside.
///
/// # Errors
/// A kernel without nf_tables, or one that forbids it here.
pub fn catch(streams: SocketAddr, names: SocketAddr) -> io::Result<()> {
    let messages = messages(streams, names);
    // The two that frame the batch ask for nothing.
    tell(Some(NETFILTER), &messages.concat(), messages.len() - 2)
}

/// The batch: a table, a chain where connections leave a program, and the rules in their order.
fn messages(streams: SocketAddr, names: SocketAddr) -> Vec<Vec<u8>> {
    let family = match streams {
        SocketAddr::V4(_) => Family { number: 2, at: 16, own: octets(OWN_V4.into()), loopback: &[127] },
        SocketAddr::V6(_) => Family {
            number: 10,
            at: 24,
            own: octets(OWN_V6.into()),
            loopback: &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        },
    };
    let rules: [Message; 4] = [
        family.rule(|list| accept(to(list, family.at, family.loopback))),
        family.rule(|list| accept(to(list, family.at, &family.own))),
        family.rule(|list| lead(to_port(over(list, UDP), DNS), family.number, names)),
        family.rule(|list| lead(over(list, TCP), family.number, streams)),
    ];
    let table = family.message(NEW_TABLE).text(1, NAME);
    let chain = family
        .message(NEW_CHAIN)
        .text(1, NAME)
        .text(3, CHAIN)
        // The hook of locally made packets, at the priority of destination NAT.
        .nested(4, |hook| hook.with(1, &3_u32.to_be_bytes()).with(2, &(-100_i32).to_be_bytes()))
        .text(7, "nat");
    let all = [frame(BEGIN), table, chain].into_iter().chain(rules).chain([frame(END)]);
    all.map(Message::finished).collect()
}

struct Family<'a> {
    number: u8,
    /// Where the destination stands in the packet's head.
    at: u32,
    own: Vec<u8>,
    /// How loopback addresses begin.
    loopback: &'a [u8],
}

impl Family<'_> {
    fn message(&self, kind: u16) -> Message {
        // `struct nfgenmsg`.
        Message::new(SUBSYSTEM << 8 | kind, ACK | CREATE | APPEND, 1, &[self.number, 0, 0, 0])
    }

    fn rule(&self, expressions: impl FnOnce(Message) -> Message) -> Message {
        self.message(NEW_RULE).text(1, NAME).text(2, CHAIN).nested(4, expressions)
    }
}

fn frame(kind: u16) -> Message {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    Message::new(kind, 0, 0, &[0, 0, high, low])
}

/// One expression of a rule.
fn expression(list: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    list.nested(1, |element| element.text(1, name).nested(2, data))
}

/// Only packets whose destination begins so.
fn to(list: Message, at: u32, address: &[u8]) -> Message {
    equal(payload(list, NETWORK, at, address.len()), address)
}

/// Only packets to this port; after [`over`].
fn to_port(list: Message, port: u16) -> Message {
    equal(payload(list, TRANSPORT, 2, 2), &port.to_be_bytes())
}

/// Only packets of this protocol.
fn over(list: Message, protocol: u8) -> Message {
    let loaded =
        expression(list, "meta", |data| data.with(1, &REGISTER_1.to_be_bytes()).with(2, &META_L4PROTO.to_be_bytes()));
    equal(loaded, &[protocol])
}

fn payload(list: Message, base: u32, offset: u32, length: usize) -> Message {
    let length = u32::try_from(length).unwrap_or_default();
    expression(list, "payload", |data| {
        data.with(1, &REGISTER_1.to_be_bytes())
            .with(2, &base.to_be_bytes())
            .with(3, &offset.to_be_bytes())
            .with(4, &length.to_be_bytes())
    })
}

fn equal(list: Message, value: &[u8]) -> Message {
    expression(list, "cmp", |data| {
        data.with(1, &REGISTER_1.to_be_bytes()).with(2, &0_u32.to_be_bytes()).nested(3, |inner| inner.with(1, value))
    })
}

fn accept(list: Message) -> Message {
    expression(list, "immediate", |data| {
        data.with(1, &REGISTER_VERDICT.to_be_bytes())
            .nested(2, |inner| inner.nested(2, |verdict| verdict.with(1, &1_u32.to_be_bytes())))
    })
}

fn lead(list: Message, family: u8, goal: SocketAddr) -> Message {
    let list = load(list, REGISTER_1, &octets(goal.ip()));
    let list = load(list, REGISTER_2, &goal.port().to_be_bytes());
    expression(list, "nat", |data| {
        data.with(1, &DESTINATION_NAT.to_be_bytes())
            .with(2, &u32::from(family).to_be_bytes())
            .with(3, &REGISTER_1.to_be_bytes())
            .with(5, &REGISTER_2.to_be_bytes())
    })
}

fn load(list: Message, register: u32, value: &[u8]) -> Message {
    expression(list, "immediate", |data| data.with(1, &register.to_be_bytes()).nested(2, |inner| inner.with(1, value)))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

const NAME: &str = "tollgate";
const CHAIN: &str = "output";
const DNS: u16 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const SUBSYSTEM: u16 = 10;
const BEGIN: u16 = 16;
const END: u16 = 17;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const REGISTER_VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;
const REGISTER_2: u32 = 2;
const META_L4PROTO: u32 = 16;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const DESTINATION_NAT: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> usize {
        usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]))
    }

    /// Walks through attributes, into those that hold others; gives the texts among them.
    fn texts(mut bytes: &[u8], found: &mut Vec<String>) {
        while !bytes.is_empty() {
            let (length, kind) = (word(bytes, 0), word(bytes, 2));
            let value = &bytes[4..length];
            if kind & 0x8000 != 0 {
                texts(value, found);
            } else if let Some((0, text)) = value.split_last()
                && text.len() > 1
                && text.iter().all(u8::is_ascii_lowercase)
            {
                found.push(String::from_utf8(text.to_vec()).unwrap());
            }
            bytes = &bytes[length.next_multiple_of(4)..];
        }
    }

    #[test]
    fn the_batch_is_whole_and_says_in_this_order_what_stays_and_what_is_led_away() {
        for (gate, family) in [("198.18.0.2", 2), ("[fd74:6f6c:6c67::2]", 10)] {
            let (streams, names) = (format!("{gate}:1234").parse().unwrap(), format!("{gate}:1235").parse().unwrap());
            let batch = messages(streams, names);
            let mut said = Vec::new();
            for message in &batch {
                assert_eq!(u32::from_ne_bytes(message[..4].try_into().unwrap()) as usize, message.len());
                assert_eq!(message.len() % 4, 0);
                texts(&message[20..], &mut said);
            }
            for message in &batch[1..batch.len() - 1] {
                assert_eq!(message[16], family);
            }
            let inside = "tollgate output payload cmp immediate";
            let expected = format!(
                "tollgate tollgate output nat {inside} {inside} tollgate output meta cmp payload cmp immediate \
                 immediate nat tollgate output meta cmp immediate immediate nat"
            );
            assert_eq!(said.join(" "), expected);
            let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            assert!(has(&batch[6], &1234_u16.to_be_bytes()) && has(&batch[5], &1235_u16.to_be_bytes()));
        }
    }
}
