//! The proxy setting of the desktop: what it is, and how it is set to the gate and put back.
//!
//! Values are kept as the system's own tool writes them, so that putting one back is writing the same text again.

mod gnome;
mod kde;
mod macos;
pub mod restore;
#[cfg(test)]
mod tests;
mod windows;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::system::commands::{Answer, CommandLine, Runner};

/// A desktop whose setting can be changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Desktop {
    /// GNOME and those that read its settings: Cinnamon, Budgie, Unity, Chromium, everything with `GProxyResolver`.
    Gnome,
    /// KDE Plasma.
    Kde,
    /// macOS, every network service.
    MacOs,
    /// Windows, this user.
    Windows,
}

/// What it is set to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// A PAC at this URL.
    Pac(String),
    /// This proxy for HTTP and HTTPS.
    Proxy(SocketAddr),
}

/// One value of a setting, by the name that its desktop knows it under.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Value {
    /// Which.
    pub key: String,
    /// What was there; `None` for the default.
    pub before: Option<String>,
    /// What was put there.
    pub ours: String,
}

/// All that was changed for a desktop: the data of its record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Setting {
    /// Whose.
    pub desktop: Desktop,
    /// In the order in which they were set.
    pub values: Vec<Value>,
}

/// Where to look for desktops.
#[derive(Clone, Debug)]
pub struct Session {
    /// As [`std::env::consts::OS`].
    pub os: &'static str,
    /// `XDG_CURRENT_DESKTOP`, such as `ubuntu:GNOME`.
    pub current: String,
}

/// Why a setting cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DesktopError {
    /// A tool that cannot be run.
    #[error("cannot run `{program}`")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A tool that failed.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// The tool says that it is done, and it is not.
    #[error("{desktop} did not take the value of `{key}`{}{said}", if said.is_empty() { "" } else { ": " })]
    NotTaken {
        /// Whose.
        desktop: Desktop,
        /// Which.
        key: String,
        /// What the tool said beside that.
        said: String,
    },
    /// What is there holds a password, which could not be put back unseen.
    #[error("the proxy of {desktop} has a password (`{key}`), which cannot be read or put back without showing it")]
    Password {
        /// Whose.
        desktop: Desktop,
        /// Which.
        key: String,
    },
}

impl Desktop {
    /// Those that are here.
    pub fn found(session: &Session, runner: &dyn Runner) -> Vec<Self> {
        match session.os {
            "macos" => return vec![Self::MacOs],
            "windows" => return vec![Self::Windows],
            _ => {}
        }
        let mut found = Vec::new();
        if runner.find("gsettings").is_some() && gnome::is_there(runner) {
            found.push(Self::Gnome);
        }
        if kde::tools(runner).is_some() {
            found.push(Self::Kde);
        }
        found
    }

    /// Whether the session that runs is of this desktop, as far as it says so.
    pub fn is_current(self, session: &Session) -> bool {
        let names: &[&str] = match self {
            Self::Gnome => &["GNOME", "Unity", "X-Cinnamon", "Budgie", "Pantheon", "MATE", "XFCE"],
            Self::Kde => &["KDE"],
            Self::MacOs | Self::Windows => return true,
        };
        session.current.split(':').any(|word| names.iter().any(|name| name.eq_ignore_ascii_case(word)))
    }

    /// What would be set, with what is there now.
    ///
    /// # Errors
    /// Tools that fail, and values that could not be put back.
    pub fn plan(self, wanted: &Wanted, runner: &dyn Runner) -> Result<Setting, DesktopError> {
        let pairs = match self {
            Self::Gnome => gnome::wanted(wanted, runner)?,
            Self::Kde => kde::wanted(wanted, runner)?,
            Self::MacOs => macos::wanted(wanted, runner)?,
            Self::Windows => windows::wanted(wanted),
        };
        let mut values = Vec::new();
        for (key, ours) in pairs {
            values.push(Value { before: self.read(&key, runner)?, key, ours });
        }
        Ok(Setting { desktop: self, values })
    }

    /// A value as it is; `None` for the default.
    ///
    /// # Errors
    /// Tools that fail.
    pub fn read(self, key: &str, runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
        match self {
            Self::Gnome => gnome::read(key, runner),
            Self::Kde => kde::read(key, runner),
            Self::MacOs => macos::read(key, runner),
            Self::Windows => windows::read(key, runner),
        }
    }

    /// What it is set to that is not the gate, in words: a proxy or a PAC that somebody chose.
    ///
    /// # Errors
    /// Tools that fail.
    pub fn in_force(self, runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
        let text = match self {
            Self::Gnome => gnome::in_force(runner),
            Self::Kde => kde::in_force(runner),
            Self::MacOs => macos::in_force(runner),
            Self::Windows => windows::in_force(runner),
        }?;
        Ok(text.map(|text| without_password(&text)))
    }

    /// Sets every value, in their order, and makes sure that each was taken.
    ///
    /// # Errors
    /// The first that was not; what was set before it stays.
    pub fn set(self, values: &[Value], runner: &dyn Runner) -> Result<(), DesktopError> {
        for Value { key, ours, .. } in values {
            self.write(key, Some(ours), runner)?;
        }
        self.tell_programs(runner);
        Ok(())
    }

    /// Writes one value; `None` for the default.
    fn write(self, key: &str, value: Option<&str>, runner: &dyn Runner) -> Result<(), DesktopError> {
        let mut said = String::new();
        for line in self.lines(key, value, runner) {
            let answer = run(&line, runner)?;
            said = answer.err.trim().replace('\n', "; ");
        }
        if self.read(key, runner)?.as_deref() == value {
            return Ok(());
        }
        Err(DesktopError::NotTaken { desktop: self, key: key.into(), said })
    }

    /// The commands that write one value.
    fn lines(self, key: &str, value: Option<&str>, runner: &dyn Runner) -> Vec<CommandLine> {
        match self {
            Self::Gnome => vec![gnome::line(key, value)],
            Self::Kde => vec![kde::line(key, value, runner)],
            Self::MacOs => macos::lines(key, value),
            Self::Windows => vec![windows::line(key, value)],
        }
    }

    /// Tells running programs to look again, where the desktop does not do so by itself. They also look at their start.
    fn tell_programs(self, runner: &dyn Runner) {
        let line = match self {
            Self::Gnome | Self::MacOs => return,
            Self::Kde => kde::notice(),
            Self::Windows => windows::notice(),
        };
        let _ = runner.run(&line);
    }
}

impl fmt::Display for Desktop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gnome => "GNOME",
            Self::Kde => "KDE",
            Self::MacOs => "macOS",
            Self::Windows => "Windows",
        })
    }
}

fn run(line: &CommandLine, runner: &dyn Runner) -> Result<Answer, DesktopError> {
    let answer = runner.run(line).map_err(|source| DesktopError::Run { program: line.program.clone(), source })?;
    if answer.is_good() {
        return Ok(answer);
    }
    Err(DesktopError::Failed { command: line.to_string(), said: answer.complaint() })
}

/// A URL or address without the user and password before its `@`.
fn without_password(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.rsplit_once('@') {
        None => word.to_owned(),
        Some((before, host)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
            format!("{scheme}***@{host}")
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Names that never go to a proxy.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
