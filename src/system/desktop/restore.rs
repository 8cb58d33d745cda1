//! Puts a desktop's setting back: each value that is still ours, and none that somebody has changed since.

use serde_json::Value as Json;

use crate::system::changes::undo::{Undo, Undone};
use crate::system::commands::Runner;
use crate::system::desktop::{Desktop, DesktopError, Setting, Value, gnome, kde, macos, windows};

/// Undoes changes of desktops.
pub struct Desktops<R>(pub R);

impl<R: Runner> Undo for Desktops<R> {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn undo(&self, data: &Json) -> Undone {
        match serde_json::from_value::<Setting>(data.clone()) {
            Ok(setting) if setting.is_known() => setting.restore(&self.0),
            Ok(_) => blocked("it names settings that are no proxy settings"),
            Err(error) => blocked(&format!("its record says something else: {error}")),
        }
    }
}

impl Setting {
    /// Puts back every value that is still ours, the last one first.
    pub fn restore(&self, runner: &dyn Runner) -> Undone {
        let mut left = Vec::new();
        for value in self.values.iter().rev() {
            match self.restore_one(value, runner) {
                Ok(true) => {}
                Ok(false) => left.push(format!("`{}` of {}", value.key, self.desktop)),
                Err(error) => {
                    let lines = self.desktop.lines(&value.key, value.before.as_deref(), runner);
                    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                    return Undone::Blocked { why: error.to_string(), command: Some(lines.join(" && ")) };
                }
            }
        }
        self.desktop.tell_programs(runner);
        if left.is_empty() { Undone::Restored } else { Undone::Left(left) }
    }

    /// Whether it is as it was.
    fn restore_one(&self, value: &Value, runner: &dyn Runner) -> Result<bool, DesktopError> {
        let now = self.desktop.read(&value.key, runner)?;
        if now == value.before {
            return Ok(true);
        }
        if now.as_ref() != Some(&value.ours) {
            return Ok(false);
        }
        self.desktop.write(&value.key, value.before.as_deref(), runner)?;
        Ok(true)
    }

    /// A record may have been written by anyone who can write its folder.
    fn is_known(&self) -> bool {
        self.values.iter().all(|value| match self.desktop {
            Desktop::Gnome => gnome::knows(&value.key),
            Desktop::Kde => kde::knows(&value.key),
            Desktop::MacOs => macos::knows(&value.key),
            Desktop::Windows => windows::knows(&value.key),
        })
    }
}

fn blocked(why: &str) -> Undone {
    Undone::Blocked { why: why.into(), command: None }
}

/// What records of desktops are called.
pub const KIND: &str = "desktop";
