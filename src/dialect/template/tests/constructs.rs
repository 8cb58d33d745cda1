//! The table of constructs, each beside what Python's Jinja makes of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::rendered_with;

/// A line for the messages and the variables, then one for each construct; see `tests/clients/templates`, which makes it.
const TABLE: &str = include_str!("../../../../tests/fixtures/templates/constructs.jsonl");
/// Those that are known to differ, a line each.
const GAPS: &str = include_str!("../../../../tests/fixtures/templates/gaps.jsonl");

#[test]
fn each_construct_comes_out_as_python_writes_it_or_is_a_known_gap() {
    let gaps: BTreeSet<String> = GAPS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut lines = TABLE.lines().map(|line| serde_json::from_str::<Map<String, Value>>(line).unwrap());
    let first = lines.next().unwrap();
    let (messages, variables) = (first["messages"].as_array().unwrap(), first["variables"].as_object().unwrap());
    let (mut wrong, mut closed, mut count) = (Vec::new(), Vec::new(), 0);
    for line in lines {
        let source = line["source"].as_str().unwrap();
        let ours = rendered_with(source, messages, Some(variables));
        let same = ours.as_deref().ok() == line["text"].as_str();
        match (same, gaps.contains(source)) {
            (false, false) => wrong.push(format!("{source}: {ours:?} instead of {}", line["text"])),
            (true, true) => closed.push(source.to_owned()),
            _ => count += 1,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(closed.is_empty(), "these are gaps no more, take them off the list: {closed:#?}");
    assert!(count > 1000, "{count}");
}
