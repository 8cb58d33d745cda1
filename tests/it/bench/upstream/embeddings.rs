//! `embeddings`, as numbers and as base64.

use serde_json::{Value, json};

use super::books::Billed;
use super::operation::Ask;
use super::script::Script;
use super::words::{self, Tally};

/// Answers an embeddings request.
pub fn answer(ask: &Ask) -> Script {
    let input = &ask.document["input"];
    let texts = match input.as_array() {
        Some(list) if !list.iter().all(Value::is_u64) => list.clone(),
        _ => vec![input.clone()],
    };
    let encoded = ask.document["encoding_format"] == "base64";
    let dimensions = ask.document["dimensions"].as_u64().unwrap_or(8);
    let row = |(index, text): (usize, &Value)| {
        let vector = vector(words::count(text) * 2 + index as u64 * 3, dimensions);
        let embedding = if encoded { json!(base64(&bytes_of(&vector))) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let input = ask.input(texts.iter().map(words::count).sum());
    let tally = Tally { input, ..Tally::default() }.overridden(ask.fault.counts);
    let mut document = json!({
        "object": "list",
        "data": texts.iter().enumerate().map(row).collect::<Vec<_>>(),
        "model": ask.served,
    });
    if !ask.fault.no_usage {
        document["usage"] = json!({"prompt_tokens": tally.input, "total_tokens": tally.input});
    }
    let billed = Billed {
        model: ask.served.clone(),
        input: tally.input,
        endpoint: ask.operation.endpoint(),
        ..Billed::default()
    };
    Script::whole(&document, 0, 0).charged(billed)
}

/// Numbers that are exact in 32 bits, so that both encodings say the same.
fn vector(seed: u64, dimensions: u64) -> Vec<f32> {
    let part = |at: u64| u16::try_from((seed * 31 + at * 7) % 64).unwrap();
    (0..dimensions).map(|at| f32::from(part(at)) / 64.0 - 0.5).collect()
}

fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut padded = [0_u8; 4];
        padded[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(padded);
        for at in 0..4_usize {
            let letter = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { letter as char } else { '=' });
        }
    }
    text
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
