//! Prices against values worked out by hand, and the laws that hold for every usage.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::dialect::endpoint::{Dialect, Endpoint, Job};
use crate::policy::pricing::rate::{Price, Rate};
use crate::units::Usage;

mod formats;
mod media;

fn book() -> PriceBook {
    PriceBook::built_in().unwrap()
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

fn sale<'a>(model: &'a str, usage: &'a Usage) -> Sale<'a> {
    Sale {
        own: None,
        base_model: None,
        served: Some(model),
        asked: None,
        deployment: None,
        endpoint: &Endpoint::Call(Dialect::Chat),
        tier: None,
        region: None,
        size: None,
        quality: None,
        time: Timestamp::UNIX_EPOCH,
        usage,
    }
}

fn batched<'a>(model: &'a str, usage: &'a Usage) -> Sale<'a> {
    Sale { endpoint: &Endpoint::Job(Job::Batch), ..sale(model, usage) }
}

fn parsed(text: &str, name: &str) -> PriceBook {
    let (book, flaws) = PriceBook::parse(text, name).unwrap();
    assert_eq!(flaws, [""; 0]);
    book
}

fn pico(priced: Option<Priced>) -> Option<i128> {
    priced.map(|priced| priced.cost.0)
}

#[test]
fn the_built_in_table_holds_the_models_of_openai_and_azure() {
    let (book, usage) = (book(), usage(1, 1));
    assert!(book.len() > 490, "{}", book.len());
    for model in ["gpt-4o", "azure/gpt-4o", "azure/eu/gpt-4o", "o1-mini", "gpt-6-luna", "gpt-4o-realtime-preview"] {
        assert!(book.cost(&sale(model, &usage)).is_some(), "{model}");
    }
    for model in ["claude-opus-4-1", "gpt-4o-audio-preview", "dall-e-3", "openai/*", "azure/*", "azure/container"] {
        assert!(book.cost(&sale(model, &usage)).is_none(), "{model}");
    }
}

#[test]
fn costs_equal_values_worked_out_by_hand() {
    for (model, input, cached, written, output, expected) in [
        ("gpt-4o", 19, 0, 0, 10, 147_500_000),
        ("gpt-4o", 2006, 1920, 0, 300, 86 * 2_500_000 + 1920 * 1_250_000 + 300 * 10_000_000),
        ("gpt-4o-mini-2024-07-18", 1000, 0, 0, 1000, 750_000_000),
        ("text-embedding-3-small", 8, 0, 0, 0, 160_000),
        ("gpt-4.1-nano", 1, 1, 0, 0, 25_000),
        ("o1-pro", 1, 0, 0, 1, 750_000_000),
        ("gpt-4-0613", 7, 7, 0, 0, 210_000_000),
        ("gpt-5.6", 100, 40, 50, 1, 10 * 4_000_000 + 40 * 400_000 + 50 * 5_000_000 + 20_000_000),
    ] {
        let usage = Usage { cached_input: Some(cached), cache_write: Some(written), ..usage(input, output) };
        assert_eq!(pico(book().cost(&sale(model, &usage))), Some(expected), "{model}");
    }
}

#[test]
fn a_long_input_reprices_every_token_of_the_request() {
    let book = book();
    let cost = |input| pico(book.cost(&sale("gpt-5.4", &usage(input, 10))));
    assert_eq!(cost(272_000), Some(272_000 * 2_500_000 + 10 * 15_000_000));
    assert_eq!(cost(272_001), Some(272_001 * 5_000_000 + 10 * 22_500_000));
}

#[test]
fn a_tier_costs_what_the_table_says_or_is_unpriced() {
    let (book, one) = (book(), usage(1_000_000, 0));
    let small = usage(1000, 0);
    for (model, tier, usage, expected) in [
        ("gpt-5", "flex", &one, Some(625_000_000_000)),
        ("gpt-5", "priority", &one, Some(2_500_000_000_000)),
        ("gpt-5", "fast", &one, Some(2_500_000_000_000)),
        ("gpt-5", "default", &one, Some(1_250_000_000_000)),
        ("gpt-5", "standard", &one, Some(1_250_000_000_000)),
        ("gpt-5", "auto", &one, Some(1_250_000_000_000)),
        ("gpt-5", "scale", &one, None),
        ("gpt-4o", "flex", &one, None),
        ("gpt-5.4", "priority", &small, Some(5_000_000_000)),
        ("gpt-5.4", "priority", &one, None),
        ("gpt-5.4", "flex", &one, Some(2_500_000_000_000)),
    ] {
        let sale = Sale { tier: Some(tier), ..sale(model, usage) };
        assert_eq!(pico(book.cost(&sale)), expected, "{model} {tier}");
    }
}

#[test]
fn a_name_is_found_in_its_closest_form_and_never_guessed() {
    let (book, usage) = (book(), usage(1, 1));
    for (model, found) in [
        ("gpt-4o-2024-08-06", Some("gpt-4o-2024-08-06")),
        ("gpt-4o-2030-01-01", Some("gpt-4o")),
        ("gpt-3.5-turbo-0301", Some("gpt-3.5-turbo-0301")),
        ("gpt-3.5-turbo-0299", Some("gpt-3.5-turbo")),
        ("gpt-35-turbo", Some("gpt-3.5-turbo")),
        ("gpt-35-turbo-16k", Some("gpt-3.5-turbo-16k")),
        ("gpt-35-turbo-0301", Some("gpt-3.5-turbo-0301")),
        ("ft:gpt-4o-2024-08-06:org::id", Some("ft:gpt-4o-2024-08-06")),
        ("ft:gpt-3.5-turbo-0301:org:name:id", Some("ft:gpt-3.5-turbo")),
        ("ft:gpt-4o:org::id", None),
        ("gpt-4o-", None),
        ("gpt-4o-turbo", None),
        ("GPT-4o", None),
        ("", None),
        ("-2024-08-06", None),
        ("mistral", None),
    ] {
        let source = book.cost(&sale(model, &usage)).map(|priced| priced.source);
        assert_eq!(source.as_deref(), found.map(|name| format!("{BUILT_IN_NAME}:{name}")).as_deref(), "{model}");
    }
}

#[test]
fn the_owners_word_comes_before_the_replys_and_the_clients() {
    let (book, usage) = (book(), usage(1000, 1000));
    let own = Price::new(Rate::per_thousand("0.0003").unwrap(), Rate(0));
    let all = Sale {
        own: Some(&own),
        base_model: Some("gpt-4o-2024-08-06"),
        served: Some("gpt-4"),
        asked: Some("o1"),
        tier: Some("unheard-of"),
        ..sale("gpt-4", &usage)
    };
    let source = |sale: Sale<'_>| book.cost(&sale).map(|priced| priced.source.to_string());
    let table = |model: &str| Some(format!("{BUILT_IN_NAME}:{model}"));
    assert_eq!(source(all), Some("tokenPricing".into()));
    assert_eq!(pico(book.cost(&all)), Some(300_000_000));
    let without_own = Sale { own: None, tier: None, ..all };
    assert_eq!(source(without_own), table("gpt-4o-2024-08-06"));
    assert_eq!(source(Sale { base_model: None, ..without_own }), table("gpt-4"));
    assert_eq!(source(Sale { base_model: Some("mine"), served: Some("prod"), ..without_own }), table("o1"));
}

#[test]
fn an_own_price_takes_cached_tokens_at_the_input_rate() {
    let own = Price::new(Rate(3), Rate(0));
    let usage = Usage { cached_input: Some(900), audio_input: Some(5), ..usage(1000, 7) };
    let sale = Sale { own: Some(&own), ..sale("x", &usage) };
    assert_eq!(pico(PriceBook::default().cost(&sale)), Some(3));
    let shown = PriceBook::default().cost(&sale).and_then(|priced| priced.rates).unwrap();
    assert_eq!(shown.get(), r#"{"input":"0.000000003","output":"0"}"#);
}

#[test]
fn what_is_not_known_is_unpriced() {
    let book = book();
    let none = Usage::default();
    let no_output = Usage { input: Some(5), ..none };
    for (model, usage) in [("gpt-4o", &none), ("text-embedding-3-small", &none), ("gpt-4o", &no_output)] {
        assert_eq!(pico(book.cost(&sale(model, usage))), None, "{model}");
    }
    assert_eq!(pico(book.cost(&sale("text-embedding-3-small", &no_output))), Some(100_000));
    // What is free is free in any amount, and nothing else is.
    assert_eq!(pico(book.cost(&sale("omni-moderation-latest", &none))), Some(0));
    assert_eq!(pico(book.cost(&sale("omni-moderation-latest", &usage(9, 0)))), Some(0));
    let trained = Usage { trained: Some(1000), ..none };
    assert_eq!(pico(book.cost(&sale("gpt-4o", &trained))), None);
    let searched = Usage { web_searches: Some(1), ..usage(1, 1) };
    assert_eq!(pico(book.cost(&sale("gpt-4", &searched))), None);
}

#[test]
fn the_sum_is_rounded_half_up_once() {
    for (rate, tokens, expected) in [(1, 499, 0), (1, 500, 1), (1, 1500, 2), (333, 3, 1), (250, 2, 1)] {
        let own = Price::new(Rate(rate), Rate(0));
        let usage = usage(tokens, 0);
        let sale = Sale { own: Some(&own), ..sale("x", &usage) };
        assert_eq!(pico(PriceBook::default().cost(&sale)), Some(expected), "{rate} {tokens}");
    }
    let own = Price::new(Rate(300), Rate(300));
    let one = usage(1, 1);
    let sale = Sale { own: Some(&own), ..sale("x", &one) };
    assert_eq!(pico(PriceBook::default().cost(&sale)), Some(1), "two halves of 300 make 600, which is one");
}

#[test]
fn a_bad_table_is_refused_with_its_name_and_the_model() {
    let error = |text: &str| PriceBook::parse(text, "mine").unwrap_err().to_string();
    assert_eq!(
        error("{m: {input: '1e-3', output: '2'}}"),
        "price table `mine`: `1e-3` for `m` is not a plain decimal price"
    );
    assert!(error("{m: {input: '1', output: '2', inptu: '3'}}").contains("inptu"));
    assert!(error("{m: {input: 1, output: '2'}}").starts_with("price table `mine`: "));
}

#[test]
fn a_table_laid_over_another_wins() {
    let mine = parsed("{'gpt-4o': {input: '1', output: '1'}}", "mine");
    let book = book().overlaid(&mine);
    let usage = usage(1, 0);
    assert_eq!(pico(book.cost(&sale("gpt-4o", &usage))), Some(1_000_000));
    assert_eq!(pico(book.cost(&sale("gpt-4", &usage))), Some(30_000_000));
    // Also under the other forms of a name, where the table below knows a closer one.
    assert_eq!(pico(book.cost(&sale("gpt-4o-2024-05-13", &usage))), Some(1_000_000));
    let later = parsed("{'gpt-4o': {input: '2', output: '1'}}", "later");
    assert_eq!(pico(book.overlaid(&later).cost(&sale("gpt-4o", &usage))), Some(2_000_000));
}

#[test]
fn the_largest_counts_and_rates_do_not_overflow() {
    let most = Rate(i64::MAX);
    let own = Price::new(most, most);
    let usage = usage(u64::MAX, u64::MAX);
    assert!(book().cost(&Sale { own: Some(&own), ..sale("x", &usage) }).is_some());
}

proptest! {
    #[test]
    fn a_cost_is_never_negative_and_grows_with_the_tokens(
        (input, more) in (0u64..1 << 40, 0u64..1 << 20),
        (cached, written, output) in (0u64..1 << 41, 0u64..1 << 41, 0u64..1 << 40),
    ) {
        let book = book();
        for model in ["gpt-4o", "gpt-5.6", "gpt-6-astra", "text-embedding-ada-002"] {
            let cost = |usage: Usage| pico(book.cost(&sale(model, &usage))).unwrap();
            let first = Usage { cached_input: Some(cached), cache_write: Some(written), ..usage(input, output) };
            prop_assert!(cost(first) >= 0);
            let longer = Usage { input: Some(input + more), ..first };
            let wordier = Usage { output: Some(output + more), ..first };
            prop_assert!(cost(longer) >= cost(first));
            prop_assert!(cost(wordier) >= cost(first));
        }
    }

    #[test]
    fn subsets_never_add_to_the_cost(
        (input, output) in (0u64..1 << 40, 0u64..1 << 40),
        (cached, reasoning) in (0u64..1 << 41, 0u64..1 << 41),
    ) {
        let book = book();
        for model in ["gpt-4o", "gpt-5.4", "o3"] {
            let plain = usage(input, output);
            let split = Usage { cached_input: Some(cached), reasoning: Some(reasoning), ..plain };
            let cost = |usage: Usage| pico(book.cost(&sale(model, &usage))).unwrap();
            prop_assert!(cost(split) <= cost(plain));
        }
    }
}
