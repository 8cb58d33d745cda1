//! What iptables-restore is given in every combination, and what is read of iptables-save.

use super::*;
use crate::system::redirect::capture::{Families, Forwarded, Tproxy};

const ID: &str = "0123456789abcdef";

fn capture() -> Capture {
    Capture {
        id: ID.into(),
        version: "1.2.3".into(),
        port: 8486,
        hosts: ["192.0.2.1", "192.0.2.2", "2001:db8::1"].iter().map(|text| text.parse().unwrap()).collect(),
        listens: Families { v4: true, v6: true },
        spared: Spared { mark: Some(0x746f_6c6c), uid: None },
        own: Some(Who::All),
        forwarded: None,
    }
}

#[test]
fn programs_of_this_machine_are_led_to_the_gate_and_the_gate_is_not() {
    let nat = "*nat\n:TOLLGATE_N_0123456789abcdef - [0:0]\n\
        -A TOLLGATE_N_0123456789abcdef -m mark --mark 0x746f6c6c -j RETURN\n\
        -A TOLLGATE_N_0123456789abcdef -d 192.0.2.1 -p tcp --dport 443 -j REDIRECT --to-ports 8486\n\
        -A TOLLGATE_N_0123456789abcdef -d 192.0.2.2 -p tcp --dport 443 -j REDIRECT --to-ports 8486\n\
        -I OUTPUT 1 -j TOLLGATE_N_0123456789abcdef\nCOMMIT\n";
    let script = add(&capture(), Family::V4);
    assert!(script.starts_with(nat), "{script}");
    let (_, filter) = script.split_once("*filter\n").unwrap();
    let at = |part: &str| filter.find(part).unwrap_or_else(|| panic!("no {part} in {filter}"));
    assert!(at("_F_0123456789abcdef -m mark --mark 0x746f6c6c -j RETURN") < at("-j REJECT"));
    assert!(filter.contains("-d 192.0.2.2 -p udp --dport 443 -j REJECT --reject-with icmp-port-unreachable\n"));
    let user = add(&Capture { own: Some(Who::User(1000)), ..capture() }, Family::V6);
    assert!(user.contains("-d 2001:db8::1 -p tcp --dport 443 -m owner --uid-owner 1000 -j REDIRECT --to-ports 8486\n"));
    assert!(user.contains("-m owner --uid-owner 1000 -j REJECT --reject-with icmp6-port-unreachable\n"));
    assert!(!user.contains("192.0.2"));
    let uid = add(&Capture { spared: Spared { mark: None, uid: Some(998) }, ..capture() }, Family::V4);
    assert!(uid.contains("_N_0123456789abcdef -m owner --uid-owner 998 -j RETURN\n") && !uid.contains("--mark"));
}

#[test]
fn what_comes_in_by_an_interface_is_redirected_or_taken_as_it_is() {
    let with = |interface: Option<&str>, tproxy, family| {
        let forwarded = Some(Forwarded { interface: interface.map(Box::from), tproxy });
        add(&Capture { own: None, forwarded, ..capture() }, family)
    };
    let script = with(Some("veth0"), None, Family::V6);
    assert!(script.starts_with("*nat\n:TOLLGATE_P_"));
    assert!(script.contains("-d 2001:db8::1 -i veth0 -p tcp --dport 443 -j REDIRECT --to-ports 8486\n"));
    assert!(script.contains("-I PREROUTING 1 ") && script.contains("-I FORWARD 1 ") && !script.contains("OUTPUT"));
    let script = with(None, Some(Tproxy { mark: 0x746f_6c70, table: 8486 }), Family::V4);
    assert!(script.starts_with("*mangle\n"));
    let tproxy = "-d 192.0.2.1 ! -i lo -p tcp --dport 443 -j TPROXY --on-ip 127.0.0.1 --on-port 8486 --tproxy-mark 0x746f6c70/0xffffffff\n";
    assert!(script.contains(tproxy), "{script}");
}

#[test]
fn a_family_in_which_the_gate_does_not_listen_is_reset() {
    let script = add(&Capture { listens: Families { v4: true, v6: false }, ..capture() }, Family::V6);
    assert!(script.contains("-d 2001:db8::1 -p tcp --dport 443 -j REJECT --reject-with tcp-reset\n"));
    assert!(!script.contains("REDIRECT"));
}

#[test]
fn names_of_chains_are_not_longer_than_the_kernel_takes() {
    let script = add(&capture(), Family::V4);
    let chains: Vec<&str> = script.lines().filter_map(chain).collect();
    assert_eq!(chains.len(), 2);
    assert!(chains.iter().all(|chain| chain.len() <= 28 && id_of(chain) == Some(ID)));
}

#[test]
fn addresses_are_exchanged_without_a_second_jump() {
    let hosts: Addresses = ["198.51.100.7".parse().unwrap()].into_iter().collect();
    let script = refresh(&capture(), &hosts, Family::V4);
    assert!(script.contains("-d 198.51.100.7 ") && !script.contains("192.0.2."));
    assert!(!script.contains("-I "));
    assert_eq!(script.lines().filter(|line| line.starts_with(":TOLLGATE_")).count(), 2, "each chain is emptied first");
}

const SAVED: &str = "# Generated\n*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:TOLLGATE_F_0123456789abcdef - [0:0]\n\
    :TOLLGATE_F_ffffffffffffffff - [0:0]\n-A OUTPUT -j TOLLGATE_F_ffffffffffffffff\n-A OUTPUT -j TOLLGATE_F_0123456789abcdef\n\
    -A OUTPUT -p tcp -m comment --comment \"-j TOLLGATE_F_0123456789abcdef\" -j DROP\n\
    -A TOLLGATE_F_0123456789abcdef -m mark --mark 0x746f6c6c -j RETURN\nCOMMIT\n\
    *nat\n:OUTPUT ACCEPT [0:0]\n:TOLLGATE_N_0123456789abcdef - [0:0]\nCOMMIT\n*raw\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

#[test]
fn what_is_there_of_ours_is_removed_also_where_it_is_half_of_it() {
    assert_eq!(
        remove(SAVED, ID),
        "*filter\n-D OUTPUT -j TOLLGATE_F_0123456789abcdef\n-F TOLLGATE_F_0123456789abcdef\n-X TOLLGATE_F_0123456789abcdef\nCOMMIT\n\
         *nat\n-F TOLLGATE_N_0123456789abcdef\n-X TOLLGATE_N_0123456789abcdef\nCOMMIT\n"
    );
    assert_eq!(remove(SAVED, "0000000000000000"), "");
    assert_eq!(remove("", ID), "");
    assert_eq!(ids(SAVED), [ID, "ffffffffffffffff"]);
}

#[test]
fn packets_are_counted_by_what_became_of_them() {
    let saved = "[3:180] -A TOLLGATE_N_0123456789abcdef -d 192.0.2.1/32 -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 8486\n\
        [2:120] -A TOLLGATE_N_0123456789abcdef -d 192.0.2.2/32 -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 8486\n\
        [9:90] -A TOLLGATE_N_0123456789abcdef -m mark --mark 0x746f6c6c -j RETURN\n\
        [4:90] -A TOLLGATE_F_0123456789abcdef -d 192.0.2.1/32 -p tcp -m tcp --dport 443 --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x746f6c6c -j RETURN\n\
        [1:90] -A TOLLGATE_F_0123456789abcdef -d 192.0.2.1/32 -p udp -m udp --dport 443 -j REJECT --reject-with icmp-port-unreachable\n\
        [2:90] -A TOLLGATE_P_0123456789abcdef -d 192.0.2.1/32 -p tcp -m tcp --dport 443 --tcp-flags FIN,SYN,RST,ACK SYN\n\
        [90:9000] -A TOLLGATE_P_0123456789abcdef -d 192.0.2.1/32 -p tcp -m tcp --dport 443 -j TPROXY --on-port 8486\n\
        [0:0] -A TOLLGATE_F_0123456789abcdef -d 192.0.2.1/32 -p tcp -m tcp --dport 443 --tcp-flags FIN,SYN,RST,ACK SYN\n\
        [7:90] -A TOLLGATE_F_ffffffffffffffff -d 192.0.2.1/32 -p udp -m udp --dport 443 -j REJECT\n[5:5] -A OUTPUT -j ACCEPT\n";
    let mut counters = Counters::new();
    count(saved, ID, &mut counters);
    let expected = [("around", 0), ("captured", 7), ("own", 4), ("quic", 1)];
    assert_eq!(counters, expected.into_iter().map(|(name, packets)| (name.into(), packets)).collect());
}
