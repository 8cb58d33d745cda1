//! OpenAI's encodings, built in, and which model uses which.

use tiktoken::CoreBpe;

/// One of OpenAI's encodings.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// `cl100k_base`: GPT-3.5, GPT-4, the embeddings.
    Cl100k,
    /// `gpt2`: the ranks of `r50k_base`.
    Gpt2,
    /// `o200k_harmony`: `o200k_base` with the special tokens of the open models.
    Harmony,
    /// `o200k_base`: everything since GPT-4o.
    O200k,
    /// `p50k_base`: the later completion models.
    P50k,
    /// `p50k_edit`: `p50k_base` with the special tokens of the edit models.
    P50kEdit,
    /// `r50k_base`: the first completion models.
    R50k,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::O200k, Self::Harmony, Self::Cl100k, Self::P50k, Self::P50kEdit, Self::R50k, Self::Gpt2];

    /// The encoding of a model, by tiktoken's own table; `None` where that knows none.
    pub fn of_model(model: &str) -> Option<Self> {
        let exact = EXACT.iter().find(|(_, names)| names.contains(&model));
        let found = exact.map(|(encoding, _)| *encoding);
        // In this order: `ft:gpt-4o` lies within `ft:gpt-4`.
        found.or_else(|| PREFIXES.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, encoding)| *encoding))
    }

    /// A guess for a name that looks like one of OpenAI's newer models, which the table does not know.
    pub fn guess(model: &str) -> Option<Self> {
        let base = model.strip_prefix("ft:").unwrap_or(model);
        let generation = base.strip_prefix("gpt-").or_else(|| base.strip_prefix('o'))?;
        generation.starts_with(|letter: char| letter.is_ascii_digit()).then_some(Self::O200k)
    }

    /// The encoding of a name such as `cl100k_base`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == name)
    }

    /// Every model name that the table has exactly.
    pub fn models() -> impl Iterator<Item = &'static str> {
        EXACT.iter().flat_map(|(_, names)| names.iter().copied())
    }

    /// Its name, as tiktoken has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cl100k => "cl100k_base",
            Self::Gpt2 => "gpt2",
            Self::Harmony => "o200k_harmony",
            Self::O200k => "o200k_base",
            Self::P50k => "p50k_base",
            Self::P50kEdit => "p50k_edit",
            Self::R50k => "r50k_base",
        }
    }

    /// Its tables, unpacked at the first use and shared from then on; encodings with equal ranks share one.
    pub(crate) fn ranks(self) -> Option<&'static CoreBpe> {
        tiktoken::get_encoding(match self {
            Self::Cl100k => "cl100k_base",
            Self::Harmony | Self::O200k => "o200k_base",
            Self::P50k | Self::P50kEdit => "p50k_base",
            Self::Gpt2 | Self::R50k => "r50k_base",
        })
    }

    /// Its special tokens that have a name.
    pub(crate) fn specials(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Cl100k => &[
                ("<|endoftext|>", 100_257),
                ("<|fim_prefix|>", 100_258),
                ("<|fim_middle|>", 100_259),
                ("<|fim_suffix|>", 100_260),
                ("<|endofprompt|>", 100_276),
            ],
            Self::Harmony => &[
                ("<|startoftext|>", 199_998),
                ("<|endoftext|>", 199_999),
                ("<|return|>", 200_002),
                ("<|constrain|>", 200_003),
                ("<|channel|>", 200_005),
                ("<|start|>", 200_006),
                ("<|end|>", 200_007),
                ("<|message|>", 200_008),
                ("<|call|>", 200_012),
                ("<|endofprompt|>", 200_018),
            ],
            Self::O200k => &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
            Self::P50kEdit => &[
                ("<|endoftext|>", 50_256),
                ("<|fim_prefix|>", 50_281),
                ("<|fim_middle|>", 50_282),
                ("<|fim_suffix|>", 50_283),
            ],
            Self::Gpt2 | Self::P50k | Self::R50k => &[("<|endoftext|>", 50_256)],
        }
    }
}

/// The longest token of any of these encodings, in bytes.
pub(crate) const LONGEST: usize = 128;

const EXACT: [(Encoding, &[&str]); 6] = [
    (Encoding::O200k, &["o1", "o3", "o4-mini", "gpt-5", "gpt-4.1", "gpt-4o"]),
    (
        Encoding::Cl100k,
        &[
            "gpt-4",
            "gpt-3.5-turbo",
            "gpt-3.5",
            "gpt-35-turbo",
            "davinci-002",
            "babbage-002",
            "text-embedding-ada-002",
            "text-embedding-3-small",
            "text-embedding-3-large",
        ],
    ),
    (
        Encoding::P50k,
        &[
            "text-davinci-003",
            "text-davinci-002",
            "code-davinci-002",
            "code-davinci-001",
            "code-cushman-002",
            "code-cushman-001",
            "davinci-codex",
            "cushman-codex",
        ],
    ),
    (Encoding::P50kEdit, &["text-davinci-edit-001", "code-davinci-edit-001"]),
    (
        Encoding::R50k,
        &[
            "text-davinci-001",
            "text-curie-001",
            "text-babbage-001",
            "text-ada-001",
            "davinci",
            "curie",
            "babbage",
            "ada",
            "text-similarity-davinci-001",
            "text-similarity-curie-001",
            "text-similarity-babbage-001",
            "text-similarity-ada-001",
            "text-search-davinci-doc-001",
            "text-search-curie-doc-001",
            "text-search-babbage-doc-001",
            "text-search-ada-doc-001",
            "code-search-babbage-code-001",
            "code-search-ada-code-001",
        ],
    ),
    (Encoding::Gpt2, &["gpt2", "gpt-2"]),
];

const PREFIXES: [(&str, Encoding); 17] = [
    ("o1-", Encoding::O200k),
    ("o3-", Encoding::O200k),
    ("o4-mini-", Encoding::O200k),
    // Bare: `gpt-5.4` and `gpt-5-mini` alike.
    ("gpt-5", Encoding::O200k),
    ("gpt-4.5-", Encoding::O200k),
    ("gpt-4.1-", Encoding::O200k),
    ("chatgpt-4o-", Encoding::O200k),
    ("gpt-4o-", Encoding::O200k),
    ("gpt-4-", Encoding::Cl100k),
    ("gpt-3.5-turbo-", Encoding::Cl100k),
    ("gpt-35-turbo-", Encoding::Cl100k),
    ("gpt-oss-", Encoding::Harmony),
    ("ft:gpt-4o", Encoding::O200k),
    ("ft:gpt-4", Encoding::Cl100k),
    ("ft:gpt-3.5-turbo", Encoding::Cl100k),
    ("ft:davinci-002", Encoding::Cl100k),
    ("ft:babbage-002", Encoding::Cl100k),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_the_encoding_that_tiktoken_gives_them() {
        let cases = [
            ("gpt-5.4", "o200k_base"),
            ("gpt-5-mini", "o200k_base"),
            ("gpt-4o-2024-08-06", "o200k_base"),
            ("gpt-4.1-nano", "o200k_base"),
            ("chatgpt-4o-latest", "o200k_base"),
            ("o1", "o200k_base"),
            ("o3-mini", "o200k_base"),
            ("gpt-4-0613", "cl100k_base"),
            ("gpt-35-turbo-16k", "cl100k_base"),
            ("ft:gpt-4o-mini:a::b", "o200k_base"),
            ("ft:gpt-4.1-mini:a::b", "cl100k_base"),
            ("ft:gpt-3.5-turbo-1106", "cl100k_base"),
            ("gpt-oss-20b", "o200k_harmony"),
            ("text-embedding-3-large", "cl100k_base"),
            ("text-davinci-003", "p50k_base"),
            ("text-davinci-edit-001", "p50k_edit"),
            ("text-search-ada-doc-001", "r50k_base"),
            ("gpt-2", "gpt2"),
        ];
        for (model, encoding) in cases {
            assert_eq!(Encoding::of_model(model).map(Encoding::name), Some(encoding), "{model}");
        }
    }

    #[test]
    fn names_that_tiktoken_does_not_know_have_none() {
        for model in ["gpt-6", "o5", "o4", "gpt-4.2", "GPT-4", "", "llama", "gpt-4o1", "text-ada", "gpt-oss"] {
            assert_eq!(Encoding::of_model(model), None, "{model}");
        }
    }

    #[test]
    fn newer_names_of_openais_are_guessed_and_others_are_not() {
        for model in ["gpt-6", "gpt-6-mini", "o5-mini", "o4", "ft:gpt-6:x"] {
            assert_eq!(Encoding::guess(model), Some(Encoding::O200k), "{model}");
        }
        for model in ["llama", "olmo-7b", "gpt-neox", "gpt-j-6b", "org/gpt-6", ""] {
            assert_eq!(Encoding::guess(model), None, "{model}");
        }
    }

    #[test]
    fn no_token_is_longer_than_the_bound() {
        for encoding in [Encoding::O200k, Encoding::Cl100k, Encoding::P50k, Encoding::R50k] {
            let ranks = encoding.ranks().unwrap();
            let longest = (0..201_100).map(|id| ranks.decode(&[id]).len()).max();
            assert!(longest <= Some(LONGEST), "{encoding:?}: {longest:?}");
        }
    }

    #[test]
    fn the_special_tokens_lie_where_the_tables_have_them() {
        for encoding in Encoding::ALL.into_iter().filter(|encoding| !matches!(encoding, Encoding::Harmony)) {
            let tables = tiktoken::get_encoding(encoding.name()).unwrap();
            for (text, id) in encoding.specials() {
                assert_eq!(tables.encode_with_special_tokens(text), [*id], "{encoding:?} {text}");
            }
        }
        let harmony = tiktoken::get_encoding("o200k_harmony").unwrap();
        // tiktoken has this one twice, by its name and as a reserved one; the tables here only by the latter.
        for (text, id) in Encoding::Harmony.specials().iter().filter(|(text, _)| *text != "<|endofprompt|>") {
            assert_eq!(harmony.encode_with_special_tokens(text), [*id], "{text}");
        }
    }
}
