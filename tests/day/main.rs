//! A day of mixed traffic: every kind of call, hang-ups, faults, restarts and kills, and then the books against the bill.
//!
//! `cargo test` runs a short morning of it; `cargo test --test day -- --ignored --nocapture` the whole day, in minutes.

#[cfg(test)]
pub mod caller;
#[cfg(test)]
pub mod dice;
#[cfg(test)]
pub mod plan;
#[cfg(test)]
pub mod process;
#[cfg(test)]
#[path = "../it/bench/upstream/mod.rs"]
pub mod upstream;
#[cfg(test)]
pub mod verdict;

#[cfg(test)]
mod tests;
