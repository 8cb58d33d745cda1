//! Counting is exact, bounded and never breaks anything.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::*;

fn counts(encoding: Encoding) -> [u64; 7] {
    let texts = [
        "hello world",
        "tiktoken is great!",
        "お誕生日おめでとう",
        "once upon a time",
        "<|endoftext|>",
        "👋🏽 naïve café",
        "   \n\n  x",
    ];
    let tokenizer = Tokenizer::from(encoding);
    texts.map(|text| {
        let tally = tokenizer.count(text, Specials::Text);
        assert!(tally.exact);
        tally.tokens
    })
}

#[test]
fn golden_counts_hold() {
    assert_eq!(counts(Encoding::Cl100k), [2, 6, 9, 4, 7, 9, 3]);
    assert_eq!(counts(Encoding::O200k), [2, 6, 8, 4, 7, 7, 3]);
    assert_eq!(counts(Encoding::Harmony), counts(Encoding::O200k));
    assert_eq!(counts(Encoding::P50k), [2, 6, 14, 4, 7, 7, 4]);
    assert_eq!(counts(Encoding::P50kEdit), counts(Encoding::P50k));
}

#[test]
fn golden_ids_decode() {
    let golden = [(Encoding::Cl100k, [15339, 1917]), (Encoding::O200k, [24912, 2375]), (Encoding::P50k, [31373, 995])];
    for (encoding, ids) in golden {
        assert_eq!(Tokenizer::from(encoding).decode(&ids).as_deref(), Some("hello world"));
    }
    let harmony = Tokenizer::from(Encoding::Harmony);
    assert_eq!(harmony.decode(&[200_006, 24912, 200_008]).as_deref(), Some("<|start|>hello<|message|>"));
    assert_eq!(harmony.decode(&[24912, 4_000_000_000]), None);
    assert_eq!(harmony.decode(&[]).as_deref(), Some(""));
}

#[test]
fn special_tokens_are_text_unless_they_are_meant() {
    let harmony = Tokenizer::from(Encoding::Harmony);
    let text = "<|start|>user<|message|>hello<|end|>";
    assert_eq!(harmony.count(text, Specials::Rendered), Tally { tokens: 5, exact: true });
    assert!(harmony.count(text, Specials::Text).tokens > 12);
    let base = Tokenizer::from(Encoding::O200k);
    assert_eq!(base.count(text, Specials::Rendered), base.count(text, Specials::Text));
}

#[test]
fn a_guess_is_never_exact() {
    assert!(Tokenizer::built_in("gpt-6").is_none());
    let guess = Tokenizer::likely("gpt-6").unwrap();
    assert_eq!(guess.count("hello world", Specials::Text), Tally { tokens: 2, exact: false });
}

#[test]
fn a_long_text_is_counted_as_if_in_one() {
    let text = "Über 9 Wörter, it's 日本語 and\r\n\r\n  русский текст; x_1 += 'tis \t\n".repeat(4000);
    for encoding in [Encoding::O200k, Encoding::Cl100k, Encoding::P50k, Encoding::R50k] {
        let whole = encoding.ranks().unwrap().count(&text) as u64;
        assert_eq!(Tokenizer::from(encoding).count(&text, Specials::Text), Tally { tokens: whole, exact: true });
    }
}

#[test]
fn a_run_without_end_is_counted_within_bounds() {
    for letter in ["a", " ", "\n", "日", "!", "\u{301}", "ab", "0"] {
        let text = letter.repeat(1_000_000 / letter.len());
        let begun = Instant::now();
        let tally = Tokenizer::from(Encoding::O200k).count(&text, Specials::Text);
        assert!(tally.tokens >= 1_000_000 / 128, "{letter:?}: {tally:?}");
        assert!(tally.exact, "{letter:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{letter:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn fifty_megabytes_take_bounded_time() {
    let mut text = "a word and another, then 12 more.\n".repeat(50 * 1024 * 1024 / 34);
    text.push_str(&"a".repeat(3 << 20));
    let bounds = Bounds { bytes: 8 << 20, until: Instant::now() + Duration::from_secs(60), clock: &Instant::now };
    let part = count(Encoding::O200k, &text, Specials::Text, &bounds).unwrap();
    assert!(part.bytes <= 8 << 20 && !part.whole);
    let tally = part.of(text.len());
    assert!(!tally.exact && tally.tokens > part.tokens * 6 && tally.tokens < part.tokens * 8, "{tally:?}");
    let late = Bounds { bytes: usize::MAX, until: Instant::now(), clock: &Instant::now };
    let part = count(Encoding::O200k, &text, Specials::Text, &late).unwrap();
    assert!(!part.whole && part.bytes < 1 << 20, "{part:?}");
}

/// Letters of many scripts without a place to cut, in no order.
fn letters(bytes: usize) -> String {
    let mut seed = 7_u32;
    let mut text = String::new();
    while text.len() < bytes {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend(char::from_u32(0x100 + (seed >> 8) % 0xd000).filter(|letter| letter.is_alphabetic()));
    }
    text
}

#[test]
fn a_run_of_letters_of_many_scripts_is_left_when_its_time_is_up() {
    let text = letters(600 << 10);
    let (begun, looks) = (Instant::now(), Cell::new(0));
    // Every look at this clock is a tenth of a second after the one before.
    let clock = || {
        looks.set(looks.get() + 1);
        begun + Duration::from_millis(100) * looks.get()
    };
    let bounds = Bounds { bytes: usize::MAX, until: begun + Duration::from_millis(650), clock: &clock };
    let part = count(Encoding::O200k, &text, Specials::Text, &bounds).unwrap();
    assert!(!part.whole && part.bytes > 0 && part.bytes <= 7 * PIECE, "{part:?}");
    let tally = part.of(text.len());
    let true_count = Encoding::O200k.ranks().unwrap().count(&text) as u64;
    assert!(!tally.exact && tally.tokens.abs_diff(true_count) < true_count / 20, "{tally:?} {true_count}");
}

#[test]
fn a_run_is_counted_as_one_where_there_is_time() {
    let text = letters(200 << 10);
    let begun = Instant::now();
    let bounds = Bounds { bytes: usize::MAX, until: begun + Duration::from_secs(1), clock: &|| begun };
    let part = count(Encoding::O200k, &text, Specials::Text, &bounds).unwrap();
    let true_count = Encoding::O200k.ranks().unwrap().count(&text) as u64;
    assert_eq!(part, Part { tokens: true_count, bytes: text.len(), whole: true, fixed: 0 });
}

#[test]
fn texts_that_belong_together_share_one_bound_on_time() {
    let (tokenizer, text) = (Tokenizer::from(Encoding::O200k), "a word and another");
    let (begun, looks) = (Instant::now(), Cell::new(0));
    let clock = || {
        looks.set(looks.get() + 1);
        begun + Duration::from_millis(100) * looks.get()
    };
    let bounds = Bounds { bytes: usize::MAX, until: begun + Duration::from_millis(950), clock: &clock };
    let sitting = Sitting { tokenizer: &tokenizer, bounds };
    let exact: Vec<bool> = (0..20).map(|_| sitting.count(text, Specials::Text).exact).collect();
    assert_eq!(exact, (0..20).map(|number| number < 9).collect::<Vec<_>>());
}
