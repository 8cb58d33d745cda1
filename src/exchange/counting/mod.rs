//! Counting of what nobody reports: at the end of a reply, off the request path, from what was sent and what was said.

mod conclude;
pub mod hidden;
pub mod input;
pub mod reckoning;
pub mod tail;
pub mod yardstick;

use crate::dialect::endpoint::Dialect;

/// Whether a call of this kind takes texts in, or brings texts, of which a tokenizer knows what they cost.
pub fn counts_tokens(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Chat | Dialect::Completion | Dialect::Embeddings | Dialect::Responses)
}
