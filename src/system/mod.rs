//! What the machine itself provides: its trusted roots, its programs, and the environment of a program that is run; and
//! what is changed on it, and put back.

pub mod changes;
#[cfg_attr(not(target_os = "linux"), path = "no_channel.rs")]
pub mod channel;
pub mod commands;
pub mod desktop;
pub mod environment;
pub mod hugging_face;
pub mod isolation;
pub mod kept;
pub mod lease;
pub mod original;
pub mod programs;
pub mod redirect;
pub mod roots;
pub mod supervisor;
pub mod trust;
