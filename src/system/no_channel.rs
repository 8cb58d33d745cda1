//! A private line between two processes, on systems where it is not built: nobody can be called.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// One end of the line; there is none.
#[derive(Debug)]
pub enum Channel {}

impl Channel {
    /// Calls nobody.
    ///
    /// # Errors
    /// Always.
    pub fn call(_path: &Path) -> io::Result<Self> {
        Err(unsupported())
    }

    /// The process at the other end.
    pub fn process(&self) -> u32 {
        match *self {}
    }

    /// Sends a line.
    ///
    /// # Errors
    /// None, as there is no line.
    pub fn send(&self, _line: &str, _descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        match *self {}
    }

    /// Waits for a line.
    ///
    /// # Errors
    /// None, as there is no line.
    pub fn receive(&self) -> io::Result<(String, Vec<OwnedFd>)> {
        match *self {}
    }
}

/// Where this process could be called; there is none.
#[derive(Debug)]
pub enum Post {}

impl Post {
    /// Listens nowhere.
    ///
    /// # Errors
    /// Always.
    pub fn open(_path: &Path) -> io::Result<Self> {
        Err(unsupported())
    }

    /// Waits for the next process that calls.
    ///
    /// # Errors
    /// None, as there is no place.
    pub fn answer(&self) -> io::Result<Channel> {
        match *self {}
    }

    /// What ends the waiting.
    ///
    /// # Errors
    /// None, as there is no place.
    pub fn closer(&self) -> io::Result<Closer> {
        match *self {}
    }
}

/// Ends no waiting.
#[derive(Debug)]
pub enum Closer {}

impl Closer {
    /// Ends it.
    pub fn close(&self) {
        match *self {}
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a gate hands over to the next on Linux only")
}
