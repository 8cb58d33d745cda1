//! Metrics and spans for a collector, sent as OTLP over HTTP by a thread of its own.

mod attributes;
mod collector;
pub mod exporter;
mod report;
mod spans;
