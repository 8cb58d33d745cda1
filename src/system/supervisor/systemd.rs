//! systemd's side of a service: sockets, news and the watchdog, as its manual pages `sd_listen_fds(3)` and `sd_notify(3)`
//! describe them.

use std::env;
use std::io;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;

use crate::system::supervisor::{News, Passed};

pub(super) fn passed() -> io::Result<Vec<Passed>> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(|name| (!name.is_empty() && name != "unknown").then(|| name.to_owned()));
    let mut sockets = ListenFd::from_env();
    let mut passed = Vec::new();
    for at in 0..sockets.len() {
        let descriptor = at + FIRST;
        let name = names.next().flatten();
        let failed = |error: io::Error| {
            let called = name.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default();
            io::Error::new(error.kind(), format!("descriptor {descriptor}{called} is of no use: {error}"))
        };
        if let Some(listener) = sockets.take_tcp_listener(at).map_err(failed)? {
            passed.push(Passed { listener, descriptor, name });
        }
    }
    Ok(passed)
}

pub(super) fn tell(news: News<'_>) -> io::Result<()> {
    match news {
        News::Ready(status) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]),
        News::Reloading => sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
        News::Stopping => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("finishing what is open")]),
        News::Alive => sd_notify::notify(&[NotifyState::Watchdog]),
        News::Followed(process) => sd_notify::notify(&[NotifyState::MainPid(process)]),
    }
}

pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

pub(super) fn forbid_core_dumps() {
    let hard = getrlimit(Resource::Core).maximum;
    // The hard limit stays: it is for the programs that `run` starts to decide.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: hard });
}

/// The first descriptor that is passed.
const FIRST: usize = 3;
