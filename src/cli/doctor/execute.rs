//! Runs what is probed: for a bounded time, in a process group that ends with it, and with a bounded output.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// What was heard of a program.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Heard {
    /// Its exit code; `None` where a signal ended it.
    pub(super) code: Option<i32>,
    /// It did not end in time.
    pub(super) is_late: bool,
    /// The beginning of what it wrote to standard output; bytes that are no text are replaced.
    pub(super) out: String,
    /// The beginning of what it wrote to standard error.
    pub(super) err: String,
}

/// Runs `command` for at most `limit`; nothing of it runs on afterwards.
///
/// # Errors
/// A program that cannot be run.
pub(super) fn execute(command: &mut Command, limit: Duration) -> io::Result<Heard> {
    // A group of its own has no terminal to ask at.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let (out, err) = (gathered(child.stdout.take()), gathered(child.stderr.take()));
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let in_time = group.is_some_and(|group| ends_within(group, limit));
    // The group has the child's number, which nobody else can have before the child was waited for.
    let killed = group.map(|group| kill_process_group(group, Signal::KILL));
    if !matches!(killed, Some(Ok(()))) {
        let _ = child.kill();
    }
    let waited = child.wait();
    let is_late = !in_time;
    // Who has left the group may hold a pipe for ever.
    let text = |pipe: &Receiver<String>| pipe.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    let code = waited.ok().filter(|_| !is_late).and_then(|status| status.code());
    Ok(Heard { code, is_late, out: text(&out), err: text(&err) })
}

fn gathered(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(MOST).read_to_end(&mut bytes);
            // A full pipe would block the program.
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Whether a child ends in time; it is still there to be waited for.
fn ends_within(child: Pid, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(child), look), Ok(None) | Err(Errno::INTR)) {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    true
}

/// Bytes of an output.
const MOST: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Heard {
        execute(Command::new("sh").args(["-c", script]), limit).unwrap()
    }

    #[test]
    fn what_it_says_and_how_it_ends_is_heard() {
        let heard = shell("echo out; echo err >&2; exit 3", Duration::from_secs(30));
        assert_eq!((heard.code, heard.is_late), (Some(3), false));
        assert_eq!((&*heard.out, &*heard.err), ("out\n", "err\n"));
        let missing = execute(&mut Command::new("/no/such/program"), Duration::from_secs(1));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_with_its_children_and_its_flood_is_cut() {
        let begun = Instant::now();
        let heard = shell("sleep 300 & echo $!; sleep 300", Duration::from_millis(300));
        assert!(heard.is_late && begun.elapsed() < Duration::from_secs(60));
        let child: i32 = heard.out.trim().parse().unwrap();
        let is_alive =
            || std::fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while is_alive() {
            assert!(begun.elapsed() < Duration::from_secs(60), "a child runs on");
            thread::yield_now();
        }
        let flood = shell("head -c 1000000 /dev/zero | tr '\\0' x", Duration::from_secs(60));
        assert_eq!((flood.code, flood.out.len() as u64), (Some(0), MOST));
    }
}
