//! The books on disk: a SQLite file that outlives the process, and a spool beside it that outlives its kill.

pub mod alone;
pub mod archive;
mod cells;
mod question;
pub mod read;
mod row;
mod schema;
mod words;

#[cfg(test)]
mod tests;
