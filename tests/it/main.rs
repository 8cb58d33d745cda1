//! The one test binary: a file per promise.

#[cfg(test)]
pub mod bench;

#[cfg(test)]
mod azure;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod custom;
#[cfg(test)]
mod duplicate;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod intercept;
#[cfg(test)]
mod models;
