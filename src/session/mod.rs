//! One client connection: tunnelled unseen, or opened with a minted leaf and served.

pub mod arrival;
pub mod bypass;
pub mod hello;
pub mod house;
pub mod look;
pub mod pinned;
mod remedy;
pub mod serve;
pub mod terminate;
pub mod tunnel;
pub mod verdict;
