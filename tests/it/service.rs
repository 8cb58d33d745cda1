//! The gate as a service: what the manager that starts it is told, and which sockets it is given.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::bench::client::Client;
use crate::bench::process::Home;
use crate::bench::upstream::{Options, Upstream};

/// What a service manager hears.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket)
    }

    /// Waits for a message that has this line.
    fn until(&self, line: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let length = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("it never said {line}: {error}"));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.lines().any(|found| found.starts_with(line)) {
                return text;
            }
        }
    }
}

fn tollgate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_tollgate")));
    command.args(arguments).current_dir(folder).env_clear().env("HOME", folder).stdin(Stdio::null());
    command
}

fn ran(folder: &Path, arguments: &[&str]) -> Output {
    tollgate(folder, arguments).output().unwrap()
}

#[tokio::test]
async fn a_manager_hears_when_the_gate_takes_calls_reloads_is_followed_and_stops() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let manager = Manager::at(&home.path("notify"));
    let mut command = tollgate(&home.path(""), &["serve"]);
    command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "200000");
    let gate = home.start_as(&mut command).await;
    let ready = manager.until("READY=1");
    assert!(ready.contains(&format!("STATUS=proxy http://{}", gate.proxy)), "{ready}");
    manager.until("WATCHDOG=1");
    gate.signal("HUP");
    assert!(manager.until("RELOADING=1").contains("MONOTONIC_USEC="));
    manager.until("READY=1");
    let next = home.follow(&gate).await;
    assert!(manager.until("MAINPID=").contains(&format!("MAINPID={}\n", next.id())));
    gate.ended().await;
    next.stop().await;
}

#[tokio::test]
async fn a_manager_hears_of_a_stop() {
    let upstream = Upstream::start(Options::default());
    let home = Home::toward(&upstream, "workers: 1");
    let manager = Manager::at(&home.path("notify"));
    let mut command = tollgate(&home.path(""), &["serve"]);
    let gate = home.start_as(command.env("NOTIFY_SOCKET", home.path("notify"))).await;
    manager.until("READY=1");
    gate.signal("TERM");
    manager.until("STOPPING=1");
    gate.ended().await;
}

/// The program with these sockets at the descriptors from 3 on, as systemd passes them.
fn activated(folder: &Path, sockets: &[&TcpListener], names: &str) -> Command {
    use std::os::fd::{AsFd, AsRawFd};
    // Copies without the flag that closes them, which a shell moves to their places.
    let copies: Vec<_> = sockets.iter().map(|socket| socket.as_fd().try_clone_to_owned().unwrap()).collect();
    let moves: String =
        copies.iter().enumerate().map(|(at, copy)| format!("{}<&{} ", at + 3, copy.as_raw_fd())).collect();
    let mut command = Command::new("bash");
    command.args(["-c", &format!("exec \"$0\" serve {moves}"), env!("CARGO_BIN_EXE_tollgate")]);
    command.current_dir(folder).env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names);
    for copy in &copies {
        rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty()).unwrap();
    }
    // They live until the command is dropped.
    std::mem::forget(copies);
    command.arg0("bash");
    command
}

#[tokio::test]
async fn sockets_that_systemd_opened_are_served_by_name_or_by_address() {
    let upstream = Upstream::start(Options::default());
    for by_name in [true, false] {
        let home = Home::toward(&upstream, "workers: 1");
        let (admin, proxy) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (admin_at, proxy_at) = (admin.local_addr().unwrap(), proxy.local_addr().unwrap());
        let names = if by_name { "admin:proxy" } else { "tollgate.socket:tollgate.socket" };
        if !by_name {
            let file = home.path("config/tollgate.json5");
            let text = fs::read_to_string(&file).unwrap();
            let text = text.replacen("127.0.0.1:0", &proxy_at.to_string(), 1).replacen(
                "127.0.0.1:0",
                &admin_at.to_string(),
                1,
            );
            fs::write(file, text).unwrap();
        }
        let gate = home.start_as(&mut activated(&home.path(""), &[&admin, &proxy], names)).await;
        assert_eq!((gate.proxy, gate.admin), (proxy_at, admin_at));
        let mut client = Client::plain(proxy_at).await;
        assert_eq!(client.post("/v1/chat/completions", r#"{"model":"gpt-4o","messages":[]}"#).await.status, 200);
        gate.stop().await;
    }
}

#[test]
fn a_socket_that_fits_nothing_or_is_open_to_others_is_refused_by_its_number() {
    let folder = TempDir::new().unwrap();
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    let wide = TcpListener::bind("0.0.0.0:0").unwrap();
    for (socket, names, told) in [
        (&own, "books", "error: descriptor 3 (`books`) listens on 127.0.0.1:"),
        (&own, "", "error: descriptor 3 listens on 127.0.0.1:"),
        (&wide, "proxy", "error: descriptor 3 listens on 0.0.0.0:"),
    ] {
        let output = activated(folder.path(), &[socket], names).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && stderr.starts_with(told), "{names}: {stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
}

#[tokio::test]
async fn without_any_configuration_the_gate_makes_private_folders_of_its_own_and_runs() {
    let home = TempDir::new().unwrap();
    let upstream = Upstream::start(Options::default());
    let bench = Home::toward(&upstream, "");
    let mut command = tollgate(Path::new("/"), &["serve", "--proxy", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.env("HOME", home.path());
    let gate = bench.start_as(&mut command).await;
    let ours = home.path().join(".local/share/tollgate");
    for folder in [ours.join("certs"), ours.join("data")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&folder).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
    // The built-in price tables are there too.
    let priced = ran(home.path(), &["route", "gpt-4o", "--json"]);
    let priced = String::from_utf8_lossy(&priced.stdout).into_owned();
    assert!(priced.contains("2.5"), "{priced}");
    gate.stop().await;
}

#[test]
fn a_unit_is_printed_and_how_to_install_it_is_said_beside() {
    let folder = TempDir::new().unwrap();
    let output = ran(folder.path(), &["service"]);
    let (unit, hints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && unit.starts_with("[Unit]\n"), "{unit}{hints}");
    assert!(unit.contains(&format!("ExecStart=\"{}\" \"serve\"", env!("CARGO_BIN_EXE_tollgate"))), "{unit}");
    assert_eq!(hints.lines().filter(|line| line.starts_with("hint: ")).count(), 3, "{hints}");
    assert!(ran(folder.path(), &["service", "--launchd"]).stdout.starts_with(b"<?xml"));
    assert_eq!(ran(folder.path(), &["service", "--launchd", "--socket"]).status.code(), Some(2));
    let completions = ran(folder.path(), &["completions", "bash"]);
    assert!(String::from_utf8_lossy(&completions.stdout).contains("complete -F _tollgate"));
    let pages = ran(folder.path(), &["man", "--dir", "pages"]);
    assert!(pages.status.success() && folder.path().join("pages/tollgate-serve.1").is_file());
    assert!(ran(folder.path(), &["man"]).stdout.windows(8).any(|part| part == b".SH NAME"));
}
