//! A journal as a busy team of programs would have filled it in two months.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tollgate::ledger::Ledger;
use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::ledger::ids::Ids;
use tollgate::units::{Cost, Usage};

/// Over how many days the entries are spread.
pub(crate) const DAYS: i64 = 60;

/// Books so many entries, as a gate would.
pub(crate) fn fill(journal: &Path, entries: u32) -> anyhow::Result<()> {
    let ledger = Ledger::open(1000, journal.to_owned(), None)?;
    let ids = Ids::new(1);
    let pattern: Entry = serde_json::from_value(pattern())?;
    let first = Timestamp::now() - SignedDuration::from_hours(24 * DAYS);
    let step = SignedDuration::from_hours(24 * DAYS) / i32::try_from(entries)?;
    let mut random = Random(7);
    for number in 0..entries {
        let mut entry = pattern.clone();
        entry.time = first + step * i32::try_from(number)?;
        entry.id = ids.issue(entry.time);
        vary(&mut entry, &mut random);
        ledger.post(entry);
        while number % 1000 == 0 && ledger.journal().pending > 8000 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    ledger.close();
    let state = ledger.journal();
    anyhow::ensure!(state.pending == 0 && state.lost == 0, "not everything was written: {state:?}");
    Ok(())
}

/// Twelve labels, each with a program of its own and three of twenty models; now and then a failure.
fn vary(entry: &mut Entry, random: &mut Random) {
    let team = random.below(12);
    let model = (team * 5 + random.below(3)) % 20;
    entry.client.label = Some(format!("team-{team}").into());
    entry.client.process = Some(format!("program-{}", team % 6).into());
    entry.model.asked = Some(format!("model-{model}").into());
    entry.model.served = Some(format!("model-{model}-2026-08-06").into());
    entry.upstream_id = Some(format!("chatcmpl-{:016x}{:016x}", random.next(), random.next()).into());
    entry.duration_ms = 300 + random.below(9000);
    entry.first_byte_ms = Some(100 + random.below(200));
    if random.below(100) == 0 {
        (entry.status, entry.outcome, entry.usage, entry.cost) = (504, Outcome::Timeout, None, None);
        return;
    }
    let (input, output) = (random.below(20_000), random.below(2000));
    entry.usage = Some(Usage {
        input: Some(input),
        cached_input: Some(input / 2),
        output: Some(output),
        reasoning: Some(0),
        ..Usage::default()
    });
    entry.cost = Some(Cost(i128::from(input) * 2_500_000 + i128::from(output) * 10_000_000));
}

fn pattern() -> serde_json::Value {
    json!({
        "id": "", "session": null, "time": "2026-01-01T00:00:00Z", "durationMs": 0, "firstByteMs": null,
        "client": {"address": "127.0.0.1", "process": null, "path": "/usr/bin/python3.11",
                   "agent": "OpenAI/Python 2.8.1", "label": null, "key": "k1-0123456789abcdef"},
        "ingress": "connect", "host": "api.openai.com", "endpoint": "/v1/chat/completions", "stream": true,
        "model": {"asked": null, "sent": null, "served": null},
        "route": {"kind": "origin", "name": "api.openai.com"}, "attempt": 1, "status": 200, "outcome": "ok",
        "usage": null, "basis": "reported",
        "rawUsage": {"prompt_tokens": 1234, "completion_tokens": 123, "total_tokens": 1357,
                     "prompt_tokens_details": {"cached_tokens": 617, "audio_tokens": 0},
                     "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}},
        "tier": {"asked": null, "served": "default"}, "region": {"asked": null, "served": null},
        "media": {"size": null, "quality": null}, "costUsd": null, "priceSource": "built-in 2026-11-01",
        "rates": {"input": "2.5", "cachedInput": "1.25", "output": "10"}, "repriced": null, "deferred": false,
        "afterClose": null, "upstreamId": null, "bytesUp": 4096, "bytesDown": 9000, "error": null,
    })
}

/// The same numbers in every run (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
