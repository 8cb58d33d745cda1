//! Tokens of the input of a call.

use super::kit::Kit;
use super::tally::{Tally, estimate};
use crate::dialect::endpoint::Dialect;

/// Tokens of the input of a call, from its body: messages with their form, tools and images, or the prompts.
pub fn input_tokens(dialect: Dialect, body: &[u8], kit: &Kit) -> Tally {
    let _ = (dialect, kit);
    estimate(&String::from_utf8_lossy(body))
}
