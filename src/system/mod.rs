//! What the machine itself provides: its trusted roots, its programs; and what is changed on it, and put back.

pub mod changes;
pub mod commands;
pub mod desktop;
pub mod hugging_face;
pub mod original;
pub mod programs;
pub mod roots;
pub mod trust;
