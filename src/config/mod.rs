//! The owner's file, read once into domain values.

mod address;
mod amount;
mod auditing;
mod budgets;
pub mod change;
mod document;
mod duplicates;
mod extras;
mod field;
mod files;
mod home;
mod line;
mod listen;
pub mod load;
mod locate;
pub mod mistake;
mod models;
mod outer;
pub mod pricing;
mod review;
pub mod revise;
mod secrets;
mod settings;
pub mod setup;
mod telemetry;
#[cfg(test)]
mod tests;
mod transport;
mod users;
mod view;
