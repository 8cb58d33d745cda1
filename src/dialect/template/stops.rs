//! The texts that end an answer, told by how a template closes the assistant's turn.

/// The stops: the end token, the text that follows the assistant's words in a rendered probe, and the known markers that
/// the source writes.
pub fn find(source: &str, end_token: Option<&str>, probe: Option<&str>) -> Vec<Box<str>> {
    let mut stops: Vec<Box<str>> = Vec::new();
    let mut add = |stop: &str| {
        if !stop.is_empty() && !stops.iter().any(|known| **known == *stop) {
            stops.push(stop.into());
        }
    };
    end_token.into_iter().for_each(&mut add);
    probe.and_then(closing).into_iter().for_each(&mut add);
    MARKERS.iter().copied().filter(|marker| source.contains(marker)).for_each(&mut add);
    stops
}

/// The marker that directly follows the words of the answer in a rendered probe.
fn closing(rendered: &str) -> Option<&str> {
    let (_, after) = rendered.split_once(PROBE)?;
    let after = after.trim_start();
    let end = match after.as_bytes().first()? {
        b'<' => after.find('>')? + 1,
        b'[' => after.find(']')? + 1,
        _ => return None,
    };
    // The opening of the next turn is no end: a model that writes it has already ended without a marker.
    let marker = &after[..end];
    (end <= LONGEST && !marker.contains(char::is_whitespace)).then_some(marker)
}

/// The words of the answer in the probe.
pub const PROBE: &str = "tollgate-probe-answer";
/// The longest marker, in bytes.
const LONGEST: usize = 64;
/// What the well-known families write at the end of a turn.
const MARKERS: [&str; 16] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<end_of_turn>",
    "<turn|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|return|>",
    "<|call|>",
    "<|end_of_sentence|>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
    "</s>",
];

#[cfg(test)]
mod tests {
    use super::{PROBE, find};

    #[test]
    fn the_end_token_comes_first_and_each_text_once() {
        let probe = format!("<|im_start|>assistant\n{PROBE}<|im_end|>\n");
        let stops = find("{{ '<|im_end|>' }}<|endoftext|>", Some("<|endoftext|>"), Some(&probe));
        assert_eq!(stops, ["<|endoftext|>", "<|im_end|>"].map(Box::from));
    }

    #[test]
    fn a_marker_of_an_unknown_family_is_seen_in_the_probe() {
        assert_eq!(find("", None, Some(&format!("A:{PROBE}<|fin|>"))), [Box::from("<|fin|>")]);
        assert!(find("", None, Some(&format!("A:{PROBE}\nB: <b c>"))).is_empty());
        assert!(find("", None, Some(&format!("{PROBE}< and so on>"))).is_empty());
    }
}
