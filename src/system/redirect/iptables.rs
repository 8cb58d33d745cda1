//! The rules as iptables-restore reads them, and what iptables-save says of them: text only, nothing is run here.

use std::fmt::Write;

use crate::system::redirect::capture::{Addresses, Capture, Family, HTTPS, Spared, Who};
use crate::system::redirect::record::Counters;

/// The input of `iptables-restore --noflush` (or `ip6tables-restore`) that adds our chains and the jumps to them.
///
/// Each of its tables takes effect as a whole.
pub fn add(capture: &Capture, family: Family) -> String {
    render(capture, family, Step::Add)
}

/// The input that puts other addresses in place of those of the chains, table by table.
pub fn refresh(capture: &Capture, hosts: &Addresses, family: Family) -> String {
    render(&Capture { hosts: hosts.clone(), ..capture.clone() }, family, Step::Refresh)
}

/// The input that removes what is there of ours in what `iptables-save` printed; empty where nothing is.
pub fn remove(saved: &str, id: &str) -> String {
    let mut script = String::new();
    for (table, lines) in tables(saved) {
        let ours: Vec<&str> =
            lines.iter().filter_map(|line| chain(line)).filter(|chain| id_of(chain) == Some(id)).collect();
        if ours.is_empty() {
            continue;
        }
        let _ = writeln!(script, "*{table}");
        for line in &lines {
            let jumps = line.rsplit_once(" -j ").is_some_and(|(_, to)| ours.contains(&to.trim()));
            if let Some(rule) = line.strip_prefix("-A ").filter(|_| jumps) {
                let _ = writeln!(script, "-D {rule}");
            }
        }
        for chain in &ours {
            let _ = writeln!(script, "-F {chain}\n-X {chain}");
        }
        script.push_str("COMMIT\n");
    }
    script
}

/// The ids of all chains of this program in what `iptables-save` printed.
pub fn ids(saved: &str) -> Vec<&str> {
    let mut ids: Vec<&str> = saved.lines().filter_map(chain).filter_map(id_of).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Packets of our rules in what `iptables-save -c` printed, added to `counters`.
pub fn count(saved: &str, id: &str, counters: &mut Counters) {
    for line in saved.lines() {
        let Some((numbers, rule)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] -A ")) else { continue };
        let chain = rule.split(' ').next().unwrap_or_default();
        let Some(name) = counted(rule).filter(|_| id_of(chain) == Some(id)) else { continue };
        let packets: u64 = numbers.split(':').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        *counters.entry(name.into()).or_default() += packets;
    }
}

/// Which counter of ours a rule is for; see `nft::COUNTERS`.
fn counted(rule: &str) -> Option<&'static str> {
    if rule.contains(" -j TPROXY") {
        // Every packet comes by there; the rule before it counts connections.
        None
    } else if rule.contains(" -j REDIRECT") || (rule.starts_with("TOLLGATE_P_") && !rule.contains(" -j ")) {
        Some("captured")
    } else if rule.contains("tcp-reset") {
        Some("refused")
    } else if rule.contains(" -j REJECT") {
        Some("quic")
    } else if rule.contains(" -j RETURN") {
        rule.contains(" --dport ").then_some("own")
    } else {
        rule.contains(" --dport ").then_some("around")
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Step {
    Add,
    Refresh,
}

/// A chain of ours, and where it is jumped to from.
struct Chain<'a> {
    table: &'static str,
    letter: char,
    from: &'static str,
    rules: &'a mut dyn FnMut(&mut Rules<'_>),
}

/// Writes rules of one chain.
struct Rules<'a> {
    chain: String,
    script: &'a mut String,
}

impl Rules<'_> {
    fn add(&mut self, rule: &str) {
        let _ = writeln!(self.script, "-A {} {rule}", self.chain);
    }
}

fn render(capture: &Capture, family: Family, step: Step) -> String {
    let mut script = String::new();
    let addresses = addresses(&capture.hosts, family);
    let listens = capture.listens.has(family);
    let port = capture.port;
    if let Some(who) = capture.own {
        let whose = match who {
            Who::All => String::new(),
            Who::User(uid) => format!(" -m owner --uid-owner {uid}"),
        };
        let mut nat = |rules: &mut Rules<'_>| {
            spare(capture.spared, "", rules);
            for address in addresses.iter().filter(|_| listens) {
                rules.add(&format!("-d {address} -p tcp --dport {HTTPS}{whose} -j REDIRECT --to-ports {port}"));
            }
        };
        write(capture, step, Chain { table: "nat", letter: 'N', from: "OUTPUT", rules: &mut nat }, &mut script);
        let mut filter = |rules: &mut Rules<'_>| {
            for address in &addresses {
                spare(capture.spared, &format!("-d {address} -p tcp --dport {HTTPS} --syn "), rules);
            }
            spare(capture.spared, "", rules);
            refuse(&addresses, (family, listens), &whose, rules);
        };
        write(capture, step, Chain { table: "filter", letter: 'F', from: "OUTPUT", rules: &mut filter }, &mut script);
    }
    if let Some(forwarded) = &capture.forwarded {
        let whence = match &forwarded.interface {
            Some(interface) => format!(" -i {interface}"),
            None => " ! -i lo".into(),
        };
        let (table, target) = match forwarded.tproxy {
            None => ("nat", format!("REDIRECT --to-ports {port}")),
            Some(tproxy) => {
                let own = if family == Family::V4 { "127.0.0.1" } else { "::1" };
                let mark = tproxy.mark;
                ("mangle", format!("TPROXY --on-ip {own} --on-port {port} --tproxy-mark {mark:#x}/0xffffffff"))
            }
        };
        let mut prerouting = |rules: &mut Rules<'_>| {
            for address in addresses.iter().filter(|_| listens) {
                if forwarded.tproxy.is_some() {
                    rules.add(&format!("-d {address}{whence} -p tcp --dport {HTTPS} --syn"));
                }
                rules.add(&format!("-d {address}{whence} -p tcp --dport {HTTPS} -j {target}"));
            }
        };
        write(capture, step, Chain { table, letter: 'P', from: "PREROUTING", rules: &mut prerouting }, &mut script);
        let mut forward = |rules: &mut Rules<'_>| refuse(&addresses, (family, listens), &whence, rules);
        write(capture, step, Chain { table: "filter", letter: 'W', from: "FORWARD", rules: &mut forward }, &mut script);
    }
    script
}

fn write(capture: &Capture, step: Step, chain: Chain<'_>, script: &mut String) {
    let Chain { table, letter, from, rules } = chain;
    let name = format!("{PREFIX}{letter}_{}", capture.id);
    // With --noflush, a chain that is declared again is emptied, so that both steps begin with nothing in it.
    let _ = writeln!(script, "*{table}\n:{name} - [0:0]");
    rules(&mut Rules { chain: name.clone(), script });
    if step == Step::Add {
        let _ = writeln!(script, "-I {from} 1 -j {name}");
    }
    script.push_str("COMMIT\n");
}

/// QUIC, and TCP where the gate does not listen; what is left is counted as going around.
fn refuse(addresses: &[String], (family, listens): (Family, bool), whose: &str, rules: &mut Rules<'_>) {
    let unreachable = if family == Family::V4 { "icmp-port-unreachable" } else { "icmp6-port-unreachable" };
    for address in addresses {
        rules.add(&format!("-d {address} -p udp --dport {HTTPS}{whose} -j REJECT --reject-with {unreachable}"));
        if listens {
            rules.add(&format!("-d {address} -p tcp --dport {HTTPS} --syn{whose}"));
        } else {
            rules.add(&format!("-d {address} -p tcp --dport {HTTPS}{whose} -j REJECT --reject-with tcp-reset"));
        }
    }
}

fn spare(spared: Spared, which: &str, rules: &mut Rules<'_>) {
    if let Some(mark) = spared.mark {
        rules.add(&format!("{which}-m mark --mark {mark:#x} -j RETURN"));
    }
    if let Some(uid) = spared.uid {
        rules.add(&format!("{which}-m owner --uid-owner {uid} -j RETURN"));
    }
}

/// The tables of a saved rule set, each with its lines.
fn tables(saved: &str) -> Vec<(&str, Vec<&str>)> {
    let mut tables: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push((name.trim(), Vec::new()));
        } else if let Some((_, lines)) = tables.last_mut() {
            lines.push(line);
        }
    }
    tables
}

/// The name in the line that declares a chain.
fn chain(line: &str) -> Option<&str> {
    line.strip_prefix(':')?.split(' ').next()
}

/// The id in the name of a chain of ours.
fn id_of(chain: &str) -> Option<&str> {
    let (_, id) = chain.strip_prefix(PREFIX)?.split_once('_')?;
    (!id.is_empty()).then_some(id)
}

fn addresses(hosts: &Addresses, family: Family) -> Vec<String> {
    match family {
        Family::V4 => hosts.v4.iter().map(ToString::to_string).collect(),
        Family::V6 => hosts.v6.iter().map(ToString::to_string).collect(),
    }
}

/// Names of chains may have 28 characters: this, a letter, a line and the id.
const PREFIX: &str = "TOLLGATE_";

#[cfg(test)]
mod tests;
