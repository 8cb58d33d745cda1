//! The books: every upstream attempt once, summed and listed.

pub mod entry;
