//! The stand-in upstream: a real server on loopback that plays OpenAI, Azure and custom servers and keeps its own bill.
//!
//! It runs in a thread with a runtime of its own, so a test may be plain or async. What goes wrong in an exchange is
//! asked for by the request header `x-standin-fault` or by [`Upstream::fault_next`]; see [`fault::Fault`] for the words.

pub mod body;
pub mod books;
pub mod chat;
pub mod coding;
pub mod completion;
pub mod embeddings;
pub mod fault;
pub mod files;
pub mod jobs;
pub mod link;
pub mod media;
pub mod operation;
pub mod others;
pub mod responses;
pub mod script;
pub mod serve;
pub mod socket;
pub mod sound;
pub mod tls;
pub mod words;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use self::books::{Billed, Books, Seen};
use self::coding::Coding;
use self::fault::Fault;
use self::serve::House;
use self::tls::{Alpn, Authority};

/// A running stand-in; dropping it stops it.
pub struct Upstream {
    address: SocketAddr,
    tls: bool,
    ca_pem: String,
    books: Arc<Books>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a stand-in plays.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names the thread, for debugging.
    pub name: &'static str,
    /// Where it listens; `None` is any free port.
    pub at: Option<SocketAddr>,
    /// TLS, or plain HTTP/1.1.
    pub tls: bool,
    /// Which HTTP versions TLS offers.
    pub alpn: Alpn,
    /// Answers CORS as api.openai.com does (only under that TLS name); off plays a server without CORS.
    pub cors: bool,
    /// Compresses every reply so, where the request accepts it.
    pub coding: Option<Coding>,
    /// Azure deployment names and the models behind them; a name that is not listed is taken for the model.
    pub deployments: Vec<(String, String)>,
}

impl Upstream {
    /// Binds a free loopback port and serves until stopped.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind(options.at.unwrap_or(([127, 0, 0, 1], 0).into())).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let authority = Authority::make();
        let acceptor = options.tls.then(|| authority.acceptor(options.alpn));
        let books = Arc::new(Books::default());
        let (stop, stopped) = oneshot::channel();
        let (name, tls) = (options.name, options.tls);
        let house = Arc::new(House { options, books: Arc::clone(&books), acceptor });
        let thread = std::thread::Builder::new()
            .name(format!("standin-{name}"))
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(link::accept(house, listener, stopped));
                runtime.shutdown_background();
            })
            .unwrap();
        Self { address, tls, ca_pem: authority.pem(), books, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://127.0.0.1:PORT` or `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the authority that signed its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What it would charge: every call that it served, in the order of their beginning, also those cut short.
    pub fn bill(&self) -> Vec<Billed> {
        self.books.bill()
    }

    /// Every request that it got, as received.
    pub fn seen(&self) -> Vec<Seen> {
        self.books.seen()
    }

    /// Connections accepted so far, and those open now.
    pub fn connections(&self) -> (u64, u64) {
        self.books.connections()
    }

    /// Forgets requests, bill and pending faults, and numbers replies from the beginning.
    pub fn clear(&self) {
        self.books.clear();
    }

    /// Lets the next request that asks for no fault of its own go wrong; several wait in line.
    pub fn fault_next(&self, fault: &str) {
        self.books.push_fault(Fault::parse(fault).unwrap());
    }

    /// From now on every piece of a reply body waits for [`Self::release`], and so does the place where it breaks.
    ///
    /// A reset can overtake what was sent before it; a test that counts what arrived releases the break afterwards.
    pub fn hold(&self) {
        self.books.sluice.hold();
    }

    /// Lets so many more held pieces go.
    pub fn release(&self, pieces: u64) {
        self.books.sluice.release(pieces);
    }

    /// Holds nothing any more, stalled requests included.
    pub fn release_all(&self) {
        self.books.sluice.open();
    }

    /// Waits until so many requests have come in whole, and fails after ten seconds.
    pub fn wait_for_seen(&self, count: usize) {
        self.books.wait(|page| page.seen.len() >= count);
    }

    /// Waits until so many served calls have ended, whole or cut short.
    pub fn wait_for_ended(&self, count: usize) {
        self.books.wait(|page| page.ended() >= count);
    }

    /// Waits until no more than so many connections are open.
    pub fn wait_for_open_connections(&self, count: u64) {
        self.books.wait(|page| page.open <= count);
    }

    /// [`Self::wait_for_seen`] for tests whose own tasks must go on meanwhile.
    pub async fn until_seen(&self, count: usize) {
        let books = Arc::clone(&self.books);
        tokio::task::spawn_blocking(move || books.wait(|page| page.seen.len() >= count)).await.unwrap();
    }

    /// [`Self::wait_for_ended`] for tests whose own tasks must go on meanwhile.
    pub async fn until_ended(&self, count: usize) {
        let books = Arc::clone(&self.books);
        tokio::task::spawn_blocking(move || books.wait(|page| page.ended() >= count)).await.unwrap();
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "openai",
            at: None,
            tls: true,
            alpn: Alpn::Both,
            cors: true,
            coding: None,
            deployments: Vec::new(),
        }
    }
}
