//! A WebSocket between a client and an upstream: passed both ways unchanged, watched, and booked at its end.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until, timeout};

use crate::exchange::receipt::Receipt;
use crate::exchange::websocket::pass::{Stop, pass};
use crate::exchange::websocket::turns::{Side, Turns};
use crate::ledger::Ledger;
use crate::ledger::entry::Outcome;
use crate::ledger::tunnels::Gap;
use crate::net::prefixed::Prefixed;
use crate::net::shutdown::{Phase, Stopping};
use crate::upstream::wire::Wire;

/// The upstream's end of a WebSocket, for whoever has the client's.
#[derive(Debug)]
pub struct Handover {
    wire: Prefixed<Wire>,
    books: Books,
}

/// What is written down of the connection.
#[derive(Debug)]
struct Books {
    turns: RefCell<Turns>,
    receipt: Receipt,
    ledger: Ledger,
    /// Bytes from the client.
    up: Arc<AtomicU64>,
    /// Bytes from the upstream.
    down: Cell<u64>,
    /// Somebody carries it, so that it is left without an end only by a stop of the gate.
    carried: bool,
    ended: bool,
}

/// How a WebSocket came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// This side went first.
    Left(Side),
    /// The gate stops.
    Stopped,
    /// Nothing came from either side for too long.
    Silent,
}

impl Handover {
    /// A WebSocket whose handshake is done; `sent` takes the count of bytes from the client.
    pub fn new(wire: Prefixed<Wire>, turns: Turns, receipt: Receipt, ledger: Ledger, sent: Arc<AtomicU64>) -> Self {
        let turns = RefCell::new(turns);
        let books = Books { turns, receipt, ledger, up: sent, down: Cell::new(0), carried: false, ended: false };
        Self { wire, books }
    }

    /// Passes everything both ways until the end, and books it.
    pub async fn carry(self, client: impl AsyncRead + AsyncWrite + Unpin, stopping: Stopping) {
        let Self { wire, mut books } = self;
        books.carried = true;
        if !books.turns.borrow().are_metered() {
            books.ledger.tunnel_opened();
            books.ledger.gap(Gap::Upgrade);
        }
        let (mut client_in, mut client_out) = split(client);
        let (mut wire_in, mut wire_out) = split(wire);
        let moved = Cell::new(Instant::now());
        let end = {
            let is_left_open = || books.turns.borrow().are_drained() && books.turns.borrow().closed().is_none();
            let said = |bytes: &[u8]| books.said(bytes);
            let heard = |bytes: &[u8]| books.heard(bytes);
            let mut up = pin!(pass(&mut client_in, &mut wire_out, &moved, said, || !is_left_open()));
            let mut down = pin!(pass(&mut wire_in, &mut client_out, &moved, heard, || true));
            tokio::select! {
                stop = up.as_mut() => match stop {
                    // The rest of what the upstream says may still find its reader.
                    Stop::Ended if !is_left_open() => {
                        let _ = timeout(books.parting(), down).await;
                        End::Left(Side::Client)
                    }
                    Stop::Ended | Stop::Lost => End::Left(Side::Client),
                    Stop::Refused => {
                        let _ = timeout(books.parting(), down).await;
                        End::Left(Side::Upstream)
                    }
                },
                stop = down.as_mut() => match stop {
                    Stop::Ended => {
                        let _ = timeout(books.parting(), up).await;
                        End::Left(Side::Upstream)
                    }
                    Stop::Lost => End::Left(Side::Upstream),
                    Stop::Refused => End::Left(Side::Client),
                },
                () = stopping.reached(Phase::Halting) => End::Stopped,
                () = silence(&moved) => End::Silent,
            }
        };
        match end {
            End::Left(Side::Client) if is_abandoned(&books) => {
                books.turns.get_mut().deserted();
                let rest = finish_turns(&mut wire_in, &mut client_out, &books);
                tokio::select! {
                    _ = timeout(DRAINED, rest) => {}
                    () = stopping.reached(Phase::Halting) => {}
                }
            }
            End::Stopped => {
                let [client, upstream] = [Side::Client, Side::Upstream].map(|side| books.is_between(side));
                let farewell = async {
                    say(client.then_some(&GOING_AWAY[..]), &mut client_out).await;
                    say(upstream.then_some(&GOING_AWAY_MASKED[..]), &mut wire_out).await;
                };
                let _ = timeout(FAREWELL, farewell).await;
            }
            End::Left(_) | End::Silent => {}
        }
        books.close(end);
    }
}

impl Books {
    fn said(&self, bytes: &[u8]) {
        self.up.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.turns.borrow_mut().said(bytes);
    }

    fn heard(&self, bytes: &[u8]) {
        self.down.set(self.down.get() + bytes.len() as u64);
        self.turns.borrow_mut().heard(bytes);
    }

    fn is_between(&self, toward: Side) -> bool {
        self.turns.borrow().is_between(toward)
    }

    /// How long one side may go on after the other has ended.
    fn parting(&self) -> Duration {
        if self.turns.borrow().are_closed() { Duration::ZERO } else { PARTING }
    }

    fn close(&mut self, end: End) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let Self { turns, receipt, ledger, up, down, .. } = self;
        let turns = turns.get_mut();
        let closed = turns.closed();
        let cut = |side| match side {
            Side::Client => Outcome::ClientClosed,
            Side::Upstream => Outcome::UpstreamCut,
        };
        let (outcome, error) = match end {
            End::Left(side) => (cut(closed.unwrap_or(side)), None),
            End::Stopped => (Outcome::Unknown, Some("the gate stopped")),
            End::Silent => (Outcome::Timeout, Some("nothing was sent in either direction for too long")),
        };
        turns.end(outcome, error);
        let bytes = usize::try_from(down.get()).unwrap_or(usize::MAX);
        receipt.received(bytes);
        if self.carried && !turns.are_metered() {
            ledger.tunnel_closed(up.load(Ordering::Relaxed), down.get());
        }
        // A close frame is the proper end, whoever sent it first.
        let proper = closed.is_some() && matches!(end, End::Left(_));
        receipt.close(if proper { Outcome::Ok } else { outcome }, None, error.or(turns.flaw()));
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        // A panic is booked as what it is by the receipts themselves.
        if !std::thread::panicking() {
            self.close(if self.carried { End::Stopped } else { End::Left(Side::Client) });
        }
    }
}

/// Whether the client has gone without a word while the upstream was still to finish a turn.
fn is_abandoned(books: &Books) -> bool {
    let turns = books.turns.borrow();
    turns.are_drained() && turns.closed().is_none()
}

/// Reads the upstream until its turns have ended, and passes it on for as long as somebody takes it.
async fn finish_turns(from: &mut (impl AsyncRead + Unpin), into: &mut (impl AsyncWrite + Unpin), books: &Books) {
    let mut piece = vec![0; 16 << 10];
    let mut left = DRAINED_BYTES;
    let mut heeded = true;
    while is_abandoned(books) && left > 0 {
        let Ok(count @ 1..) = from.read(&mut piece).await else { return };
        books.heard(&piece[..count]);
        left = left.saturating_sub(count);
        heeded = heeded && into.write_all(&piece[..count]).await.is_ok() && into.flush().await.is_ok();
    }
}

/// Says goodbye, where there is a place for it.
async fn say(goodbye: Option<&[u8]>, into: &mut (impl AsyncWrite + Unpin)) {
    if let Some(goodbye) = goodbye {
        let _ = into.write_all(goodbye).await;
        let _ = into.shutdown().await;
    }
}

/// Ends when nothing has moved for too long.
async fn silence(moved: &Cell<Instant>) {
    loop {
        let deadline = moved.get() + SILENCE;
        if deadline <= Instant::now() {
            return;
        }
        sleep_until(deadline).await;
    }
}

/// How long one side may go on after the other has ended.
const PARTING: Duration = Duration::from_secs(60);
/// As long as OpenAI lets a session live; a connection of which one end died without a word would stay for ever.
const SILENCE: Duration = Duration::from_secs(3600);
/// For the goodbye of a gate that stops.
const FAREWELL: Duration = Duration::from_secs(1);
/// As for replies that are read after their client has gone.
const DRAINED: Duration = Duration::from_secs(60);
const DRAINED_BYTES: usize = 8 << 20;
/// A close frame that says 1001, to a client; to an upstream with a mask, which must be there and may be zero.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xE9];
const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9];
