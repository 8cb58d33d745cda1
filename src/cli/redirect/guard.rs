//! Keeps a gate from starting where rules that are still there would lead its own connections back to it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::anyhow;

use crate::cli::problem::Problem;
use crate::cli::redirect::recorded;
use crate::net::own_traffic::try_to_mark;
use crate::system::changes::Changes;
use crate::system::redirect::capture::{Capture, Who};
use crate::system::redirect::record::Place;

/// Refuses such a start: rules of an earlier gate that could not be removed, and know a gate only by a mark that this one
/// may not set.
///
/// # Errors
/// That, with the command that removes them.
pub fn refuse_loop(changes: &Changes) -> Result<(), Problem> {
    let (Ok(Some((_, added))), Ok(here)) = (recorded(changes), Place::here()) else { return Ok(()) };
    let Some(rules) = added.rules.as_ref().filter(|_| added.place == here) else { return Ok(()) };
    let own = fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or_default();
    if !captures(&rules.capture, own) || try_to_mark().is_ok() {
        return Ok(());
    }
    let what = "rules of an earlier gate would lead this gate's own connections back to it";
    let hint =
        format!("remove them with `{}`, or start the gate as it was started then (CAP_NET_ADMIN)", added.command);
    Err(Problem::failed(anyhow!(what), [hint]))
}

/// Whether an unmarked connection of this user is led to the gate.
fn captures(capture: &Capture, uid: u32) -> bool {
    let asked_for = match capture.own {
        None => false,
        Some(Who::All) => true,
        Some(Who::User(user)) => user == uid,
    };
    asked_for && capture.spared.uid != Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::redirect::capture::{Addresses, Families, Spared};

    #[test]
    fn only_rules_that_capture_this_user_are_a_danger() {
        let rules = |own, uid| Capture {
            id: "0123456789abcdef".into(),
            version: "1".into(),
            port: 1,
            hosts: Addresses::default(),
            listens: Families::default(),
            spared: Spared { mark: Some(1), uid },
            own,
            forwarded: None,
        };
        for (own, spared, danger) in [
            (None, None, false),
            (Some(Who::All), None, true),
            (Some(Who::All), Some(1000), false),
            (Some(Who::All), Some(998), true),
            (Some(Who::User(1000)), None, true),
            (Some(Who::User(7)), None, false),
        ] {
            assert_eq!(captures(&rules(own, spared), 1000), danger, "{own:?} {spared:?}");
        }
    }
}
