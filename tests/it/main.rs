//! The one test binary: a file per promise.

#[cfg(test)]
pub mod bench;

#[cfg(test)]
mod azure;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod custom;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod duplicate;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod intercept;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod misdirected;
#[cfg(test)]
mod models;
#[cfg(test)]
mod own_address;
#[cfg(test)]
mod start;
#[cfg(test)]
mod tunnel;
