//! The one test binary: a file per promise.

#[cfg(test)]
pub mod bench;

#[cfg(test)]
mod cors;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod intercept;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod misdirected;
#[cfg(test)]
mod own_address;
#[cfg(test)]
mod start;
#[cfg(test)]
mod tunnel;
