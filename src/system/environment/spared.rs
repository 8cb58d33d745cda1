//! `NO_PROXY`: which hosts go past the gate.

use std::ffi::OsString;

use crate::net::host::{Host, HostPattern};

/// The hosts that are spared.
#[derive(Debug)]
pub(super) struct Spared(Vec<String>);

impl Spared {
    /// What the user has spared already, but for what is intercepted, and this machine.
    pub(super) fn of(now: &dyn Fn(&str) -> Option<OsString>, intercepted: &[HostPattern]) -> Self {
        let given = now("no_proxy").or_else(|| now("NO_PROXY")).unwrap_or_default();
        let mut hosts = Self::kept(&given.to_string_lossy(), intercepted);
        for own in OWN {
            if !hosts.iter().any(|host| host == own) {
                hosts.push(own.into());
            }
        }
        Self(hosts)
    }

    /// The entries of such a list that do not lead intercepted hosts past the gate.
    pub(super) fn kept(list: &str, intercepted: &[HostPattern]) -> Vec<String> {
        let entries = list.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty());
        entries.filter(|host| !hides(host, intercepted)).map(str::to_owned).collect()
    }

    /// As the variable has it.
    pub(super) fn list(&self) -> String {
        self.0.join(",")
    }

    /// Each entry.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Whether an entry of `NO_PROXY` would lead calls past the gate.
fn hides(entry: &str, intercepted: &[HostPattern]) -> bool {
    let name =
        entry.rsplit_once(':').map_or(entry, |(name, port)| if port.parse::<u16>().is_ok() { name } else { entry });
    let name = name.trim_start_matches('*').trim_start_matches('.');
    if name.is_empty() {
        return true;
    }
    let Ok(host) = name.parse::<Host>() else { return false };
    // Either lies below the other.
    let above = |pattern: &HostPattern| {
        let spared = name.parse::<HostPattern>();
        let inner = pattern.name().parse::<Host>();
        spared.is_ok_and(|spared| inner.is_ok_and(|inner| spared.matches(&inner)))
    };
    intercepted.iter().any(|pattern| pattern.matches(&host) || above(pattern))
}

/// This machine's own names, which have nothing to do with the gate.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_calls_past_the_gate_is_no_longer_spared() {
        let intercepted: Vec<HostPattern> =
            ["api.openai.com", "openai.azure.com"].map(|name| name.parse().unwrap()).into();
        for entry in
            ["*", "openai.com", ".openai.com", "*.openai.com", "API.openai.com", "eu.api.openai.com:443", "com"]
        {
            assert!(hides(entry, &intercepted), "{entry}");
        }
        for entry in
            ["example.com", "localhost", "127.0.0.1", "10.0.0.0/8", "::1", "notopenai.com", "platform.openai.com"]
        {
            assert!(!hides(entry, &intercepted), "{entry}");
        }
    }
}
