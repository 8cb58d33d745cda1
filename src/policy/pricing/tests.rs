//! Prices against values worked out by hand, and the laws that hold for every usage.

use proptest::prelude::*;

use super::*;

fn book() -> PriceBook {
    PriceBook::built_in().unwrap()
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

fn sale<'a>(model: &'a str, usage: &'a Usage) -> Sale<'a> {
    Sale { own: None, base_model: None, served: Some(model), asked: None, tier: None, usage }
}

fn pico(priced: Option<Priced>) -> Option<i128> {
    priced.map(|priced| priced.cost.0)
}

#[test]
fn the_built_in_table_holds_openai_models_only() {
    let book = book();
    assert!(book.len() > 100, "{}", book.len());
    assert!(book.models.keys().all(|name| !name.contains('/')));
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
        ("gpt-3.5-turbo-0301", Some("gpt-3.5-turbo")),
        ("gpt-35-turbo", Some("gpt-3.5-turbo")),
        ("gpt-35-turbo-16k", Some("gpt-3.5-turbo-16k")),
        ("gpt-35-turbo-0301", Some("gpt-3.5-turbo")),
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
    let own = Price { input: Rate::per_thousand("0.0003").unwrap(), ..Price::default() };
    let all = Sale {
        own: Some(&own),
        base_model: Some("gpt-4o-2024-08-06"),
        served: Some("gpt-4"),
        asked: Some("o1"),
        tier: Some("unheard-of"),
        usage: &usage,
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
    let own = Price { input: Rate(3), output: Rate(0), ..Price::default() };
    let usage = Usage { cached_input: Some(900), audio_input: Some(5), ..usage(1000, 7) };
    let sale = Sale { own: Some(&own), ..sale("x", &usage) };
    assert_eq!(pico(PriceBook::default().cost(&sale)), Some(3));
}

#[test]
fn what_is_not_known_is_unpriced() {
    let book = book();
    let none = Usage::default();
    let no_output = Usage { input: Some(5), ..none };
    assert_eq!(book.cost(&sale("gpt-4o", &none)), None);
    assert_eq!(book.cost(&sale("text-embedding-3-small", &none)), None);
    assert_eq!(book.cost(&sale("gpt-4o", &no_output)), None);
    assert_eq!(pico(book.cost(&sale("text-embedding-3-small", &no_output))), Some(100_000));
    for kind in 0..4 {
        let mut usage = usage(10, 10);
        *[&mut usage.audio_input, &mut usage.image_input, &mut usage.audio_output, &mut usage.image_output][kind] =
            Some(1);
        assert_eq!(book.cost(&sale("gpt-audio", &usage)), None, "{kind}");
    }
}

#[test]
fn the_sum_is_rounded_half_up_once() {
    for (rate, tokens, expected) in [(1, 499, 0), (1, 500, 1), (1, 1500, 2), (333, 3, 1), (250, 2, 1)] {
        let own = Price { input: Rate(rate), ..Price::default() };
        let usage = usage(tokens, 0);
        let sale = Sale { own: Some(&own), ..sale("x", &usage) };
        assert_eq!(pico(PriceBook::default().cost(&sale)), Some(expected), "{rate} {tokens}");
    }
    let own = Price { input: Rate(300), output: Rate(300), ..Price::default() };
    let one = usage(1, 1);
    let sale = Sale { own: Some(&own), ..sale("x", &one) };
    assert_eq!(pico(PriceBook::default().cost(&sale)), Some(1), "two halves of 300 make 600, which is one");
}

#[test]
fn decimals_are_read_exactly_or_not_at_all() {
    for (text, rate) in [
        ("2.50", Some(2_500_000_000)),
        ("0.0375", Some(37_500_000)),
        ("0.000000001", Some(1)),
        ("0.0000000010", Some(1)),
        ("0.0000000001", None),
        ("600", Some(600_000_000_000)),
        ("0", Some(0)),
        ("-1", None),
        ("+1", None),
        ("1e3", None),
        ("", None),
        (".5", None),
        ("5.", None),
        ("1.2.3", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(Rate::per_million(text).map(|rate| rate.0), rate, "{text}");
    }
    assert_eq!(Rate::per_thousand("0.0003"), Some(Rate(300_000_000)));
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
    let mine = PriceBook::parse("{'gpt-4o': {input: '1', output: '1'}}", "mine").unwrap();
    let book = book().overlaid(&mine);
    let usage = usage(1, 0);
    assert_eq!(pico(book.cost(&sale("gpt-4o", &usage))), Some(1_000_000));
    assert_eq!(pico(book.cost(&sale("gpt-4", &usage))), Some(30_000_000));
}

#[test]
fn the_largest_counts_and_rates_do_not_overflow() {
    let most = Rate(i64::MAX);
    let own = Price { input: most, cached_input: Some(most), cache_write: Some(most), output: most };
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
