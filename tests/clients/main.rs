//! Real clients, unchanged, against the gate: what they see must be what they see without it, and the books must agree.
//!
//! `setup.sh` installs the clients; then `cargo test --test clients -- --ignored --test-threads=1`.

#[cfg(test)]
pub mod books;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod custom;
#[cfg(test)]
mod doctor;
#[cfg(test)]
pub mod gate;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod isolate;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod pac;
#[cfg(test)]
mod prices;
#[cfg(test)]
#[cfg(target_os = "linux")]
pub mod redirect;
#[cfg(test)]
mod run;
#[cfg(test)]
pub mod script;
#[cfg(test)]
pub mod server;
#[cfg(test)]
mod service;
#[cfg(test)]
mod shared_cache;
#[cfg(test)]
mod system;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod trust;
#[cfg(test)]
#[path = "../it/bench/upstream/mod.rs"]
pub mod upstream;
#[cfg(test)]
mod websocket;

#[cfg(test)]
mod tests;
