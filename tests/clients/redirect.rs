//! Redirection by the kernel and by the hosts file, in network namespaces that each test makes and removes.

pub mod world;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::world::{FOREIGN, HOST4, HOST6, World};

/// Everything that could have been changed.
fn settings(world: &World) -> [String; 6] {
    [
        world.gate_says("nft", &["--stateless", "list", "ruleset"]),
        world.gate_says("ip", &["-4", "rule"]),
        world.gate_says("ip", &["-6", "rule"]),
        world.gate_says("ip", &["-4", "route", "show", "table", "all"]),
        world.gate_says("ip", &["-6", "route", "show", "table", "all"]),
        fs::read_to_string(world.hosts()).unwrap(),
    ]
}

#[test]
#[ignore = "needs root, nft, ip and curl"]
fn programs_without_a_proxy_are_metered_and_nothing_loops_or_goes_around() {
    let mut world = World::make();
    world.start();
    let before = settings(&world);
    assert!(before[0].contains(FOREIGN), "there is something to compare");
    world.redirect(&["on", "--for-all"]);
    for (address, call) in [(HOST4, 1), (HOST6, 2)] {
        assert_eq!(world.call(&world.gate, address), "200", "{address}");
        assert_eq!(world.upstream().bill().len(), call, "{address}");
    }
    world.assert_booked(2);
    assert_udp_is_refused_at_once(&world, &world.gate);
    // One connection of a program and one of the gate for each call, and nobody's but the gate's left the machine.
    let status = world.status();
    assert_eq!(
        counters(&status),
        [("around", 0), ("captured", 2), ("own", 2), ("quic", 2), ("refused", 0)],
        "{status}"
    );
    assert_eq!(world.counted(&world.gate, "unmarked"), 0);
    assert_eq!(world.counted(&world.upstream_side, "connections"), 2);
    assert_eq!(world.counted(&world.upstream_side, "quic"), 0);
    assert_eq!(status["gate"]["answers"], true);

    let again = world.redirect_fails(&["on", "--for-all"]);
    assert!(again.contains("already on") && again.contains("--refresh") && again.contains("redirect off"), "{again}");
    world.redirect(&["on", "--refresh"]);
    assert_eq!(world.call(&world.gate, HOST4), "200");
    world.redirect(&["off"]);
    assert_eq!(settings(&world), before, "not a byte but ours was touched");
    assert_eq!(world.redirect(&["off"]), "nothing is redirected\n");
    // From now on without the gate, whose certificate curl asks for.
    assert_eq!(world.call(&world.gate, HOST4), "000");
    world.assert_booked(3);
}

#[test]
#[ignore = "needs root, nft, ip and curl"]
fn what_another_namespace_sends_is_taken_as_it_is_in_both_protocols() {
    let mut world = World::make();
    world.start();
    let before = settings(&world);
    let refused = world.redirect_fails(&["on", "--for-interface", "gc"]);
    assert!(refused.contains("--tproxy"), "the gate is on loopback, where REDIRECT does not lead: {refused}");
    world.redirect(&["on", "--for-interface", "gc", "--tproxy"]);
    for (address, call) in [(HOST4, 1), (HOST6, 2)] {
        assert_eq!(world.call(&world.client, address), "200", "{address}");
        assert_eq!(world.upstream().bill().len(), call);
    }
    world.assert_booked(2);
    assert_udp_is_refused_at_once(&world, &world.client);
    let status = world.status();
    assert_eq!(
        counters(&status),
        [("around", 0), ("captured", 2), ("own", 0), ("quic", 2), ("refused", 0)],
        "{status}"
    );
    assert_eq!(world.counted(&world.upstream_side, "connections"), 2);
    assert_eq!(world.counted(&world.gate, "unmarked"), 0);
    world.redirect(&["off"]);
    assert_eq!(settings(&world), before);
}

#[test]
#[ignore = "needs root, nft, ip and curl"]
fn after_kill_9_the_next_start_gives_back_what_was_there() {
    let mut world = World::make();
    world.start();
    let before = settings(&world);
    for on in [&["on", "--for-all", "--tproxy"][..], &["on", "--hosts"]] {
        world.redirect(on);
        assert_ne!(settings(&world), before);
        world.kill();
        assert_ne!(settings(&world), before, "nobody could have undone it");
        world.start();
        assert_eq!(settings(&world), before, "{on:?}");
        assert_eq!(world.status()["on"], false);
    }
    // And a gate that stops in order takes it with it.
    world.redirect(&["on", "--for-all"]);
    world.stop();
    assert_eq!(settings(&world), before);
    // One that takes over goes on with it, and takes it along at its own end.
    world.start();
    world.redirect(&["on", "--for-all"]);
    let redirected = settings(&world);
    world.take_over();
    assert_eq!(settings(&world), redirected);
    assert_eq!(world.call(&world.gate, HOST4), "200");
    assert_eq!(world.status()["on"], true);
    world.stop();
    assert_eq!(settings(&world), before);
    // Half of it is there: as when the machine was too slow for the rest.
    world.start();
    world.redirect(&["on", "--for-all", "--tproxy"]);
    world.gate_says("nft", &["delete", "table", "inet", "tollgate"]);
    world.gate_says("ip", &["-6", "rule", "del", "priority", "8486"]);
    world.redirect(&["off"]);
    assert_eq!(settings(&world), before);
}

#[test]
#[ignore = "needs root, nft, ip and curl"]
fn a_gate_without_the_right_to_mark_is_let_out_by_its_user_or_refused() {
    let mut world = World::make();
    world.start_as("nobody");
    let before = settings(&world);
    let refused = world.redirect_fails(&["on", "--for-uid", "nobody"]);
    assert!(refused.contains("led to itself") && refused.contains("CAP_NET_ADMIN"), "{refused}");
    assert_eq!(settings(&world), before);
    world.redirect(&["on", "--for-all"]);
    assert_eq!(world.call(&world.gate, HOST4), "200");
    world.assert_booked(1);
    assert_eq!(world.counted(&world.upstream_side, "connections"), 1);
    world.redirect(&["off"]);
    world.redirect(&["on", "--for-uid", "daemon"]);
    assert_eq!(world.call(&world.gate, HOST4), "000", "root was not asked for, and trusts another certificate");
    world.redirect(&["off"]);
    assert_eq!(settings(&world), before);
}

#[test]
#[ignore = "needs root, nft, ip and curl"]
fn what_cannot_be_done_is_said_and_leaves_nothing() {
    let mut world = World::make();
    let no_gate = world.redirect_fails(&["on", "--for-all"]);
    assert!(no_gate.contains("no gate listens") && no_gate.contains("tollgate serve"), "{no_gate}");
    world.start();
    let before = settings(&world);
    for (arguments, said) in [
        (&["on"][..], "whose connections"),
        (&["on", "--for-uid", "no such user"], "no user `no such user`"),
        (&["on", "--for-interface", "nowhere0", "--tproxy"], "no network interface `nowhere0`"),
        (&["on", "--for-all", "--host", "example.com"], "`example.com` is not intercepted"),
        (&["on", "--refresh"], "nothing is redirected"),
    ] {
        let refused = world.redirect_fails(arguments);
        assert!(refused.contains(said) && refused.contains("hint: "), "{arguments:?}: {refused}");
    }
    let unprivileged = world.redirect_fails_without_rights(&["on", "--for-all"]);
    assert!(unprivileged.contains("CAP_NET_ADMIN"), "{unprivileged}");
    assert!(unprivileged.contains("redirect on --for-all --config"), "{unprivileged}");
    let bare = world.redirect_fails_without_tools(&["on", "--for-all"], &["nft", "iptables-restore"]);
    assert!(bare.contains("nftables") && bare.contains("iptables"), "{bare}");
    assert_eq!(settings(&world), before);

    world.gate_reads("nft", &["-f", "-"], "table inet tollgate {\n\tset own { type ipv4_addr; }\n}\n");
    let foreign = settings(&world);
    let refused = world.redirect_fails(&["on", "--for-all"]);
    assert!(refused.contains("not from this program"), "{refused}");
    world.redirect(&["off"]);
    assert_eq!(settings(&world), foreign);
}

#[test]
#[ignore = "needs root, iptables, ip and curl"]
fn iptables_does_the_same_where_there_is_no_nft() {
    let mut world = World::make();
    world.start();
    let save = |world: &World| ["iptables-save", "ip6tables-save"].map(|save| world.rules_saved(save));
    // The first look makes iptables' own tables.
    for (table, chain) in [("nat", "OUTPUT"), ("filter", "OUTPUT")] {
        for program in ["iptables", "ip6tables"] {
            world.gate_says(program, &["-t", table, "-A", chain, "-p", "tcp", "--dport", "9", "-j", "ACCEPT"]);
        }
    }
    let before = save(&world);
    world.redirect_without(&["on", "--for-all"], &["nft"]);
    for address in [HOST4, HOST6] {
        assert_eq!(world.call(&world.gate, address), "200", "{address}");
    }
    assert_udp_is_refused_at_once(&world, &world.gate);
    world.assert_booked(2);
    let status = world.status();
    assert_eq!(status["tool"], "iptables");
    assert_eq!(counters(&status), [("around", 0), ("captured", 2), ("own", 2), ("quic", 2)], "{status}");
    assert_eq!(world.counted(&world.upstream_side, "connections"), 2);
    world.redirect_without(&["on", "--refresh"], &["nft"]);
    assert_eq!(world.call(&world.gate, HOST4), "200");
    world.redirect_without(&["off"], &["nft"]);
    assert_eq!(save(&world), before);
}

#[test]
#[ignore = "needs root, nft, ip and curl"]
fn the_hosts_file_leads_the_whole_machine_to_the_gate() {
    let mut world = World::make();
    world.start();
    let before = settings(&world);
    world.redirect(&["on", "--hosts"]);
    let text = fs::read_to_string(world.hosts()).unwrap();
    assert!(
        text.starts_with(&before[5]) && text.contains("\n127.0.0.1\tapi.openai.com\n::1\tapi.openai.com\n"),
        "{text}"
    );
    for family in ["-4", "-6"] {
        assert_eq!(world.call_by_name(family), "200", "{family}");
    }
    world.assert_booked(2);
    let added = world.redirect_fails(&["on", "--hosts"]);
    assert!(added.contains("already on"), "{added}");
    // What somebody else writes meanwhile stays.
    fs::write(world.hosts(), format!("{text}192.0.2.7 later")).unwrap();
    world.redirect(&["off"]);
    assert_eq!(fs::read_to_string(world.hosts()).unwrap(), format!("{}192.0.2.7 later", before[5]));
    assert_eq!(settings(&world)[..5], before[..5]);
}

fn assert_udp_is_refused_at_once(world: &World, namespace: &str) {
    for address in [HOST4, HOST6] {
        let begun = Instant::now();
        assert!(world.udp_is_refused(namespace, address), "{address}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{address}");
    }
}

fn counters(status: &Value) -> Vec<(&str, u64)> {
    let counters = status["counters"].as_object().unwrap_or_else(|| panic!("no counters in {status}"));
    counters.iter().map(|(name, packets)| (name.as_str(), packets.as_u64().unwrap())).collect()
}
