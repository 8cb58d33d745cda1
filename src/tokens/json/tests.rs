//! What a file may be, what is said of it, and what its modes count.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::super::tokenizer::Tokenizer as Counter;
use super::*;

/// Every byte is a token, `ab` is one, and `<s>` is begun with.
fn small() -> Value {
    let mut letters: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    letters.sort_unstable();
    let mut vocab: serde_json::Map<String, Value> =
        (0..).zip(letters).map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    vocab.insert("ab".into(), json!(256));
    let added = |id, content, special| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": special})
    };
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "!"},
        "added_tokens": [added(257, "<s>", true), added(258, "<think>", false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [257], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                  "merges": ["a b"]},
    })
}

fn read(text: &[u8]) -> Result<Counter, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, text).unwrap();
    let read = Counter::read(&path).map_err(|error| error.to_string());
    read.inspect_err(|error| assert!(error.contains(path.to_str().unwrap()), "{error}"))
}

fn counter(value: &Value) -> Counter {
    read(value.to_string().as_bytes()).unwrap()
}

#[test]
fn each_mode_counts_specials_its_own_way() {
    let small = counter(&small());
    let count = |text, specials| {
        let tally = small.count(text, specials);
        assert!(tally.exact);
        tally.tokens
    };
    for (text, as_text, prompt, rendered) in
        [("ab", 1, 2, 1), ("<s>ab", 4, 3, 2), ("<think>c", 2, 3, 2), ("", 0, 1, 0), ("abababab", 4, 5, 4)]
    {
        assert_eq!(count(text, Specials::Text), as_text, "{text}");
        assert_eq!(count(text, Specials::Prompt), prompt, "{text}");
        assert_eq!(count(text, Specials::Rendered), rendered, "{text}");
    }
}

#[test]
fn ids_become_the_text_that_they_were() {
    let small = counter(&small());
    assert_eq!(small.decode(&[257, 256, 258]).as_deref(), Some("<s>ab<think>"));
    assert_eq!(small.decode(&[256, 999]), None);
}

#[test]
fn the_longest_token_is_known_only_where_nothing_is_left_out() {
    assert_eq!(counter(&small()).longest(), "<think>".len());
    let mut other = small();
    other["normalizer"] = json!({"type": "NFC"});
    assert_eq!(counter(&other).longest(), 4 * "<think>".len());
    other["normalizer"] = json!({"type": "Strip", "strip_left": true, "strip_right": true});
    assert_eq!(counter(&other).longest(), usize::MAX);
    let mut other = small();
    other["added_tokens"][0]["rstrip"] = json!(true);
    assert_eq!(counter(&other).longest(), usize::MAX);
    let mut other = small();
    let split = json!({"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": false});
    other["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [split, other["pre_tokenizer"]]});
    assert_eq!(counter(&other).longest(), usize::MAX);
    let words = json!({"version": "1.0", "added_tokens": [], "model":
        {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}});
    assert_eq!(counter(&words).longest(), usize::MAX);
}

#[test]
fn a_broken_file_is_said_to_be_so() {
    let whole = small().to_string();
    let error = |text: &[u8]| read(text).unwrap_err();
    assert!(error(&whole.as_bytes()[..whole.len() / 2]).contains("ends in the middle: remove it"));
    assert!(error(b"").contains("ends in the middle"));
    assert!(error(b"<html>").contains("is not JSON"));
    assert!(error(b"[1]").contains("is no tokenizer.json"));
    assert!(error(b"{}").contains("has no `model`"));
    assert!(error(br#"{"model":{"type":"Mamba","vocab":{}}}"#).contains("type `Mamba`; known are BPE, Unigram"));
    assert!(error(br#"{"model":{"type":7}}"#).contains("type `not a string`"));
    let mut wrong = small();
    wrong["model"]["merges"] = json!(["a zzz"]);
    assert!(error(wrong.to_string().as_bytes()).contains("cannot be used"));
    let mut wrong = small();
    wrong["version"] = json!("9.0");
    assert!(error(wrong.to_string().as_bytes()).contains("cannot be used"));
    assert!(Counter::read(Path::new("/nowhere/tokenizer.json")).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn two_hundred_megabytes_are_refused_unread() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.json");
    File::create(&path).unwrap().set_len(200 << 20).unwrap();
    let begun = Instant::now();
    let error = Counter::read(&path).unwrap_err().to_string();
    assert!(error.contains("has 200 MiB, more than the 64 MiB"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_long_text_is_counted_in_part() {
    let small = counter(&small());
    let text = "ab ".repeat(3 << 20);
    let tally = small.count(&text, Specials::Rendered);
    assert!(!tally.exact);
    let whole = 2 * (3 << 20);
    assert!(tally.tokens > whole - whole / 100 && tally.tokens < whole + whole / 100, "{tally:?}");
}

#[test]
fn added_tokens_that_look_around_do_not_hang() {
    let mut around = small();
    for at in 0..2 {
        around["added_tokens"][at]["lstrip"] = json!(true);
        around["added_tokens"][at]["single_word"] = json!(true);
    }
    let around = counter(&around);
    for text in ["<s>".repeat(1 << 20), " <think> ".repeat(1 << 18), " ".repeat(1 << 21), " <s".repeat(1 << 19)] {
        let begun = Instant::now();
        assert!(around.count(&text, Specials::Rendered).tokens > 0);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_long_text_is_counted_as_far_as_its_beginning_promises() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::write(&path, small().to_string()).unwrap();
    let small = Json::read(&path).unwrap();
    let text = "ab ".repeat(1 << 20);
    let (begun, looks) = (Instant::now(), Cell::new(0));
    let clock = || {
        looks.set(looks.get() + 1);
        begun + Duration::from_millis(1) * looks.get()
    };
    let counted = |limit: u64| {
        looks.set(0);
        let bounds = Bounds { bytes: usize::MAX, until: begun + Duration::from_millis(limit), clock: &clock };
        small.count(&text, Specials::Rendered, &bounds).unwrap()
    };
    assert!(counted(10_000).whole);
    let part = counted(2);
    assert!(!part.whole && part.bytes > 0 && part.bytes <= SAMPLE, "{part:?}");
}
