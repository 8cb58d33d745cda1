//! Puts back what was changed, latest first, and forgets a record only when nothing is left to put back.

use std::io;

use serde_json::Value;

use crate::system::changes::gates::Gate;
use crate::system::changes::{Changes, Record};

/// Knows how to undo changes of one kind.
pub trait Undo {
    /// [`Record::kind`] of those.
    fn kind(&self) -> &'static str;

    /// Puts back what was there. It may have been done before, wholly or in part.
    fn undo(&self, data: &Value) -> Undone;
}

/// How it went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Undone {
    /// What was there is there again.
    Restored,
    /// Somebody changed this since, so that it was left alone: what, for people. All else was put back.
    Left(Vec<String>),
    /// Not now.
    Blocked {
        /// Why, for people.
        why: String,
        /// What the user can type to do it, where there is such a thing.
        command: Option<String>,
    },
}

/// A record and what became of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// What was changed, for people.
    pub what: String,
    /// How it went.
    pub undone: Undone,
}

impl Changes {
    /// Undoes what was made for gates that no longer run.
    ///
    /// # Errors
    /// A journal that cannot be read, or not be claimed though there is something in it.
    pub fn undo_stale(&self, undoers: &[&dyn Undo]) -> io::Result<Vec<Told>> {
        let gates = self.gates();
        let lives = |gate: &Gate| gates.iter().any(|living| living == gate || living.proxy == gate.proxy);
        // A gate that was started without a journal of its own is not among those that entered.
        self.undo(undoers, &|record| record.gate.as_ref().is_some_and(|gate| !lives(gate) && !gate.is_alive()))
    }

    /// Undoes what was made for `gate`, which ends; what was made for one that has taken over its address stays.
    ///
    /// # Errors
    /// As [`Changes::undo_stale`].
    pub fn undo_of(&self, gate: &Gate, undoers: &[&dyn Undo]) -> io::Result<Vec<Told>> {
        self.leave(gate);
        if let Some(heir) = self.gates().into_iter().find(|other| other.proxy == gate.proxy) {
            let _alone = self.claim()?;
            for record in self.found()?.records.into_iter().filter(|record| record.gate.as_ref() == Some(gate)) {
                self.write(&Record { gate: Some(heir.clone()), ..record })?;
            }
            return Ok(Vec::new());
        }
        self.undo(undoers, &|record| record.gate.as_ref() == Some(gate))
    }

    /// Undoes what is chosen, latest first. Files that are no records are told as well.
    ///
    /// # Errors
    /// As [`Changes::undo_stale`].
    pub fn undo(&self, undoers: &[&dyn Undo], chosen: &dyn Fn(&Record) -> bool) -> io::Result<Vec<Told>> {
        let found = self.found()?;
        if found.damaged.is_empty() && !found.records.iter().any(chosen) {
            return Ok(Vec::new());
        }
        let _alone = self.claim()?;
        // Another process may have undone them meanwhile.
        let found = self.found()?;
        let mut told: Vec<Told> = Vec::new();
        for record in found.records.iter().rev().filter(|record| chosen(record)) {
            told.push(Told { what: record.what.clone(), undone: self.undo_one(record, undoers) });
        }
        told.extend(found.damaged.into_iter().map(|(path, why)| Told {
            what: format!("the record `{}`", path.display()),
            undone: Undone::Blocked { why: format!("it cannot be read: {why}"), command: None },
        }));
        Ok(told)
    }

    fn undo_one(&self, record: &Record, undoers: &[&dyn Undo]) -> Undone {
        let Some(undoer) = undoers.iter().find(|undoer| undoer.kind() == record.kind) else {
            let why = format!("this version does not know changes of the kind `{}`", record.kind.escape_debug());
            return Undone::Blocked { why, command: None };
        };
        let undone = undoer.undo(&record.data);
        if matches!(undone, Undone::Blocked { .. }) {
            return undone;
        }
        match self.forget(record) {
            Ok(()) => undone,
            // It is looked at again, and found to be done.
            Err(error) => {
                Undone::Blocked { why: format!("it is done, but its record cannot be removed: {error}"), command: None }
            }
        }
    }
}
