//! Who runs the commands that change a store: this user, or root where it must be, asked for each of them.

use std::cell::RefCell;
use std::path::Path;

use crate::system::commands::{Answer, CommandLine, Runner};

/// What is needed to work on stores.
pub struct Hands<'a> {
    runner: &'a dyn Runner,
    is_root: bool,
    has_terminal: bool,
    /// What would have been run, where nothing is to be.
    plan: Option<RefCell<Vec<String>>>,
}

/// Why a store is as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// In words.
    pub why: String,
    /// What the user can type, where that is known.
    pub remedy: Option<String>,
}

impl Trouble {
    /// Something that nothing can be typed against.
    pub fn said(why: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: None }
    }

    /// Something that this helps against.
    pub fn with(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: Some(remedy.into()) }
    }

    /// With a command that is to be typed after the one that helps, by the same program that makes root of the user.
    pub(super) fn and_then(mut self, line: &CommandLine) -> Self {
        if let Some(remedy) = &mut self.remedy {
            let asker = remedy.split(' ').next().unwrap_or_default();
            *remedy = format!("{remedy} && {}", line.by(asker));
        }
        self
    }
}

impl<'a> Hands<'a> {
    /// Those of this user. With `dry`, what would change something is only written down.
    pub fn new(runner: &'a dyn Runner, has_terminal: bool, dry: bool) -> Self {
        let id = runner.run(&CommandLine::new("id", &["-u"]));
        let is_root = id.is_ok_and(|answer| answer.out.trim() == "0");
        Self { runner, is_root, has_terminal, plan: dry.then(RefCell::default) }
    }

    /// Whether nothing is to be changed.
    pub fn is_dry(&self) -> bool {
        self.plan.is_some()
    }

    /// Whether somebody can be asked.
    pub fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// What would have been run since the last time.
    pub fn planned(&self) -> Vec<String> {
        self.plan.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// Whether a program is here.
    pub fn has(&self, program: &str) -> bool {
        self.runner.find(program).is_some()
    }

    /// Asks a tool something; it must succeed.
    ///
    /// # Errors
    /// A tool that fails.
    pub fn ask(&self, line: &CommandLine) -> Result<String, Trouble> {
        Ok(self.checked(line, self.runner.run(line))?.out)
    }

    /// Changes something as this user.
    ///
    /// # Errors
    /// A tool that fails.
    pub fn act(&self, line: &CommandLine) -> Result<(), Trouble> {
        if let Some(plan) = &self.plan {
            plan.borrow_mut().push(line.to_string());
            return Ok(());
        }
        self.checked(line, self.runner.run(line)).map(drop)
    }

    /// Changes something as this user, who is asked by the system meanwhile.
    ///
    /// # Errors
    /// A tool that fails, and a user who says no.
    pub fn act_attended(&self, line: &CommandLine) -> Result<(), Trouble> {
        if self.is_dry() {
            return self.act(line);
        }
        self.checked(line, self.runner.run_attended(line)).map(drop)
    }

    /// Changes something at `place`: as root, where this user may not.
    ///
    /// # Errors
    /// A tool that fails, and root who is not to be had.
    pub fn act_at(&self, place: &Path, line: &CommandLine) -> Result<(), Trouble> {
        if self.is_root || may_write(place) {
            return self.act(line);
        }
        let asker = ["sudo", "doas", "pkexec"].into_iter().find(|asker| self.has(asker));
        let by_root = line.by(asker.unwrap_or("sudo"));
        if self.is_dry() {
            return self.act(&by_root);
        }
        match asker {
            Some(_) if self.has_terminal => self.checked(line, self.runner.run_attended(&by_root)).map(drop),
            _ => Err(Trouble::with(format!("only root may write `{}`", place.display()), by_root.to_string())),
        }
    }

    fn checked(&self, line: &CommandLine, answer: std::io::Result<Answer>) -> Result<Answer, Trouble> {
        match answer {
            Ok(answer) if answer.is_good() => Ok(answer),
            Ok(answer) => Err(Trouble::said(format!("`{}` failed: {}", line.program, answer.complaint()))),
            Err(error) => Err(Trouble::said(format!("cannot run `{}`: {error}", line.program))),
        }
    }
}

/// Whether this user may write there: into a file, or into a folder. Nothing is written for that.
#[cfg(target_os = "linux")]
fn may_write(place: &Path) -> bool {
    rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn may_write(place: &Path) -> bool {
    std::fs::OpenOptions::new().append(true).open(place).is_ok()
}
