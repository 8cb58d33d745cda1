//! Every kind of token, tier, place and medium against values worked out by hand.

use super::*;

#[test]
fn a_batch_costs_its_own_rates_else_half() {
    let book = book();
    let usage = Usage { cached_input: Some(400_000), ..usage(1_000_000, 1_000_000) };
    // 600k x 2.5/2 + 400k x 1.25/2 + 1M x 10/2, where the table has no batch rate of cached tokens.
    let expected = 750_000_000_000 + 250_000_000_000 + 5_000_000_000_000i128;
    assert_eq!(pico(book.cost(&batched("gpt-4o-2024-08-06", &usage))), Some(expected));
    let tiered = Sale { tier: Some("priority"), ..batched("gpt-4o-2024-08-06", &usage) };
    assert_eq!(pico(book.cost(&tiered)), Some(expected), "a batch has no other tier");
}

#[test]
fn a_sum_of_many_requests_is_not_taken_for_a_long_one() {
    let book = book();
    // Half of the usual rates: surely none of them was a long one.
    let short = usage(100_000, 1_000);
    let expected = 100_000 * 2_000_000 + 1_000 * 10_000_000;
    assert_eq!(pico(book.cost(&batched("gpt-5.6", &short))), Some(expected));
    assert_eq!(pico(book.cost(&batched("gpt-5.6", &usage(1_000_000, 1_000)))), None, "nobody knows");
}

#[test]
fn a_region_raises_what_tokens_cost_and_nothing_else() {
    let book = book();
    let usage = Usage { web_searches: Some(2), ..usage(1000, 100) };
    let cost = |model: &str, region| pico(book.cost(&Sale { region, ..sale(model, &usage) }));
    let (tokens, searches) = (1000 * 200_000 + 100 * 1_200_000, 2 * 10_000_000_000);
    assert_eq!(cost("gpt-5.6-luna", None), Some(tokens + searches));
    assert_eq!(cost("gpt-5.6-luna", Some("eu")), Some(tokens * 11 / 10 + searches));
    assert_eq!(cost("gpt-5.6-luna", Some("us")), Some(tokens * 11 / 10 + searches));
    assert_eq!(cost("gpt-5.6-luna", Some("jp")), None, "some uplift, but nobody knows which");
    assert_eq!(cost("o3", Some("eu")), cost("o3", None), "the same everywhere");
}

#[test]
fn what_is_written_to_the_cache_costs_by_how_long_it_lives() {
    let usage = Usage { cache_write: Some(100), cache_write_12h: Some(30), ..usage(1000, 0) };
    let expected = 900 * 4_000_000 + 70 * 5_000_000 + 30 * 10_000_000;
    assert_eq!(pico(book().cost(&sale("gpt-5.6", &usage))), Some(expected));
    // Without a rate of its own it costs what is written otherwise.
    let on_azure = Sale { base_model: Some("gpt-5.6"), deployment: Some("d"), ..sale("d", &usage) };
    let expected = 900 * 4_000_000 + 100 * 5_000_000;
    assert_eq!(pico(book().cost(&on_azure)), Some(expected));
}

#[test]
fn sound_and_pictures_cost_their_own_rates_cached_or_not() {
    let usage = Usage {
        cached_input: Some(300),
        cached_audio: Some(200),
        cached_image: Some(50),
        audio_input: Some(600),
        image_input: Some(100),
        audio_output: Some(40),
        ..usage(1000, 50)
    };
    // 400 sound, 50 picture, 250 text; cached 200 sound, 50 picture, 50 text; out 40 sound, 10 text.
    let input = 400 * 32_000_000 + 50 * 5_000_000 + 250 * 4_000_000;
    let cached = 200 * 400_000 + 50 * 500_000 + 50 * 400_000;
    let output = 40 * 64_000_000 + 10 * 16_000_000;
    assert_eq!(pico(book().cost(&sale("gpt-realtime", &usage))), Some(input + cached + output));
    // A model without such rates takes them for text.
    let text = 700 * 2_500_000 + 300 * 1_250_000 + 50 * 10_000_000;
    assert_eq!(pico(book().cost(&sale("gpt-4o", &usage))), Some(text));
}

#[test]
fn pictures_are_paid_by_their_tokens_else_apiece_by_size_and_quality() {
    let book = book();
    let tokens = Usage { image_input: Some(60), images: Some(1), ..usage(100, 1000) };
    let expected = 40 * 5_000_000 + 60 * 10_000_000 + 1000 * 40_000_000;
    assert_eq!(pico(book.cost(&sale("gpt-image-1", &tokens))), Some(expected), "all output is picture");
    let two = Usage { images: Some(2), ..Usage::default() };
    for (model, quality, size, expected) in [
        ("gpt-image-1", Some("low"), Some("1024x1536"), Some(32_000_000_000)),
        ("gpt-image-1", Some("high"), Some("1024x1024"), Some(334_000_000_000)),
        ("gpt-image-1", Some("ultra"), Some("1024x1024"), None),
        ("gpt-image-1", None, Some("1024x1024"), None),
        ("gpt-image-1", Some("low"), None, None),
        ("gpt-image-1.5", None, Some("1024x1024"), Some(18_000_000_000)),
        ("azure/dall-e-3", Some("hd"), Some("1024x1792"), Some(264_000_031_949)),
    ] {
        let sale = Sale { quality, size, ..sale(model, &two) };
        assert_eq!(pico(book.cost(&sale)), expected, "{model} {quality:?} {size:?}");
    }
}

#[test]
fn seconds_and_characters_have_prices_where_no_tokens_are_told() {
    let book = book();
    let seconds = Usage { seconds: Some(9), ..Usage::default() };
    let characters = Usage { characters: Some(1000), ..Usage::default() };
    let tokens = Usage { audio_input: Some(90), ..usage(100, 10) };
    let both = Usage { seconds: Some(9), ..tokens };
    let no_tokens = Usage { seconds: Some(9), ..usage(0, 0) };
    for (model, usage, expected) in [
        ("whisper-1", &seconds, Some(900_000_000)),
        ("whisper-1", &no_tokens, Some(900_000_000)),
        ("whisper-1", &tokens, None),
        ("gpt-4o-transcribe", &seconds, Some(900_000_000)),
        ("gpt-4o-transcribe", &tokens, Some(100 * 2_500_000 + 10 * 10_000_000)),
        ("gpt-4o-transcribe", &both, Some(100 * 2_500_000 + 10 * 10_000_000)),
        ("gpt-live-1", &seconds, Some(7_500_000_000)),
        ("gpt-4o", &seconds, None),
        ("tts-1", &characters, Some(15_000_000_000)),
        ("tts-1-hd", &characters, Some(30_000_000_000)),
        ("gpt-4o-mini-tts", &characters, None),
    ] {
        assert_eq!(pico(book.cost(&sale(model, usage))), expected, "{model} {usage:?}");
    }
    let spoken = usage(10, 100);
    let speech = Sale { endpoint: &Endpoint::Call(Dialect::Speech), ..sale("gpt-4o-mini-tts", &spoken) };
    assert_eq!(pico(book.cost(&speech)), Some(10 * 600_000 + 100 * 12_000_000), "what is spoken is sound");
}

#[test]
fn videos_cost_by_the_second_and_by_their_size() {
    let four = Usage { seconds: Some(4), ..Usage::default() };
    for (model, size, expected) in [
        ("sora-2", Some("720x1280"), 400_000_000_000),
        ("sora-2-pro", None, 1_200_000_000_000),
        ("sora-2-pro", Some("1280x720"), 1_200_000_000_000),
        ("sora-2-pro", Some("1792x1024"), 2_000_000_000_000),
    ] {
        let sale = Sale { endpoint: &Endpoint::Job(Job::Video), size, ..sale(model, &four) };
        assert_eq!(pico(book().cost(&sale)), Some(expected), "{model} {size:?}");
    }
}

#[test]
fn tools_are_charged_beside_the_tokens() {
    let usage = Usage { web_searches: Some(3), file_searches: Some(2), code_sessions: Some(1), ..usage(1000, 0) };
    let expected = 1000 * 2_500_000 + 3 * 25_000_000_000 + 2 * 2_500_000_000 + 30_000_000_000;
    assert_eq!(pico(book().cost(&sale("gpt-4o-search-preview", &usage))), Some(expected));
    let none = Usage { web_searches: Some(0), file_searches: Some(0), code_sessions: Some(0), ..usage };
    assert_eq!(pico(book().cost(&sale("gpt-4", &none))), Some(1000 * 30_000_000), "none of them costs nothing");
}

#[test]
fn azure_is_priced_by_its_own_keys_and_never_by_a_deployments_name() {
    let (book, usage) = (book(), usage(1_000_000, 0));
    let responses = Endpoint::Call(Dialect::Responses);
    let azure = Sale { deployment: Some("gpt-4o-mini"), asked: Some("gpt-4o"), ..sale("gpt-4o-mini", &usage) };
    let source = |sale: &Sale<'_>| {
        let priced = book.cost(sale)?;
        priced.source.strip_prefix("litellm-1.109.1:").map(str::to_owned)
    };
    for (base_model, served, endpoint, region, expected) in [
        (Some("gpt-4o-2024-08-06"), Some("gpt-4o-mini"), &responses, None, Some("azure/gpt-4o-2024-08-06")),
        (Some("gpt-4o-2024-08-06"), None, &responses, Some("eu"), Some("azure/eu/gpt-4o-2024-08-06")),
        (Some("eu/gpt-4o-2024-08-06"), None, &responses, None, Some("azure/eu/gpt-4o-2024-08-06")),
        (Some("gpt-4o-2024-08-06"), None, &responses, Some("swedencentral"), Some("azure/gpt-4o-2024-08-06")),
        (Some("gpt-35-turbo-16k"), None, &responses, None, Some("azure/gpt-35-turbo-16k")),
        (Some("o1-mini"), None, &responses, None, Some("azure/o1-mini")),
        (Some("gpt-4.5-preview"), None, &responses, None, Some("azure/gpt-4.5-preview")),
        (Some("gpt-3.5-turbo-instruct"), None, &responses, None, Some("gpt-3.5-turbo-instruct")),
        // Responses repeat the deployment's name, which proves nothing; other replies name the model.
        (None, Some("gpt-4o-mini"), &responses, None, None),
        (None, Some("gpt-4o-2024-11-20"), &responses, None, Some("azure/gpt-4o-2024-11-20")),
        (None, Some("gpt-4o-mini"), &Endpoint::Call(Dialect::Chat), None, Some("azure/gpt-4o-mini")),
        (None, Some("prod"), &Endpoint::Call(Dialect::Chat), None, None),
        (None, None, &Endpoint::Call(Dialect::Chat), None, None),
    ] {
        let sale = Sale { base_model, served, endpoint, region, ..azure };
        assert_eq!(source(&sale).as_deref(), expected, "{base_model:?} {served:?} {region:?}");
    }
}

#[test]
fn decisions_have_rates_of_their_own_where_the_table_has_them() {
    let text = "{a: {input: '1', output: '5', decisions: {input: '2', output: '0'}}, b: {input: '1', output: '5'}}";
    let quote = |model| parsed(text, "t").quote(&sale(model, &Usage::NOTHING)).unwrap().tariffs;
    let tariffs: Vec<String> = quote("a").iter().map(|rates| rates.get().to_owned()).collect();
    assert!(tariffs.contains(&r#"{"tier":"decisions","input":"2","output":"0"}"#.to_owned()), "{tariffs:?}");
    assert!(!quote("b").iter().any(|rates| rates.get().contains("decisions")));
}

#[test]
fn the_rates_are_shown_once_for_all_calls_of_a_tariff() {
    let (book, short, long) = (book(), usage(10, 1), usage(300_000, 1));
    let rates = |tier, usage| book.cost(&Sale { tier, ..sale("gpt-5.4", usage) }).unwrap().rates.unwrap();
    assert!(Arc::ptr_eq(&rates(None, &short), &rates(Some("default"), &short)));
    assert!(!Arc::ptr_eq(&rates(None, &short), &rates(Some("flex"), &short)));
    let shown: serde_json::Value = serde_json::from_str(rates(Some("flex"), &long).get()).unwrap();
    assert_eq!((&shown["tier"], &shown["above"], &shown["input"]), (&"flex".into(), &272_000.into(), &"2.5".into()));
    let there = Sale { region: Some("eu"), ..sale("gpt-6-luna", &short) };
    let shown = book.cost(&there).unwrap().rates.unwrap();
    assert!(shown.get().starts_with(r#"{"region":"eu","input":"0.11","cachedInput":"0.011","#), "{shown}");
}

proptest! {
    #[test]
    fn no_part_of_a_usage_is_charged_beside_its_whole(
        (input, output) in (0u64..1 << 40, 0u64..1 << 40),
        parts in proptest::array::uniform11(0u64..1 << 41),
    ) {
        // One rate for every kind, so that the sum must be that of the whole however it is divided.
        let kinds = "input cachedInput cachedAudio cachedImage cacheWrite cacheWrite12h audioInput imageInput output \
                     reasoning audioOutput imageOutput";
        let rates: Vec<String> = kinds.split_whitespace().map(|kind| format!("{kind}: '1'")).collect();
        let book = parsed(&format!("{{m: {{{}}}}}", rates.join(", ")), "t");
        let [a, b, c, d, e, f, g, h, i, j, _] = parts.map(Some);
        let usage = Usage {
            cached_input: a, cached_audio: b, cached_image: c, cache_write: d, cache_write_12h: e, audio_input: f,
            image_input: g, reasoning: h, audio_output: i, image_output: j, ..usage(input, output)
        };
        let whole = i128::from(input + output) * 1_000_000;
        prop_assert_eq!(pico(book.cost(&sale("m", &usage))), Some(whole));
    }
}
