//! Sums over entries: what one row of the statistics adds up.

use serde::Serialize;

use crate::dialect::endpoint::Endpoint;
use crate::ledger::entry::{Entry, Outcome};
use crate::units::{Basis, Cost, Usage};

/// The sums over a set of entries.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Entries.
    pub requests: u64,
    /// Entries whose outcome is not `ok`.
    pub errors: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Cached input tokens.
    pub cached_input_tokens: u64,
    /// Tokens written to the upstream's cache.
    pub cache_write_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Reasoning tokens.
    pub reasoning_tokens: u64,
    /// Input and output tokens.
    pub total_tokens: u64,
    /// What the priced entries cost.
    #[serde(rename = "costUsd")]
    pub cost: Cost,
    /// Calls of a model that went through, or may have, without a known cost.
    pub unpriced_requests: u64,
    /// Entries by how their usage is known; they add up to `requests`.
    pub by_basis: ByBasis,
}

impl Totals {
    /// Adds one entry; unknown usage adds no tokens and counts as `none`.
    pub fn add(&mut self, entry: &Entry) {
        self.merge(&Self::of(&Line::of(entry)));
    }

    /// The sums of one entry.
    pub(crate) fn of(line: &Line<'_>) -> Self {
        let usage = line.usage.unwrap_or_default();
        let basis = if line.usage.is_some() { line.basis } else { Basis::None };
        Self {
            requests: 1,
            errors: u64::from(line.outcome != Outcome::Ok),
            input_tokens: usage.input.unwrap_or(0),
            cached_input_tokens: usage.cached_input.unwrap_or(0),
            cache_write_tokens: usage.cache_write.unwrap_or(0),
            output_tokens: usage.output.unwrap_or(0),
            reasoning_tokens: usage.reasoning.unwrap_or(0),
            total_tokens: usage.total(),
            cost: line.cost.unwrap_or_default(),
            unpriced_requests: u64::from(is_unpriced(line)),
            by_basis: ByBasis::one(basis),
        }
    }

    /// Adds other sums; counts stop at the end of their range instead of wrapping.
    pub fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.errors, other.errors);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.cached_input_tokens, other.cached_input_tokens);
        add(&mut self.cache_write_tokens, other.cache_write_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        add(&mut self.total_tokens, other.total_tokens);
        self.cost = self.cost.plus(other.cost);
        add(&mut self.unpriced_requests, other.unpriced_requests);
        add(&mut self.by_basis.reported, other.by_basis.reported);
        add(&mut self.by_basis.counted, other.by_basis.counted);
        add(&mut self.by_basis.estimated, other.by_basis.estimated);
        add(&mut self.by_basis.none, other.by_basis.none);
    }
}

/// What of an entry is summed.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) outcome: Outcome,
    pub(crate) usage: Option<Usage>,
    pub(crate) basis: Basis,
    pub(crate) cost: Option<Cost>,
    pub(crate) deferred: bool,
    /// Of a conversation on one connection.
    pub(crate) is_turn: bool,
}

impl<'a> Line<'a> {
    /// That of an entry.
    pub(crate) fn of(entry: &'a Entry) -> Self {
        let Entry { endpoint, outcome, usage, basis, cost, deferred, session, .. } = entry;
        Self {
            endpoint,
            outcome: *outcome,
            usage: *usage,
            basis: *basis,
            cost: *cost,
            deferred: *deferred,
            is_turn: session.is_some(),
        }
    }
}

/// Whether an upstream may charge for this entry while nobody knows how much.
pub(crate) fn is_unpriced(line: &Line<'_>) -> bool {
    let charged = match line.outcome {
        Outcome::ClientClosed | Outcome::Ok | Outcome::Timeout | Outcome::Unknown | Outcome::UpstreamCut => true,
        Outcome::Refused | Outcome::UpstreamError => false,
    };
    let asked = matches!(line.endpoint, Endpoint::Call(dialect) if !dialect.is_free());
    let sold = asked || line.is_turn || line.usage.is_some();
    charged && sold && line.cost.is_none() && !line.deferred
}

/// Entries by how their usage is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct ByBasis {
    /// The upstream said so.
    pub reported: u64,
    /// Our own tokenizer over the complete text.
    pub counted: u64,
    /// A partial text or an approximate rule.
    pub estimated: u64,
    /// Nobody knows.
    pub none: u64,
}

impl ByBasis {
    fn one(basis: Basis) -> Self {
        let is = |this| u64::from(basis == this);
        Self {
            reported: is(Basis::Reported),
            counted: is(Basis::Counted),
            estimated: is(Basis::Estimated),
            none: is(Basis::None),
        }
    }
}
