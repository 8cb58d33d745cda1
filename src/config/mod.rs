//! The owner's file, read once into domain values.

pub mod setup;
