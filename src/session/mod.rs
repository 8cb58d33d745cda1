//! One client connection: tunnelled unseen, or opened with a minted leaf and served.

pub mod arrival;
pub mod hello;
pub mod house;
pub mod look;
pub mod serve;
pub mod terminate;
pub mod tunnel;
pub mod verdict;
