//! What the machine itself provides: its trusted roots, its programs.

#[cfg_attr(not(target_os = "linux"), path = "no_channel.rs")]
pub mod channel;
pub mod hugging_face;
pub mod original;
pub mod programs;
pub mod roots;
pub mod supervisor;
