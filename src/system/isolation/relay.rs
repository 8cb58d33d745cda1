//! The relay of an isolated network: outside of it, at the other end of its sockets, and gone when the network is.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::system::isolation::answers::answer;
use crate::system::isolation::hand::{give, take};
use crate::system::isolation::inhabitants::{Inhabitant, deserted};
use crate::system::isolation::names::{Names, Wanted};
use crate::system::isolation::sockets::Kind;
use crate::system::isolation::through::Gate;

/// What a relay is told first.
#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    /// The gate's proxy listener.
    pub gate: SocketAddr,
    /// Whose calls they are.
    pub label: Option<String>,
    /// The process that is about to enter the network.
    pub process: u32,
    /// What it will be called.
    pub name: String,
}

/// What it is told with the sockets.
#[derive(Debug, Deserialize, Serialize)]
pub struct Served {
    /// What the sockets are.
    pub kind: Kind,
    /// The network, as `/proc/PID/ns/net` names it.
    pub network: String,
}

/// Serves the process at the other end of `line` until its network is empty.
///
/// # Errors
/// A line that says something else, and a system that gives no sockets.
pub fn serve(line: &OwnedFd) -> io::Result<()> {
    // What comes with the order is only held.
    let Some((order, _lease)) = take::<Order>(line)? else { return Ok(()) };
    let first = Inhabitant::hold(order.process)?;
    // The gate asks the system who calls: in the books, the relay is the program.
    if let Ok(name) = CString::new(order.name) {
        let _ = rustix::thread::set_name(&name);
    }
    give(line, &READY, &[])?;
    let Some((served, mut sockets)) = take::<Served>(line)? else { return Ok(()) };
    if sockets.len() < served.kind.streams {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "sockets are missing"));
    }
    let names = sockets.split_off(served.kind.streams);
    // Two descriptors for each connection.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let relay = Rc::new(Relay {
            gate: Gate::new(order.gate, order.label.as_deref()),
            names: RefCell::default(),
            kind: served.kind,
        });
        for socket in sockets {
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::task::spawn_local(Rc::clone(&relay).accept(listener));
        }
        for socket in names {
            let socket = UdpSocket::from(socket);
            socket.set_nonblocking(true)?;
            let socket = tokio::net::UdpSocket::from_std(socket)?;
            tokio::task::spawn_local(Rc::clone(&relay).questions(socket));
        }
        give(line, &READY, &[])?;
        // Dropped when the last one has ended.
        let (living, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let _living = living;
            deserted(first, &served.network)
        });
        let _ = ended.await;
        Ok(())
    })
}

/// Waits until the relay says that it is ready.
///
/// # Errors
/// It ended instead.
pub fn wait(line: &OwnedFd) -> io::Result<()> {
    match take::<String>(line)? {
        Some((word, _)) if word == READY => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the relay ended")),
    }
}

/// This process's network.
///
/// # Errors
/// No `/proc`.
pub fn network() -> io::Result<String> {
    Ok(fs::read_link("/proc/self/ns/net")?.to_string_lossy().into_owned())
}

struct Relay {
    gate: Gate,
    names: RefCell<Names>,
    kind: Kind,
}

impl Relay {
    async fn accept(self: Rc<Self>, listener: tokio::net::TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(Rc::clone(&self).connection(stream));
                }
                // Out of descriptors: what is open must end first.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn connection(self: Rc<Self>, mut stream: TcpStream) {
        let Some(to) = self.destination(&stream) else { return reset(&stream) };
        if to.port() == DNS {
            return self.conversation(stream).await;
        }
        let wanted = self.names.borrow_mut().entered(to.ip());
        let (host, number) = match wanted {
            None => return reset(&stream),
            Some(Wanted::Address(address)) if address.is_ipv6() => (format!("[{address}]"), None),
            Some(Wanted::Address(address)) => (address.to_string(), None),
            Some(Wanted::Name(name, number)) => (name.to_string(), Some(number)),
        };
        let outcome = self.pass(&mut stream, &format!("{host}:{}", to.port())).await;
        if let Some(number) = number {
            self.names.borrow_mut().left(number);
        }
        // What broke off must not look as if it had ended.
        if outcome.is_err() {
            reset(&stream);
        }
    }

    async fn pass(&self, stream: &mut TcpStream, to: &str) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut gate, begun) = self.gate.connect(to).await?;
        stream.write_all(&begun).await?;
        let outcome = copy_bidirectional_with_sizes(stream, &mut gate, BUFFER, BUFFER).await;
        if outcome.is_err() {
            reset(&gate);
        }
        outcome.map(drop)
    }

    /// Where the program wanted to go.
    fn destination(&self, stream: &TcpStream) -> Option<SocketAddr> {
        let own = stream.local_addr().ok()?;
        if !self.kind.any_port {
            return Some(own);
        }
        let socket = SockRef::from(stream);
        let before = if own.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
        // Who dialled this very port was led nowhere.
        before.ok()?.as_socket().filter(|before| *before != own)
    }

    async fn questions(self: Rc<Self>, socket: tokio::net::UdpSocket) {
        let mut buffer = vec![0; LARGEST_QUESTION];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let reply = answer(&buffer[..length], &mut self.names.borrow_mut(), self.kind.v6);
            if let Some(reply) = reply {
                let _ = socket.send_to(&reply, from).await;
            }
        }
    }

    /// Questions over TCP, each with its length before it.
    async fn conversation(&self, mut stream: TcpStream) {
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; usize::from(length)];
            if stream.read_exact(&mut question).await.is_err() {
                return;
            }
            let Some(reply) = answer(&question, &mut self.names.borrow_mut(), self.kind.v6) else { return };
            let length = u16::try_from(reply.len()).unwrap_or_default();
            if stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).await.is_err() {
                return;
            }
        }
    }
}

/// Makes that the other end sees a broken connection once this one is dropped.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

const READY: &str = "ready";
const DNS: u16 = 53;
const BUFFER: usize = 16 << 10;
const LARGEST_QUESTION: usize = 4096;
const PAUSE: Duration = Duration::from_millis(50);
