//! What the machine itself provides: its trusted roots, its programs.

pub mod hugging_face;
pub mod isolation;
pub mod programs;
pub mod roots;
