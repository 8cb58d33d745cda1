//! Linux's tables: the sockets of the machine, and which process has which of them open.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use super::diag::{Diag, Unanswered};
use super::{Program, Question};

/// Answers questions until nobody can ask any more.
///
/// All that wait are answered in one pass over the tables, and after a pass the thread rests for longer than it took:
/// however many connections come, no more than a fifth of one core goes into this.
pub(super) fn work(questions: &Receiver<Question>) {
    let mut recent = VecDeque::new();
    let diag = Diag::open();
    while let Ok(first) = questions.recv() {
        let waiting: Vec<Question> = std::iter::once(first).chain(questions.try_iter()).collect();
        let begun = Instant::now();
        answer(waiting, diag.as_ref(), &mut recent);
        thread::sleep((begun.elapsed() * 4).min(LONGEST_REST));
    }
}

/// Answers what waits; what finds no answer is told so by being dropped.
fn answer(waiting: Vec<Question>, diag: Option<&Diag>, recent: &mut VecDeque<u32>) {
    let ends = waiting.iter().map(|question| (canonical(question.client), canonical(question.own)));
    let sockets = sockets(&ends.collect::<Vec<_>>(), diag);
    let mut open: HashMap<u64, Question> = HashMap::new();
    for (question, socket) in waiting.into_iter().zip(&sockets) {
        if let Some(socket) = socket {
            open.insert(socket.inode, question);
        }
    }
    let users: Vec<u32> = sockets.iter().flatten().map(|socket| socket.user).collect();
    let begun = Instant::now();
    // A program that has just connected is likely to do so again.
    let known: Vec<u32> = recent.iter().copied().collect();
    let others = std::iter::once_with(processes).flatten().filter(|process| !known.contains(process));
    for process in known.iter().copied().chain(others) {
        if open.is_empty() || begun.elapsed() > LONGEST_PASS {
            return;
        }
        let folder = Path::new("/proc").join(process.to_string());
        // Looking at the owner is cheaper than looking through everything that is open.
        let is_candidate = fs::metadata(&folder).is_ok_and(|metadata| users.contains(&metadata.uid()));
        if !is_candidate {
            continue;
        }
        let mut program = None;
        for inode in open_sockets(&folder) {
            let Some(question) = open.remove(&inode) else { continue };
            let program = program.get_or_insert_with(|| read_program(&folder));
            let _ = question.answer.0.set(program.clone());
        }
        if program.is_some() {
            remember(recent, process);
        }
    }
}

/// One end of a connection of this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Socket {
    pub(super) inode: u64,
    pub(super) user: u32,
}

/// The client's socket of each connection, from the client's end to the other.
fn sockets(ends: &[(SocketAddr, SocketAddr)], diag: Option<&Diag>) -> Vec<Option<Socket>> {
    let asked = diag.map(|diag| ends.iter().map(|(client, own)| diag.find(*client, *own)).collect::<Result<_, _>>());
    match asked {
        Some(Ok(found)) => found,
        // Reading through the tables takes a hundred times as long.
        Some(Err(Unanswered)) | None => tabled(ends),
    }
}

/// The same from the tables of all sockets.
fn tabled(ends: &[(SocketAddr, SocketAddr)]) -> Vec<Option<Socket>> {
    let mut found = vec![None; ends.len()];
    // A socket of the new protocol can speak the old one, so that both tables may have any of them.
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        if found.iter().all(Option::is_some) {
            break;
        }
        let Ok(file) = File::open(table) else { continue };
        let mut lines = BufReader::with_capacity(64 << 10, file);
        let mut line = String::new();
        loop {
            line.clear();
            if !matches!(lines.read_line(&mut line), Ok(1..)) {
                break;
            }
            let Some((client, own, socket)) = row(&line) else { continue };
            for (at, ends) in ends.iter().enumerate() {
                if *ends == (client, own) {
                    found[at] = Some(socket);
                }
            }
        }
    }
    found
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`, as proc_net_tcp(5) has it.
fn row(line: &str) -> Option<(SocketAddr, SocketAddr, Socket)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (end(words.next()?)?, end(words.next()?)?);
    let user = words.nth(4)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok().filter(|inode| *inode > 0)?;
    Some((local, remote, Socket { inode, user }))
}

/// `0100007F:1F90`: words of the address in the machine's own order of bytes.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(canonical((address, u16::from_str_radix(port, 16).ok()?).into()))
}

fn canonical(end: SocketAddr) -> SocketAddr {
    (end.ip().to_canonical(), end.port()).into()
}

/// All processes, the newest first: short-lived programs are the ones to be quick for.
fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.into_iter()
}

/// The sockets that a process has open; none where the system does not tell.
pub(super) fn open_sockets(folder: &Path) -> impl Iterator<Item = u64> {
    let entries = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten().take(MOST_FILES);
    entries.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

fn read_program(folder: &Path) -> Option<Program> {
    let path = fs::read_link(folder.join("exe")).ok()?;
    let path = path.to_string_lossy();
    // A file that was replaced while the program runs.
    let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
    let name = read_short(&folder.join("comm")).ok()?;
    let process = folder.file_name()?.to_str()?.parse().ok()?;
    Some(Program { process, name: name_of(name.trim_end_matches('\n'), path).into(), path: path.into() })
}

/// What the system calls the program; the file's name where that is cut, empty, or only the name of a thread.
fn name_of<'a>(called: &'a str, path: &'a str) -> &'a str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let cut = called.len() == LONGEST_NAME && file.starts_with(called);
    if cut || called.is_empty() || called == NODES_THREAD { file } else { called }
}

fn read_short(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn remember(recent: &mut VecDeque<u32>, process: u32) {
    recent.retain(|known| *known != process);
    recent.push_front(process);
    recent.truncate(MOST_RECENT);
}

/// Files of one process that are looked at.
const MOST_FILES: usize = 16_384;
/// Processes that are looked at before all others.
const MOST_RECENT: usize = 8;
const LONGEST_PASS: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_millis(200);
/// Bytes that Linux keeps of a name.
const LONGEST_NAME: usize = 15;
/// How Node names its first thread, and with it the process.
const NODES_THREAD: &str = "MainThread";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_say_the_same_as_the_kernel_itself() {
        let Some(diag) = Diag::open() else { return };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = [(client.local_addr().unwrap(), client.peer_addr().unwrap())];
        assert_eq!(tabled(&ends), sockets(&ends, Some(&diag)));
        assert!(tabled(&ends)[0].is_some());
    }

    #[test]
    fn rows_of_the_tables_are_read_and_nothing_else_is() {
        let line = "   3: 0100007F:D431 0100007F:2124 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1\n";
        let ends = (SocketAddr::from(([127, 0, 0, 1], 54321)), SocketAddr::from(([127, 0, 0, 1], 8484)));
        assert_eq!(row(line), Some((ends.0, ends.1, Socket { inode: 4711, user: 1000 })));
        let mapped = line.replace("0100007F", "0000000000000000FFFF00000100007F");
        assert_eq!(row(&mapped), row(line));
        let six = line.replace("0100007F", "00000000000000000000000001000000");
        assert_eq!(row(&six).unwrap().0, "[::1]:54321".parse().unwrap());
        let closed = line.replace(" 4711 ", " 0 ");
        for bad in ["", "sl local_address rem_address st", &closed, &line.replace("0100007F", "01007F"), "a:b c:d e:f"]
        {
            assert_eq!(row(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_program_is_called_by_the_name_that_says_most() {
        for (called, path, name) in [
            ("curl", "/usr/bin/curl", "curl"),
            ("claude", "/usr/bin/node", "claude"),
            ("MainThread", "/usr/bin/node", "node"),
            ("a-name-that-is-", "/opt/a-name-that-is-long", "a-name-that-is-long"),
            ("report.py", "/usr/bin/python3.12", "report.py"),
            ("", "/usr/bin/x", "x"),
        ] {
            assert_eq!(name_of(called, path), name);
        }
    }

    #[test]
    fn a_rest_follows_every_pass_and_recent_programs_are_few() {
        let mut recent = VecDeque::new();
        (0..100).for_each(|process| remember(&mut recent, process));
        remember(&mut recent, 95);
        assert_eq!(recent.iter().copied().collect::<Vec<_>>(), [95, 99, 98, 97, 96, 94, 93, 92]);
    }
}
