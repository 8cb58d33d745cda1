//! Asking name servers directly, for names that the machine's own resolver leads to the gate.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

/// Name servers, and what they said, for as long as they said that it holds.
#[derive(Debug, Default)]
pub(super) struct NameServers {
    /// `upstream.nameServers`; `None` asks those of the machine.
    listed: Option<Vec<SocketAddr>>,
    kept: Mutex<HashMap<Box<str>, Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    addresses: Arc<[IpAddr]>,
    until: Instant,
}

/// What one server said to one question.
#[derive(Debug, Default, Eq, PartialEq)]
struct Said {
    addresses: Vec<IpAddr>,
    /// Seconds; the least of all records.
    ttl: u32,
}

impl NameServers {
    /// Asks `listed`, or where that is `None`, the servers of the machine.
    pub(super) fn new(listed: Option<Vec<SocketAddr>>) -> Self {
        Self { listed, kept: Mutex::default() }
    }

    /// The addresses of `name`, IPv6 before IPv4.
    ///
    /// # Errors
    /// What went wrong, as a clause, with the remedy.
    pub(super) async fn look_up(&self, name: &str) -> Result<Arc<[IpAddr]>, String> {
        if let Some(addresses) = self.kept(name) {
            return Ok(addresses);
        }
        let servers = match &self.listed {
            Some(servers) => servers.clone(),
            None => machines_own().await,
        };
        if servers.is_empty() {
            return Err(format!("this machine names no server to ask; {REMEDY}"));
        }
        let (six, four) = tokio::join!(first_answer(&servers, name, TYPE::AAAA), first_answer(&servers, name, TYPE::A));
        let said = match (six, four) {
            (Err(_), Err(error)) => return Err(error),
            (six, four) => [six, four].into_iter().flatten().filter(|said| !said.addresses.is_empty()),
        };
        let (mut addresses, mut ttl) = (Vec::new(), LONGEST.as_secs());
        for said in said {
            ttl = ttl.min(said.ttl.into());
            addresses.extend(said.addresses);
        }
        if addresses.is_empty() {
            return Err("the name servers know no address of it".into());
        }
        let kept = Kept { addresses: addresses.into(), until: Instant::now() + Duration::from_secs(ttl).max(SHORTEST) };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_KEPT {
            all.clear();
        }
        all.insert(name.into(), kept.clone());
        Ok(kept.addresses)
    }

    fn kept(&self, name: &str) -> Option<Arc<[IpAddr]>> {
        let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(name).filter(|kept| kept.until > Instant::now()).map(|kept| Arc::clone(&kept.addresses))
    }
}

/// What the first server says that answers at all.
async fn first_answer(servers: &[SocketAddr], name: &str, kind: TYPE) -> Result<Said, String> {
    let mut last = String::new();
    for server in servers.iter().take(MOST_SERVERS) {
        let said = timeout(PATIENCE, ask(*server, name, kind)).await;
        match said.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"))) {
            Ok(said) => return Ok(said),
            Err(error) => last = format!("the name server {server} did not help: {error}; {REMEDY}"),
        }
    }
    Err(last)
}

/// Asks by UDP, and by TCP where the answer is too long for that.
async fn ask(server: SocketAddr, name: &str, kind: TYPE) -> io::Result<Said> {
    let mut id = [0; 2];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| io::Error::other("no random numbers"))?;
    let id = u16::from_be_bytes(id);
    let question = question(id, name, kind)?;
    let here: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((here, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut answer = vec![0; LARGEST_UDP];
    loop {
        let count = socket.recv(&mut answer).await?;
        // What answers nothing that was asked may be a forgery; the true answer may still come.
        let Some(packet) = answer_to(&answer[..count], id, name, kind) else { continue };
        if packet.has_flags(PacketFlag::TRUNCATION) {
            break;
        }
        return said(&packet);
    }
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).unwrap_or_default();
    stream.write_all(&[&length.to_be_bytes(), &*question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    let packet = answer_to(&answer, id, name, kind);
    said(&packet.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer makes no sense"))?)
}

fn question(id: u16, name: &str, kind: TYPE) -> io::Result<Vec<u8>> {
    let invalid = |error: simple_dns::SimpleDnsError| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(invalid)?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().map_err(invalid)
}

/// The message, if it is the answer to this question.
fn answer_to<'a>(bytes: &'a [u8], id: u16, name: &str, kind: TYPE) -> Option<Packet<'a>> {
    let packet = Packet::parse(bytes).ok()?;
    let [question] = packet.questions.as_slice() else { return None };
    let same = question.qname.to_string().trim_end_matches('.').eq_ignore_ascii_case(name)
        && question.qtype == QTYPE::TYPE(kind);
    (packet.id() == id && packet.has_flags(PacketFlag::RESPONSE) && same).then_some(packet)
}

fn said(packet: &Packet<'_>) -> io::Result<Said> {
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Ok(Said::default()),
        code => return Err(io::Error::other(format!("it answered {code:?}"))),
    }
    let mut said = Said { addresses: Vec::new(), ttl: u32::MAX };
    for record in &packet.answers {
        match &record.rdata {
            RData::A(a) => said.addresses.push(Ipv4Addr::from_bits(a.address).into()),
            RData::AAAA(aaaa) => said.addresses.push(Ipv6Addr::from_bits(aaaa.address).into()),
            RData::CNAME(_) => {}
            _ => continue,
        }
        said.ttl = said.ttl.min(record.ttl);
    }
    Ok(said)
}

/// The servers that the machine's configuration names.
async fn machines_own() -> Vec<SocketAddr> {
    let read = async |path: &'static str| {
        let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        servers(&text.ok().and_then(Result::ok).unwrap_or_default())
    };
    let usual = read("/etc/resolv.conf").await;
    // A resolver on this machine may read the hosts file too, and would say again what it says.
    if usual.iter().all(|server| server.ip().is_loopback()) {
        let behind = read("/run/systemd/resolve/resolv.conf").await;
        if !behind.is_empty() {
            return behind;
        }
    }
    usual
}

/// `nameserver` lines.
fn servers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        Some(SocketAddr::new(words.next()?.parse().ok()?, 53))
    };
    text.lines().filter_map(address).collect()
}

const REMEDY: &str = "name one in `upstream.nameServers`, or the address itself in `upstream.resolve`";

/// For one question to one server.
const PATIENCE: Duration = Duration::from_secs(2);
/// As resolvers do.
const MOST_SERVERS: usize = 3;
/// More than any server sends unasked.
const LARGEST_UDP: usize = 4096;
/// How long an answer is kept at least and at most.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
/// Names that are kept.
const MOST_KEPT: usize = 256;

#[cfg(test)]
mod tests;
