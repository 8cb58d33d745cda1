//! `budgets`: what may be spent.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::amount::{dollars, dollars_value, parse_duration};
use crate::config::duplicates::unique_name;
use crate::config::field::{Field, Fields, shown};
use crate::policy::budgets::{Budget, Only, Per, Side, Then};

/// All budgets in the order of the text.
pub(super) fn read(top: &Fields<'_>) -> Vec<Arc<Budget>> {
    let Some(field) = top.find("budgets") else { return Vec::new() };
    let mut names = HashSet::new();
    field.items().iter().filter_map(|item| budget(item, &mut names)).collect()
}

/// As they would be written.
pub(super) fn view(budgets: &[Arc<Budget>]) -> Value {
    let one = |budget: &Arc<Budget>| {
        let globs = Side::ALL.into_iter().filter_map(|side| Some((side.name().into(), budget.only.glob(side)?.into())));
        json!({
            "name": budget.name,
            "match": globs.collect::<Map<String, Value>>(),
            "each": budget.each.map(Side::name),
            "limit": dollars_value(budget.limit),
            "per": budget.per.to_string(),
            "then": budget.then.name(),
        })
    };
    budgets.iter().map(one).collect()
}

fn budget(field: &Field<'_>, names: &mut HashSet<String>) -> Option<Arc<Budget>> {
    let fields = field.fields(&["name", "match", "each", "limit", "per", "then"])?;
    let name = fields.required("name").and_then(|field| unique_name(&field, names));
    let only = fields.given("match").map_or(Some(Only::default()), |field| only(&field));
    let sides = Side::ALL.map(|side| (side.name(), side));
    let each = fields.given("each").map_or(Some(None), |field| field.one_of(&sides).map(Some));
    let limit = fields.required("limit").and_then(|field| dollars(&field));
    let per = fields.required("per").and_then(|field| per(&field));
    let words = [("refuse", Then::Refuse), ("warn", Then::Warn)];
    let then = fields.given("then").map_or(Some(Then::Refuse), |field| field.one_of(&words));
    let budget = Budget { name: name?.into(), only: only?, each: each?, limit: limit?, per: per?, then: then? };
    Some(Arc::new(budget))
}

fn only(field: &Field<'_>) -> Option<Only> {
    let fields = field.fields(&Side::ALL.map(Side::name))?;
    let mut only = Only::default();
    for side in Side::ALL {
        let Some(field) = fields.given(side.name()) else { continue };
        let glob = Some(pattern(&field)?.into());
        match side {
            Side::Label => only.label = glob,
            Side::Model => only.model = glob,
            Side::Process => only.process = glob,
            Side::Route => {
                warn_of_kind(&field, glob.as_deref().unwrap_or_default());
                only.route = glob;
            }
        }
    }
    Some(only)
}

fn pattern<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.filled_text()?;
    if text.len() > LONGEST {
        field.wrong(format!("must have at most {LONGEST} bytes: the books cut longer names"));
        return None;
    }
    Some(text)
}

fn warn_of_kind(field: &Field<'_>, glob: &str) {
    if !["custom/", "duplicate/", "origin/", "*"].iter().any(|kind| glob.starts_with(kind)) {
        field.warn("fits no route: they are called `custom/NAME`, `duplicate/NAME` and `origin/HOST`");
    }
}

fn per(field: &Field<'_>) -> Option<Per> {
    let text = field.filled_text()?;
    match text {
        "hour" => return Some(Per::Hour),
        "day" => return Some(Per::Day),
        "month" => return Some(Per::Month),
        _ => {}
    }
    let seconds = parse_duration(text).map(|time| (time.as_secs(), time.subsec_nanos()));
    match seconds {
        Some((seconds @ HOUR..=LONGEST_TIME, 0)) if seconds.is_multiple_of(HOUR) => {
            u16::try_from(seconds / HOUR).ok().map(Per::Rolling)
        }
        _ => {
            let rule =
                "must be `hour`, `day`, `month`, or so many whole hours or days such as `24h` or `7d`, up to `366d`";
            field.wrong(format!("{rule}, not `{}`", shown(text)));
            None
        }
    }
}

/// Bytes that the books take of a name.
const LONGEST: usize = 128;
const HOUR: u64 = 3600;
const LONGEST_TIME: u64 = 366 * 24 * HOUR;
