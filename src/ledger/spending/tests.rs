//! Budgets hold, whatever runs at once, and come back.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::account::{Row, State};
use super::*;
use crate::ledger::Demand;
use crate::ledger::Ledger;
use crate::ledger::entry::Outcome;
use crate::ledger::key::By;
use crate::ledger::stats::StatsQuery;
use crate::ledger::tests::entry;
use crate::policy::budgets::{Only, Per};

const NOON: &str = "2026-11-25T12:00:00Z";

fn budget(limit: i128, per: Per) -> Budget {
    Budget { name: "b".into(), only: Only::default(), each: None, limit: Cost(limit), per, then: Then::Refuse }
}

fn held(budgets: Vec<Budget>) -> Ledger {
    let ledger = Ledger::new(10);
    hold(&ledger, budgets);
    ledger
}

fn hold(ledger: &Ledger, budgets: Vec<Budget>) {
    ledger.hold_to(&budgets.into_iter().map(Arc::new).collect::<Vec<_>>());
}

/// An entry that cost so much.
fn spent(cost: i128, time: &str, label: Option<&str>) -> Entry {
    let mut entry = entry("gpt-4o", time);
    entry.cost = Some(Cost(cost));
    entry.client.label = label.map(Into::into);
    entry
}

fn ask(ledger: &Ledger, most: i128, time: &str, label: Option<&str>) -> Result<Option<Hold>, Box<Exceeded>> {
    let entry = spent(0, time, label);
    ledger.reserve(&Demand {
        client: &entry.client,
        model: entry.model.asked.as_deref(),
        route: entry.route.as_ref().unwrap(),
        most: Cost(most),
        now: entry.time,
    })
}

fn one(ledger: &Ledger, time: &str) -> Row {
    ledger.budgets(time.parse().unwrap()).remove(0)
}

#[test]
fn of_fifty_calls_at_once_only_those_get_through_that_there_is_room_for() {
    for room in [1, 3] {
        let ledger = held(vec![budget(10 * room + 9, Per::Day)]);
        let start = std::sync::Barrier::new(50);
        let held: Vec<Hold> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        ask(&ledger, 10, NOON, None)
                    })
                })
                .collect();
            calls.into_iter().filter_map(|call| call.join().unwrap().ok().flatten()).collect()
        });
        assert_eq!(held.len(), usize::try_from(room).unwrap());
        let row = one(&ledger, NOON);
        assert_eq!(
            (row.reserved, row.open_requests, row.refused_requests),
            (Cost(10 * room), room as u64, 50 - room as u64)
        );
        drop(held);
        let row = one(&ledger, NOON);
        assert_eq!((row.reserved, row.spent, row.open_requests), (Cost(0), Cost(0), 0));
    }
}

#[test]
fn what_is_reserved_is_settled_by_what_it_cost() {
    let ledger = held(vec![budget(100, Per::Day)]);
    let first = ask(&ledger, 60, NOON, None).unwrap();
    let refused = ask(&ledger, 60, NOON, None).unwrap_err();
    assert!(!refused.is_spent);
    assert!(refused.to_string().contains("has no room beside what is spent and under way"), "{refused}");
    ledger.post(spent(25, NOON, None));
    drop(first);
    let row = one(&ledger, NOON);
    assert_eq!((row.spent, row.reserved, row.state), (Cost(25), Cost(0), State::Open));
    let second = ask(&ledger, 60, NOON, None).unwrap();
    assert_eq!(one(&ledger, NOON).reserved, Cost(60));
    // It cost more than was thought: counted all the same.
    ledger.post(spent(80, NOON, None));
    drop(second);
    let refused = ask(&ledger, 0, NOON, None).unwrap_err();
    assert!(refused.is_spent);
    assert_eq!(
        refused.to_string(),
        "the budget `b` of 0.0000000001 USD per day is used up; it resets at 2026-11-26T00:00:00Z. The limit is the \
         gate's own (`budgets` in its configuration)"
    );
    assert_eq!(one(&ledger, NOON).state, State::Spent);
}

#[test]
fn a_limit_of_nothing_refuses_also_what_has_no_price() {
    assert!(ask(&held(vec![budget(0, Per::Day)]), 0, NOON, None).is_err());
    let ledger = held(vec![budget(1, Per::Day)]);
    assert!(ask(&ledger, 0, NOON, None).is_ok());
    let mut unpriced = spent(0, NOON, None);
    unpriced.cost = None;
    ledger.post(unpriced);
    let row = one(&ledger, NOON);
    assert_eq!((row.spent, row.unpriced_requests), (Cost(0), 1), "it is told, and not held to be free");
}

#[test]
fn a_call_counts_in_the_time_in_which_it_began_and_every_time_begins_anew() {
    for (per, inside, after) in [
        (Per::Hour, "2026-11-25T12:59:59Z", "2026-11-25T13:00:00Z"),
        (Per::Day, "2026-11-25T23:59:59Z", "2026-11-26T00:00:00Z"),
        (Per::Month, "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z"),
        (Per::Rolling(24), "2026-11-26T12:59:59Z", "2026-11-26T13:00:00Z"),
        (Per::Rolling(168), "2026-12-02T12:59:59Z", "2026-12-02T13:00:00Z"),
    ] {
        let ledger = held(vec![budget(10, per)]);
        ledger.post(spent(10, NOON, None));
        let refused = ask(&ledger, 1, inside, None).unwrap_err();
        assert_eq!(refused.resets.to_string(), after, "{per}");
        drop(ask(&ledger, 10, after, None).unwrap());
        // One that began before and ends now is none of this time's.
        ledger.post(spent(10, NOON, None));
        drop(ask(&ledger, 10, after, None).unwrap());
        assert_eq!(one(&ledger, after).spent, Cost(0));
        // A clock that goes back finds what was spent there.
        assert!(ask(&ledger, 1, inside, None).is_err(), "{per}");
        assert_eq!(one(&ledger, inside).spent, Cost(20), "{per}");
    }
}

#[test]
fn a_clock_that_leaps_ahead_and_back_finds_what_was_spent() {
    for per in [Per::Hour, Per::Day, Per::Month, Per::Rolling(48)] {
        let ledger = held(vec![budget(20, per)]);
        ledger.post(spent(20, NOON, None));
        let far = "2036-11-25T12:00:00Z";
        ask(&ledger, 10, far, None).unwrap();
        ledger.post(spent(5, far, None));
        assert_eq!(one(&ledger, far).spent, Cost(5), "{per}");
        assert!(ask(&ledger, 1, NOON, None).is_err(), "{per}");
        assert_eq!(one(&ledger, NOON).spent, Cost(20), "{per}");
        // What is read back comes in any order.
        for order in [[far, NOON], [NOON, far]] {
            let ledger = held(vec![budget(20, per)]);
            order.into_iter().for_each(|time| ledger.post(spent(7, time, None)));
            assert_eq!(one(&ledger, NOON).spent, Cost(7), "{per}");
        }
    }
}

#[test]
fn spending_of_long_ago_takes_no_room_without_end() {
    let ledger = held(vec![budget(1, Per::Hour)]);
    for hour in 0..1000 {
        ledger.post(spent(
            1,
            &(NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)).to_string(),
            None,
        ));
    }
    let spending = ledger.0.spending.get().unwrap();
    let slots: usize = lock(&spending.0[0].inside).accounts.values().map(Account::slots).sum();
    assert!(slots < 100, "{slots}");
}

#[test]
fn values_are_counted_together_or_each_by_itself() {
    let label = |glob: &str| Only { label: Some(glob.into()), ..Only::default() };
    let together = Budget { only: label("team-*"), ..budget(10, Per::Day) };
    let each = Budget { each: Some(Side::Label), name: "each".into(), ..budget(8, Per::Day) };
    let ledger = held(vec![together, each]);
    for name in ["team-a", "team-b"] {
        ledger.post(spent(5, NOON, Some(name)));
    }
    ledger.post(spent(8, NOON, Some("other-team")));
    ledger.post(spent(1, NOON, None));
    assert_eq!(&*ask(&ledger, 1, NOON, Some("team-a")).unwrap_err().budget.name, "b");
    let refused = ask(&ledger, 1, NOON, Some("other-team")).unwrap_err();
    assert!(refused.to_string().starts_with("the budget `each` for `other-team` of "), "{refused}");
    assert!(ask(&ledger, 7, NOON, None).is_ok());
    let rows = ledger.budgets(NOON.parse().unwrap());
    let shown: Vec<_> = rows.iter().map(|row| (&*row.name, row.value.as_deref(), row.spent.0)).collect();
    assert_eq!(
        shown,
        [
            ("b", None, 10),
            ("each", Some("other-team"), 8),
            ("each", Some("team-a"), 5),
            ("each", Some("team-b"), 5),
            ("each", Some("none"), 1)
        ]
    );
    let shown = serde_json::to_value(&rows[0]).unwrap();
    assert_eq!(shown["match"], serde_json::json!({"label": "team-*"}));
    assert_eq!((&shown["spentUsd"], &shown["state"]), (&"0.000000000010".into(), &"spent".into()));
}

#[test]
fn one_that_refuses_gives_back_what_others_had_reserved() {
    let ledger = held(vec![budget(100, Per::Day), Budget { name: "tight".into(), ..budget(5, Per::Hour) }]);
    assert_eq!(&*ask(&ledger, 50, NOON, None).unwrap_err().budget.name, "tight");
    assert_eq!(one(&ledger, NOON).reserved, Cost(0));
}

#[test]
fn a_warning_lets_calls_go_on() {
    let ledger = held(vec![Budget { then: Then::Warn, ..budget(5, Per::Day) }]);
    ledger.post(spent(50, NOON, None));
    assert!(ask(&ledger, 50, NOON, None).is_ok());
    assert_eq!(one(&ledger, NOON).state, State::Spent);
}

#[test]
fn a_million_labels_take_no_more_room_than_a_thousand_and_none_gets_out_of_the_total() {
    let ledger = held(vec![Budget { each: Some(Side::Label), ..budget(1_000_000, Per::Day) }]);
    for n in 0..20_000 {
        ledger.post(spent(1, NOON, Some(&format!("l{n}"))));
    }
    let rows = ledger.budgets(NOON.parse().unwrap());
    assert_eq!(rows.len(), 1001);
    assert_eq!((rows[0].value.as_deref(), rows[0].spent), (Some("other"), Cost(19_000)));
    // The next day the old ones make room.
    ledger.post(spent(1, "2026-11-26T12:00:00Z", Some("new")));
    let rows = ledger.budgets("2026-11-26T12:00:00Z".parse().unwrap());
    assert_eq!(rows[0].value.as_deref(), Some("new"));
    assert!(rows.len() <= 2, "{}", rows.len());
}

/// What may happen in the life of a gate.
fn happenings() -> impl Strategy<Value = Vec<(u8, i64, i128)>> {
    proptest::collection::vec((0..5_u8, 0..100_i64, 0..50_i128), 1..60)
}

proptest! {
    #[test]
    fn what_is_spent_is_what_the_books_say_before_and_after_a_restart(happenings in happenings()) {
        let only = |label: &str| Only { label: Some(label.into()), ..Only::default() };
        let budgets = || vec![
            budget(1 << 60, Per::Rolling(72)),
            Budget { only: only("l1"), ..budget(1 << 60, Per::Month) },
            Budget { only: Only { process: Some("p*".into()), ..Only::default() }, ..budget(1 << 60, Per::Month) },
            Budget { only: only("*"), each: Some(Side::Model), ..budget(1 << 60, Per::Day) },
        ];
        let ledger = held(budgets());
        let start: Timestamp = "2026-11-05T00:30:00Z".parse().unwrap();
        let mut last = start;
        for (who, hours, cost) in happenings {
            let mut entry = spent(cost, NOON, (who > 0).then(|| format!("l{who}")).as_deref());
            entry.time = start + SignedDuration::from_hours(hours);
            last = last.max(entry.time);
            match who {
                2 => entry.client.process = Some("python3".into()),
                3 => entry.client.agent = Some("python3".into()),
                4 => (entry.outcome, entry.cost) = (Outcome::Unknown, None),
                _ => {}
            }
            ledger.post(entry);
        }
        let restarted = Spending::new(&budgets().into_iter().map(Arc::new).collect::<Vec<_>>());
        restarted.restore(&ledger.0.hours);
        let state = |rows: Vec<Row>| rows.iter().map(|row| (row.value.clone(), row.spent, row.unpriced_requests)).collect::<Vec<_>>();
        let live: Vec<_> = state(ledger.budgets(last)).into_iter().filter(|row| row.0.is_none() || row.1.0 > 0 || row.2 > 0).collect();
        let back: Vec<_> = state(restarted.list(last)).into_iter().filter(|row| row.0.is_none() || row.1.0 > 0 || row.2 > 0).collect();
        prop_assert_eq!(&live, &back);
        // All of the last three days, from whole hours.
        let since = Some(last - SignedDuration::from_hours(72));
        let since = since.map(|since| crate::ledger::key::hour_start(hour_of(since)));
        let stats = ledger.stats(&StatsQuery { since, by: vec![By::Label], ..StatsQuery::default() });
        if stats.totals.totals.requests <= 10 {
            prop_assert_eq!(live[0].1, stats.totals.totals.cost);
        }
        let mut sum = Cost::default();
        ledger.0.hours.visit(hour_of(last) - 72, hour_of(last) + 1, |_, totals| sum = sum.plus(totals.cost));
        prop_assert_eq!(live[0].1, sum);
    }
}
