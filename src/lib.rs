//! Tollgate stands between existing programs and api.openai.com: it intercepts, routes and meters every call.

pub mod admin;
pub mod ca;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod exchange;
pub mod gate;
pub mod ingress;
pub mod ledger;
pub mod meter;
pub mod net;
pub mod otlp;
pub mod policy;
pub mod session;
pub mod system;
pub mod telemetry;
pub mod tokens;
pub mod units;
pub mod upstream;
