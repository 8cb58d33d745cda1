//! Linux's answer to who owns one socket, without reading through all of them: sock_diag(7).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::search::Socket;

/// A way to ask the kernel; kept for as long as questions come.
#[derive(Debug)]
pub(super) struct Diag(OwnedFd);

impl Diag {
    /// `None` where the kernel has no such way.
    pub(super) fn open() -> Option<Self> {
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol);
        let diag = Self(socket.ok()?);
        // A kernel that lacks the part for TCP finds nothing, and says no more than that.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let probe = TcpStream::connect(listener.local_addr().ok()?).ok()?;
        let found = diag.find(probe.local_addr().ok()?, probe.peer_addr().ok()?);
        matches!(found, Ok(Some(_))).then_some(diag)
    }

    /// The socket of the TCP connection from `client` to `own`, where it still has an owner.
    ///
    /// # Errors
    /// The kernel does not answer such questions.
    pub(super) fn find(&self, client: SocketAddr, own: SocketAddr) -> Result<Option<Socket>, Unanswered> {
        let request = request(client, own).ok_or(Unanswered)?;
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.0, &request, SendFlags::empty(), &kernel).map_err(|_| Unanswered)?;
        let mut reply = [0_u8; 1024];
        // The kernel answers before it returns from the question.
        let (_, length) = recv(&self.0, &mut reply[..], RecvFlags::DONTWAIT).map_err(|_| Unanswered)?;
        read(reply.get(..length).unwrap_or_default())
    }
}

/// The kernel does not answer such questions.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unanswered;

/// `struct nlmsghdr` and `struct inet_diag_req_v2` of linux/inet_diag.h; addresses and ports as they travel, all else in
/// the machine's order.
fn request(client: SocketAddr, own: SocketAddr) -> Option<Vec<u8>> {
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => [&address.octets()[..], &[0; 12]].concat(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let family = match (client, own) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => AddressFamily::INET,
        (SocketAddr::V6(_), SocketAddr::V6(_)) => AddressFamily::INET6,
        _ => return None,
    };
    let mut bytes = Vec::with_capacity(LENGTH as usize);
    bytes.extend_from_slice(&LENGTH.to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&REQUEST.to_ne_bytes());
    // Sequence and port: one question at a time needs neither.
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[u8::try_from(family.as_raw()).ok()?, TCP, 0, 0]);
    // In whatever state it is.
    bytes.extend_from_slice(&u32::MAX.to_ne_bytes());
    bytes.extend_from_slice(&client.port().to_be_bytes());
    bytes.extend_from_slice(&own.port().to_be_bytes());
    bytes.extend_from_slice(&address(client.ip()));
    bytes.extend_from_slice(&address(own.ip()));
    // Any interface, and no cookie.
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[0xff; 8]);
    Some(bytes)
}

/// `struct nlmsghdr` and `struct inet_diag_msg`, or `struct nlmsgerr`.
fn read(reply: &[u8]) -> Result<Option<Socket>, Unanswered> {
    let word = |at: usize| {
        let bytes = reply.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or(Unanswered)
    };
    let kind = reply.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match kind {
        Some(BY_FAMILY) => {
            let (user, inode) = (word(80)?, word(84)?);
            // Without one, its program has closed it.
            Ok((inode > 0).then_some(Socket { inode: inode.into(), user }))
        }
        Some(ERROR) if word(16)? == NOT_FOUND => Ok(None),
        _ => Err(Unanswered),
    }
}

/// Bytes of a question.
const LENGTH: u32 = 72;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`, without the flag that asks for all sockets.
const REQUEST: u16 = 1;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `-ENOENT`.
const NOT_FOUND: u32 = u32::MAX - 1;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::system::programs::search;

    #[test]
    fn the_kernel_names_the_socket_of_each_end_and_none_that_has_gone() {
        let Some(diag) = Diag::open() else { return };
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, peer) = listener.accept().unwrap();
            let own = stream.local_addr().unwrap();
            let user = std::fs::metadata("/proc/self").unwrap().uid();
            let [one, other] = [(peer, own), (own, peer)].map(|(from, to)| diag.find(from, to).unwrap().unwrap());
            assert_eq!((one.user, other.user), (user, user));
            assert_ne!(one.inode, other.inode);
            let open: Vec<u64> = search::open_sockets(std::path::Path::new("/proc/self")).collect();
            assert!(open.contains(&one.inode) && open.contains(&other.inode));
            drop(client);
            assert_eq!(diag.find(peer, own), Ok(None));
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let request = request("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()).unwrap();
        assert_eq!(request.len(), LENGTH as usize);
        for reply in [&[][..], &[0; 3], &[0; 200], &request[..20], &[0, 0, 0, 0, 2, 0, 0, 0]] {
            assert_eq!(read(reply), Err(Unanswered), "{reply:?}");
        }
    }
}
