//! A large download, shown on the terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// A line on the terminal that is written anew as a download goes on; nothing where there is none, or for small files.
#[derive(Debug)]
pub struct Progress {
    name: String,
    total: u64,
    shown: Option<Instant>,
}

impl Progress {
    /// For a file of so many bytes.
    pub fn of(name: String, total: u64, wanted: bool) -> Option<Self> {
        let seen = wanted && total >= LARGE && io::stderr().is_terminal();
        seen.then_some(Self { name, total, shown: None })
    }

    /// So many bytes are here.
    pub fn at(&mut self, bytes: u64) {
        if self.shown.is_none_or(|shown| shown.elapsed() >= PAUSE) {
            self.shown = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{}: {} of {} MB ", self.name, bytes >> 20, self.total >> 20);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(self.name.len() + 32));
        }
    }
}

const LARGE: u64 = 5 << 20;
const PAUSE: Duration = Duration::from_millis(500);
