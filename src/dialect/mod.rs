//! API forms: which call this is, what it names, and how its bytes may be edited.

pub mod azure;
pub mod bridge;
pub mod call;
pub mod coding;
pub mod endpoint;
pub mod facts;
pub mod json;
pub mod models;
pub mod multipart;
pub mod paths;
pub mod query;
pub mod reply;
pub mod rewrite;
pub mod sound;
pub mod splice;
pub mod sse;
pub mod template;
pub mod trim;
