//! Usage objects: exact where they are well formed, refused where they are not.

use proptest::prelude::*;

use super::*;

#[test]
fn every_spelling_is_read() {
    let all = Usage {
        input: Some(100),
        cached_input: Some(64),
        cached_audio: Some(3),
        cached_image: Some(1),
        cache_write: Some(5),
        cache_write_12h: Some(2),
        audio_input: Some(13),
        image_input: Some(7),
        output: Some(50),
        reasoning: Some(20),
        audio_output: Some(3),
        image_output: Some(2),
        requests: None,
        seconds: None,
        ..Usage::default()
    };
    for (input, output, of_input, of_output) in [
        ("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"),
        ("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"),
        ("input_tokens", "output_tokens", "input_token_details", "output_token_details"),
    ] {
        let raw = format!(
            r#"{{"total_tokens":150,"{input}":100,"{output}":50,"unknown":[{{}}],
            "{of_input}":{{"cached_tokens":64,"cache_write_tokens":5,"audio_tokens":13,
            "cached_tokens_details":{{"text_tokens":60,"audio_tokens":3,"image_tokens":1}},
            "cache_write_tokens_details":{{"ttl_30m_tokens":3,"ttl_12h_tokens":2}},"image_tokens":7,"text_tokens":80}},
            "{of_output}":{{"reasoning_tokens":20,"audio_tokens":3,"image_tokens":2,"accepted_prediction_tokens":9}}}}"#
        );
        assert_eq!(read(raw.as_bytes()), Ok(all), "{input}");
    }
}

#[test]
fn zero_is_zero_and_absent_is_unknown() {
    let zero = read(br#"{"prompt_tokens":0,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":0}}"#);
    assert_eq!(zero, Ok(Usage { input: Some(0), cached_input: Some(0), output: Some(0), ..Usage::default() }));
    let absent = read(br#"{"prompt_tokens":8,"completion_tokens":null,"prompt_tokens_details":null,"total_tokens":8}"#);
    assert_eq!(absent, Ok(Usage { input: Some(8), ..Usage::default() }));
    assert_eq!(read(b"{}"), Ok(Usage::default()));
}

#[test]
fn an_unused_spelling_that_is_zero_does_not_hide_the_used_one() {
    let both = read(br#"{"prompt_tokens":0,"input_tokens":50,"completion_tokens":0,"output_tokens":9}"#);
    assert_eq!(both, Ok(Usage { input: Some(50), output: Some(9), ..Usage::default() }));
}

#[test]
fn seconds_are_whole_and_a_part_of_one_is_one() {
    let seconds =
        |text: &str| read(format!(r#"{{"type":"duration","seconds":{text}}}"#).as_bytes()).map(|usage| usage.seconds);
    assert_eq!(seconds("9"), Ok(Some(9)));
    assert_eq!(seconds("9.0"), Ok(Some(9)));
    for (text, rounded) in [("8.47", 9), ("0.001", 1), ("0.0", 0), ("9.50", 10)] {
        assert_eq!(seconds(text), Ok(Some(rounded)), "{text}");
    }
    for text in ["-0.5", "8.5e1", "9223372036854775807.5", "\"8.5\"", "-1", "1e3", "\"9\"", "9223372036854775808"] {
        assert_eq!(seconds(text), Err(Nonsense::Count), "{text}");
    }
}

#[test]
fn nonsense_is_refused_wherever_it_stands() {
    for value in ["-1", "1.5", "1.0", "1e2", "\"7\"", "9223372036854775808", "1e400", "true", "[]", "{}", "[[[[1]]]]"] {
        for raw in [
            format!(r#"{{"prompt_tokens":{value},"completion_tokens":1}}"#),
            format!(r#"{{"input_tokens":1,"output_tokens":{value}}}"#),
            format!(r#"{{"prompt_tokens":1,"total_tokens":{value}}}"#),
            format!(r#"{{"prompt_tokens":1,"prompt_tokens_details":{{"cached_tokens":{value}}}}}"#),
            format!(
                r#"{{"input_tokens":1,"input_token_details":{{"cached_tokens_details":{{"audio_tokens":{value}}}}}}}"#
            ),
            format!(
                r#"{{"input_tokens":1,"input_tokens_details":{{"cache_write_tokens_details":{{"ttl_12h_tokens":{value}}}}}}}"#
            ),
            format!(r#"{{"output_tokens":1,"output_token_details":{{"audio_tokens":{value}}}}}"#),
        ] {
            assert_eq!(read(raw.as_bytes()), Err(Nonsense::Count), "{raw}");
        }
    }
    assert_eq!(read(br#"{"prompt_tokens":9223372036854775807}"#).map(|usage| usage.input), Ok(Some(LARGEST)));
    assert_eq!(read(br#"{"prompt_tokens":1,"prompt_tokens":2}"#), Err(Nonsense::Count));
    for (raw, nonsense) in [("7", Nonsense::Shape), ("\"x\"", Nonsense::Shape), ("[1]", Nonsense::Shape)] {
        assert_eq!(read(raw.as_bytes()), Err(nonsense));
    }
    for raw in ["", "{", "{\"prompt_tokens\":}", "\u{1}", "{\"a\":1}}"] {
        assert_eq!(read(raw.as_bytes()), Err(Nonsense::Broken), "{raw}");
    }
}

#[test]
fn deep_nesting_is_survived() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(read(format!(r#"{{"prompt_tokens":1,"x":{deep}}}"#).as_bytes()).map(|usage| usage.input), Ok(Some(1)));
    assert_eq!(read(format!(r#"{{"prompt_tokens":{deep}}}"#).as_bytes()), Err(Nonsense::Count));
    assert_eq!(read(format!(r#"{{"prompt_tokens":1,"x":{}"#, "[".repeat(10_000)).as_bytes()), Err(Nonsense::Broken));
}

#[test]
fn searches_of_the_web_are_told_as_a_count() {
    let told = |text: &str| web_searches(text.as_bytes());
    assert_eq!(told(r#"{"image_gen":{"input_tokens":1},"web_search":{"num_requests":3}}"#), Ok(Some(3)));
    assert_eq!(told(r#"{"web_search":{"num_requests":0}}"#), Ok(Some(0)));
    assert_eq!(told(r#"{"web_search":null}"#), Ok(None));
    for nonsense in ["-1", "1.5", "\"1\"", "9223372036854775808"] {
        assert_eq!(told(&format!(r#"{{"web_search":{{"num_requests":{nonsense}}}}}"#)), Err(Nonsense::Count));
        assert_eq!(count(nonsense.as_bytes()), Err(Nonsense::Count));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(text in "[{}\\[\\]\",:a-z_0-9.e-]{0,80}") {
        let _ = read(text.as_bytes());
    }
}
