//! The command line: one file per command.

pub mod ask;
pub mod listing;
pub mod stats;
pub mod tail;
