//! Why a call cannot be planned.

use std::sync::Arc;

/// Why a call cannot be planned.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The owner's base path and the client's path do not form an address.
    #[error("the path `{0}` cannot be sent to this target")]
    Path(String),
    /// The custom model's endpoint speaks another dialect.
    #[error(
        "the model `{model}` is served by an endpoint of type `{has}`, which does not answer {asked}; \
         only chat completions and completions are translated into each other"
    )]
    Type {
        /// The custom model.
        model: Arc<str>,
        /// Its type.
        has: &'static str,
        /// What the client asked for.
        asked: &'static str,
    },
}
