//! What a model has written, kept for counting, within bounds.

use std::collections::BTreeMap;

/// The text of every choice of one reply; never more than a few MiB in all.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    choices: BTreeMap<u32, String>,
    bytes: usize,
    left_out: u64,
}

impl Texts {
    /// More text of a choice.
    pub fn add(&mut self, choice: u32, text: &str) {
        if self.bytes + text.len() > MOST {
            self.left_out += text.len() as u64;
            return;
        }
        self.bytes += text.len();
        self.choices.entry(choice).or_default().push_str(text);
    }

    /// Another reply's texts beside these.
    pub fn join(&mut self, other: &Self) {
        self.left_out += other.left_out;
        let next = self.choices.keys().next_back().map_or(0, |last| last + 1);
        for (choice, text) in &other.choices {
            self.add(next.saturating_add(*choice), text);
        }
    }

    /// The choices' texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.choices.values().map(String::as_str)
    }

    /// Bytes that were too many to be kept.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.left_out == 0
    }
}

/// In bytes. No model writes more in one call; a server that does is counted by its bytes.
const MOST: usize = 4 << 20;
