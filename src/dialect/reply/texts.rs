//! What a model has written, kept for counting, within bounds.

use std::collections::BTreeMap;

/// The text of every choice of one reply; never more than a MiB in all.
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

    /// So many more bytes were written and not kept.
    pub fn leave_out(&mut self, bytes: u64) {
        self.left_out += bytes;
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
const MOST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_any_model_writes_and_what_is_left_out_is_known() {
        let mut texts = Texts::default();
        assert!(texts.is_empty());
        texts.add(1, &"x".repeat(MOST));
        texts.add(0, "y");
        assert_eq!((texts.iter().map(str::len).sum::<usize>(), texts.left_out()), (MOST, 1));
        let mut one = Texts::default();
        one.add(0, "a");
        one.join(&texts);
        assert_eq!((one.iter().collect::<Vec<_>>(), one.left_out()), (vec!["a"], MOST as u64 + 1));
        assert!(!one.is_empty());
    }
}
