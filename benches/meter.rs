//! What it costs the meter to look at one event of a stream, and to take down what it says until the usage comes.
//!
//! `cargo bench --bench meter`; the whole cost of an event is measured by `cargo bench --bench load`.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use tollgate::dialect::endpoint::Dialect;
use tollgate::meter::Meter;

/// Events of one stream.
const EVENTS: u32 = 500;
/// Streams of one round.
const STREAMS: u32 = 40;
const ROUNDS: usize = 60;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{:<44} {:>8} {:>8} {:>8}", "nanoseconds for one event, best round", "reading", "and text", "more")?;
    for (name, dialect, event) in FORMS {
        let event = Bytes::from_static(event.as_bytes());
        let mut plain = Vec::new();
        let mut taking = Vec::new();
        for _ in 0..ROUNDS {
            plain.push(round(&event, Meter::stream));
            taking.push(round(&event, || Meter::stream().taking_down(dialect)));
        }
        let (plain, taking) = (best(&plain), best(&taking));
        writeln!(out, "{name:<44} {plain:>8} {taking:>8} {:>8}", taking.saturating_sub(plain))?;
    }
    Ok(())
}

/// Nanoseconds for one event.
fn round(event: &Bytes, meter: impl Fn() -> Meter) -> u128 {
    let begun = Instant::now();
    for _ in 0..STREAMS {
        let mut meter = meter();
        for _ in 0..EVENTS {
            meter.feed(black_box(event));
        }
        black_box(meter.finish());
    }
    begun.elapsed().as_nanos() / u128::from(EVENTS * STREAMS)
}

/// Other programs only make it slower.
fn best(figures: &[u128]) -> u128 {
    figures.iter().copied().min().unwrap_or_default()
}

const FORMS: [(&str, Dialect, &str); 6] = [
    (
        "chat, asked for usage",
        Dialect::Chat,
        "data: {\"id\":\"chatcmpl-CeA0t3B7xKq9\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\
         \"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_a1b2c3d4\",\
         \"choices\":[{\"index\":0,\"delta\":{\"content\":\" measured\"},\"logprobs\":null,\"finish_reason\":null}],\
         \"usage\":null,\"obfuscation\":\"k3fq8ZtP\"}\n\n",
    ),
    (
        "chat, a text with escapes",
        Dialect::Chat,
        "data: {\"id\":\"chatcmpl-CeA0t3B7xKq9\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\
         \"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_a1b2c3d4\",\
         \"choices\":[{\"index\":0,\"delta\":{\"content\":\" \\\"x\\\"\\n\"},\"logprobs\":null,\"finish_reason\":null}],\
         \"usage\":null,\"obfuscation\":\"k3fq8ZtP\"}\n\n",
    ),
    (
        "chat, arguments of a tool",
        Dialect::Chat,
        "data: {\"id\":\"chatcmpl-CeA0t3B7xKq9\",\"object\":\"chat.completion.chunk\",\"created\":1763800000,\
         \"model\":\"gpt-4.1-2025-04-14\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\
         \"function\":{\"arguments\":\"measured\"}}]},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
    ),
    (
        "chat, Azure",
        Dialect::Chat,
        "data: {\"choices\":[{\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},\
         \"self_harm\":{\"filtered\":false,\"severity\":\"safe\"},\"sexual\":{\"filtered\":false,\"severity\":\"safe\"},\
         \"violence\":{\"filtered\":false,\"severity\":\"safe\"}},\"delta\":{\"content\":\" measured\"},\
         \"finish_reason\":null,\"index\":0,\"logprobs\":null}],\"created\":1763800000,\"id\":\"chatcmpl-CeA0t3\",\
         \"model\":\"gpt-4o-2024-08-06\",\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"fp_a1b2\"}\n\n",
    ),
    (
        "completion",
        Dialect::Completion,
        "data: {\"id\":\"cmpl-CeA0t3B7xKq9\",\"object\":\"text_completion\",\"created\":1763800000,\"choices\":\
         [{\"text\":\" measured\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}],\
         \"model\":\"gpt-3.5-turbo-instruct:20230824-v2\",\"usage\":null}\n\n",
    ),
    (
        "response",
        Dialect::Responses,
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":17,\
         \"item_id\":\"msg_0a1b2c3d4e5f\",\"output_index\":0,\"content_index\":0,\"delta\":\" measured\",\"logprobs\":[],\
         \"obfuscation\":\"k3fq8ZtP\"}\n\n",
    ),
];
