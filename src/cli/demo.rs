//! `tollgate demo`: everything at once, offline.

use crate::cli::arguments::DemoArgs;
use crate::cli::problem::Problem;

/// Not yet.
///
/// # Errors
/// None.
pub fn run(_args: &DemoArgs) -> Result<(), Problem> {
    Ok(())
}
