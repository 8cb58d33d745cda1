//! What a client must get of a custom model's reply.

use std::sync::Arc;

use crate::dialect::endpoint::Dialect;

/// What a client must get of a custom model's reply.
#[derive(Clone, Debug)]
pub struct ReplyPlan {
    /// The dialect in which the server answers: [`Dialect::Chat`] or [`Dialect::Completion`].
    pub served: Dialect,
    /// The dialect in which the client asked; another one than `served` asks for translation.
    pub asked: Dialect,
    /// The model that the client asked for, for replies that name none.
    pub model: Arc<str>,
    /// For replies that have no id of their own: `chatcmpl-` or `cmpl-` comes before it.
    pub id: Arc<str>,
    /// Seconds since 1970, for replies that do not say when they were made.
    pub created: i64,
    /// Texts that end a choice, none empty; enforced where the server let one pass.
    pub stops: Vec<Box<str>>,
    /// The client asked a stream for its usage.
    pub asks_usage: bool,
    /// Text that the client wants before each choice's own.
    pub echo: Option<Arc<str>>,
    /// White space at the very beginning of a choice belongs to the prompt's form and is left out.
    pub trims_start: bool,
    /// Added to the index of every choice: this is one of several calls that make one reply.
    pub first_index: u32,
    /// How many choices the call asks for, at least 1.
    pub choices: u32,
    /// How many alternatives to each token a chat asks for; a completion that is made into one may bring more.
    pub alternatives: usize,
    /// Nothing follows: usage (where asked for) and `[DONE]` go out at the end.
    pub last: bool,
}

impl ReplyPlan {
    /// Whether the reply must be translated.
    pub fn translates(&self) -> bool {
        self.served != self.asked
    }
}
