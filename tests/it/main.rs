//! The one test binary: a file per promise.

#[cfg(test)]
pub mod bench;

#[cfg(test)]
mod admin;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod hang_up;
#[cfg(test)]
mod intercept;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod streams;
