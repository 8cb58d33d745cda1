//! Whatever ends a gate, what was there comes back, and nothing that somebody else has put there is lost.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::system::changes::gates::Gate;
use crate::system::changes::undo::{Undo, Undone};
use crate::system::changes::{Change, Changes};

/// Undoes by writing down what it was given.
#[derive(Default)]
struct Pen {
    undone: RefCell<Vec<Value>>,
    blocked: bool,
}

impl Undo for Pen {
    fn kind(&self) -> &'static str {
        "pen"
    }

    fn undo(&self, data: &Value) -> Undone {
        if self.blocked {
            return Undone::Blocked { why: "no ink".into(), command: Some("buy ink".into()) };
        }
        self.undone.borrow_mut().push(data.clone());
        Undone::Restored
    }
}

fn changes() -> (TempDir, Changes) {
    let folder = TempDir::new().unwrap();
    let changes = Changes::at(&folder.path().join("deep/state"));
    (folder, changes)
}

fn gate(pid: u32, port: u16) -> Gate {
    Gate { pid, started: "once".into(), proxy: ([127, 0, 0, 1], port).into() }
}

fn note(changes: &Changes, gate: Option<&Gate>, number: u64) {
    let change = Change { kind: "pen", what: format!("page {number}"), gate: gate.cloned(), data: json!(number) };
    changes.note(change).unwrap();
}

fn left(changes: &Changes) -> Vec<Value> {
    changes.found().unwrap().records.into_iter().map(|record| record.data).collect()
}

#[test]
fn a_journal_that_nobody_wrote_is_empty_and_makes_no_folder() {
    let (folder, changes) = changes();
    assert!(changes.undo_stale(&[]).unwrap().is_empty());
    assert!(changes.gates().is_empty());
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn records_are_for_their_owner_alone_and_whole() {
    let (_folder, changes) = changes();
    note(&changes, None, 1);
    let files: Vec<_> = fs::read_dir(changes.state().join("changes")).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1, "no draft is left");
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(changes.state()).unwrap().permissions().mode() & 0o777, 0o700);
    let record = &changes.found().unwrap().records[0];
    assert_eq!((&*record.kind, &*record.what, &record.data), ("pen", "page 1", &json!(1)));
}

#[test]
fn only_what_dead_gates_left_is_undone_at_a_start_latest_first() {
    let (_folder, changes) = changes();
    let living = Gate::this("127.0.0.1:8484".parse().unwrap());
    let (dead, other) = (gate(u32::MAX, 1), gate(living.pid, 2));
    for (number, gate) in [(1, Some(&dead)), (2, Some(&living)), (3, None), (4, Some(&other)), (5, Some(&dead))] {
        note(&changes, gate, number);
    }
    let pen = Pen::default();
    let told = changes.undo_stale(&[&pen]).unwrap();
    assert_eq!(*pen.undone.borrow(), [json!(5), json!(4), json!(1)]);
    assert_eq!(told.iter().map(|told| &*told.what).collect::<Vec<_>>(), ["page 5", "page 4", "page 1"]);
    assert_eq!(left(&changes), [json!(2), json!(3)]);
    assert!(changes.undo_stale(&[&pen]).unwrap().is_empty(), "a second time there is nothing to do");
}

#[test]
fn a_gate_that_took_over_the_address_inherits_what_was_made_for_it() {
    let (_folder, changes) = changes();
    let heir = Gate::this("127.0.0.1:8484".parse().unwrap());
    let old = gate(u32::MAX, 8484);
    note(&changes, Some(&old), 1);
    changes.enter(&heir).unwrap();
    let pen = Pen::default();
    assert!(changes.undo_of(&old, &[&pen]).unwrap().is_empty());
    assert!(changes.undo_stale(&[&pen]).unwrap().is_empty());
    assert_eq!(changes.found().unwrap().records[0].gate, Some(heir.clone()));

    changes.undo_of(&heir, &[&pen]).unwrap();
    assert_eq!(*pen.undone.borrow(), [json!(1)]);
    assert!(changes.gates().is_empty());
}

#[test]
fn an_old_gate_that_was_killed_after_another_took_over_takes_nothing_with_it() {
    let (_folder, changes) = changes();
    note(&changes, Some(&gate(u32::MAX, 8484)), 1);
    changes.enter(&Gate::this("127.0.0.1:8484".parse().unwrap())).unwrap();
    assert!(changes.undo_stale(&[&Pen::default()]).unwrap().is_empty());
    assert_eq!(left(&changes), [json!(1)]);
}

#[test]
fn what_cannot_be_undone_now_stays_and_is_told_with_the_command() {
    let (_folder, changes) = changes();
    note(&changes, Some(&gate(u32::MAX, 1)), 1);
    let told = changes.undo_stale(&[&Pen { blocked: true, ..Pen::default() }]).unwrap();
    assert_eq!(told[0].undone, Undone::Blocked { why: "no ink".into(), command: Some("buy ink".into()) });
    assert!(
        matches!(&changes.undo_stale(&[]).unwrap()[0].undone, Undone::Blocked { why, .. } if why.contains("`pen`"))
    );
    assert_eq!(left(&changes), [json!(1)]);
    let pen = Pen::default();
    changes.undo_stale(&[&pen]).unwrap();
    assert_eq!(*pen.undone.borrow(), [json!(1)]);
}

#[test]
fn damaged_records_are_told_and_hinder_no_other() {
    let (_folder, changes) = changes();
    note(&changes, Some(&gate(u32::MAX, 1)), 1);
    let folder = changes.state().join("changes");
    for (name, text) in [("0-a.json", "{"), ("0-b.json", r#"{"id":"../../etc"}"#), (".9-draft.json", "{")] {
        fs::write(folder.join(name), text).unwrap();
    }
    let pen = Pen::default();
    let told = changes.undo_stale(&[&pen]).unwrap();
    assert_eq!(*pen.undone.borrow(), [json!(1)]);
    let damaged: Vec<&str> = told[1..].iter().map(|told| &*told.what).collect();
    assert_eq!(damaged.len(), 2, "{damaged:?}");
    assert!(damaged.iter().all(|what| what.contains("/changes/0-")), "{damaged:?}");
    assert!(folder.join("0-a.json").exists());
}

#[test]
fn a_folder_that_cannot_be_written_lets_nothing_be_changed() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("state"), "a file").unwrap();
    let changes = Changes::at(&folder.path().join("state"));
    assert!(changes.note(Change { kind: "pen", what: String::new(), gate: None, data: json!(1) }).is_err());
    assert!(changes.claim().is_err());
}
