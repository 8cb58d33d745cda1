//! Exports as they are written, held against books that are known.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::cli::stats::tests::surface;
use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::ledger::Ledger;
use crate::ledger::entry::{Entry, Outcome};
use crate::ledger::tests::entry;
use crate::policy::target::{Route, RouteKind};
use crate::units::{Basis, Cost, Usage};

/// A gate with these books, and a folder for exports.
struct Desk {
    folder: TempDir,
    admin: String,
}

impl Desk {
    fn with(entries: impl IntoIterator<Item = Entry>) -> Self {
        let ledger = Ledger::new(1000);
        for (number, mut entry) in entries.into_iter().enumerate() {
            entry.id = number.to_string().into();
            ledger.post(entry);
        }
        Self { folder: TempDir::new().unwrap(), admin: surface(ledger) }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn args(&self, files: &[PathBuf]) -> ReconcileArgs {
        ReconcileArgs {
            files: files.to_vec(),
            projects: Vec::new(),
            routes: Vec::new(),
            json: false,
            books: BooksArgs::at(&self.admin),
        }
    }

    fn compare(&self, texts: &[(&str, &str)]) -> anyhow::Result<Comparison> {
        let files: Vec<PathBuf> = texts.iter().map(|(name, text)| self.file(name, text)).collect();
        reconciled(&self.args(&files))
    }
}

fn shown(compared: &Comparison) -> String {
    let mut out = Vec::new();
    print(compared, false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A call of the model with these tokens: input, of it cached, output.
fn call(model: &str, time: &str, (input, cached, output): (u64, u64, u64)) -> Entry {
    let mut entry = entry(model, time);
    entry.model.served = Some(model.into());
    let usage = Usage { input: Some(input), cached_input: Some(cached), output: Some(output), ..Usage::default() };
    entry.usage = Some(usage);
    entry
}

/// The calls of a dashboard's export in `SHEET`.
fn calls() -> Vec<Entry> {
    vec![
        call("gpt-4o-2024-08-06", "2025-10-05T00:00:00Z", (50_000, 5_000, 10_000)),
        call("gpt-4o-2024-08-06", "2025-10-05T23:59:59.9Z", (9_200, 760, 646)),
        call("gpt-5-2025-08-07", "2025-10-06T12:00:00Z", (46_264, 8_192, 60_000)),
        call("gpt-5-2025-08-07", "2025-10-06T12:00:00Z", (5_783, 0, 16_000)),
    ]
}

/// A completions export of the dashboard: its own header, counts written as fractions, a day without usage.
const SHEET: &str = "\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens,input_text_tokens,output_text_tokens
1759622400,1759708800,2025-10-05T00:00:00+00:00,2025-10-06T00:00:00+00:00,proj_a,2.0,user-a,key_a,gpt-4o-2024-08-06,FALSE,default,59200.0,10646.0,5760.0,53440.0,53440.0,10646.0
1759708800,1759795200,2025-10-06T00:00:00+00:00,2025-10-07T00:00:00+00:00,proj_a,1.0,user-a,key_a,gpt-5-2025-08-07,FALSE,default,46264.0,60000.0,8192.0,38072.0,38072.0,60000.0
1759708800,1759795200,2025-10-06T00:00:00+00:00,2025-10-07T00:00:00+00:00,proj_a,1.0,user-a,key_a,gpt-5-2025-08-07,FALSE,flex,5783.0,16000.0,0.0,5783.0,5783.0,16000.0
1759795200,1759881600,2025-10-07T00:00:00+00:00,2025-10-08T00:00:00+00:00,,,,,,,,,,,,,
";

#[test]
fn a_sheet_of_the_dashboard_equals_the_books() {
    let compared = Desk::with(calls()).compare(&[("completions_usage_2025-10-05.csv", SHEET)]).unwrap();
    let expected = "\
one number where both agree, else theirs / ours / difference; days of UTC

DAY         MODEL              REQUESTS   INPUT  CACHED  OUTPUT
2025-10-05  gpt-4o-2024-08-06         2   59200    5760   10646
2025-10-06  gpt-5-2025-08-07          2   52047    8192   76000
total                                 4  111247   13952   86646

equal: 2 of 2 lines
";
    assert_eq!(shown(&compared), expected);
    assert!(compared.is_equal());
}

#[test]
fn the_same_sheet_may_be_separated_by_other_marks() {
    let desk = Desk::with(calls());
    for mark in [";", "\t"] {
        let text = format!("\u{feff}{}", SHEET.replace(',', mark).replace('\n', "\r\n"));
        assert!(desk.compare(&[("usage.csv", &text)]).unwrap().is_equal(), "{mark:?}");
    }
}

#[test]
fn every_difference_is_shown_with_what_is_known_about_it() {
    let mut entries = calls();
    entries.remove(3);
    entries[0].usage.as_mut().unwrap().input = Some(50_001);
    let mut broken = call("o3-2025-04-16", "2025-10-06T23:59:59.995Z", (10, 0, 5));
    (broken.basis, broken.outcome, broken.cost) = (Basis::Estimated, Outcome::ClientClosed, None);
    let mut failed = call("gpt-5-2025-08-07", "2025-10-06T12:00:00Z", (0, 0, 0));
    (failed.usage, failed.outcome) = (None, Outcome::UpstreamError);
    let mut custom = call("mine", "2025-10-06T12:00:00Z", (1, 0, 1));
    custom.route = Some(Route { kind: RouteKind::Custom, name: "mine".into() });
    let mut embedded = call("text-embedding-3-small", "2025-10-06T12:00:00Z", (1, 0, 0));
    embedded.endpoint = Endpoint::Call(Dialect::Embeddings);
    let late = call("gpt-5-2025-08-07", "2025-10-08T00:00:00Z", (1, 1, 1));
    let desk = Desk::with(entries.into_iter().chain([broken, failed, custom, embedded, late]));
    let compared = desk.compare(&[("usage.csv", SHEET)]).unwrap();
    let expected = "\
one number where both agree, else theirs / ours / difference; days of UTC

DAY         MODEL                REQUESTS                    INPUT  CACHED                  OUTPUT
2025-10-05  gpt-4o-2024-08-06           2       59200 / 59201 / +1    5760                   10646
2025-10-06  gpt-5-2025-08-07   2 / 1 / -1    52047 / 46264 / -5783    8192  76000 / 60000 / -16000
2025-10-06  o3-2025-04-16      0 / 1 / +1             0 / 10 / +10       0              0 / 5 / +5
total                                   4  111247 / 105475 / -5772   13952  86646 / 70651 / -15995

2025-10-06: of our calls 1 with estimated tokens, 1 without a known price, 1 that ended on the next day
not compared: 1 that went elsewhere: custom/mine
not compared: 1 of /v1/embeddings, which the export is not about

different: 3 of 3 lines
";
    assert_eq!(shown(&compared), expected);
    assert!(!compared.is_equal());
    let mut out = Vec::new();
    print(&compared, true, &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["equal"], false);
    let line = &json["tables"][0]["lines"][2];
    assert_eq!((&line["model"], &line["theirs"]), (&"o3-2025-04-16".into(), &serde_json::Value::Null));
    assert_eq!(line["difference"]["input"], 10);
}

/// A page of one bucket on 2025-10-05.
fn page(results: &str, more: bool) -> String {
    format!(
        r#"{{"object":"page","data":[{{"object":"bucket","start_time":1759622400,"end_time":1759708800,"results":[{results}]}}],"has_more":{more},"next_page":null}}"#
    )
}

/// A completions result of gpt-4o.
fn completion(requests: u64, input: u64, output: u64, tier: &str) -> String {
    format!(
        r#"{{"object":"organization.usage.completions.result","input_tokens":{input},"output_tokens":{output},"input_cached_tokens":0,"input_audio_tokens":0,"num_model_requests":{requests},"project_id":"proj_a","user_id":null,"api_key_id":null,"model":"gpt-4o-2024-08-06","batch":false,"service_tier":"{tier}"}}"#
    )
}

#[test]
fn pages_are_added_up_however_they_are_put_together() {
    let day = "2025-10-05T12:00:00Z";
    let mut embedded = call("text-embedding-3-small", day, (7, 0, 0));
    embedded.endpoint = Endpoint::Call(Dialect::Embeddings);
    let calls = [(10, 0, 1), (20, 0, 2), (30, 0, 3)].map(|tokens| call("gpt-4o-2024-08-06", day, tokens));
    let desk = Desk::with(calls.into_iter().chain([embedded]));
    let one = page(&completion(2, 30, 3, "default"), true);
    let two = page(&completion(1, 30, 3, "flex"), false);
    let three = page(
        r#"{"object":"organization.usage.embeddings.result","input_tokens":7,"num_model_requests":1,"model":"text-embedding-3-small"}"#,
        false,
    );
    let bare = r#"{"object":"organization.usage.vector_stores.result","usage_bytes":17}"#;
    for texts in [
        vec![("a", format!("{one}\n{two}\n{three}\n"))],
        vec![("a", format!("[{one},\n{two},{three}]"))],
        vec![("a", one.clone()), ("b", two.clone()), ("c", three), ("d", page(bare, false))],
    ] {
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, &**text)).collect();
        let compared = desk.compare(&texts).unwrap();
        assert!(compared.is_equal(), "{}", shown(&compared));
        assert_eq!(compared.tables[0].lines.len(), 2);
    }
    let error = desk.compare(&[("a", &one)]).unwrap_err().to_string();
    assert!(error.contains("has_more"), "{error}");
    let error = desk.compare(&[("a", &two), ("b", &two)]).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "b`, value 1, `data[0]`, `results[0]`: the same row came before; is a file, or a page, given twice?"
        ),
        "{error}"
    );
}

#[test]
fn costs_are_compared_to_the_pico_dollar_by_line_item_or_by_day() {
    let day = "2025-10-05T12:00:00Z";
    let costly = |pico| {
        let mut call = call("gpt-4o-2024-08-06", day, (1, 0, 1));
        call.cost = Some(Cost(pico));
        call
    };
    let desk = Desk::with([costly(895_874_000_001), costly(60_000_000_000)]);
    let item = |value: &str, item: &str| {
        format!(
            r#"{{"object":"organization.costs.result","amount":{{"value":{value},"currency":"usd"}},"line_item":{item},"project_id":null}}"#
        )
    };
    let input = item("0.895874000001", r#""gpt-4o-2024-08-06, input""#);
    // As a float with the dust of one.
    let output = item("0.060000000000000005", r#""gpt-4o-2024-08-06, output""#);
    let compared = desk.compare(&[("costs", &page(&format!("{input},{output}"), false))]).unwrap();
    assert!(compared.is_equal() && compared.tables[0].by_model, "{}", shown(&compared));
    let whole = item("0.955874000001", "null");
    let compared = desk.compare(&[("costs", &page(&whole, false))]).unwrap();
    assert!(compared.is_equal() && !compared.tables[0].by_model, "{}", shown(&compared));
    let sheet = "start_time,end_time,amount_value,amount_currency,line_item,project_id,organization_name\n\
                 1759622400,1759708800,0.9558740000020000,usd,,,Personal\n1759708800,1759795200,,,,,\n";
    let compared = desk.compare(&[("cost.csv", sheet)]).unwrap();
    let text = shown(&compared);
    assert!(text.contains("0.955874000002 / 0.955874000001 / -0.000000000001"), "{text}");
}

#[test]
fn other_projects_and_other_routes_can_be_left_out() {
    let mut mirrored = call("gpt-4o-2024-08-06", "2025-10-05T12:00:00Z", (10, 0, 1));
    mirrored.route = Some(Route { kind: RouteKind::Duplicate, name: "mirror".into() });
    let desk = Desk::with([mirrored]);
    let other = completion(9, 9, 9, "default").replace("proj_a", "proj_b");
    let file = desk.file("usage", &page(&format!("{},{other}", completion(1, 10, 1, "default")), false));
    let mut args = desk.args(&[file]);
    assert!(!reconciled(&args).unwrap().is_equal());
    args.projects = vec!["proj_a".into()];
    assert!(!reconciled(&args).unwrap().is_equal());
    args.routes = vec!["duplicate/mirror".into()];
    assert!(reconciled(&args).unwrap().is_equal());
}

#[test]
fn what_is_no_export_is_refused_with_the_place_and_what_it_lacks() {
    let desk = Desk::with(calls());
    for (text, message) in [
        ("", "it has neither the column `input_tokens` of a usage export nor `amount_value` of a cost export"),
        ("a,b\n1,2\n", "its columns are a, b"),
        ("start_time,model,input_tokens,output_tokens\n", "it has no column `num_model_requests`"),
        ("model,num_model_requests,input_tokens,output_tokens\nx,1,1,1\n", "it has no column `start_time`"),
        (
            "date,model,num_model_requests,input_tokens,output_tokens\n2025-10-05,x,1,1.5,1\n",
            "line 2: `input_tokens` is `1.5`, which is no number",
        ),
        (
            "date,model,num_model_requests,input_tokens,output_tokens\nMonday,x,1,1,1\n",
            "line 2: `Monday` is neither seconds",
        ),
        ("date,amount,currency\n2025-10-05,1,eur\n", "line 2: the amount is in `eur`"),
        ("start_time,end_time,amount\n1759622400,1759881600,1\n", "line 2: the bucket is longer than a day"),
        ("{", "value 1: no JSON"),
        (r#"{"a":1}"#, "value 1: neither a page (`data`) nor a bucket"),
        (r#"{"data":[]}"#, "the export has no days"),
        (&page(r#"{"object":"model"}"#, false), "`data[0]`, `results[0]`: `model` is no result"),
        (
            &page(r#"{"object":"organization.usage.completions.result","input_tokens":1}"#, false),
            "it has no `num_model_requests`",
        ),
        (
            &page(&completion(1, 1, 1, "x").replace("\"input_tokens\":1", "\"input_tokens\":-1"), false),
            "`input_tokens` is -1, which is no count",
        ),
        (&page(r#"{"object":"organization.costs.result"}"#, false), "it has no `amount`"),
        (&page("", false), "the export has no rows to compare"),
    ] {
        let error = desk.compare(&[("export", text)]).unwrap_err().to_string();
        assert!(error.contains(message), "{text}\nexpected {message}\nfound {error}");
    }
}

#[test]
fn books_that_no_longer_list_every_entry_are_not_compared() {
    let ledger = Ledger::new(2);
    for (number, mut entry) in calls().into_iter().enumerate() {
        entry.id = number.to_string().into();
        ledger.post(entry);
    }
    let desk = Desk { folder: TempDir::new().unwrap(), admin: surface(ledger) };
    let error = desk.compare(&[("usage.csv", SHEET)]).unwrap_err().to_string();
    assert!(error.contains("list 2 of the 4 entries"), "{error}");
}
