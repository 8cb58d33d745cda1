//! A number of tokens, and how sure it is.

/// A number of tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// How many.
    pub tokens: u64,
    /// By the model's own tokenizer over the whole text; else an approximation.
    pub exact: bool,
}

impl Tally {
    /// Both together; exact only if both are.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), exact: self.exact && other.exact }
    }
}

/// Tokens of a text without its tokenizer: a quarter of its ASCII bytes, and one for each other character.
pub fn estimate(text: &str) -> Tally {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.chars().filter(|letter| !letter.is_ascii()).count() as u64;
    Tally { tokens: ascii.div_ceil(4) + other, exact: false }
}
