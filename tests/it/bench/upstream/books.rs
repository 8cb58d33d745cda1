//! What the stand-in remembers: requests, its bill, pending faults, and what it holds back.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use serde_json::Value;
use tokio::sync::watch;

use super::fault::Fault;

/// Shared between the server's thread and the test.
#[derive(Default)]
pub struct Books {
    page: Mutex<Page>,
    changed: Condvar,
    /// What holds replies back.
    pub sluice: Sluice,
}

/// The state behind the lock.
#[derive(Default)]
pub struct Page {
    /// Requests whose body has been received.
    pub seen: Vec<Seen>,
    /// Connections open now.
    pub open: u64,
    bill: Vec<Line>,
    faults: VecDeque<Fault>,
    accepted: u64,
    /// Raised by `clear`, so that a call from before cannot write into the new bill.
    round: u64,
    replies: u64,
    kept: Vec<Kept>,
}

/// An object that lives on when the call that made it has ended.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// How it looks while it is worked on.
    pub under_way: Value,
    /// How it looks at its end.
    pub finished: Value,
}

/// One request as received.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The path with its query.
    pub path_and_query: String,
    /// The `Host` header or `:authority`.
    pub host: String,
    /// All fields.
    pub headers: HeaderMap,
    /// The body as it came over the wire; what had come when it broke off.
    pub body: Bytes,
    /// The fields after the body.
    pub trailers: HeaderMap,
    /// Whether the body came to its end.
    pub whole: bool,
    /// The HTTP version.
    pub http_version: Version,
    /// Which connection, counted from 1.
    pub connection: u64,
    /// The name in the TLS greeting.
    pub tls_name: Option<String>,
}

/// What one served call is charged.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Billed {
    /// The model that the reply names.
    pub model: String,
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Input tokens from the cache.
    pub cached: u64,
    /// Output tokens generated so far, reasoning included.
    pub output: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// `/v1/chat/completions` and so on, whatever the form of the path was.
    pub endpoint: &'static str,
    /// The service tier that the reply names.
    pub tier: Option<String>,
    /// The id of the reply object; empty where a reply has none.
    pub id: String,
    /// The name that the request gave itself by `x-standin-call`, so that bill and books can be told apart by it.
    pub call: String,
    /// Whether the last piece of the reply was handed over.
    pub completed: bool,
    /// What else is charged.
    pub other: Other,
}

/// What is charged beside tokens of text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Other {
    /// Input tokens that are sound.
    pub audio_input: u64,
    /// Input tokens that are pictures.
    pub image_input: u64,
    /// Output tokens that are sound.
    pub audio_output: u64,
    /// Output tokens that are pictures.
    pub image_output: u64,
    /// Input tokens written to the cache.
    pub cache_write: u64,
    /// Characters to be spoken.
    pub characters: u64,
    /// Pictures.
    pub images: u64,
    /// Seconds of sound or video.
    pub seconds: u64,
    /// Tokens of a training.
    pub trained: u64,
    /// Searches of the web.
    pub web_searches: u64,
    /// Searches of files.
    pub file_searches: u64,
    /// Containers of the code interpreter.
    pub code_sessions: u64,
}

struct Line {
    billed: Billed,
    ended: bool,
}

/// The right to write into one line of the bill; dropping it ends the call.
pub struct Tab {
    books: Arc<Books>,
    round: u64,
    index: usize,
}

/// Holds pieces of replies back until released.
pub struct Sluice {
    /// Pieces that may still go; `None` is no limit.
    permits: watch::Sender<Option<u64>>,
    stalled: watch::Sender<u64>,
}

impl Books {
    /// Notes a request.
    pub fn see(&self, seen: Seen) {
        self.change(|page| page.seen.push(seen));
    }

    /// Opens a line of the bill.
    pub fn serve(self: &Arc<Self>, billed: Billed) -> Tab {
        self.change(|page| {
            page.bill.push(Line { billed, ended: false });
            Tab { books: Arc::clone(self), round: page.round, index: page.bill.len() - 1 }
        })
    }

    /// The bill.
    pub fn bill(&self) -> Vec<Billed> {
        self.change(|page| page.bill.iter().map(|line| line.billed.clone()).collect())
    }

    /// The requests.
    pub fn seen(&self) -> Vec<Seen> {
        self.change(|page| page.seen.clone())
    }

    /// Connections accepted so far, and open now.
    pub fn connections(&self) -> (u64, u64) {
        self.change(|page| (page.accepted, page.open))
    }

    /// Counts a new connection and numbers it.
    pub fn connect(&self) -> u64 {
        self.change(|page| {
            page.accepted += 1;
            page.open += 1;
            page.accepted
        })
    }

    /// Counts a connection that has gone.
    pub fn disconnect(&self) {
        self.change(|page| page.open -= 1);
    }

    /// Starts over.
    pub fn clear(&self) {
        self.change(|page| {
            page.seen.clear();
            page.bill.clear();
            page.faults.clear();
            page.kept.clear();
            page.replies = 0;
            page.round += 1;
        });
    }

    /// Keeps an object.
    pub fn keep(&self, kept: Kept) {
        self.change(|page| page.kept.push(kept));
    }

    /// The object of that id.
    pub fn kept(&self, id: &str) -> Option<Kept> {
        self.change(|page| page.kept.iter().find(|kept| kept.id == id).cloned())
    }

    /// The objects whose ids begin so, newest first.
    pub fn all_kept(&self, prefix: &str) -> Vec<Kept> {
        self.change(|page| page.kept.iter().rev().filter(|kept| kept.id.starts_with(prefix)).cloned().collect())
    }

    /// Puts a fault in line.
    pub fn push_fault(&self, fault: Fault) {
        self.change(|page| page.faults.push_back(fault));
    }

    /// Takes the fault whose turn it is.
    pub fn pop_fault(&self) -> Option<Fault> {
        self.change(|page| page.faults.pop_front())
    }

    /// The number of the next reply, from 1.
    pub fn number_reply(&self) -> u64 {
        self.change(|page| {
            page.replies += 1;
            page.replies
        })
    }

    /// Waits until the page looks as wanted, and fails after ten seconds.
    pub fn wait(&self, wanted: impl Fn(&Page) -> bool) {
        let page = self.page.lock().unwrap();
        let (page, timeout) =
            self.changed.wait_timeout_while(page, Duration::from_secs(10), |page| !wanted(page)).unwrap();
        let counts = (page.seen.len(), page.ended(), page.open);
        drop(page);
        assert!(!timeout.timed_out(), "waited in vain; (seen, ended, open connections) are {counts:?}");
    }

    fn change<T>(&self, change: impl FnOnce(&mut Page) -> T) -> T {
        let mut page = self.page.lock().unwrap();
        let outcome = change(&mut page);
        drop(page);
        self.changed.notify_all();
        outcome
    }
}

impl Page {
    /// Served calls that have ended, whole or cut short.
    pub fn ended(&self) -> usize {
        self.bill.iter().filter(|line| line.ended).count()
    }
}

impl Tab {
    /// Adds generated tokens.
    pub fn charge(&self, output: u64, reasoning: u64) {
        self.write(|line| {
            line.billed.output += output;
            line.billed.reasoning += reasoning;
        });
    }

    /// Notes that the last piece of the reply was handed over.
    pub fn complete(&self) {
        self.write(|line| line.billed.completed = true);
    }

    fn write(&self, change: impl FnOnce(&mut Line)) {
        self.books.change(|page| {
            if page.round == self.round {
                change(&mut page.bill[self.index]);
            }
        });
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.write(|line| line.ended = true);
    }
}

impl Sluice {
    /// Lets nothing pass without a permit.
    pub fn hold(&self) {
        self.permits.send_replace(Some(0));
    }

    /// Adds permits; nothing to add while not holding.
    pub fn release(&self, pieces: u64) {
        self.permits.send_modify(|permits| *permits = permits.map(|left| left + pieces));
    }

    /// Lets everything pass, stalled requests included.
    pub fn open(&self) {
        self.permits.send_replace(None);
        self.stalled.send_modify(|times| *times += 1);
    }

    /// Waits for a permit and uses it up.
    pub async fn pass(&self) {
        let mut watching = self.permits.subscribe();
        loop {
            let passed = self.permits.send_if_modified(|permits| match permits {
                Some(0) => false,
                Some(left) => {
                    *left -= 1;
                    true
                }
                None => false,
            });
            if passed || watching.borrow_and_update().is_none() {
                return;
            }
            watching.wait_for(|permits| *permits != Some(0)).await.unwrap();
        }
    }

    /// Watches for the next [`Self::open`] from now on, however late it is waited for.
    pub fn stall(&self) -> watch::Receiver<u64> {
        self.stalled.subscribe()
    }
}

impl Default for Sluice {
    fn default() -> Self {
        Self { permits: watch::Sender::new(None), stalled: watch::Sender::new(0) }
    }
}
