//! Which process listens for redirected connections, as whom, and whether it can mark its own.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::system::redirect::capture::Families;

/// The program that listens on a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// The addresses of this machine on which it listens; unspecified ones stand for all.
    pub addresses: Vec<IpAddr>,
    /// The user that it runs as.
    pub uid: u32,
    /// Its process, where this one may see it.
    pub process: Option<u32>,
    /// Whether it may mark sockets (CAP_NET_ADMIN, in this user namespace).
    pub marks: bool,
}

impl Listener {
    /// Finds who listens on `port` in this network namespace.
    ///
    /// # Errors
    /// No `/proc`, or two users who share the port.
    pub fn find(port: u16) -> io::Result<Option<Self>> {
        let mut sockets = Vec::new();
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            // A kernel without IPv6 has no second one.
            let text = fs::read_to_string(table).or_else(absent)?;
            sockets.extend(text.lines().filter_map(Socket::listening).filter(|socket| socket.port == port));
        }
        let Some(first) = sockets.first() else { return Ok(None) };
        if sockets.iter().any(|socket| socket.uid != first.uid) {
            return Err(io::Error::other(format!("several users listen on port {port}")));
        }
        let addresses = sockets.iter().map(|socket| socket.address).collect();
        let Some(pid) = holder(first.inode) else {
            return Ok(Some(Self { addresses, uid: first.uid, process: None, marks: false }));
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Some(Self {
            addresses,
            uid: effective_uid(&status).unwrap_or(first.uid),
            process: Some(pid),
            marks: capable(&status) && shares_users(pid),
        }))
    }

    /// The families in which it can be reached from this machine.
    pub fn on_loopback(&self) -> Families {
        let on = |wanted: IpAddr| self.is_on(wanted);
        Families { v4: on(Ipv4Addr::LOCALHOST.into()), v6: on(Ipv6Addr::LOCALHOST.into()) }
    }

    /// The families in which it takes connections to any address of this machine.
    pub fn on_every_address(&self) -> Families {
        let all = |address: IpAddr| self.addresses.contains(&address);
        let both = all(Ipv6Addr::UNSPECIFIED.into());
        Families { v4: both || all(Ipv4Addr::UNSPECIFIED.into()), v6: both }
    }

    fn is_on(&self, wanted: IpAddr) -> bool {
        let every = self.on_every_address();
        self.addresses.contains(&wanted) || if wanted.is_ipv4() { every.v4 } else { every.v6 }
    }
}

/// Whether this process may change the rules of its network namespace.
///
/// # Errors
/// No `/proc`.
pub fn may_change_rules() -> io::Result<bool> {
    Ok(capable(&fs::read_to_string("/proc/self/status")?))
}

/// Whether this network namespace has an interface of that name, which is one that rules can name.
pub fn has_interface(name: &str) -> bool {
    let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\/".contains(&byte));
    plain && interfaces.lines().filter_map(|line| line.split_once(':')).any(|(found, _)| found.trim() == name)
}

/// One line of `/proc/net/tcp` or `/proc/net/tcp6`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Socket {
    address: IpAddr,
    port: u16,
    uid: u32,
    inode: u64,
}

impl Socket {
    /// The socket of that line, if it listens.
    fn listening(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        if *fields.get(3)? != LISTENING {
            return None;
        }
        Some(Self {
            address: kernel_address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// An address as the kernel prints it: words of four bytes, each as a number of this machine.
fn kernel_address(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = digits.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match digits.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

/// The process that has that socket open. systemd keeps what it handed over, so that any other goes before the first.
fn holder(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let numbers = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut holders: Vec<u32> = numbers.filter(|pid| has_open(*pid, &wanted)).collect();
    holders.sort_unstable_by_key(|pid| (*pid == 1, *pid));
    holders.first().copied()
}

fn has_open(pid: u32, wanted: &str) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(wanted)))
}

/// Capabilities hold in a user namespace; those of another one do not reach this one's sockets.
fn shares_users(pid: u32) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    let own = namespace("self");
    own.is_some() && own == namespace(&pid.to_string())
}

fn effective_uid(status: &str) -> Option<u32> {
    field(status, "Uid:")?.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn capable(status: &str) -> bool {
    let effective = field(status, "CapEff:").and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_some_and(|capabilities| capabilities & (1 << CAP_NET_ADMIN) != 0)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

fn absent(error: io::Error) -> io::Result<String> {
    if error.kind() == io::ErrorKind::NotFound { Ok(String::new()) } else { Err(error) }
}

/// `TCP_LISTEN` of the kernel's tcp_states.h.
const LISTENING: &str = "0A";
/// linux/capability.h.
const CAP_NET_ADMIN: u32 = 12;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_are_read_from_the_kernels_tables() {
        let table = [
            (
                "   0: 0100007F:2126 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 x 100",
                Some(("127.0.0.1", 8486, 1000, 4711)),
            ),
            (
                "   1: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 12 1 x",
                Some(("::1", 443, 0, 12)),
            ),
            (
                "   2: B80D0120000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 12 1 x",
                Some(("2001:db8::1", 443, 0, 12)),
            ),
            // Established, the head of the table, and what is none.
            ("   3: 0100007F:2126 0100007F:1111 01 00000000:00000000 00:00000000 00000000  1000  0 4711 1 x", None),
            ("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", None),
            ("", None),
        ];
        for (line, expected) in table {
            let found = Socket::listening(line).map(|found| (found.address, found.port, found.uid, found.inode));
            let expected = expected.map(|(address, port, uid, inode)| (address.parse().unwrap(), port, uid, inode));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn this_process_is_found_by_the_port_on_which_it_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = Listener::find(listener.local_addr().unwrap().port()).unwrap().unwrap();
        assert_eq!(found.process, Some(std::process::id()));
        assert_eq!(found.on_loopback(), Families { v4: true, v6: false });
        assert_eq!(found.on_every_address(), Families::default());
        assert_eq!(found.marks, may_change_rules().unwrap());
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(Listener::find(port).unwrap(), None);
    }

    #[test]
    fn a_listener_on_every_address_is_on_loopback_too() {
        let on = |addresses: &[&str]| Listener {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            uid: 0,
            process: None,
            marks: false,
        };
        let both = Families { v4: true, v6: true };
        assert_eq!(on(&["::"]).on_loopback(), both);
        assert_eq!(on(&["0.0.0.0"]).on_every_address(), Families { v4: true, v6: false });
        assert_eq!(on(&["127.0.0.1", "::1"]).on_loopback(), both);
        assert_eq!(on(&["127.0.0.1", "::1"]).on_every_address(), Families::default());
        assert_eq!(on(&["10.0.0.1"]).on_loopback(), Families::default());
    }

    #[test]
    fn users_and_capabilities_are_read_from_the_status() {
        let status = "Name:\tx\nUid:\t1000\t998\t1000\t1000\nCapEff:\t0000000000001000\n";
        assert_eq!(effective_uid(status), Some(998));
        assert!(capable(status));
        assert!(!capable("CapEff:\t0000000000000fff\n"));
        assert!(!capable(""));
    }
}
