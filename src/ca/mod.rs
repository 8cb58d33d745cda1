//! The certificate authority of this installation.
//!
//! A root that clients trust signs one issuer and its key is then gone for good. Both carry the same name
//! constraints: the intercepted names and no address. So the key on disk, the issuer's, is worth nothing for any other
//! site. The issuer signs the leaves, one per host.

pub mod authority;
pub mod bundle;
mod chain;
pub mod error;
pub mod hashed;
mod leaf;
pub mod marker;
mod store;
#[cfg(test)]
mod tests;
