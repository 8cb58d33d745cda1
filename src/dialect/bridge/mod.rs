//! Translation between chat completions and legacy completions: requests one way, replies the other.

mod body;
pub mod chat_request;
pub mod completion_request;
mod fates;
pub mod finish;
pub mod logprobs;
mod members;
mod messages;
#[cfg(test)]
mod properties;
pub mod refusal;

/// Which translation lies between a client and a server.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Bridge {
    /// The client asks for a chat completion, the server completes texts.
    ChatOverCompletion,
    /// The client asks for a completion, the server only chats.
    CompletionOverChat,
}
