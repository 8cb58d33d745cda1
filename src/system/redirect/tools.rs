//! Runs the system's own programs: found in the system's folders only, in the C locale, and never for longer than they may.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Where the programs are.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// `nft` of nftables.
    pub nft: Option<PathBuf>,
    /// `iptables-restore` and the like.
    pub iptables: Option<Iptables>,
    /// `ip` of iproute2.
    pub ip: Option<PathBuf>,
}

/// The programs of iptables; those of IPv6 may be missing where there is no IPv6.
#[derive(Clone, Debug)]
pub struct Iptables {
    /// `iptables-restore`, `iptables-save`.
    pub v4: (PathBuf, PathBuf),
    /// `ip6tables-restore`, `ip6tables-save`.
    pub v6: Option<(PathBuf, PathBuf)>,
}

impl Tools {
    /// Looks into the system's folders; `$PATH` is the user's, and these run with privilege.
    pub fn find() -> Self {
        Self::below(&FOLDERS.map(Path::new))
    }

    /// Looks into these folders.
    pub fn below(folders: &[&Path]) -> Self {
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| can_run(path));
        let pair = |protocol: &str| {
            Some((find(&format!("{protocol}tables-restore"))?, find(&format!("{protocol}tables-save"))?))
        };
        let iptables = pair("ip").map(|v4| Iptables { v4, v6: pair("ip6") });
        Self { nft: find("nft"), iptables, ip: find("ip") }
    }
}

/// What a program said.
#[derive(Clone, Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Why a program did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started, or its pipes broke.
    #[error("cannot run `{program}`")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time, and was ended.
    #[error("`{program}` did not finish within {} seconds", PATIENCE.as_secs())]
    Silent {
        /// Which.
        program: String,
    },
    /// It ended with an error.
    #[error("`{program}` says: {said}")]
    Failed {
        /// Which.
        program: String,
        /// What it said, on one line.
        said: String,
    },
}

/// Runs a program to its end with this on its standard input.
///
/// # Errors
/// It cannot be run, or takes too long. That it failed is in the answer.
pub fn run(program: &Path, arguments: &[&str], input: &str) -> Result<Said, ToolError> {
    within(program, arguments, input, PATIENCE)
}

/// As [`run`], and its failure is an error.
///
/// # Errors
/// As [`run`], and whatever it complained about.
pub fn done(program: &Path, arguments: &[&str], input: &str) -> Result<String, ToolError> {
    let said = run(program, arguments, input)?;
    if said.status.success() {
        return Ok(said.out);
    }
    let complaint = said.err.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('^'));
    let said = complaint.take(MOST_LINES).collect::<Vec<_>>().join("; ");
    Err(ToolError::Failed { program: shown(program), said })
}

fn within(program: &Path, arguments: &[&str], input: &str, patience: Duration) -> Result<Said, ToolError> {
    let broken = |source| ToolError::Run { program: shown(program), source };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", FOLDERS.join(":"))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    // Threads of their own: whoever writes all before it reads can wait for ever.
    if let Some(mut pipe) = child.stdin.take() {
        let input = input.to_owned();
        thread::spawn(move || pipe.write_all(input.as_bytes()));
    }
    let (out, err) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let Some(status) = ended(&mut child, Instant::now() + patience).map_err(broken)? else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(ToolError::Silent { program: shown(program) });
    };
    // A grandchild that keeps the pipe open is not waited for.
    let text = |pipe: Receiver<String>| pipe.recv_timeout(AFTERWARDS).unwrap_or_default();
    Ok(Said { status, out: text(out), err: text(err) })
}

fn ended(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn can_run(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn shown(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Where administrators' programs are, on every distribution.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
/// Longer than any of them takes, also while another holds the lock of iptables.
const PATIENCE: Duration = Duration::from_secs(10);
const AFTERWARDS: Duration = Duration::from_secs(1);
const MOST_LINES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &str, patience: Duration) -> Result<Said, ToolError> {
        within(Path::new("/bin/sh"), &["-c", script], input, patience)
    }

    #[test]
    fn input_goes_in_output_comes_out_and_the_environment_is_ours() {
        let input = "x".repeat(300_000);
        let said = shell("cat; echo $LC_ALL $HOME >&2", &input, PATIENCE).unwrap();
        assert!(said.status.success() && said.out == input);
        assert_eq!(said.err, "C\n");
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let begun = Instant::now();
        let error = shell("exec sleep 60", "", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, ToolError::Silent { .. }) && begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_failure_is_told_in_the_programs_own_words() {
        let error = done(Path::new("/bin/sh"), &["-c", "echo one >&2; echo two >&2; exit 3"], "").unwrap_err();
        assert_eq!(error.to_string(), "`sh` says: one; two");
    }

    #[test]
    fn only_what_can_run_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("nft", 0o644), ("iptables-restore", 0o755), ("iptables-save", 0o755), ("ip", 0o755)] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let tools = Tools::below(&[folder.path()]);
        assert!(tools.nft.is_none() && tools.ip.is_some());
        assert!(tools.iptables.is_some_and(|found| found.v6.is_none()));
        let none = Tools::below(&[]);
        assert!(none.nft.is_none() && none.iptables.is_none() && none.ip.is_none());
    }
}
