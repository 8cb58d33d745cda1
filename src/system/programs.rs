//! Which program of this machine is at the other end of a connection, found once for each connection and never awaited.

#[cfg(target_os = "linux")]
mod diag;
#[cfg(target_os = "linux")]
mod search;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::SetOnce;
use tokio::time::timeout;

/// A program of this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    /// Its number as a process of this machine.
    pub process: u32,
    /// As `ps` shows it; the file's name where that says more.
    pub name: Arc<str>,
    /// The file that it runs: of a script, its interpreter.
    pub path: Arc<str>,
}

impl Program {
    /// Whether it is this very program.
    pub fn is_this(&self) -> bool {
        self.process == std::process::id()
    }
}

/// Looks for programs on a thread of its own; cheap to clone, ends with the last clone.
#[derive(Clone, Debug)]
pub struct Programs(Option<SyncSender<Question>>);

/// The two ends of a connection, and where the answer goes.
struct Question {
    client: SocketAddr,
    own: SocketAddr,
    answer: Asked,
}

impl Drop for Question {
    fn drop(&mut self) {
        // Whoever waits learns that nothing will be found.
        let _ = self.answer.0.set(None);
    }
}

impl Programs {
    /// Starts the thread, where the system tells which program has which socket.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start() -> io::Result<Self> {
        if !cfg!(target_os = "linux") {
            return Ok(Self(None));
        }
        let (queue, questions) = sync_channel::<Question>(MOST_WAITING);
        thread::Builder::new().name("programs".into()).spawn(move || {
            #[cfg(target_os = "linux")]
            search::work(&questions);
            drop(questions);
        })?;
        Ok(Self(Some(queue)))
    }

    /// Asks who is at the other end of a connection from `client` to `own`; returns at once.
    ///
    /// Nobody is found for peers on other machines, for programs of other users unless the gate is root, and where more
    /// connections come at once than can be looked up.
    pub fn ask(&self, client: SocketAddr, own: SocketAddr) -> Asked {
        if !client.ip().to_canonical().is_loopback() {
            return Asked::nobody();
        }
        self.look_for(client, own)
    }

    /// The same for a connection that the system led here on its way to `original`, which is what its client knows it by.
    ///
    /// The client of such a connection has an address of this machine that need not be loopback. Where it is another
    /// machine's, no socket here has both ends, and nobody is found.
    pub fn ask_redirected(&self, client: SocketAddr, original: SocketAddr) -> Asked {
        self.look_for(client, original)
    }

    fn look_for(&self, client: SocketAddr, own: SocketAddr) -> Asked {
        let Some(queue) = &self.0 else { return Asked::nobody() };
        let answer = Asked(Arc::default());
        let _ = queue.try_send(Question { client, own, answer: answer.clone() });
        answer
    }
}

/// The answer, once it is there; every clone is the same answer.
#[derive(Clone, Debug)]
pub struct Asked(Arc<SetOnce<Option<Program>>>);

impl Asked {
    /// Nobody can be known.
    pub fn nobody() -> Self {
        Self(Arc::new(SetOnce::new_with(Some(None))))
    }

    /// What is known by now.
    pub fn program(&self) -> Option<&Program> {
        self.0.get().and_then(Option::as_ref)
    }

    /// Waits until it is known, but not long.
    pub async fn settled(&self) {
        if self.0.get().is_none() {
            let _ = timeout(PATIENCE, self.0.wait()).await;
        }
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self::nobody()
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Connections that wait to be looked up.
const MOST_WAITING: usize = 1024;
/// Longer than a look-up takes on a machine with thousands of programs.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Read;
    use std::net::{Ipv6Addr, TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use super::*;

    fn settled(asked: &Asked) -> Option<Program> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(asked.0.wait()).clone()
    }

    #[test]
    fn the_program_behind_a_connection_is_found_over_both_protocols() {
        let programs = Programs::start().unwrap();
        let own = std::env::current_exe().unwrap();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, peer) = listener.accept().unwrap();
            let found = settled(&programs.ask(peer, stream.local_addr().unwrap())).expect(address);
            assert_eq!((&*found.path, found.is_this()), (own.to_str().unwrap(), true));
            assert_eq!(Some(found.clone()), settled(&programs.ask_redirected(peer, stream.local_addr().unwrap())));
            assert!(own.file_name().unwrap().to_str().unwrap().starts_with(&found.name[..15]), "{found:?}");
            drop(client);
        }
    }

    #[test]
    fn a_client_that_speaks_the_old_protocol_over_a_socket_of_the_new_one_is_found() {
        let programs = Programs::start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mapped = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let Ok(_client) = TcpStream::connect((mapped, port)) else { return };
        let (stream, peer) = listener.accept().unwrap();
        assert!(settled(&programs.ask(peer, stream.local_addr().unwrap())).is_some());
    }

    #[test]
    fn another_process_is_told_from_this_one() {
        let programs = Programs::start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; read -r line", at.port());
        let Ok(mut child) = Command::new("bash").args(["-c", &script]).stdin(Stdio::piped()).spawn() else { return };
        let (stream, peer) = listener.accept().unwrap();
        let found = settled(&programs.ask(peer, stream.local_addr().unwrap())).unwrap();
        assert_eq!(&*found.name, "bash");
        assert!(found.path.ends_with("/bash") && !found.is_this(), "{found:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
        // The same question after its end: nobody.
        let mut rest = Vec::new();
        (&stream).read_to_end(&mut rest).unwrap();
        assert_eq!(settled(&programs.ask(peer, at)), None);
    }

    #[test]
    fn peers_of_other_machines_are_nobody_at_once() {
        let programs = Programs::start().unwrap();
        let own = SocketAddr::from(([192, 0, 2, 1], 1));
        for client in [SocketAddr::from(([192, 0, 2, 7], 1000)), (Ipv6Addr::UNSPECIFIED, 5).into()] {
            assert_eq!(programs.ask(client, own).0.get(), Some(&None));
            // Redirected, they may be programs of this machine that speak from another of its addresses.
            let asked = programs.ask_redirected(client, own);
            assert_eq!((asked.0.get(), settled(&asked)), (None, None));
        }
        assert!(Asked::default().program().is_none());
    }

    #[test]
    fn more_questions_than_can_wait_are_answered_with_nobody() {
        let (queue, questions) = sync_channel(1);
        let programs = Programs(Some(queue));
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let (first, second) = (programs.ask(at, at), programs.ask(at, at));
        assert_eq!((first.0.get(), second.0.get()), (None, Some(&None)));
        drop(questions);
        assert_eq!(first.0.get(), Some(&None), "who waited for a thread that ended learns it");
    }
}
