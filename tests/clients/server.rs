//! The servers that custom models are tested with, started by `servers/serve.sh`.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::script::{folder, home};

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Server {
    /// Starts `name` and waits until it answers at `ready`.
    pub fn start(name: &str, port: u16, ready: &str) -> Self {
        Self::before(None, name, port, ready)
    }

    /// The same of one that stands before another.
    pub fn before(other: Option<&Self>, name: &str, port: u16, ready: &str) -> Self {
        let own = TempDir::new().unwrap();
        let log = own.path().join("server.log");
        let errors = std::fs::File::create(&log).unwrap();
        let child = Command::new("bash")
            .arg(folder().join("servers/serve.sh"))
            .args([name, &port.to_string()])
            .args(other.map(|other| other.port.to_string()))
            .env("TOLLGATE_CLIENTS_HOME", home())
            .env("HOME", own.path())
            .current_dir(own.path())
            .stdin(Stdio::null())
            .stdout(errors.try_clone().unwrap())
            .stderr(errors)
            // Some servers have processes of their own, which must end with them.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut server = Self { child, port, _folder: own };
        let begun = Instant::now();
        while !server.answers(ready) {
            let log = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(server.child.try_wait().unwrap().is_none(), "{name} has ended:\n{}", log());
            assert!(begun.elapsed() < Duration::from_secs(120), "{name} does not answer:\n{}", log());
            // It tells nobody when it is ready.
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }

    /// Where it answers.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn answers(&self, path: &str) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let mut answer = [0; 12];
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.ends_with(b"200")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port that nobody listens on.
pub fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
