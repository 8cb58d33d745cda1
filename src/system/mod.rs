//! What the machine itself provides: its trusted roots.

pub mod roots;
