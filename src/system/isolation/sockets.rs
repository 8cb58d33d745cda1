//! The sockets of an isolated network at which everything ends; made inside, served by the relay outside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::system::isolation::addresses::{GATE_V4, GATE_V6};
use crate::system::isolation::rules::catch;

/// What is listened on.
#[derive(Debug)]
pub struct Sockets {
    /// For connections; those to port 53 are questions for names.
    pub streams: Vec<TcpListener>,
    /// For questions for names.
    pub names: Vec<UdpSocket>,
    /// What the relay must know of them.
    pub kind: Kind,
}

/// How connections come to the sockets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Kind {
    /// How many of the sockets are for connections; the others are for questions.
    pub streams: usize,
    /// Whether they are led there from any port by a rule; otherwise only these ports are listened on: 80, 443 and 53.
    pub any_port: bool,
    /// Whether there is IPv6.
    pub v6: bool,
}

impl Sockets {
    /// Listens, and lets the kernel lead everything there; where it cannot, on the ports of HTTP and HTTPS alone.
    ///
    /// `unnamed` is where questions go without a `resolv.conf`.
    ///
    /// # Errors
    /// A port that cannot be had.
    pub fn open(v6: bool, unnamed: bool) -> io::Result<(Self, Option<io::Error>)> {
        let (mut sockets, refused) = match Self::led(v6) {
            Ok(sockets) => (sockets, None),
            Err(cause) => (Self::few(v6)?, Some(cause)),
        };
        if unnamed {
            sockets.names.push(UdpSocket::bind((Ipv4Addr::LOCALHOST, DNS))?);
        }
        Ok((sockets, refused))
    }

    fn led(v6: bool) -> io::Result<Self> {
        let addresses = addresses(v6);
        let streams = addresses.iter().map(|at| TcpListener::bind((*at, 0))).collect::<io::Result<Vec<_>>>()?;
        let names = addresses.iter().map(|at| UdpSocket::bind((*at, 0))).collect::<io::Result<Vec<_>>>()?;
        // IPv6 first, which is the likelier to be refused: without it, nothing is led anywhere yet.
        for (streams, names) in streams.iter().zip(&names).rev() {
            catch(streams.local_addr()?, names.local_addr()?)?;
        }
        Ok(Self { kind: Kind { streams: streams.len(), any_port: true, v6 }, streams, names })
    }

    fn few(v6: bool) -> io::Result<Self> {
        let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let everywhere = &everywhere[..=usize::from(v6)];
        let mut streams = Vec::new();
        for at in everywhere {
            for port in FEW {
                streams.push(listen(SocketAddr::new(*at, port))?);
            }
        }
        let mut names = Vec::new();
        for at in addresses(v6) {
            names.push(UdpSocket::bind((at, DNS))?);
            streams.push(TcpListener::bind((at, DNS))?);
        }
        Ok(Self { kind: Kind { streams: streams.len(), any_port: false, v6 }, streams, names })
    }
}

/// Like the standard library, but an IPv6 listener leaves IPv4 alone.
fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn addresses(v6: bool) -> Vec<IpAddr> {
    let all = [IpAddr::V4(GATE_V4), IpAddr::V6(GATE_V6)];
    all[..=usize::from(v6)].into()
}

const DNS: u16 = 53;
const FEW: [u16; 2] = [80, 443];
const BACKLOG: i32 = 1024;
