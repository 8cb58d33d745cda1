//! The texts of `hosts` and `nsswitch.conf` as an isolated program is to see them.

use std::net::IpAddr;

/// The hosts file without the names that lead to this machine's loopback: what listens there is not inside, but the gate
/// reaches it by name. Its own names stay.
pub fn hosts(text: &str, own: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let entry = line.split('#').next().unwrap_or_default();
        let mut words = entry.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        let is_loopback = address.is_some_and(|address| address.to_canonical().is_loopback());
        if !is_loopback {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let names: Vec<&str> = words.filter(|name| is_own(name, own)).collect();
        if let Some(address) = address.filter(|_| !names.is_empty()) {
            kept.push_str(&format!("{address} {}\n", names.join(" ")));
        }
    }
    for (address, name) in [("127.0.0.1", "localhost"), ("::1", "localhost")] {
        let is_there = kept.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(address) && words.any(|word| word == name)
        });
        if !is_there {
            kept.push_str(&format!("{address} {name}\n"));
        }
    }
    kept
}

/// What says who answers for names, with the hosts file and the resolver alone.
pub fn switch(text: &str) -> String {
    let others = text.lines().filter(|line| !line.trim_start().starts_with("hosts:"));
    let mut kept: String = others.flat_map(|line| [line, "\n"]).collect();
    kept.push_str("hosts: files dns\n");
    kept
}

fn is_own(name: &str, own: &str) -> bool {
    let (name, own) = (name.to_ascii_lowercase(), own.to_ascii_lowercase());
    let below = |domain: &str| name.strip_suffix(domain).is_some_and(|left| left.is_empty() || left.ends_with('.'));
    below("localhost")
        || below("localdomain")
        || name.starts_with("ip6-")
        || (!own.is_empty() && name.strip_prefix(&*own).is_some_and(|left| left.is_empty() || left.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_to_the_loopback_are_left_to_the_gate() {
        let text = "127.0.0.1 localhost vm vm.lan app.test # all\n127.0.1.1\tvm\n::1 ip6-localhost api.openai.com\n\
                    127.0.0.1 api.openai.com\n10.0.0.5 db db.lan # kept\n# a remark\n";
        let expected = "127.0.0.1 localhost vm vm.lan\n127.0.1.1 vm\n::1 ip6-localhost\n10.0.0.5 db db.lan # kept\n\
                        # a remark\n::1 localhost\n";
        assert_eq!(hosts(text, "vm"), expected);
        assert_eq!(hosts("", ""), "127.0.0.1 localhost\n::1 localhost\n");
    }

    #[test]
    fn only_files_and_the_resolver_answer_for_names() {
        let text = "passwd: files\nhosts: mymachines resolve [!UNAVAIL=return] files dns\nnetworks: files\n";
        assert_eq!(switch(text), "passwd: files\nnetworks: files\nhosts: files dns\n");
        assert_eq!(switch(""), "hosts: files dns\n");
    }
}
