//! Models found by clauses: names that are equal, begin, end or contain, or fit a pattern.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::policy::pricing::table::Listing;

/// What the name of a model must be like.
#[derive(Debug)]
pub(crate) enum Clause {
    All(Vec<Self>),
    Any(Vec<Self>),
    Contains(String),
    EndsWith(String),
    Equals(String),
    Fits(Regex),
    StartsWith(String),
}

impl Clause {
    /// Reads a clause; what is wrong with it where it cannot be used.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let line: ClauseLine = serde_json::from_str(text).map_err(|_| "no clause that is known".to_owned())?;
        line.clause(DEEPEST)
    }

    /// Whether a name, in lower case, is like that.
    fn holds(&self, name: &str) -> bool {
        match self {
            Self::All(clauses) => clauses.iter().all(|clause| clause.holds(name)),
            Self::Any(clauses) => clauses.iter().any(|clause| clause.holds(name)),
            Self::Contains(text) => name.contains(&**text),
            Self::EndsWith(text) => name.ends_with(&**text),
            Self::Equals(text) => name == text,
            Self::Fits(pattern) => pattern.is_match(name),
            Self::StartsWith(text) => name.starts_with(&**text),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClauseLine {
    And(Vec<Self>),
    Contains(String),
    EndsWith(String),
    Equals(String),
    Or(Vec<Self>),
    Regex(String),
    StartsWith(String),
}

impl ClauseLine {
    fn clause(self, depth: u8) -> Result<Clause, String> {
        let depth = depth.checked_sub(1).ok_or("clauses too deep")?;
        let each = |lines: Vec<Self>| lines.into_iter().map(|line| line.clause(depth)).collect::<Result<_, _>>();
        Ok(match self {
            Self::And(lines) => Clause::All(each(lines)?),
            Self::Or(lines) => Clause::Any(each(lines)?),
            Self::Contains(text) => Clause::Contains(text.to_lowercase()),
            Self::EndsWith(text) => Clause::EndsWith(text.to_lowercase()),
            Self::Equals(text) => Clause::Equals(text.to_lowercase()),
            Self::StartsWith(text) => Clause::StartsWith(text.to_lowercase()),
            Self::Regex(text) => {
                let pattern = RegexBuilder::new(&text).size_limit(LARGEST).build();
                Clause::Fits(pattern.map_err(|_| format!("no pattern in `{text}`"))?)
            }
        })
    }
}

/// The models of one provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) id: String,
    /// Which names are those of its models, whoever serves them.
    pub(crate) model_match: Option<Clause>,
    /// Whose prices hold where it has none.
    pub(crate) fallbacks: Vec<String>,
    pub(crate) models: Vec<(Clause, Arc<Listing>)>,
}

impl Provider {
    fn find(&self, name: &str) -> Option<&Listing> {
        self.models.iter().find(|(clause, _)| clause.holds(name)).map(|(_, listing)| &**listing)
    }
}

/// All providers of one table.
#[derive(Debug)]
pub(crate) struct Providers(Vec<Provider>);

impl Providers {
    /// In the order of the table.
    pub(crate) fn new(providers: Vec<Provider>) -> Self {
        Self(providers)
    }

    /// A model by its name: on Azure with Azure's prices, else with OpenAI's, else with those of the provider whose model
    /// it is by its name.
    pub(crate) fn find(&self, name: &str, on_azure: bool) -> Option<&Listing> {
        let name = name.to_lowercase();
        let of = |id: &str| self.0.iter().find(|provider| provider.id == id);
        if on_azure {
            let azure = of("azure");
            let own = azure.and_then(|provider| provider.find(&name));
            let fallbacks = || azure.map_or(OPENAI_ALONE.as_slice(), |_| &[]).iter().copied();
            let named = || azure.into_iter().flat_map(|provider| provider.fallbacks.iter().map(String::as_str));
            return own.or_else(|| named().chain(fallbacks()).find_map(|id| of(id)?.find(&name)));
        }
        let theirs = |provider: &&Provider| provider.model_match.as_ref().is_some_and(|clause| clause.holds(&name));
        let others = || self.0.iter().filter(theirs).find_map(|provider| provider.find(&name));
        of("openai").and_then(|provider| provider.find(&name)).or_else(others)
    }

    /// How many models have a price.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|provider| provider.models.len()).sum()
    }
}

/// Whose prices hold on Azure where a table knows no Azure.
const OPENAI_ALONE: [&str; 1] = ["openai"];

/// Clauses within clauses.
const DEEPEST: u8 = 16;

/// Bytes of a pattern once it is made ready.
const LARGEST: usize = 1 << 18;
