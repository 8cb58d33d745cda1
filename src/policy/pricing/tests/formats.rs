//! Tables in the forms of others: read as they are, and never half.

use super::*;

const MAP: &str = r#"{
  "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of ...", "deprecation_date": "when"},
  "m": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": "1e-05", "cache_read_input_token_cost": 0.0,
        "input_cost_per_token_flex": 1.25e-6, "output_cost_per_token_flex": 5E-6,
        "input_cost_per_token_above_200k_tokens": 5e-06, "output_cost_per_token_above_200k_tokens": 2e-05,
        "input_cost_per_token_above_1m_tokens": 1, "litellm_provider": "openai", "mode": "chat", "new_field": {"a": [1]},
        "cache_creation_input_token_cost_above_1hr": 9.9, "supports_vision": true, "max_tokens": 5},
  "long": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6,
           "input_cost_per_token_above_128k_tokens": 2e-6, "input_cost_per_token_above_256k_tokens": 3e-6},
  "no-price": {"litellm_provider": "openai", "mode": "chat"},
  "bad-number": {"input_cost_per_token": "cheap"},
  "below-zero": {"input_cost_per_token": -1e-6},
  "no-object": [],
  "null": {"input_cost_per_token": null}
}"#;

#[test]
fn the_map_of_litellm_is_read_as_it_is_and_its_broken_lines_are_named() {
    let (book, flaws) = PriceBook::parse(MAP, "map.json").unwrap();
    let named = [
        "`bad-number` has no price in `input_cost_per_token`: `\"cheap\"`",
        "`below-zero` ",
        "`no-object` is no object",
    ];
    assert_eq!(flaws.len(), named.len(), "{flaws:?}");
    assert!(named.iter().all(|start| flaws.iter().any(|flaw| flaw.starts_with(start))), "{flaws:?}");
    assert_eq!(book.len(), 2);
    let usage = Usage { cached_input: Some(400), ..usage(1000, 100) };
    let cost = |model, tier| pico(book.cost(&Sale { tier, ..sale(model, &usage) }));
    assert_eq!(cost("m", None), Some(600 * 2_500_000 + 100 * 10_000_000), "an explicit zero is a price");
    assert_eq!(cost("m", Some("flex")), Some(600 * 1_250_000 + 100 * 5_000_000));
    assert_eq!(cost("m", Some("priority")), None);
    for model in ["sample_spec", "no-price", "null", "bad-number"] {
        assert_eq!(cost(model, None), None, "{model}");
    }
    let priced = book.cost(&sale("m", &usage)).unwrap();
    assert_eq!(&*priced.source, "map.json:m");
}

#[test]
fn each_threshold_of_the_map_is_a_cliff_of_its_own() {
    let (book, _) = PriceBook::parse(MAP, "map.json").unwrap();
    for (input, rate) in [(128_000, 1), (128_001, 2), (256_000, 2), (256_001, 3)] {
        let expected = i128::from(input) * rate * 1_000_000 + 1_000_000;
        assert_eq!(pico(book.cost(&sale("long", &usage(input, 1)))), Some(expected), "{input}");
    }
}

const GENAI: &str = r#"[
  {"id": "openai", "name": "OpenAI", "api_pattern": "x", "model_match": {"or": [{"starts_with": "gpt-"}]}, "models": [
    {"id": "o3", "match": {"or": [{"equals": "O3"}, {"equals": "o3-2025-04-16"}]}, "prices": [
      {"prices": {"input_mtok": 10, "cache_read_mtok": 0.5, "output_mtok": 40}},
      {"constraint": {"start_date": "2025-06-10"}, "prices": {"input_mtok": 2, "cache_read_mtok": 0.5, "output_mtok": 8}}]},
    {"id": "gpt-5.4", "match": {"regex": "^gpt-5\\.4(-\\d{4}-\\d{2}-\\d{2})?$"},
     "prices": {"input_mtok": {"base": 2.5, "tiers": [{"start": 272000, "price": 5}]}, "output_mtok": 15}},
    {"id": "free", "match": {"equals": "free"}, "prices": {}},
    {"id": "odd", "match": {"sounds_like": "x"}, "prices": {"input_mtok": 1}}]},
  {"id": "azure", "name": "Azure", "api_pattern": "x", "fallback_model_providers": ["openai"], "models": [
    {"id": "azure-o3", "match": {"and": [{"starts_with": "o3"}, {"ends_with": "3"}]}, "prices": {"input_mtok": 3, "output_mtok": 9}}]},
  {"id": "deepseek", "name": "D", "api_pattern": "x", "model_match": {"starts_with": "deepseek"}, "models": [
    {"id": "deepseek-chat", "match": {"contains": "seek-chat"}, "prices": [
      {"prices": {"input_mtok": 0.135, "output_mtok": 0.55}},
      {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 0.27, "output_mtok": 1.1}}]}]}
]"#;

#[test]
fn the_data_of_genai_prices_hold_by_their_clauses_and_dates() {
    let (book, flaws) = PriceBook::parse(GENAI, "data.json").unwrap();
    assert_eq!(flaws, ["`openai` has no clause that is known in the model `odd`"]);
    assert_eq!(book.len(), 4);
    let million = usage(1_000_000, 0);
    let at = |model: &str, time: &str, azure: bool| {
        let deployment = azure.then_some("d");
        let priced = book.cost(&Sale { time: time.parse().unwrap(), deployment, ..sale(model, &million) })?;
        Some((priced.source.to_string(), priced.cost.0 / 1_000_000_000))
    };
    let priced = |model: &str, thousandths| Some((format!("data.json:{model}"), thousandths));
    assert_eq!(at("o3", "2025-06-09T23:59:59Z", false), priced("o3", 10_000));
    assert_eq!(at("o3-2025-04-16", "2025-06-10T00:00:00Z", false), priced("o3", 2_000));
    assert_eq!(at("o3", "2025-06-10T00:00:00Z", true), priced("azure-o3", 3_000));
    assert_eq!(at("gpt-5.4-2026-03-05", "2026-06-10T00:00:00Z", true), priced("gpt-5.4", 5_000));
    assert_eq!(at("deepseek-chat", "2026-01-01T00:29:59Z", false), priced("deepseek-chat", 135));
    assert_eq!(at("deepseek-chat", "2026-01-01T00:30:00Z", false), priced("deepseek-chat", 270));
    assert_eq!(at("seek-chat", "2026-01-01T00:30:00Z", false), None, "no provider calls it its own");
    assert_eq!(at("free", "2026-01-01T00:30:00Z", false), None, "no price is not a price of nothing");
}

#[test]
fn variants_of_genai_prices_are_the_prices_of_tiers_from_their_day_on() {
    let text = r#"[{"id": "openai", "api_pattern": "x", "models": [
      {"id": "m", "match": {"equals": "m"}, "prices": [
         {"prices": {"input_mtok": 4, "output_mtok": 8}},
         {"constraint": {"start_date": "2026-07-30"}, "prices": {"input_mtok": 2, "output_mtok": 4}}],
       "price_variants": [
         {"when": {"service_tier": "flex"}, "prices": {"input_mtok": 1, "output_mtok": 1}},
         {"when": {"processing": "batch"}, "constraint": {"start_date": "2026-10-14"},
          "prices": {"input_mtok": 0.5, "output_mtok": 0.5}},
         {"when": {"search_type": "web"}, "prices": {"input_mtok": 9}}]}]}]"#;
    let (book, million) = (parsed(text, "t"), usage(1_000_000, 0));
    let cost = |time: &str, tier, batch: bool| {
        let sale = if batch { batched("m", &million) } else { sale("m", &million) };
        pico(book.cost(&Sale { time: format!("{time}T00:00:00Z").parse().unwrap(), tier, ..sale }))
            .map(|cost| cost / 1_000_000_000)
    };
    assert_eq!([cost("2026-01-01", None, false), cost("2026-08-01", None, false)], [Some(4000), Some(2000)]);
    assert_eq!([cost("2026-01-01", Some("flex"), false), cost("2026-08-01", Some("flex"), false)], [Some(1000); 2]);
    assert_eq!(cost("2026-08-01", Some("priority"), false), None);
    // Half of what it costs, until there is a price of its own.
    assert_eq!(
        ["2026-01-01", "2026-08-01", "2026-11-01"].map(|day| cost(day, None, true)),
        [Some(2000), Some(1000), Some(500)]
    );
}

#[test]
fn an_entry_keeps_the_price_of_its_moment_in_the_gates_own_form_too() {
    let text = "{m: [{input: '4', output: '4'}, {from: '2026-07-30', input: '1', output: '1'}], n: 'm'}";
    let (book, one) = (parsed(text, "t"), usage(1, 0));
    for (time, expected) in [("2026-07-29T23:59:59Z", 4_000_000), ("2026-07-30T00:00:00Z", 1_000_000)] {
        for model in ["m", "n"] {
            let sale = Sale { time: time.parse().unwrap(), ..sale(model, &one) };
            assert_eq!(pico(book.cost(&sale)), Some(expected), "{model} {time}");
        }
    }
}

#[test]
fn a_wholly_wrong_file_is_refused_whatever_its_form() {
    for (text, culprit) in [
        ("", "EOF"),
        ("[]", "prices no model"),
        ("{}", "prices no model"),
        ("[1]", "invalid type"),
        (r#"[{"id": "x"}]"#, "missing field `models`"),
        (r#"{"m": {"input_cost_per_token": "x"}}"#, "prices no model; `m` has no price in `input_cost_per_token`"),
        (r#"{"m": {"input_cost_per_token": 1e-6}"#, "EOF"),
        ("{m: 'n'}", "`m` is to cost what `n` costs"),
        ("{m: {input: '1', long: {input: '2'}}}", "`long without above` for `m`"),
        ("{m: [{from: 'soon', input: '1'}]}", "`soon` for `m`"),
        ("{m: {input: '1', flex: {inptu: '1'}}}", "unknown key `inptu`"),
        ("\u{0}", "expected"),
    ] {
        let error = PriceBook::parse(text, "mine").unwrap_err();
        assert!(error.to_string().starts_with("price table `mine`: "), "{error}");
        assert!(error.to_string().contains(culprit) && error.what().contains(culprit), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_readers(text in "[\\[{]?[\"a-z_:{}\\[\\],0-9.eE +-]{0,80}") {
        let _ = PriceBook::parse(&text, "t");
        let _ = PriceBook::parse(&format!("{{\"m\": {{\"input_cost_per_token\": {text}}}}}"), "t");
    }
}
