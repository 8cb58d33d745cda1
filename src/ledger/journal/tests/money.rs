//! Costs that are reckoned anew: the sums follow, and what was first booked stays to be seen.

use tempfile::TempDir;

use super::{number, numbered, rows};
use crate::ledger::Ledger;
use crate::ledger::journal::reprice::{NewPrice, reprice};
use crate::ledger::key::By;
use crate::ledger::stats::StatsQuery;
use crate::units::Cost;

#[test]
fn costs_are_reckoned_anew_with_their_sums_and_the_first_figure_is_kept() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("j");
    let ledger = Ledger::open(10, path.clone(), None).unwrap();
    for one in 0..30 {
        let mut entry = numbered(one);
        entry.time = if one < 10 { "2026-11-20T12:00:00Z" } else { "2026-11-22T12:30:00Z" }.parse().unwrap();
        (entry.cost, entry.price_source) = ((one % 3 != 0).then_some(Cost(100)), Some("old".into()));
        ledger.post(entry);
    }
    let refused = reprice(&path, None, |_| None).unwrap_err();
    assert!(refused.hint().unwrap().contains("stop that gate first"));
    ledger.close();
    drop(ledger);

    let since = Some("2026-11-21T00:00:00Z".parse().unwrap());
    let raise = |by: i128, source: &'static str| {
        // The second model is left alone, what had no price gets one, and one that had one loses it.
        reprice(&path, since, move |entry| match entry.model.asked.as_deref() {
            Some("m1") => None,
            _ if *entry.id == format!("{:026}", 29) => Some(NewPrice { cost: None, source: None, rates: None }),
            _ => Some(NewPrice { cost: Some(Cost(by)), source: Some(source.into()), rates: None }),
        })
        .unwrap()
    };
    let summary = raise(250, "new");
    assert_eq!((summary.entries, summary.changed), (20, 13));
    assert_eq!((summary.before, summary.after), (Cost(1400), Cost(700 + 12 * 250)));
    raise(300, "newest");
    let told = rows(
        &path,
        "SELECT cost_pico || ' ' || price_source || ' ' || repriced_pico || ' ' || repriced_source \
                            FROM entries WHERE id = '00000000000000000000000011'",
    );
    assert_eq!(told, ["300 newest 100 old"]);
    assert_eq!(number(&path, "SELECT count(*) FROM entries WHERE repriced_ms IS NOT NULL"), 13);
    assert_eq!(number(&path, "SELECT sum(cost_pico) FROM hours"), number(&path, "SELECT sum(cost_pico) FROM entries"));

    let totals = |ledger: &Ledger| {
        let stats = ledger.stats(&StatsQuery { by: vec![By::Day], ..StatsQuery::default() });
        let days =
            stats.by[0].1.iter().map(|row| (row.key.clone(), row.sums.totals.cost, row.sums.totals.unpriced_requests));
        let mut days: Vec<_> = days.collect();
        days.sort();
        days
    };
    let expected = [("2026-11-20".to_owned(), Cost(600), 4), ("2026-11-22".to_owned(), Cost(700 + 12 * 300), 1)];
    // From the sums, and from all the entries.
    for listed in [0, 100] {
        assert_eq!(totals(&Ledger::open(listed, path.clone(), None).unwrap()), expected);
    }
    assert!(reprice(&folder.path().join("nowhere"), None, |_| None).is_err());
    assert!(!folder.path().join("nowhere").exists());
}
