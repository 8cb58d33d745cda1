//! The rules as nft reads them, and what it says of them: text only, nothing is run here.

use std::fmt::Write;

use crate::system::redirect::capture::{Addresses, Capture, Families, Family, HTTPS, Spared, Who};
use crate::system::redirect::record::Counters;

/// The script that makes the whole table, or fails as a whole where one of that name exists.
pub fn table(capture: &Capture) -> String {
    let comment = format!("tollgate {} id {}", capture.version, capture.id);
    // Only its creation takes the comment.
    let mut script = format!("create table inet {TABLE} {{ comment \"{comment}\"; }}\ntable inet {TABLE} {{\n");
    for family in Family::BOTH {
        let _ = writeln!(script, "\tset {} {{ type {}; {}}}", set(family), kind(family), elements(capture, family));
    }
    for counter in COUNTERS {
        let _ = writeln!(script, "\tcounter {counter} {{ }}");
    }
    if let Some(who) = capture.own {
        output(capture, who, &mut script);
    }
    if capture.forwarded.is_some() {
        prerouting(capture, &mut script);
    }
    script.push_str("}\n");
    script
}

/// The script that puts other addresses in place of those of the table, at once.
pub fn refresh(hosts: &Addresses) -> String {
    let mut script = String::new();
    for family in Family::BOTH {
        let _ = writeln!(script, "flush set inet {TABLE} {}", set(family));
        let addresses = addresses(hosts, family);
        if !addresses.is_empty() {
            let _ = writeln!(script, "add element inet {TABLE} {} {{ {} }}", set(family), addresses.join(", "));
        }
    }
    script
}

/// The script that removes the table and all that is in it.
pub fn remove() -> String {
    format!("delete table inet {TABLE}\n")
}

/// The id in `nft list table inet tollgate`; `None` where somebody else made the table.
pub fn id(listing: &str) -> Option<&str> {
    let comment = listing.lines().find_map(|line| line.trim().strip_prefix("comment \"tollgate "))?;
    let (_, id) = comment.strip_suffix('"')?.rsplit_once(" id ")?;
    (id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// Packets of each counter in `nft list table inet tollgate`.
pub fn counters(listing: &str) -> Counters {
    let mut counters = Counters::new();
    let mut name = None;
    for line in listing.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("counter ").and_then(|rest| rest.strip_suffix(" {")) {
            name = Some(rest);
        } else if let Some(rest) = line.strip_prefix("packets ")
            && let Some(name) = name.take()
            && let Some(packets) = rest.split(' ').next().and_then(|number| number.parse().ok())
        {
            counters.insert(name.into(), packets);
        }
    }
    counters
}

/// For programs of this machine: addresses are changed before anything else sees the packet.
fn output(capture: &Capture, who: Who, script: &mut String) {
    let whose = match who {
        Who::All => String::new(),
        Who::User(uid) => format!("meta skuid {uid} "),
    };
    script.push_str("\tchain output_nat {\n\t\ttype nat hook output priority -100; policy accept;\n");
    spare(capture.spared, "return", script);
    for family in families(capture.listens) {
        let to = to(family);
        let _ = writeln!(script, "\t\t{whose}{to} counter name captured redirect to :{}", capture.port);
    }
    script.push_str("\t}\n\tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n");
    for family in Family::BOTH {
        spare(capture.spared, &format!("{} {SYN} counter name own", to(family)), script);
    }
    spare(capture.spared, "return", script);
    refuse(capture.listens, &whose, script);
    for family in families(capture.listens) {
        let _ = writeln!(script, "\t\t{whose}{} {SYN} counter name around", to(family));
    }
    script.push_str("\t}\n");
}

/// For what comes in by an interface.
fn prerouting(capture: &Capture, script: &mut String) {
    let Some(forwarded) = &capture.forwarded else { return };
    let whence = match &forwarded.interface {
        Some(interface) => format!("iifname \"{interface}\" "),
        None => "iifname != \"lo\" ".into(),
    };
    match forwarded.tproxy {
        None => {
            script.push_str("\tchain prerouting {\n\t\ttype nat hook prerouting priority -100; policy accept;\n");
            for family in families(capture.listens) {
                let to = to(family);
                let _ = writeln!(script, "\t\t{whence}{to} counter name captured redirect to :{}", capture.port);
            }
        }
        Some(tproxy) => {
            script.push_str("\tchain prerouting {\n\t\ttype filter hook prerouting priority -150; policy accept;\n");
            for family in families(capture.listens) {
                let (protocol, own) = match family {
                    Family::V4 => ("ip", "127.0.0.1"),
                    Family::V6 => ("ip6", "[::1]"),
                };
                // Every packet comes by here; a connection is counted by its first.
                let _ = writeln!(script, "\t\t{whence}{} {SYN} counter name captured", to(family));
                let _ = writeln!(
                    script,
                    "\t\t{whence}{} tproxy {protocol} to {own}:{} meta mark set {:#x} accept",
                    to(family),
                    capture.port,
                    tproxy.mark
                );
            }
        }
    }
    script.push_str("\t}\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n");
    refuse(capture.listens, &whence, script);
    for family in families(capture.listens) {
        let _ = writeln!(script, "\t\t{whence}{} {SYN} counter name around", to(family));
    }
    script.push_str("\t}\n");
}

/// QUIC, and TCP of a family in which the gate does not listen, so that programs fall back at once.
fn refuse(listens: Families, whose: &str, script: &mut String) {
    for family in Family::BOTH {
        let (protocol, set) = (protocol(family), set(family));
        let _ = writeln!(
            script,
            "\t\t{whose}udp dport {HTTPS} {protocol} daddr @{set} counter name quic reject with icmpx type port-unreachable"
        );
        if !listens.has(family) {
            let _ = writeln!(script, "\t\t{whose}{} counter name refused reject with tcp reset", to(family));
        }
    }
}

/// One rule for each sign of the gate's own sockets.
fn spare(spared: Spared, then: &str, script: &mut String) {
    if let Some(mark) = spared.mark {
        let _ = writeln!(script, "\t\tmeta mark {mark:#x} {then}");
    }
    if let Some(uid) = spared.uid {
        // What is marked has been counted already.
        let unmarked = spared.mark.map(|mark| format!("meta mark != {mark:#x} ")).unwrap_or_default();
        let _ = writeln!(script, "\t\t{unmarked}meta skuid {uid} {then}");
    }
}

fn families(listens: Families) -> impl Iterator<Item = Family> {
    Family::BOTH.into_iter().filter(move |family| listens.has(*family))
}

fn to(family: Family) -> String {
    format!("tcp dport {HTTPS} {} daddr @{}", protocol(family), set(family))
}

fn elements(capture: &Capture, family: Family) -> String {
    let addresses = addresses(&capture.hosts, family);
    if addresses.is_empty() { String::new() } else { format!("elements = {{ {} }}; ", addresses.join(", ")) }
}

fn addresses(hosts: &Addresses, family: Family) -> Vec<String> {
    match family {
        Family::V4 => hosts.v4.iter().map(ToString::to_string).collect(),
        Family::V6 => hosts.v6.iter().map(ToString::to_string).collect(),
    }
}

fn protocol(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn set(family: Family) -> &'static str {
    match family {
        Family::V4 => "hosts4",
        Family::V6 => "hosts6",
    }
}

fn kind(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

/// The one table, in family `inet`.
pub const TABLE: &str = "tollgate";

/// What is counted: connections led to the gate, its own to the hosts, QUIC packets refused, connections reset for want
/// of a listener, and those that went around the gate.
pub const COUNTERS: [&str; 5] = ["captured", "own", "quic", "refused", "around"];

/// The first packet of a connection.
const SYN: &str = "tcp flags & (fin | syn | rst | ack) == syn";

#[cfg(test)]
mod tests;
