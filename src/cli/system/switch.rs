//! Sets one desktop to the gate, after what was there is on disk.

use anyhow::{Context, anyhow};

use crate::system::changes::gates::Gate;
use crate::system::changes::undo::Undone;
use crate::system::changes::{Change, Changes, Record};
use crate::system::commands::Machine;
use crate::system::desktop::restore::KIND;
use crate::system::desktop::{Desktop, Setting, Wanted};

/// How it went.
pub(super) struct Switched {
    /// Everything was set before.
    pub(super) already: bool,
    /// What the desktop used until now, in words, where that was a proxy or PAC of somebody else.
    pub(super) before: Option<String>,
}

/// Sets it, and keeps what was there before the first time. The journal must have been claimed.
///
/// # Errors
/// A desktop that does not take it: then it is as it was.
pub(super) fn switch_on(desktop: Desktop, wanted: &Wanted, changes: &Changes, gate: &Gate) -> anyhow::Result<Switched> {
    let earlier = earlier(desktop, changes)?;
    if let Some((record, kept)) = earlier {
        let planned = desktop.plan(wanted, &Machine)?;
        if planned.values.iter().all(|value| kept.values.iter().any(|k| k.key == value.key && k.ours == value.ours)) {
            return again(&record, kept, changes, gate);
        }
        // Something else of ours is there: first it becomes what it was.
        if let Undone::Blocked { why, .. } = kept.restore(&Machine) {
            return Err(anyhow!("what was set before cannot be put back first: {why}"));
        }
        changes.forget(&record).context("cannot write what was changed on this machine")?;
    }
    let before = desktop.in_force(&Machine)?;
    let mut setting = desktop.plan(wanted, &Machine)?;
    let is_ours = setting.values.iter().all(|value| value.before.as_ref() == Some(&value.ours));
    if is_ours {
        // Nobody knows what was there before; it must not be kept as what the user had.
        setting.values.iter_mut().for_each(|value| value.before = None);
    }
    let change = Change {
        kind: KIND,
        what: format!("the proxy of {desktop}"),
        gate: Some(gate.clone()),
        data: serde_json::to_value(&setting)?,
    };
    let record = changes.note(change).context("what was set before cannot be kept")?;
    put(&record, &setting, changes)?;
    Ok(Switched { already: false, before: before.filter(|_| !is_ours) })
}

/// Sets what somebody has changed since; what was there before the first time stays kept.
fn again(record: &Record, mut kept: Setting, changes: &Changes, gate: &Gate) -> anyhow::Result<Switched> {
    let mut already = true;
    for value in &mut kept.values {
        let now = kept.desktop.read(&value.key, &Machine)?;
        if now.as_ref() != Some(&value.ours) {
            already = false;
            value.before = now;
        }
    }
    let record = Record { gate: Some(gate.clone()), data: serde_json::to_value(&kept)?, ..record.clone() };
    changes.write(&record).context("what was set before cannot be kept")?;
    if !already {
        put(&record, &kept, changes)?;
    }
    Ok(Switched { already, before: None })
}

fn put(record: &Record, setting: &Setting, changes: &Changes) -> anyhow::Result<()> {
    let Err(error) = setting.desktop.set(&setting.values, &Machine) else { return Ok(()) };
    if !matches!(setting.restore(&Machine), Undone::Blocked { .. }) {
        // Else the next start tries again.
        changes.forget(record).context("cannot write what was changed on this machine")?;
    }
    Err(error.into())
}

/// What a record of a desktop says.
pub(super) fn setting(record: &Record) -> Option<Setting> {
    if record.kind != KIND {
        return None;
    }
    serde_json::from_value(record.data.clone()).ok()
}

/// The record of a desktop, where there is one.
fn earlier(desktop: Desktop, changes: &Changes) -> anyhow::Result<Option<(Record, Setting)>> {
    let records = changes.found().context("cannot read what was set before")?.records;
    let kept = |record: Record| Some((setting(&record)?, record));
    let mut settings = records.into_iter().rev().filter_map(kept);
    Ok(settings.find(|(setting, _)| setting.desktop == desktop).map(|(setting, record)| (record, setting)))
}
