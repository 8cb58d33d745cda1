//! What the machine itself provides: its trusted roots.

pub mod hugging_face;
pub mod roots;
