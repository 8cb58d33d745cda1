//! Commands end, and what they say is told; and a stand-in for the machine that other tests use.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::system::commands::{Answer, CommandLine, Machine, Runner};

/// Answers command lines from a table and writes down what was run.
#[derive(Default)]
pub(crate) struct Table {
    answers: BTreeMap<String, Answer>,
    /// What was run, as a shell would read it.
    pub(crate) ran: RefCell<Vec<String>>,
    programs: Vec<&'static str>,
}

impl Table {
    /// Knows these programs.
    pub(crate) fn with(programs: &[&'static str]) -> Self {
        Self { programs: programs.into(), ..Self::default() }
    }

    /// Says `out` and ends with `code` when this is run.
    pub(crate) fn on(mut self, line: &str, code: i32, out: &str) -> Self {
        self.answers.insert(line.into(), Answer { code: Some(code), out: out.into(), err: String::new() });
        self
    }
}

impl Runner for Table {
    fn run(&self, line: &CommandLine) -> io::Result<Answer> {
        let line = line.to_string();
        let answer = self.answers.get(&line).cloned().unwrap_or(Answer { code: Some(0), ..Answer::default() });
        self.ran.borrow_mut().push(line);
        Ok(answer)
    }

    fn run_attended(&self, line: &CommandLine) -> io::Result<Answer> {
        self.run(line)
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        self.programs.contains(&program).then(|| PathBuf::from("/usr/bin").join(program))
    }
}

#[test]
fn a_command_is_written_as_a_shell_reads_it() {
    for (arguments, shown) in [
        (&["a", "--b=c", "/x/y"][..], "p a --b=c /x/y"),
        (&["Proxy Settings", ""], "p 'Proxy Settings' ''"),
        (&["it's", "$HOME", "a;b", "'none'"], r"p 'it'\''s' '$HOME' 'a;b' ''\''none'\'''"),
    ] {
        assert_eq!(CommandLine::new("p", arguments).to_string(), shown);
    }
    let line = CommandLine::new("install", &["a", "b"]).with("X", "1 2");
    assert_eq!(line.to_string(), "X='1 2' install a b");
    assert_eq!(line.by("sudo").to_string(), "sudo install a b");
}

#[test]
fn both_outputs_and_the_code_come_back_however_much_is_said() {
    let script = "head -c 300000 /dev/zero | tr '\\0' a; echo complaint >&2; echo \"$LC_ALL\" >&2; exit 3";
    let answer = Machine.run(&CommandLine::new("sh", &["-c", script])).unwrap();
    assert_eq!((answer.code, answer.out.len()), (Some(3), 300_000));
    assert_eq!(answer.err, "complaint\nC.UTF-8\n");
    let silent = Machine.run(&CommandLine::new("sh", &["-c", "exit 4"])).unwrap();
    assert_eq!(silent.complaint(), "it ended with 4");
    let steering = Machine.run(&CommandLine::new("printf", &["\\033[31mred\\nmore"])).unwrap();
    assert_eq!(steering.complaint(), " [31mred; more");
}

#[test]
fn a_program_that_does_not_exist_is_not_found() {
    assert!(Machine.find("sh").is_some());
    assert_eq!(Machine.find("no-such-program-at-all"), None);
    assert!(Machine.run(&CommandLine::new("no-such-program-at-all", &[])).is_err());
}
