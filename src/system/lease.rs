//! Leases on a gate that runs for programs: it stays while any is held, and each ends with its holders, whatever ends
//! those.
//!
//! A lease is a shared lock on a file, held by an open descriptor. The program and all that it starts inherit the
//! descriptor, and the kernel releases the lock when the last of them has ended. The gate may end once it has the
//! lock for itself; while it has it, nobody can take a lease, so that no program is left with a gate that is ending.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// A lease that this process holds.
#[derive(Debug)]
pub struct Lease(File);

/// Says that the gate may end; nobody can take a lease as long as it lives.
#[derive(Debug)]
pub struct Ended {
    _file: File,
}

impl Lease {
    /// Takes one; waits up to `patience` for a gate that is ending.
    ///
    /// # Errors
    /// A file that cannot be had, or [`io::ErrorKind::TimedOut`].
    pub fn take(file: &Path, patience: Duration) -> io::Result<Self> {
        let file = open(file)?;
        patiently(patience, || file.try_lock_shared())?;
        Ok(Self(file))
    }

    /// Gives it to the program that this process becomes.
    ///
    /// # Errors
    /// What the system says.
    pub fn hand_on(self) -> io::Result<()> {
        rustix::io::fcntl_setfd(&self.0, rustix::io::FdFlags::empty())?;
        // From here on nothing but the end of the process closes it.
        let _ = self.0.into_raw_fd();
        Ok(())
    }
}

impl AsFd for Lease {
    /// For a process that is to hold it too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Ended {
    /// Waits until no lease is held, and none is taken for `grace`, while `idle` says that nothing is left to be done.
    ///
    /// # Errors
    /// A file that cannot be had or locked.
    pub fn wait(file: &Path, grace: Duration, idle: impl Fn() -> bool) -> io::Result<Self> {
        let file = open(file)?;
        loop {
            file.lock()?;
            file.unlock()?;
            thread::sleep(grace);
            match file.try_lock() {
                Ok(()) if idle() => return Ok(Self { _file: file }),
                Ok(()) => file.unlock()?,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// One process at a time.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Waits up to `patience` for it.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub fn take(file: &Path, patience: Duration) -> io::Result<Self> {
        let file = open(file)?;
        patiently(patience, || file.try_lock())?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn patiently(patience: Duration, attempt: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= patience => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(AGAIN),
        }
    }
}

const AGAIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_gate_ends_only_when_the_last_lease_is_gone_and_then_takes_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leases");
        let (one, two) = (Lease::take(&file, LONG).unwrap(), Lease::take(&file, LONG).unwrap());
        let (tell, told) = channel();
        let watched = file.clone();
        let gate = thread::spawn(move || {
            let ended = Ended::wait(&watched, SHORT, || true).unwrap();
            tell.send(()).unwrap();
            ended
        });
        drop(one);
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "one lease is left");
        drop(two);
        told.recv_timeout(LONG).unwrap();
        let ended = gate.join().unwrap();
        assert_eq!(Lease::take(&file, SHORT).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(ended);
        Lease::take(&file, LONG).unwrap();
    }

    #[test]
    fn a_gate_with_work_left_does_not_end_and_still_gives_leases() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("leases");
        static IDLE: AtomicBool = AtomicBool::new(false);
        let (tell, told) = channel();
        let watched = file.clone();
        thread::spawn(move || {
            let ended = Ended::wait(&watched, SHORT, || IDLE.load(Ordering::SeqCst)).unwrap();
            tell.send(()).unwrap();
            drop(ended);
        });
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
        let lease = Lease::take(&file, LONG).unwrap();
        IDLE.store(true, Ordering::SeqCst);
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "the lease holds it");
        drop(lease);
        told.recv_timeout(LONG).unwrap();
    }
}
