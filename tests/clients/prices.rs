//! Costs agree with LiteLLM's own calculator and with genai-prices, on every model of the map, but for what is listed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde::Deserialize;
use tollgate::dialect::endpoint::{Dialect, Endpoint, Job};
use tollgate::policy::pricing::PriceBook;
use tollgate::policy::pricing::sale::Sale;
use tollgate::units::Usage;

use super::script::{folder, home};

#[test]
#[ignore = "needs the calculators that setup.sh installs"]
fn costs_agree_with_litellm_and_genai_prices_but_for_what_is_listed() {
    let fixture = folder().join("../fixtures/genai_prices_v2.json");
    let output = Command::new(home().join("prices/bin/python"))
        .arg(folder().join("prices/reckon.py"))
        .arg(&fixture)
        .args([USAGES, SEED])
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let Map { map } = serde_json::from_str(first).unwrap();
    let map = book(&fs::read_to_string(map).unwrap());
    let genai = book(&fs::read_to_string(fixture).unwrap());
    let built_in = PriceBook::built_in().unwrap();

    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let (mut models, mut compared) = (BTreeSet::new(), [0, 0]);
    for case in rest.lines().map(|line| serde_json::from_str::<Case>(line).unwrap()) {
        let ours = case.cost(&map, &case.model);
        assert_eq!(case.cost(&built_in, &case.model), ours, "the built-in table is that of the map: {case:?}");
        models.insert(case.model.clone());
        let by_genai = case.genai.as_ref().map(|theirs| {
            let name = case.model.rsplit('/').next().unwrap();
            ("genai-prices", case.cost(&genai, name), theirs)
        });
        let by_litellm = ("litellm", ours, &case.litellm);
        for (at, (oracle, ours, theirs)) in [Some(by_litellm), by_genai].into_iter().flatten().enumerate() {
            compared[at] += 1;
            if let Some(what) = difference(ours, theirs) {
                let tier = case.tier.as_deref().unwrap_or("-");
                let key = format!("{oracle} {} {tier} {what}", case.model);
                found.entry(key).or_insert_with(|| format!("{ours:?} here, {theirs} there: {:?}", case.usage));
            }
        }
    }
    println!("{} models, {compared:?} costs compared, {} differences", models.len(), found.len());
    assert!(models.len() > 380 && compared[0] == 2000 && compared[1] > 200, "{} {compared:?}", models.len());

    let listed = fs::read_to_string(folder().join("prices/known_differences.txt")).unwrap();
    let listed: BTreeSet<&str> = listed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let unlisted: Vec<String> = found
        .iter()
        .filter(|(key, _)| !listed.contains(key.as_str()))
        .map(|(key, how)| format!("{key}    {how}"))
        .collect();
    let gone: Vec<&&str> = listed.iter().filter(|key| !found.contains_key(**key)).collect();
    assert!(unlisted.is_empty(), "{} differences are not listed:\n{}", unlisted.len(), unlisted.join("\n"));
    assert!(gone.is_empty(), "listed, but no difference any more: {gone:#?}");
}

/// What differs, in a word; nothing where both say the same.
fn difference(ours: Option<i128>, theirs: &str) -> Option<&'static str> {
    let Some(theirs) = theirs.parse::<f64>().ok() else {
        return match (theirs, ours) {
            ("impossible", _) => Some("impossible-there"),
            (_, Some(_)) => Some("unpriced-there"),
            (_, None) => None,
        };
    };
    let Some(ours) = ours else { return Some("unpriced-here") };
    // Theirs are sums of binary fractions; ours are whole pico-dollars.
    let (ours, theirs) = (ours as f64, theirs * 1e12);
    let near = (ours - theirs).abs() <= 1.0 + theirs.abs() * 1e-9;
    (!near).then_some(if ours > theirs { "more-here" } else { "less-here" })
}

fn book(text: &str) -> PriceBook {
    let (book, flaws) = PriceBook::parse(text, "theirs").unwrap();
    assert!(flaws.is_empty(), "{flaws:?}");
    book
}

#[derive(Deserialize)]
struct Map {
    map: String,
}

#[derive(Debug, Deserialize)]
struct Case {
    model: String,
    azure: bool,
    mode: String,
    /// A service tier, `batch`, or a region.
    tier: Option<String>,
    usage: Counts,
    litellm: String,
    genai: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    input: u64,
    output: u64,
    cached: Option<u64>,
    written: Option<u64>,
    written_12h: Option<u64>,
    audio_in: Option<u64>,
    image_in: Option<u64>,
    reasoning: Option<u64>,
    audio_out: Option<u64>,
}

impl Case {
    fn cost(&self, book: &PriceBook, name: &str) -> Option<i128> {
        let Counts { input, output, cached, written, written_12h, audio_in, image_in, reasoning, audio_out } =
            self.usage;
        let usage = Usage {
            input: Some(input),
            output: Some(output),
            cached_input: cached,
            cache_write: written,
            cache_write_12h: written_12h,
            audio_input: audio_in,
            image_input: image_in,
            reasoning,
            audio_output: audio_out,
            ..Usage::default()
        };
        let terms = |word: &str| self.tier.as_deref() == Some(word);
        let endpoint = match &*self.mode {
            _ if terms("batch") => Endpoint::Job(Job::Batch),
            "embedding" => Endpoint::Call(Dialect::Embeddings),
            "responses" => Endpoint::Call(Dialect::Responses),
            _ => Endpoint::Call(Dialect::Chat),
        };
        let region = self.tier.as_deref().filter(|_| terms("eu") || terms("us"));
        let sale = Sale {
            own: None,
            base_model: self.azure.then_some(name),
            served: Some(name),
            asked: None,
            deployment: self.azure.then_some(name),
            endpoint: &endpoint,
            tier: self.tier.as_deref().filter(|_| region.is_none() && !terms("batch")),
            // A region is part of Azure's own keys already.
            region: region.filter(|_| !self.azure),
            size: None,
            quality: None,
            time: "2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap(),
            usage: &usage,
        };
        book.cost(&sale).map(|priced| priced.cost.0)
    }
}

const USAGES: &str = "2000";
const SEED: &str = "20261122";
