//! What can have a price, and the rates of one sheet by it.

use crate::policy::pricing::rate::Rate;

/// One thing that is paid for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Input,
    CachedInput,
    CachedAudio,
    CachedImage,
    CacheWrite,
    CacheWrite12h,
    AudioInput,
    ImageInput,
    Output,
    Reasoning,
    AudioOutput,
    ImageOutput,
    Training,
    Character,
    Second,
    Image,
    WebSearch,
    FileSearch,
    CodeSession,
    Request,
}

impl Kind {
    /// The key in a table of the gate's own form.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CachedInput => "cachedInput",
            Self::CachedAudio => "cachedAudio",
            Self::CachedImage => "cachedImage",
            Self::CacheWrite => "cacheWrite",
            Self::CacheWrite12h => "cacheWrite12h",
            Self::AudioInput => "audioInput",
            Self::ImageInput => "imageInput",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audioOutput",
            Self::ImageOutput => "imageOutput",
            Self::Training => "training",
            Self::Character => "character",
            Self::Second => "second",
            Self::Image => "image",
            Self::WebSearch => "webSearch",
            Self::FileSearch => "fileSearch",
            Self::CodeSession => "codeSession",
            Self::Request => "request",
        }
    }

    /// The kind of this key.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// For how many of it, as a power of ten, its price is written.
    pub(crate) fn power(self) -> u8 {
        match self {
            Self::WebSearch | Self::FileSearch | Self::Request => 3,
            Self::Second | Self::Image | Self::CodeSession => 0,
            _ => 6,
        }
    }

    /// Whether it is a kind of token that a call reads or writes.
    pub(crate) fn is_token(self) -> bool {
        self < Self::Training
    }

    /// Whether it comes on top of whatever else a call costs.
    pub(crate) fn is_fee(self) -> bool {
        matches!(self, Self::Training) || self >= Self::WebSearch
    }

    /// All of them.
    pub(crate) const ALL: [Self; 20] = [
        Self::Input,
        Self::CachedInput,
        Self::CachedAudio,
        Self::CachedImage,
        Self::CacheWrite,
        Self::CacheWrite12h,
        Self::AudioInput,
        Self::ImageInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
        Self::Training,
        Self::Character,
        Self::Second,
        Self::Image,
        Self::WebSearch,
        Self::FileSearch,
        Self::CodeSession,
        Self::Request,
    ];
}

/// Rates by kind; few, so that looking through them is quick.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Rates(Vec<(Kind, Rate)>);

impl Rates {
    /// The rate of a kind; `None` where it has none, which is not zero.
    pub(crate) fn get(&self, kind: Kind) -> Option<Rate> {
        self.0.iter().find(|(known, _)| *known == kind).map(|(_, rate)| *rate)
    }

    /// Sets a rate in the place of what was there.
    pub(crate) fn set(&mut self, kind: Kind, rate: Rate) {
        match self.0.binary_search_by_key(&kind, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = rate,
            Err(at) => self.0.insert(at, (kind, rate)),
        }
    }

    /// Sets a rate unless there is one.
    pub(crate) fn fill(&mut self, kind: Kind, rate: Rate) {
        if self.get(kind).is_none() {
            self.set(kind, rate);
        }
    }

    /// In the order of the kinds.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, Rate)> {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether tokens can be priced by them.
    pub(crate) fn price_tokens(&self) -> bool {
        self.0.iter().any(|(kind, _)| kind.is_token())
    }

    /// Whether something has a price, and that is always nothing.
    pub(crate) fn are_free(&self) -> bool {
        let mut measured = self.0.iter().filter(|(kind, _)| !kind.is_fee()).peekable();
        measured.peek().is_some() && measured.all(|(_, rate)| *rate == Rate(0))
    }
}

impl FromIterator<(Kind, Rate)> for Rates {
    fn from_iter<I: IntoIterator<Item = (Kind, Rate)>>(pairs: I) -> Self {
        let mut rates = Self::default();
        pairs.into_iter().for_each(|(kind, rate)| rates.set(kind, rate));
        rates
    }
}
