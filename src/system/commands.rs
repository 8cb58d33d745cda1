//! The system's own tools: what is run, within a bounded time, and what it said.

use std::env;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A program and its arguments; no shell is between.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandLine {
    /// A name that is looked for on `PATH`, or a path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside those of this process.
    pub variables: Vec<(&'static str, String)>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output; bytes that are no text are replaced.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

/// Runs commands: the machine, or what stands in for it in tests.
pub trait Runner {
    /// Runs it without a terminal, to its end.
    ///
    /// # Errors
    /// A program that cannot be run, or does not end in time.
    fn run(&self, line: &CommandLine) -> io::Result<Answer>;

    /// Runs it at the user's terminal, where it may ask for a password and take its time.
    ///
    /// # Errors
    /// A program that cannot be run.
    fn run_attended(&self, line: &CommandLine) -> io::Result<Answer>;

    /// Where a program is, if it is on `PATH`.
    fn find(&self, program: &str) -> Option<PathBuf>;
}

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl CommandLine {
    /// A program and its arguments.
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { program: program.into(), arguments, variables: Vec::new() }
    }

    /// With a variable.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The same, run by another program such as `sudo`.
    pub fn by(&self, other: &str) -> Self {
        let mut arguments = vec![self.program.clone()];
        arguments.extend(self.arguments.iter().cloned());
        Self { program: other.into(), arguments, variables: Vec::new() }
    }
}

impl Answer {
    /// Whether it ended with 0.
    pub fn is_good(&self) -> bool {
        self.code == Some(0)
    }

    /// The last thing that it said, in one line, for people.
    pub fn complaint(&self) -> String {
        let said = self.err.lines().chain(self.out.lines()).map(str::trim).filter(|line| !line.is_empty());
        let said: Vec<&str> = said.collect();
        let text = match (said.last(), self.code) {
            (Some(_), _) => said.iter().take(4).copied().collect::<Vec<_>>().join("; "),
            (None, Some(code)) => format!("it ended with {code}"),
            (None, None) => "a signal ended it".into(),
        };
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST).collect()
    }
}

/// As a shell reads it, to be typed by hand.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {}", quoted(argument)))
    }
}

/// A word as POSIX shells read it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Runner for Machine {
    fn run(&self, line: &CommandLine) -> io::Result<Answer> {
        let mut command = prepared(line);
        // A group of its own has no terminal to ask at.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (out, err) = (gathered(child.stdout.take()), gathered(child.stderr.take()));
        let Some(status) = ended(&mut child, LIMIT)? else {
            let _ = child.kill();
            let _ = child.wait();
            let text = format!("`{}` did not end within {} seconds", line.program, LIMIT.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        };
        // A child of its own may hold the pipes longer; what it says is of no interest.
        let text = |pipe: &Receiver<String>| pipe.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        Ok(Answer { code: status.code(), out: text(&out), err: text(&err) })
    }

    fn run_attended(&self, line: &CommandLine) -> io::Result<Answer> {
        // What it says goes to standard error, so that ours stays what was asked for.
        let mut command = prepared(line);
        let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).stdout(Stdio::piped()).output()?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Answer { code: output.status.code(), out, err: String::new() })
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        // Tools of the system's administrator are not on every user's path.
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        folders.map(|folder| folder.join(program)).find(|file| is_program(file))
    }
}

fn prepared(line: &CommandLine) -> Command {
    let found = Machine.find(&line.program).filter(|_| !line.program.contains('/'));
    let mut command = Command::new(found.unwrap_or_else(|| PathBuf::from(&line.program)));
    // What they say is read, and is to be the same in every language.
    command.args(&line.arguments).env("LC_ALL", "C.UTF-8").env("LANGUAGE", "C");
    command.envs(line.variables.iter().map(|(name, value)| (*name, value)));
    command
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
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

fn ended(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + limit;
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

/// As long as a slow machine needs to put its certificates together.
const LIMIT: Duration = Duration::from_secs(120);
/// Bytes of an output: some times what a list of all public roots takes.
const MOST: u64 = 16 << 20;
/// Letters of a complaint.
const LONGEST: usize = 400;

#[cfg(test)]
pub(crate) mod tests;
