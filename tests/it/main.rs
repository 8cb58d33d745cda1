//! The one test binary: a file per promise.

#[cfg(test)]
pub mod bench;

#[cfg(test)]
mod admin;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod azure;
#[cfg(test)]
mod bad_servers;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod captured;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod custom;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod duplicate;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod first_bytes;
#[cfg(test)]
mod hang_up;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod intercept;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod ledger_file;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod misdirected;
#[cfg(test)]
mod models;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod outer;
#[cfg(test)]
mod own_address;
#[cfg(test)]
mod pac;
#[cfg(test)]
mod pains;
#[cfg(test)]
mod pinned;
#[cfg(test)]
mod prices;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod run;
#[cfg(test)]
mod self_test;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod service;
#[cfg(test)]
mod socket_bytes;
#[cfg(test)]
mod socks;
#[cfg(test)]
mod start;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod take_over;
#[cfg(test)]
mod translate;
#[cfg(test)]
mod transparent;
#[cfg(test)]
mod tunnel;
#[cfg(test)]
mod websocket;
#[cfg(test)]
mod whose;
