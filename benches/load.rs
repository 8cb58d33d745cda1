//! CPU per call and memory of the gate under load.

fn main() {}
