//! Who lives in an isolated network, and when the last of them is gone.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process, held so that its number cannot be another's meanwhile.
#[derive(Debug)]
pub struct Inhabitant(OwnedFd);

impl Inhabitant {
    /// Holds the process of this number.
    ///
    /// # Errors
    /// There is none.
    pub fn hold(number: u32) -> io::Result<Self> {
        let number = i32::try_from(number).ok().and_then(Pid::from_raw);
        let number =
            number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the number of a process"))?;
        Ok(Self(pidfd_open(number, PidfdFlags::empty())?))
    }

    /// Waits until it has ended.
    fn ended(&self) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
                Err(Errno::INTR) => {}
                Err(cause) => return Err(cause.into()),
                Ok(_) => return Ok(()),
            }
        }
    }
}

/// Waits until no process is left in this network, as `/proc/PID/ns/net` names it.
///
/// # Errors
/// A system that does not tell.
pub fn deserted(first: Inhabitant, network: &str) -> io::Result<()> {
    let mut next = Some(first);
    while let Some(one) = next {
        one.ended()?;
        next = any(network);
    }
    Ok(())
}

fn any(network: &str) -> Option<Inhabitant> {
    let network = PathBuf::from(network);
    let numbers = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that ended but was not waited for has no network any more.
    let here = |number: &u32| fs::read_link(format!("/proc/{number}/ns/net")).is_ok_and(|link| link == network);
    numbers.filter(here).find_map(|number| Inhabitant::hold(number).ok())
}
