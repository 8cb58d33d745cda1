//! Books what is in the spool: what a killed process left there, or what found no place in memory.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use crate::ledger::entry::{Entry, Outcome};
use crate::ledger::journal::frame::{Mark, records};
use crate::ledger::journal::spool::Segment;
use crate::ledger::journal::start::Trouble;
use crate::ledger::journal::store::{Group, Store};
use crate::ledger::key::{Key, Registry};

/// Whose records they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    /// A process that has ended: nobody will say how its open attempts ended.
    Dead,
    /// This process.
    Living,
}

/// What a replay found.
#[derive(Debug)]
pub(super) struct Replayed {
    /// What was not as it should be, a sentence each.
    pub(super) notes: Vec<String>,
    /// Records that could not be read.
    pub(super) lost: u64,
}

/// Books what the segments tell; whatever was booked before is left alone, so that it does no harm twice.
pub(super) fn replay(
    store: &mut Store,
    segments: &[Segment],
    registry: &Registry,
    whose: Whose,
) -> Result<Replayed, Trouble> {
    let mut left = Left::default();
    for segment in segments {
        left.take(&fs::read(segment.path())?, segment.path());
    }
    let mut found = std::mem::take(&mut left.closed);
    if whose == Whose::Dead {
        left.take_open(store)?;
        left.add_unknown(store, &mut found)?;
    }
    let keys: Vec<Key> = found.iter().map(|(_, entry)| registry.key(entry)).collect();
    let entries = found.iter().zip(&keys).map(|((seq, entry), key)| (entry, key, *seq)).collect();
    let ended = found.iter().map(|(_, entry)| &*entry.id).collect();
    let written = store.write(&Group { entries, begun: &[], ended })?;
    let Left { mut notes, lost, .. } = left;
    if written > 0 && whose == Whose::Dead {
        notes.insert(0, format!("{written} entries of a process that ended suddenly were booked from its spool"));
    }
    Ok(Replayed { notes, lost })
}

/// What the segments of other processes tell that is not booked yet, with a sentence for each record that is none.
///
/// Those processes lived while this one began, and have ended since: nothing of theirs is open in the file.
pub(super) fn unbooked(store: &Store, segments: &[Segment]) -> Result<(Vec<Entry>, Vec<String>), Trouble> {
    let mut left = Left::default();
    for segment in segments {
        left.take(&fs::read(segment.path())?, segment.path());
    }
    let mut found = std::mem::take(&mut left.closed);
    left.add_unknown(store, &mut found)?;
    let mut booked = store.connection.prepare("SELECT count(*) FROM entries WHERE id = ?")?;
    let mut new = HashMap::new();
    for (_, entry) in found {
        if booked.query_row([&*entry.id], |row| row.get::<_, i64>(0))? == 0 {
            // A record may be there twice.
            new.entry(entry.id.clone()).or_insert(entry);
        }
    }
    let mut new: Vec<Entry> = new.into_values().collect();
    new.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    Ok((new, left.notes))
}

/// What earlier processes left.
#[derive(Default)]
struct Left {
    closed: Vec<(Option<u64>, Entry)>,
    open: HashMap<Box<str>, Entry>,
    notes: Vec<String>,
    lost: u64,
}

impl Left {
    fn take(&mut self, bytes: &[u8], segment: &Path) {
        let (found, flaws) = records(bytes);
        for record in found {
            match (serde_json::from_slice::<Entry>(record.entry), record.mark) {
                (Ok(entry), Mark::Open) => {
                    self.open.insert((&*entry.id).into(), entry);
                }
                (Ok(entry), Mark::Closed) => self.closed.push((Some(record.seq), entry)),
                (Err(error), _) => {
                    self.lost += 1;
                    self.notes.push(format!("a record of `{}` was skipped: {error}", segment.display()));
                }
            }
        }
        for flaw in flaws {
            self.lost += 1;
            self.notes.push(format!(
                "bytes {} to {} of `{}` were skipped: {}",
                flaw.start,
                flaw.end,
                segment.display(),
                if flaw.end == bytes.len() { "the last record is torn" } else { "they are no record" }
            ));
        }
    }

    /// Attempts that were written as begun into the journal itself.
    fn take_open(&mut self, store: &Store) -> rusqlite::Result<()> {
        let mut statement = store.connection.prepare("SELECT entry FROM open")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(0)?.as_str()?;
            match serde_json::from_str::<Entry>(text) {
                Ok(entry) => {
                    self.open.insert((&*entry.id).into(), entry);
                }
                Err(error) => {
                    self.lost += 1;
                    self.notes.push(format!("an attempt under way was skipped: {error}"));
                }
            }
        }
        Ok(())
    }

    /// Adds the attempts of which nobody knows how they ended.
    fn add_unknown(&mut self, store: &Store, found: &mut Vec<(Option<u64>, Entry)>) -> rusqlite::Result<()> {
        for (_, entry) in &*found {
            self.open.remove(&*entry.id);
        }
        let mut unknown: Vec<Entry> = self.open.drain().map(|(_, entry)| entry).collect();
        unknown.sort_by(|a, b| a.id.cmp(&b.id));
        let mut booked = store.connection.prepare("SELECT count(*) FROM entries WHERE id = ?")?;
        for mut entry in unknown {
            if booked.query_row([&*entry.id], |row| row.get::<_, i64>(0))? == 0 {
                entry.outcome = Outcome::Unknown;
                entry.error = Some("the gate ended before this attempt did".into());
            }
            // Those that are booked already are only to be forgotten as open.
            found.push((None, entry));
        }
        Ok(())
    }
}
