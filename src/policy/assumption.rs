//! What a call may use, before anybody knows: from its length and the bounds that it sets itself.

use serde::de::IgnoredAny;

use crate::dialect::endpoint::Dialect;
use crate::dialect::json;
use crate::units::Usage;

/// The usage to reserve for a call with this body, without its content coding; nothing where it is no JSON.
///
/// Input: a token for every three bytes of the body, which is more than any text has, and [`ATTACHMENT`] tokens for each
/// picture, sound or document in it. Output: the bound that the call sets, times its choices; where it sets none,
/// [`UNBOUNDED`] tokens a choice, or 16 for the legacy completions, whose default that is.
pub fn assumed(dialect: Dialect, body: &[u8]) -> Usage {
    let wanted = ["max_completion_tokens", "max_tokens", "max_output_tokens", "n", "best_of", "prompt", "input"];
    let Ok(members) = json::members(body, &wanted) else { return Usage::default() };
    let [newer, older, responses, choices, best, prompt, input] =
        members.map(|member| member.and_then(|member| body.get(member.value)));
    let number = |value: Option<&[u8]>| serde_json::from_slice::<u64>(value?).ok();
    let bound = |value| number(value).map(|tokens| tokens.min(MOST_OUTPUT));
    let choices = number(choices).max(number(best)).unwrap_or(1).clamp(1, MOST_CHOICES);
    let read = Some(input_tokens(body));
    let made = |tokens: u64| Usage { input: read, output: Some(tokens.saturating_mul(choices)), ..Usage::default() };
    match dialect {
        Dialect::Chat => made(bound(newer).or(bound(older)).unwrap_or(UNBOUNDED)),
        Dialect::Completion => made(bound(older).unwrap_or(16).saturating_mul(prompts(prompt))),
        Dialect::Compaction | Dialect::Decision | Dialect::Responses => made(bound(responses).unwrap_or(UNBOUNDED)),
        Dialect::Embeddings | Dialect::InputTokens | Dialect::Moderation => {
            Usage { input: read, output: Some(0), ..Usage::default() }
        }
        Dialect::Speech => {
            let spoken = input.and_then(json::text).map(|text| text.chars().count() as u64);
            Usage { input: read, characters: spoken, ..Usage::default() }
        }
        Dialect::ImageEdit | Dialect::ImageGeneration | Dialect::ImageVariation => {
            Usage { input: read, images: Some(choices), ..Usage::default() }
        }
        // Their length is that of a recording, which nobody has seen yet.
        Dialect::Transcription | Dialect::Translation | Dialect::Video | Dialect::VideoExtension => Usage::default(),
    }
}

/// More tokens than the texts of a JSON body have.
fn input_tokens(body: &[u8]) -> u64 {
    let (mut bytes, mut attachments, mut start) = (body.len() as u64, 0_u64, 0);
    for end in memchr::memchr_iter(b'"', body) {
        let text = body.get(start..end).unwrap_or_default();
        start = end + 1;
        if is_data(text) {
            bytes -= text.len() as u64;
            attachments += 1;
        }
    }
    (bytes / 3).saturating_add(attachments.saturating_mul(ATTACHMENT)).max(1)
}

/// Whether a long text of JSON is no text: the end of base64 has no space or other sign of a language.
fn is_data(text: &[u8]) -> bool {
    let sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=\\".contains(byte);
    text.len() > LONGEST_WORD && text[text.len() - LONGEST_WORD / 2..].iter().all(sign)
}

/// How many prompts a legacy completion has: a list of numbers is one, as tokens.
fn prompts(value: Option<&[u8]>) -> u64 {
    let Some(list) = value.filter(|value| value.starts_with(b"[")) else { return 1 };
    let first = list.iter().skip(1).find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(u8::is_ascii_digit) {
        return 1;
    }
    serde_json::from_slice::<Vec<IgnoredAny>>(list).map_or(1, |prompts| prompts.len().max(1) as u64)
}

/// Tokens of output that are reserved where a call sets no bound.
pub const UNBOUNDED: u64 = 4096;
/// Tokens that are reserved for a picture, a sound or a document in the body.
pub const ATTACHMENT: u64 = 1500;
/// No model writes more at once; what asks for more is for the upstream to refuse.
const MOST_OUTPUT: u64 = 1_000_000;
/// OpenAI's bound on `n`.
const MOST_CHOICES: u64 = 128;
/// Bytes of a word that no language has.
const LONGEST_WORD: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn output(dialect: Dialect, body: &str) -> Option<u64> {
        assumed(dialect, body.as_bytes()).output
    }

    #[test]
    fn the_bounds_that_a_call_sets_are_taken_and_else_the_defaults() {
        for (dialect, body, tokens) in [
            (Dialect::Chat, r#"{"max_tokens":7}"#, Some(7)),
            (Dialect::Chat, r#"{"max_tokens":7,"max_completion_tokens":9,"n":3}"#, Some(27)),
            (Dialect::Chat, r#"{"n":2}"#, Some(2 * UNBOUNDED)),
            (Dialect::Chat, r#"{"max_tokens":null,"n":"x"}"#, Some(UNBOUNDED)),
            (Dialect::Chat, r#"{"max_tokens":18446744073709551615,"n":18446744073709551615}"#, Some(128_000_000)),
            (Dialect::Chat, r#"{"max_tokens":-1}"#, Some(UNBOUNDED)),
            (Dialect::Completion, r#"{"prompt":"a"}"#, Some(16)),
            (Dialect::Completion, r#"{"prompt":["a","b"],"max_tokens":10,"n":1,"best_of":5}"#, Some(100)),
            (Dialect::Completion, r#"{"prompt":[ 1,2,3],"max_tokens":10}"#, Some(10)),
            (Dialect::Responses, r#"{"max_output_tokens":50,"max_tokens":1}"#, Some(50)),
            (Dialect::Embeddings, r#"{"input":"a"}"#, Some(0)),
            (Dialect::Transcription, r#"{"max_tokens":7}"#, None),
            (Dialect::Chat, "no json", None),
            (Dialect::Chat, r#"{"n":1,"n":2}"#, None),
        ] {
            assert_eq!(output(dialect, body), tokens, "{body}");
        }
        let spoken = assumed(Dialect::Speech, r#"{"input":"é\n1"}"#.as_bytes());
        assert_eq!(spoken.characters, Some(3));
        assert_eq!(assumed(Dialect::ImageGeneration, br#"{"n":4}"#).images, Some(4));
    }

    #[test]
    fn more_input_is_reserved_than_texts_have_and_no_picture_is_taken_for_one() {
        let picture = "iVBORw0KGgo".repeat(100_000);
        let body = format!(r#"{{"messages":[{{"content":[{{"url":"data:image/png;base64,{picture}"}}]}}]}}"#);
        let tokens = assumed(Dialect::Chat, body.as_bytes()).input.unwrap();
        assert!((ATTACHMENT..ATTACHMENT + 50).contains(&tokens), "{tokens}");
        let words = format!(r#"{{"messages":"{}"}}"#, "so many words ".repeat(10_000));
        let tokens = assumed(Dialect::Chat, words.as_bytes()).input.unwrap();
        assert!((30_000..60_000).contains(&tokens), "{tokens}");
    }
}
