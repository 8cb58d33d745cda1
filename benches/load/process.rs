//! A process that the run started: its CPU time and its memory; it ends with its owner.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;

/// A child process.
pub(crate) struct Process {
    child: Child,
    /// Kept open: the stand-in ends when it is closed.
    _input: Option<ChildStdin>,
    /// What it prints, line by line.
    pub(crate) output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a program; its standard output can be read.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let input = child.stdin.take();
        Ok(Self { child, _input: input, output: BufReader::new(output).lines() })
    }

    /// The rest of the first line that begins with `word`.
    pub(crate) fn line(&mut self, word: &str) -> anyhow::Result<String> {
        for line in self.output.by_ref() {
            if let Some(rest) = line?.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
        anyhow::bail!("the program ended before it said `{word}`")
    }

    /// User and system time of all its threads so far, in nanoseconds.
    pub(crate) fn cpu_nanos(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat")).context("no /proc/PID/task/*/schedstat")?;
            let ran = text.split(' ').next().unwrap_or_default();
            sum += ran.parse::<u64>().context("schedstat has another form")?;
        }
        Ok(sum)
    }

    /// Memory in use now, in units of 1024 bytes.
    pub(crate) fn resident_kb(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
