//! The gate that a program is run through: the one that runs, or one that is started for it.
//!
//! Whoever looks for a gate takes a turn first, so that two runs at once start one gate and not two; and a lease
//! before that, so that a gate that was found does not end. See [`crate::system::lease`].

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use crate::cli::arguments::RunArgs;
use crate::cli::ask::{AskError, ask};
use crate::cli::problem::Problem;
use crate::cli::run::folder::{Folder, Running, state};
use crate::cli::run::outer::{self, Outer};
use crate::config::load::Loaded;
use crate::system::lease::{Lease, Turn};

/// A gate that takes calls.
#[derive(Debug)]
pub(in crate::cli) struct Reached {
    /// Where programs reach it.
    pub(in crate::cli) proxy: SocketAddr,
    /// Keeps it running, unless somebody has started it himself: then it runs as long as he likes.
    pub(super) lease: Lease,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

impl Reached {
    /// As the URL of a proxy, the label its user. Some clients send no user without a password, so there is one that
    /// says nothing.
    pub(super) fn as_proxy(&self, label: Option<&str>) -> String {
        match label {
            None => format!("http://{}", self.proxy),
            Some(label) => format!("http://{}:x@{}", in_url(label), self.proxy),
        }
    }
}

/// Finds the gate of this configuration or starts one.
///
/// # Errors
/// What a gate that does not start says, or a gate in its place that is another one.
pub(super) fn reach(
    loaded: &Loaded,
    args: &RunArgs,
    now: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Reached, Problem> {
    let folder = Folder::of(loaded, state(now));
    folder.make()?;
    let slow = || format!("another `tollgate run` or a gate that is ending holds `{}`", folder.path().display());
    let _turn = Turn::take(&folder.turn(), PATIENCE).with_context(slow)?;
    let lease = Lease::take(&folder.leases(), PATIENCE).with_context(slow)?;
    let begun = Instant::now();
    let own = [Some(loaded.setup.proxy), folder.running().map(|running| running.proxy)];
    let outer = Outer::of(now, &own.into_iter().flatten().collect::<Vec<_>>());
    loop {
        match look(loaded, &folder)? {
            Seen::Ready { proxy, running } => {
                let known = running.as_ref().and_then(|running| running.outer.clone());
                let warnings = outer.filter(|outer| Some(outer.place()) != known).map(|outer| other_way(&outer));
                return Ok(Reached { proxy, lease, warnings: warnings.into_iter().collect() });
            }
            // Its ports and its books will be free soon.
            Seen::Ending if begun.elapsed() < PATIENCE => thread::sleep(AGAIN),
            Seen::Ending => {
                return Err(anyhow!("the gate at `{}` is ending, but does not end", loaded.setup.admin).into());
            }
            Seen::Nothing => break,
        }
    }
    let problem = match start(&folder, args, outer.as_ref()) {
        Ok(running) => {
            return Ok(Reached { proxy: reachable(running.proxy), lease, warnings: Vec::new() });
        }
        Err(problem) => problem,
    };
    // Somebody may have started one himself in the meantime.
    match look(loaded, &folder) {
        Ok(Seen::Ready { proxy, .. }) => Ok(Reached { proxy, lease, warnings: Vec::new() }),
        _ => Err(problem),
    }
}

/// The gate of this configuration, if one runs and takes calls; starts none.
///
/// # Errors
/// As [`reach`], but for what a start could fail of.
pub(in crate::cli) fn find(
    loaded: &Loaded,
    now: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Reached>, Problem> {
    let folder = Folder::of(loaded, state(now));
    folder.make()?;
    let slow = || format!("another `tollgate run` or a gate that is ending holds `{}`", folder.path().display());
    let _turn = Turn::take(&folder.turn(), PATIENCE).with_context(slow)?;
    let lease = Lease::take(&folder.leases(), PATIENCE).with_context(slow)?;
    match look(loaded, &folder)? {
        Seen::Ready { proxy, .. } => Ok(Some(Reached { proxy, lease, warnings: Vec::new() })),
        Seen::Ending | Seen::Nothing => Ok(None),
    }
}

/// Where the books are shown of the gate that belongs to this configuration and was started for a program, if that is not
/// where the configuration says.
pub(in crate::cli) fn elsewhere(loaded: &Loaded, now: &dyn Fn(&str) -> Option<OsString>) -> Option<SocketAddr> {
    let running = Folder::of(loaded, state(now)).running()?;
    (running.admin != loaded.setup.admin && is_there(&running)).then_some(running.admin)
}

/// Whether a process of that number lives.
fn is_there(running: &Running) -> bool {
    let number = i32::try_from(running.process).ok().and_then(rustix::process::Pid::from_raw);
    let answered = number.map(rustix::process::test_kill_process);
    // One of another user may not be asked, but it is there.
    matches!(answered, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// What stands where the gate of this configuration would.
enum Seen {
    /// It; `running` where it was started by a run.
    Ready { proxy: SocketAddr, running: Option<Running> },
    /// It, but it takes no calls any more.
    Ending,
    /// No gate of this configuration.
    Nothing,
}

fn look(loaded: &Loaded, folder: &Folder) -> Result<Seen, Problem> {
    let setup = &loaded.setup;
    let started = folder.running().filter(is_there);
    let root = root(&setup.certs)?;
    if setup.admin.port() != 0 && setup.proxy.port() != 0 {
        let is_started = started.as_ref().is_some_and(|running| running.admin == setup.admin);
        match ask_root(setup.admin) {
            Some(found) if Some(&found) == root.as_ref() => {
                let ready =
                    || Seen::Ready { proxy: reachable(setup.proxy), running: started.clone().filter(|_| is_started) };
                return Ok(if is_ready(setup.admin) { ready() } else { Seen::Ending });
            }
            Some(_) if !is_default(setup.admin, DEFAULTS.1) => return Err(stranger(setup.admin, &setup.certs)),
            _ => {}
        }
    }
    let Some(running) = started else { return Ok(Seen::Nothing) };
    if root.is_none() || ask_root(running.admin) != root {
        return Ok(Seen::Nothing);
    }
    if !is_ready(running.admin) {
        return Ok(Seen::Ending);
    }
    Ok(Seen::Ready { proxy: reachable(running.proxy), running: Some(running) })
}

/// The certificate that programs are to trust; `None` before the first start.
fn root(certs: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let path = certs.join("ca.pem");
    match fs::read(&path) {
        Ok(text) => Ok(Some(text.trim_ascii().into())),
        // A gate that is started says what is wrong with the folder.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(anyhow::Error::from(error)
            .context(format!("cannot read `{}`, which programs are to trust", path.display()))
            .into()),
    }
}

fn ask_root(admin: SocketAddr) -> Option<Vec<u8>> {
    ask(&reachable(admin).to_string(), "/ca.pem", None).ok().map(|text| text.trim_ascii().into())
}

fn is_ready(admin: SocketAddr) -> bool {
    !matches!(
        ask(&reachable(admin).to_string(), "/readyz", None),
        Err(AskError::Foreign(_) | AskError::NotRunning { .. })
    )
}

fn stranger(admin: SocketAddr, certs: &Path) -> Problem {
    let path = certs.join("ca.pem");
    let error = anyhow!("the gate at `{admin}` has another certificate than `{}`", path.display());
    Problem::failed(error, ["use the configuration that the gate runs with, or restart the gate".into()])
}

fn other_way(outer: &Outer) -> String {
    format!(
        "the environment names the proxy `{}`, but the gate runs already and sends its calls as it was started",
        outer.place()
    )
}

/// Starts a gate that ends with its leases, and returns when it takes calls.
fn start(folder: &Folder, args: &RunArgs, outer: Option<&Outer>) -> Result<Running, Problem> {
    let log_path = folder.log();
    let (log, begun) = open_log(&log_path)?;
    let itself = env::current_exe().context("cannot tell where this program is")?;
    let mut command = Command::new(itself);
    command.arg("serve").arg("--leases").arg(folder.path());
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    if let Some(outer) = outer.filter(|_| env::var_os(outer::PROXY).is_none()) {
        command.env(outer::PROXY, &outer.url);
        if let Some(spared) = &outer.spared {
            command.env(outer::SPARED, spared);
        }
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn();
    let mut child = spawned.context("cannot start a gate")?;
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        let mut out = BufReader::new(out);
        let _ = out.read_line(&mut said);
        if !said.starts_with(READY) {
            // What is wrong stands in the log when the process has ended, and with it this.
            let _ = out.read_to_end(&mut Vec::new());
        }
    }
    // It has left a process of its own behind.
    let _ = child.wait();
    if let Some(running) = said.strip_prefix(READY).and_then(|text| serde_json::from_str(text).ok()) {
        return Ok(running);
    }
    let told = read_from(&log_path, begun);
    let mut problem = Problem::retold(&told, &format!("the gate did not start; see `{}`", log_path.display()));
    problem.code = said.trim().strip_prefix(FAILED).and_then(|code| code.parse().ok()).unwrap_or(1);
    Err(problem)
}

/// The log, and where what is said from now on begins in it.
fn open_log(path: &Path) -> Result<(File, u64), Problem> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let log = opened.with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut length = log.metadata()?.len();
    if length > LONGEST_LOG {
        log.set_len(0)?;
        length = 0;
    }
    Ok((log, length))
}

fn read_from(path: &Path, begun: u64) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(begun))?;
        file.take(MOST_TOLD).read_to_end(&mut text)
    });
    drop(read);
    String::from_utf8_lossy(&text).into_owned()
}

/// An address that stands for all of the machine's is reached at its own.
fn reachable(at: SocketAddr) -> SocketAddr {
    let ip = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, at.port())
}

/// Whether an address is the one that is taken where nothing is configured.
pub(super) fn is_default(at: SocketAddr, port: u16) -> bool {
    at == SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A text as the user of a URL.
fn in_url(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// The ports of the proxy and of the admin surface where nothing is configured.
pub(super) const DEFAULTS: (u16, u16) = (8484, 8485);

/// What a gate says that runs for programs, when it takes calls, and when it never will.
pub(super) const READY: &str = "ready ";
pub(super) const FAILED: &str = "failed ";

const AGAIN: Duration = Duration::from_millis(20);
/// For a gate that finishes what is open; it has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// A log longer than that begins anew.
const LONGEST_LOG: u64 = 4 << 20;
const MOST_TOLD: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_user_of_the_proxy() {
        assert_eq!(in_url("tëam a/b@c"), "t%C3%ABam%20a%2Fb%40c");
        let folder = tempfile::tempdir().unwrap();
        let lease = || Lease::take(&folder.path().join("leases"), PATIENCE).unwrap();
        let at = |text: &str| Reached { proxy: reachable(text.parse().unwrap()), lease: lease(), warnings: Vec::new() };
        assert_eq!(at("0.0.0.0:1").as_proxy(Some("a b")), "http://a%20b:x@127.0.0.1:1");
        assert_eq!(at("[::]:1").as_proxy(None), "http://[::1]:1");
    }
}
