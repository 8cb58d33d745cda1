//! Which gates run by a configuration: what ends with a gate is put back when it is gone, however it went.

use std::fs;
use std::io;
use std::net::SocketAddr;
#[cfg(not(target_os = "linux"))]
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::system::changes::{Changes, files, read, write_whole};

/// A gate as a process, which no later process can be taken for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gate {
    /// Its number.
    pub pid: u32,
    /// When it started, as the system puts it; a later process with the same number has another.
    pub started: String,
    /// Where programs reach it.
    pub proxy: SocketAddr,
}

impl Gate {
    /// This process, which listens at `proxy`.
    pub fn this(proxy: SocketAddr) -> Self {
        let pid = std::process::id();
        Self { pid, started: started(pid).unwrap_or_default(), proxy }
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }
}

impl Changes {
    /// Says that this gate runs; what is made for it from now on ends with it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn enter(&self, gate: &Gate) -> io::Result<()> {
        write_whole(&self.state.join(GATES), &file_of(gate), &serde_json::to_vec(gate)?)
    }

    /// Takes that back.
    pub fn leave(&self, gate: &Gate) {
        // What stays is seen to be dead.
        let _ = fs::remove_file(self.state.join(GATES).join(file_of(gate)));
    }

    /// The gates that run; what dead ones left is swept away.
    pub fn gates(&self) -> Vec<Gate> {
        let mut gates = Vec::new();
        for path in files(&self.state.join(GATES)).unwrap_or_default() {
            match read::<Gate>(&path) {
                Ok(gate) if gate.is_alive() => gates.push(gate),
                Ok(_) => {
                    let _ = fs::remove_file(path);
                }
                Err(_) => {}
            }
        }
        gates
    }
}

fn file_of(gate: &Gate) -> String {
    format!("{}.json", gate.pid)
}

/// When a process started; `None` where there is none.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let ticks = start_ticks(&stat)?;
    Some(format!("{}+{ticks}", boot.trim()))
}

#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> Option<String> {
    let output = Command::new("ps").env("LC_ALL", "C").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The 22nd field of `/proc/PID/stat` (proc_pid_stat(5)), where the process is not a dead one that nobody has waited for.
#[cfg(any(test, target_os = "linux"))]
fn start_ticks(stat: &str) -> Option<&str> {
    // The name in brackets may hold spaces and brackets itself.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (!matches!(state, "Z" | "X" | "x")).then(|| fields.nth(18)).flatten()
}

const GATES: &str = "gates";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_name() {
        let rest = "0 0 0 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812345 0 0";
        for name in ["cat", "a) S 1", "x y"] {
            assert_eq!(start_ticks(&format!("77 ({name}) S {rest}")), Some("8812345"), "{name}");
            assert_eq!(start_ticks(&format!("77 ({name}) Z {rest}")), None, "{name} is dead");
        }
        assert_eq!(start_ticks("77"), None);
    }

    #[test]
    fn a_process_with_the_same_number_is_another() {
        let this = Gate::this("127.0.0.1:8484".parse().unwrap());
        assert!(this.is_alive());
        assert!(!Gate { started: "earlier".into(), ..this }.is_alive());
        assert!(!Gate { pid: u32::MAX, ..this }.is_alive());
    }
}
