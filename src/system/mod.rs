//! What the machine itself provides: its trusted roots, its programs.

pub mod hugging_face;
pub mod original;
pub mod programs;
pub mod roots;
