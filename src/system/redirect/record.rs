//! What is written down before it is added to this machine, so that it can be taken back whatever happens.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::system::redirect::capture::Capture;

/// Packets by the name of what they are.
pub type Counters = BTreeMap<Box<str>, u64>;

/// One redirection, as it lies in the journal of changes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Added {
    /// Of what was added: 16 hexadecimal digits.
    pub id: Box<str>,
    /// Where the rules are.
    pub place: Place,
    /// The intercepted names whose connections are led to the gate.
    pub names: Vec<Box<str>>,
    /// What the user can type to take it back.
    pub command: Box<str>,
    /// The rules.
    pub rules: Option<Rules>,
    /// The hosts file in which these names lead to this machine.
    pub hosts: Option<PathBuf>,
}

/// Rules of the kernel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rules {
    /// What wrote them, and removes them.
    pub tool: Tool,
    /// What they do.
    pub capture: Capture,
}

/// Which program writes rules.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// `nft`.
    Nft,
    /// `iptables-restore` and `ip6tables-restore`.
    Iptables,
}

/// Rules are in one network namespace, and end with it or with the boot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Place {
    /// Identity of the boot.
    pub boot: Box<str>,
    /// Identity of the network namespace, as `/proc/PID/ns/net` links to it.
    pub namespace: Box<str>,
}

impl Place {
    /// Where this process is.
    ///
    /// # Errors
    /// No `/proc`.
    pub fn here() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::read_link("/proc/self/ns/net")?;
        Ok(Self { boot: boot.trim().into(), namespace: namespace.to_string_lossy().into() })
    }

    /// Whether its namespace has ended, as far as this process can see: nobody is in it, and no name keeps it.
    pub fn has_gone(&self) -> bool {
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        let mut numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_there = numbers.any(|pid| match fs::read_link(format!("/proc/{pid}/ns/net")) {
            Ok(namespace) => namespace.to_str() == Some(&*self.namespace),
            // Of processes that may not be looked at it is not known where they are; but the first one is at home.
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied && pid != 1,
        });
        !is_there && !is_named(&self.namespace)
    }
}

/// Whether `ip netns` keeps that namespace.
fn is_named(namespace: &str) -> bool {
    let Ok(names) = fs::read_dir("/run/netns") else { return false };
    let mut inodes = names.flatten().filter_map(|entry| Some(fs::metadata(entry.path()).ok()?.ino()));
    inodes.any(|inode| namespace == format!("net:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_namespace_is_there_and_one_that_nobody_is_in_has_gone() {
        let here = Place::here().unwrap();
        assert!(!here.has_gone());
        // Only root can know that.
        if crate::system::redirect::listener::may_change_rules().unwrap() {
            assert!(Place { namespace: "net:[1]".into(), ..here }.has_gone());
        }
    }
}
