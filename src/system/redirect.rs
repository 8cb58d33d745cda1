//! Rules of the kernel that lead connections of unchanged programs to the gate, and how they are taken back.

pub mod capture;
pub mod hosts;
pub mod hosts_file;
pub mod iptables;
pub mod kernel;
pub mod listener;
pub mod nft;
pub mod record;
pub mod routes;
pub mod tools;
pub mod undo;
