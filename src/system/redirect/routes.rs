//! The routing that TPROXY needs: packets with its mark are delivered on this machine.

use std::path::Path;

use crate::system::redirect::capture::{Family, Tproxy};
use crate::system::redirect::tools::{ToolError, done, run};

/// A table and a priority that nobody uses in either family.
///
/// # Errors
/// `ip` cannot be run, or every number that we would take is in use.
pub fn free(ip: &Path, mark: u32) -> Result<Option<Tproxy>, ToolError> {
    for table in TABLES {
        let mut used = false;
        for family in FAMILIES {
            used |= done(ip, &[family, "rule", "show"], "")?.lines().any(|rule| mentions(rule, table));
            used |= !routes(ip, family, table)?.is_empty();
        }
        if !used {
            return Ok(Some(Tproxy { mark, table }));
        }
    }
    Ok(None)
}

/// Adds rule and route of both families; a kernel without IPv6 gets those of IPv4.
///
/// # Errors
/// What `ip` complains about; what was added before is then still there.
pub fn add(ip: &Path, tproxy: Tproxy, has_v6: bool) -> Result<(), ToolError> {
    for family in Family::BOTH.into_iter().filter(|family| has_v6 || *family == Family::V4) {
        for command in commands(family, tproxy, "add") {
            done(ip, &command.iter().map(String::as_str).collect::<Vec<_>>(), "")?;
        }
    }
    Ok(())
}

/// Removes what is there of both.
///
/// # Errors
/// What `ip` complains about, other than that something is not there.
pub fn remove(ip: &Path, tproxy: Tproxy) -> Result<(), ToolError> {
    for (family, option) in Family::BOTH.into_iter().zip(FAMILIES) {
        let [rule, route] = commands(family, tproxy, "del");
        let rules = run(ip, &[option, "rule", "show"], "")?;
        if rules.out.lines().any(|line| is_ours(line, tproxy)) {
            done(ip, &rule.iter().map(String::as_str).collect::<Vec<_>>(), "")?;
        }
        if routes(ip, option, tproxy.table)?.lines().any(|line| line.trim().starts_with("local default dev lo")) {
            done(ip, &route.iter().map(String::as_str).collect::<Vec<_>>(), "")?;
        }
    }
    Ok(())
}

/// As they would be typed.
pub fn shown(tproxy: Tproxy) -> Vec<String> {
    let all = Family::BOTH.into_iter().flat_map(|family| commands(family, tproxy, "add"));
    all.map(|command| format!("ip {}", command.join(" "))).collect()
}

/// The arguments of `ip` for the rule and for the route.
fn commands(family: Family, tproxy: Tproxy, verb: &str) -> [Vec<String>; 2] {
    let (option, every) = match family {
        Family::V4 => ("-4", "0.0.0.0/0"),
        Family::V6 => ("-6", "::/0"),
    };
    let (mark, table) = (format!("{:#x}", tproxy.mark), tproxy.table.to_string());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    [
        words(&[option, "rule", verb, "priority", &table, "fwmark", &mark, "lookup", &table]),
        words(&[option, "route", verb, "local", every, "dev", "lo", "table", &table]),
    ]
}

/// The routes of a table; one that nobody made is an error of `ip`, and has none.
fn routes(ip: &Path, family: &str, table: u32) -> Result<String, ToolError> {
    let said = run(ip, &[family, "route", "show", "table", &table.to_string()], "")?;
    Ok(if said.status.success() { said.out.trim().to_owned() } else { String::new() })
}

/// Whether a line of `ip rule show` has this priority or leads to this table.
fn mentions(rule: &str, table: u32) -> bool {
    let table = table.to_string();
    rule.split([' ', ':', '\t']).any(|word| word == table)
}

fn is_ours(rule: &str, tproxy: Tproxy) -> bool {
    let words: Vec<&str> = rule.split_ascii_whitespace().collect();
    let (priority, mark, table) =
        (format!("{}:", tproxy.table), format!("{:#x}", tproxy.mark), tproxy.table.to_string());
    words.first() == Some(&&*priority) && words.contains(&&*mark) && words.last() == Some(&&*table)
}

const FAMILIES: [&str; 2] = ["-4", "-6"];
const TABLES: std::ops::Range<u32> = 8486..8494;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_anybody_uses_is_not_taken_and_only_our_rule_is_removed() {
        let tproxy = Tproxy { mark: 0x746f_6c70, table: 8486 };
        for (rule, mentioned, ours) in [
            ("0:\tfrom all lookup local", false, false),
            ("8486:\tfrom all lookup main", true, false),
            ("100:\tfrom all fwmark 0x1 lookup 8486", true, false),
            ("8486:\tfrom all fwmark 0x746f6c70 lookup 8486", true, true),
            ("8486:\tfrom all fwmark 0x1 lookup 8486", true, false),
            ("18486:\tfrom all fwmark 0x746f6c70 lookup 84860", false, false),
        ] {
            assert_eq!((mentions(rule, 8486), is_ours(rule, tproxy)), (mentioned, ours), "{rule}");
        }
    }

    #[test]
    fn rule_and_route_are_as_the_kernels_documentation_has_them() {
        let shown = shown(Tproxy { mark: 1, table: 8487 });
        assert_eq!(
            shown,
            [
                "ip -4 rule add priority 8487 fwmark 0x1 lookup 8487",
                "ip -4 route add local 0.0.0.0/0 dev lo table 8487",
                "ip -6 rule add priority 8487 fwmark 0x1 lookup 8487",
                "ip -6 route add local ::/0 dev lo table 8487",
            ]
        );
    }
}
