//! API forms: which call this is, what it names, and how its bytes may be edited.

pub mod endpoint;
pub mod rewrite;
pub mod sse;
pub mod trim;
