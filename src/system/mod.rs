//! What the machine itself provides: its trusted roots, its programs; and what is changed on it, and put back.

pub mod changes;
pub mod hugging_face;
pub mod original;
pub mod programs;
pub mod redirect;
pub mod roots;
