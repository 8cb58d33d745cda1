//! A network of a program's own whose only way out is the gate: for programs that heed no setting (Linux).
//!
//! The program's process enters the namespaces by itself (`enter`) and hands its listening sockets to a relay that stays
//! outside (`relay`): sockets belong to the network in which they were made. Inside, every name gets an address of its own
//! (`names`, `answers`), so that the relay can ask the gate by name.

pub mod addresses;
pub mod answers;
pub mod names;
pub mod obstacles;
pub mod texts;

#[cfg(target_os = "linux")]
pub mod enter;
#[cfg(target_os = "linux")]
pub mod files;
#[cfg(target_os = "linux")]
pub mod hand;
#[cfg(target_os = "linux")]
pub mod inhabitants;
#[cfg(target_os = "linux")]
pub mod links;
#[cfg(target_os = "linux")]
pub mod netlink;
#[cfg(target_os = "linux")]
pub mod relay;
#[cfg(target_os = "linux")]
pub mod rules;
#[cfg(target_os = "linux")]
pub mod sockets;
#[cfg(target_os = "linux")]
pub mod through;
