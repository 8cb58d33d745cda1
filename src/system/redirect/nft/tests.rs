//! What nft is given in every combination, and what is read of its answers.

use super::*;
use crate::system::redirect::capture::{Forwarded, Tproxy};

const MARK: Spared = Spared { mark: Some(0x746f_6c6c), uid: None };
const UID: Spared = Spared { mark: None, uid: Some(998) };
const BOTH: Families = Families { v4: true, v6: true };

fn capture() -> Capture {
    Capture {
        id: "0123456789abcdef".into(),
        version: "1.2.3".into(),
        port: 8486,
        hosts: ["192.0.2.1", "192.0.2.2", "2001:db8::1"].iter().map(|text| text.parse().unwrap()).collect(),
        listens: BOTH,
        spared: MARK,
        own: Some(Who::All),
        forwarded: None,
    }
}

/// The rules of a chain, without its first line.
fn rules<'a>(script: &'a str, chain: &str) -> Vec<&'a str> {
    let Some((_, rest)) = script.split_once(&format!("chain {chain} {{\n")) else { return Vec::new() };
    rest.split_once("\n\t}").unwrap().0.lines().skip(1).map(str::trim).collect()
}

#[test]
fn the_whole_table_is_one_script_that_fails_where_one_exists() {
    let script = table(&capture());
    let head =
        "create table inet tollgate { comment \"tollgate 1.2.3 id 0123456789abcdef\"; }\ntable inet tollgate {\n";
    assert!(script.starts_with(head), "{script}");
    assert!(script.contains("set hosts4 { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 }; }\n"));
    assert!(script.contains("set hosts6 { type ipv6_addr; elements = { 2001:db8::1 }; }\n"));
    assert_eq!(script.matches('{').count(), script.matches('}').count());
    let empty = Capture { hosts: Addresses::default(), ..capture() };
    assert!(table(&empty).contains("set hosts6 { type ipv6_addr; }"), "an empty list of elements is a mistake to nft");
}

#[test]
fn programs_of_this_machine_are_led_to_the_gate_and_the_gate_is_not() {
    let led = |whose: &str| {
        ["ip daddr @hosts4", "ip6 daddr @hosts6"]
            .map(|to| format!("{whose}tcp dport 443 {to} counter name captured redirect to :8486"))
    };
    let table_of = |own, spared| table(&Capture { own: Some(own), spared, ..capture() });
    for (own, spared, first, whose) in [
        (Who::All, MARK, vec!["meta mark 0x746f6c6c return"], ""),
        (Who::All, UID, vec!["meta skuid 998 return"], ""),
        (Who::User(1000), MARK, vec!["meta mark 0x746f6c6c return"], "meta skuid 1000 "),
        (Who::User(1000), UID, vec!["meta skuid 998 return"], "meta skuid 1000 "),
        (
            Who::User(1000),
            Spared { uid: Some(998), ..MARK },
            vec!["meta mark 0x746f6c6c return", "meta mark != 0x746f6c6c meta skuid 998 return"],
            "meta skuid 1000 ",
        ),
    ] {
        let script = table_of(own, spared);
        let expected: Vec<String> = first.iter().map(|rule| (*rule).to_owned()).chain(led(whose)).collect();
        assert_eq!(rules(&script, "output_nat"), expected, "{own:?} {spared:?}");
        let filter = rules(&script, "output");
        let spares = filter.iter().rposition(|rule| rule.ends_with(" return")).unwrap();
        let refuses = filter.iter().position(|rule| rule.contains("reject")).unwrap();
        assert!(spares < refuses, "the gate's own QUIC and TCP are let out first: {filter:#?}");
        let quic =
            format!("{whose}udp dport 443 ip daddr @hosts4 counter name quic reject with icmpx type port-unreachable");
        assert!(filter.contains(&&*quic), "{filter:#?}");
        assert_eq!(filter.iter().filter(|rule| rule.contains("counter name own")).count(), first.len() * 2);
    }
}

#[test]
fn a_family_in_which_the_gate_does_not_listen_is_reset_so_that_programs_take_the_other() {
    let script = table(&Capture { listens: Families { v4: true, v6: false }, ..capture() });
    assert_eq!(rules(&script, "output_nat").len(), 2);
    assert!(!rules(&script, "output_nat").iter().any(|rule| rule.contains("ip6")));
    let reset = "tcp dport 443 ip6 daddr @hosts6 counter name refused reject with tcp reset";
    assert!(rules(&script, "output").contains(&reset));
    assert!(!table(&capture()).contains("tcp reset"));
}

#[test]
fn what_comes_in_by_an_interface_is_redirected_or_taken_as_it_is() {
    let with = |interface: Option<&str>, tproxy| {
        let forwarded = Some(Forwarded { interface: interface.map(Box::from), tproxy });
        table(&Capture { own: None, forwarded, spared: Spared::default(), ..capture() })
    };
    let script = with(Some("veth0"), None);
    assert!(script.contains("type nat hook prerouting priority -100;"));
    assert_eq!(
        rules(&script, "prerouting")[1],
        "iifname \"veth0\" tcp dport 443 ip6 daddr @hosts6 counter name captured redirect to :8486"
    );
    let script = with(None, Some(Tproxy { mark: 0x746f_6c70, table: 8486 }));
    assert!(script.contains("type filter hook prerouting priority -150;"));
    let rule = |to: &str, own: &str| {
        let packets = format!("iifname != \"lo\" tcp dport 443 {to}");
        let first = format!("{packets} tcp flags & (fin | syn | rst | ack) == syn counter name captured");
        [first, format!("{packets} tproxy {own}:8486 meta mark set 0x746f6c70 accept")]
    };
    let expected = [rule("ip daddr @hosts4", "ip to 127.0.0.1"), rule("ip6 daddr @hosts6", "ip6 to [::1]")];
    assert_eq!(rules(&script, "prerouting"), expected.concat());
    assert!(rules(&script, "output_nat").is_empty(), "programs of this machine were not asked for");
    let forward = rules(&script, "forward");
    assert_eq!(forward.iter().filter(|rule| rule.contains("udp dport 443") && rule.contains("reject")).count(), 2);
}

#[test]
fn addresses_are_exchanged_in_one_script() {
    let hosts: Addresses = ["192.0.2.9".parse().unwrap()].into_iter().collect();
    assert_eq!(
        refresh(&hosts),
        "flush set inet tollgate hosts4\nadd element inet tollgate hosts4 { 192.0.2.9 }\nflush set inet tollgate hosts6\n"
    );
}

#[test]
fn only_a_table_with_our_comment_is_ours() {
    let listing = |comment: &str| format!("table inet tollgate {{\n\tcomment \"{comment}\"\n\tset a {{\n\t}}\n}}\n");
    for (comment, expected) in [
        ("tollgate 1.2.3 id 0123456789abcdef", Some("0123456789abcdef")),
        ("tollgate 1.2.3 id 0123", None),
        ("tollgate 1.2.3 id 0123456789abcdeg", None),
        ("tollgate", None),
        ("my own", None),
    ] {
        assert_eq!(id(&listing(comment)), expected, "{comment}");
    }
    assert_eq!(id("table inet tollgate {\n}\n"), None);
}

#[test]
fn counters_are_read_by_name() {
    let listing = "table inet tollgate {\n\tcounter captured {\n\t\tpackets 12 bytes 720\n\t}\n\n\tcounter quic {\n\t\tpackets 0 bytes 0\n\t}\n\
                   \n\tchain a {\n\t\tcounter name \"captured\" redirect to :1\n\t\tcounter packets 5 bytes 6\n\t}\n}\n";
    let expected = [("captured".into(), 12), ("quic".into(), 0)];
    assert_eq!(counters(listing), Counters::from(expected));
}
