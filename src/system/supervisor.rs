//! What watches over this process and started it: systemd, as far as it has told the process so.

#[cfg_attr(not(target_os = "linux"), path = "supervisor/nobody.rs")]
mod systemd;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

/// A socket that was opened before this process began.
#[derive(Debug)]
pub struct Passed {
    /// The socket.
    pub listener: TcpListener,
    /// Its number in this process.
    pub descriptor: usize,
    /// Its name, where it was given one.
    pub name: Option<String>,
}

/// The sockets that were opened for this process. To be called once, before any thread is started.
///
/// # Errors
/// A descriptor that is no TCP socket.
pub fn passed() -> io::Result<Vec<Passed>> {
    systemd::passed()
}

/// What there is to say to whoever watches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News<'a> {
    /// It takes calls; a line on how it does.
    Ready(&'a str),
    /// It reads its configuration again; [`News::Ready`] follows.
    Reloading,
    /// It ends.
    Stopping,
    /// It lives.
    Alive,
    /// This process goes on in its place.
    Followed(u32),
}

/// Says it; where nobody watches, nobody hears it.
pub fn tell(news: News<'_>) {
    if let Err(error) = systemd::tell(news) {
        tracing::warn!(%error, ?news, "systemd cannot be told");
    }
}

/// Within which time it wants to hear that the process lives; `None` where nobody wants to.
pub fn watchdog() -> Option<Duration> {
    systemd::watchdog()
}

/// Lets no core dump be written: it would hold the keys that pass through.
pub fn forbid_core_dumps() {
    systemd::forbid_core_dumps();
}
