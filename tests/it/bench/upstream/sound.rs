//! Sound: speech, and transcriptions and translations in every form.

use serde_json::{Value, json};

use super::books::{Billed, Other};
use super::files::field;
use super::operation::{Ask, Operation};
use super::script::{Piece, Script};
use super::words;

/// Answers a transcription or a translation: a second of sound is what its WAVE header says or else a hundred bytes,
/// and ten tokens.
pub fn transcription(ask: &Ask, form: &[u8]) -> Script {
    let file = field(form, "file").unwrap_or_default();
    let seconds = seconds_of(file).div_ceil(100);
    let (input, words) = (seconds * 10, words::reply(5, 0));
    let translates = ask.operation == Operation::Translation;
    let by_time = ask.model.starts_with("whisper");
    let usage = if by_time {
        json!({"type": "duration", "seconds": seconds})
    } else {
        json!({"type": "tokens", "total_tokens": input + 5, "input_tokens": input,
            "input_token_details": {"text_tokens": 0, "audio_tokens": input}, "output_tokens": 5})
    };
    let billed = Billed {
        model: ask.served.clone(),
        input: if by_time { 0 } else { input },
        endpoint: ask.operation.endpoint(),
        other: Other {
            seconds: if by_time { seconds } else { 0 },
            audio_input: if by_time { 0 } else { input },
            ..Other::default()
        },
        ..Billed::default()
    };
    let output = if by_time { 0 } else { 5 };
    let text = words.concat();
    if ask.streams() {
        let delta = |word: &String| json!({"type": "transcript.text.delta", "delta": word, "logprobs": []});
        let mut pieces: Vec<Piece> =
            words.iter().map(|word| Piece::data(&delta(word)).costing(output / 5, 0)).collect();
        pieces
            .push(Piece::data(&json!({"type": "transcript.text.done", "text": text, "logprobs": [], "usage": usage})));
        return Script::stream(pieces).charged(billed);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let duration = seconds_of(file) as f64 / 100.0;
    let format = ask.document["response_format"].as_str().unwrap_or("json");
    let mut document = json!({"text": text});
    match format {
        "json" => {}
        "verbose_json" => {
            document = json!({"task": if translates { "translate" } else { "transcribe" }, "language": "english",
                "duration": duration, "text": text, "segments": []});
        }
        "srt" => return captions(&format!("1\n00:00:00,000 --> {}\n{text}\n\n", stamp(seconds, ',')), billed),
        "vtt" => {
            let body = format!("WEBVTT\n\n00:00:00.000 --> {}\n{text}\n\n", stamp(seconds, '.'));
            return captions(&body, billed);
        }
        _ => return captions(&format!("{text}\n"), billed),
    }
    if !translates && !ask.fault.no_usage {
        document["usage"] = usage;
    }
    Script::whole(&document, output, 0).charged(billed)
}

/// Answers a text to be spoken, as sound or as events.
pub fn speech(ask: &Ask) -> Script {
    let text = ask.document["input"].as_str().unwrap_or_default();
    let by_character = ask.model.starts_with("tts-");
    let input = words::count(&ask.document["input"]);
    let output = input * 10;
    let billed = Billed {
        model: ask.served.clone(),
        input: if by_character { 0 } else { input },
        endpoint: ask.operation.endpoint(),
        other: Other {
            characters: if by_character { text.chars().count() as u64 } else { 0 },
            audio_output: if by_character { 0 } else { output },
            ..Other::default()
        },
        ..Billed::default()
    };
    let output = if by_character { 0 } else { output };
    if ask.document["stream_format"] != "sse" {
        let mut script = Script::json(200, &Value::Null);
        script.content_type = "audio/mpeg";
        let sound = ["ID3\u{4}", "\"usage\":{\"input_tokens\":9}", "\u{0}\u{1}"];
        script.pieces = sound.into_iter().map(Piece::new).collect();
        script.pieces[0].output = output;
        return script.charged(billed);
    }
    let delta = || Piece::data(&json!({"type": "speech.audio.delta", "audio": "SUQzBA=="}));
    let usage = json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output});
    let done = Piece::data(&json!({"type": "speech.audio.done", "usage": usage}));
    Script::stream(vec![delta().costing(output, 0), delta(), done]).charged(billed)
}

fn captions(text: &str, billed: Billed) -> Script {
    let mut script = Script::json(200, &Value::Null);
    script.content_type = "text/plain; charset=utf-8";
    script.pieces = vec![Piece::new(text)];
    script.charged(billed)
}

fn stamp(seconds: u64, mark: char) -> String {
    format!("{:02}:{:02}:{:02}{mark}000", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The length of a file in hundredths of a second.
fn seconds_of(file: &[u8]) -> u64 {
    if !file.starts_with(b"RIFF") {
        return file.len() as u64;
    }
    let rate = u32::from_le_bytes(file[28..32].try_into().unwrap());
    ((file.len() - 44) as u64 * 100).div_ceil(u64::from(rate))
}
