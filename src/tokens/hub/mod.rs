//! The Hugging Face hub: its addresses, its cache on disk, and downloads.

pub mod address;
pub mod cache;
pub mod fetch;
pub mod progress;
pub mod trouble;
