//! What the machine itself provides: its trusted roots, its programs, and the environment of a program that is run.

pub mod environment;
pub mod hugging_face;
pub mod isolation;
pub mod kept;
pub mod lease;
pub mod original;
pub mod programs;
pub mod roots;
