//! One gate after another at the same addresses: what two processes say to each other so that no call is lost between them.
//!
//! The next gate asks for the listeners, starts completely, asks for the books, opens them, accepts, and says so; only
//! then the one before it stops accepting. Whatever the next one fails at before that, the one before it serves on.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

use crate::gate::listeners::{Given, Role};
use crate::ledger::Ledger;
use crate::net::shutdown::{Phase, Stopper};
use crate::system::channel::{Channel, Closer, Post};

/// What the two processes say, in this order.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Say {
    /// The next gate: may I have the listeners?
    Listeners,
    /// The one before: here they are, in the order of the names.
    Handed { names: Vec<String> },
    /// The next gate: I have all but the books, which I would keep in this file.
    Books { journal: Option<PathBuf> },
    /// The one before: nobody keeps them now.
    Yours,
    /// The next gate: I serve.
    Serving,
    /// The one before: then I take nothing new.
    Yielding,
    /// The one before: I go on serving, and this is why.
    Refused { why: String },
}

fn say(channel: &Channel, what: &Say) -> io::Result<()> {
    channel.send(&serde_json::to_string(what)?, &[])
}

fn hear(channel: &Channel) -> io::Result<Say> {
    Ok(serde_json::from_str(&channel.receive()?.0)?)
}

/// Where the gate that listens at `proxy` can be called, in the folder of its certificates.
fn place(certs: &Path, proxy: SocketAddr) -> PathBuf {
    certs.join(format!("gate-{proxy}.sock"))
}

/// Why the next gate does not follow the one before it.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// There is none that can be called.
    #[error("no gate that could hand over listens on {proxy}")]
    Nobody {
        /// Where it would listen.
        proxy: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It does not hand over.
    #[error("the running gate does not hand over: {0}")]
    Refused(String),
    /// It went silent on the way.
    #[error("the running gate does not answer any more")]
    Silent(#[source] io::Error),
}

/// The gate before this one, which still serves.
#[derive(Debug)]
pub struct Predecessor {
    channel: Channel,
}

impl Predecessor {
    /// Calls the gate that listens at `proxy` with its authority in `certs`, and gets its listeners.
    ///
    /// # Errors
    /// There is none, or it hands nothing over.
    pub fn call(certs: &Path, proxy: SocketAddr) -> Result<(Self, Vec<Given>), TakeOverError> {
        let channel = Channel::call(&place(certs, proxy)).map_err(|source| TakeOverError::Nobody { proxy, source })?;
        let predecessor = Self { channel };
        let asked = say(&predecessor.channel, &Say::Listeners).and_then(|()| predecessor.channel.receive());
        let (line, descriptors) = asked.map_err(TakeOverError::Silent)?;
        let names = match serde_json::from_str(&line) {
            Ok(Say::Handed { names }) => names,
            Ok(Say::Refused { why }) => return Err(TakeOverError::Refused(why)),
            _ => return Err(TakeOverError::Refused("it speaks another language".into())),
        };
        let from = format!("a listener of process {}", predecessor.channel.process());
        let given = names.into_iter().zip(descriptors).map(|(name, descriptor)| Given {
            listener: TcpListener::from(descriptor),
            name: Some(name),
            from: from.clone(),
        });
        Ok((predecessor, given.collect()))
    }

    /// Lets it leave the books, where it keeps them in the same file.
    pub(super) fn books(&self, journal: Option<&Path>) -> Result<(), TakeOverError> {
        self.ask(&Say::Books { journal: journal.map(Path::to_owned) }, |answer| matches!(answer, Say::Yours))
    }

    /// Says that this gate serves; from now on the other takes nothing new.
    pub(super) fn serving(self) -> Result<(), TakeOverError> {
        self.ask(&Say::Serving, |answer| matches!(answer, Say::Yielding))
    }

    fn ask(&self, what: &Say, is_wanted: impl FnOnce(&Say) -> bool) -> Result<(), TakeOverError> {
        let answer = say(&self.channel, what).and_then(|()| hear(&self.channel)).map_err(TakeOverError::Silent)?;
        match answer {
            answer if is_wanted(&answer) => Ok(()),
            Say::Refused { why } => Err(TakeOverError::Refused(why)),
            _ => Err(TakeOverError::Refused("it speaks another language".into())),
        }
    }
}

/// What a gate has for the next one.
#[derive(Debug)]
pub(super) struct Estate {
    pub(super) certs: PathBuf,
    pub(super) journal: Option<PathBuf>,
    pub(super) ledger: Ledger,
    pub(super) listeners: Copies,
    pub(super) proxy: SocketAddr,
    /// Stops this gate.
    pub(super) stopper: Stopper,
    /// Stops its admin surface.
    pub(super) books: Stopper,
}

/// The listeners once more, until the gate stops accepting: as long as they are open, the system takes connections.
#[derive(Clone, Debug)]
pub(super) struct Copies(Arc<Mutex<Vec<(Role, TcpListener)>>>);

impl Copies {
    pub(super) fn new(listeners: Vec<(Role, TcpListener)>) -> Self {
        Self(Arc::new(Mutex::new(listeners)))
    }

    /// Closes them.
    pub(super) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Role, TcpListener)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The standing offer to hand over; withdrawn when it is dropped.
#[derive(Debug)]
pub struct Offer {
    closer: Closer,
    thread: Option<thread::JoinHandle<()>>,
}

impl Offer {
    /// Waits for the next gate on a thread of its own; `followed` is told its process once it serves.
    pub(super) fn make(estate: Estate, followed: impl FnOnce(u32) + Send + 'static) -> io::Result<Self> {
        let post = Post::open(&place(&estate.certs, estate.proxy))?;
        let closer = post.closer()?;
        let thread = thread::Builder::new().name("succession".into()).spawn(move || {
            while let Some(channel) = next(&post) {
                match estate.hand_over(&channel) {
                    Ok(()) => {
                        tracing::info!(process = channel.process(), "another gate serves; what is open here ends");
                        // Before the rest: whoever watches over this process must know before it ends.
                        followed(channel.process());
                        return estate.yield_all();
                    }
                    Err(error) => tracing::error!(
                        process = channel.process(),
                        %error,
                        "a gate that was to follow this one did not start; this one goes on"
                    ),
                }
            }
        })?;
        Ok(Self { closer, thread: Some(thread) })
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.closer.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The next caller of this user; `None` at the end.
fn next(post: &Post) -> Option<Channel> {
    loop {
        match post.answer() {
            Ok(channel) => return Some(channel),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!(%error, "a call for the listeners was refused");
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return None,
            Err(error) => {
                tracing::warn!(%error, "no gate can take over from this one any more");
                return None;
            }
        }
    }
}

impl Estate {
    /// Hands everything over, or keeps everything.
    fn hand_over(&self, channel: &Channel) -> io::Result<()> {
        let Say::Listeners = hear(channel)? else { return Err(confused()) };
        self.send_listeners(channel)?;
        let Say::Books { journal } = hear(channel)? else { return Err(confused()) };
        let shared = self.journal.is_some() && self.journal == journal;
        if shared && let Err(why) = self.ledger.leave_journal() {
            self.ledger.take_journal_back();
            say(channel, &Say::Refused { why: why.clone() })?;
            return Err(io::Error::other(why));
        }
        let served = say(channel, &Say::Yours).and_then(|()| match hear(channel)? {
            Say::Serving => Ok(()),
            _ => Err(confused()),
        });
        if served.is_err() && shared {
            self.ledger.take_journal_back();
        }
        served?;
        if shared {
            self.ledger.settle_journal();
        }
        // It serves, whether it hears this or not.
        let _ = say(channel, &Say::Yielding);
        Ok(())
    }

    fn send_listeners(&self, channel: &Channel) -> io::Result<()> {
        let listeners = self.listeners.lock();
        if listeners.is_empty() {
            let why = "it is stopping";
            say(channel, &Say::Refused { why: why.into() })?;
            return Err(io::Error::other(why));
        }
        let names = listeners.iter().map(|(role, _)| role.name().to_owned()).collect();
        let descriptors: Vec<_> = listeners.iter().map(|(_, listener)| listener.as_fd()).collect();
        channel.send(&serde_json::to_string(&Say::Handed { names })?, &descriptors)
    }

    /// Takes nothing new from now on.
    fn yield_all(self) {
        self.books.advance(Phase::Halting);
        self.stopper.advance(Phase::Yielding);
    }
}

fn confused() -> io::Error {
    io::Error::other("the other process says what nobody asked")
}
