//! Which tokenizer counts a call.

use std::sync::Arc;

use crate::tokens::kit::Kit;
use crate::tokens::tokenizer::Tokenizer;

/// What a call is counted with.
#[derive(Clone, Debug)]
pub enum Yardstick {
    /// The tokenizer and template of a custom model's line.
    Kit(Kit),
    /// The built-in encoding of the model that served, as far as its name is known in the end.
    Model,
}

/// The model that is believed to have served a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Served {
    /// Its name.
    pub name: Box<str>,
    /// The reply or the owner's configuration names it; else it is what was asked for, which another host may serve by
    /// something else.
    pub certain: bool,
}

impl Served {
    /// Its tokenizer, if the name is known or looks like one of OpenAI's; there is no template.
    pub fn kit(&self) -> Kit {
        let base = self.base();
        let tokenizer = Tokenizer::built_in(base).or_else(|| Tokenizer::likely(base));
        Kit { tokenizer: tokenizer.map(Arc::new), ..Kit::default() }
    }

    /// Whether its tokenizer is known.
    pub fn is_known(&self) -> bool {
        Tokenizer::built_in(self.base()).is_some()
    }

    /// Whether it thinks before it writes, in tokens that no text shows.
    pub fn thinks(&self) -> bool {
        let base = self.base();
        let old = base.strip_prefix('o').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
        let number = base.strip_prefix("gpt-").map(|rest| rest.split(['-', '.']).next().unwrap_or_default());
        let new = number
            .is_some_and(|number| number == "oss" || number.parse().is_ok_and(|number| GENERATIONS.contains(&number)));
        old || new || ["codex", "computer-use"].iter().any(|family| base.starts_with(family))
    }

    /// The model that a fine-tuned one was made of: `ft:BASE:owner:name:id`.
    pub fn base(&self) -> &str {
        let Some(tuned) = self.name.strip_prefix("ft:") else { return &self.name };
        tuned.split(':').next().unwrap_or(tuned)
    }
}

/// Those of GPT that think; `gpt-35-turbo` is Azure's word for 3.5.
const GENERATIONS: std::ops::Range<u32> = 5..30;

#[cfg(test)]
mod tests {
    use super::*;

    fn served(name: &str) -> Served {
        Served { name: name.into(), certain: true }
    }

    #[test]
    fn a_fine_tuned_model_is_counted_as_its_base() {
        let encoding = |name: &str| served(name).kit().tokenizer.map(|tokenizer| tokenizer.name());
        assert_eq!(encoding("ft:gpt-4.1-mini-2025-04-14:org::id"), Some("o200k_base"));
        assert_eq!(encoding("ft:gpt-3.5-turbo-0125:org::id"), Some("cl100k_base"));
        assert_eq!(encoding("gpt-6"), Some("o200k_base"));
        assert_eq!(encoding("llama-3"), None);
        assert!(served("gpt-4o").is_known() && !served("gpt-6").is_known() && !served("prod").is_known());
    }

    #[test]
    fn models_that_think_are_known_by_their_names() {
        for name in
            ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.4-mini", "gpt-6", "gpt-oss-20b", "ft:o4-mini:x"]
        {
            assert!(served(name).thinks(), "{name}");
        }
        for name in
            ["gpt-4o", "gpt-4.1", "gpt-35-turbo", "gpt-3.5-turbo", "omni", "davinci-002", "text-embedding-3-small"]
        {
            assert!(!served(name).thinks(), "{name}");
        }
    }
}
