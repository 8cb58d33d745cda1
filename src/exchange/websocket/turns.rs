//! The turns of a conversation in the books: each an entry of its own, posted before the client knows of its end.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::dialect::endpoint::Socket;
use crate::exchange::caller::bounded;
use crate::exchange::receipt::{Booking, Receipt};
use crate::exchange::websocket::extension::Compression;
use crate::ledger::claims::Claim;
use crate::ledger::entry::{AfterClose, Outcome};
use crate::meter::conversation::{Conversation, Told};
use crate::meter::frames::{Frames, Seen};
use crate::meter::reading::Reading;
use crate::policy::OnDisconnect;
use crate::policy::target::Target;

/// Watches both directions of one WebSocket, and books what its turns use.
#[derive(Debug)]
pub struct Turns {
    booking: Booking,
    attempt: u32,
    target: Target,
    /// `None` where nobody knows what the events mean.
    conversation: Option<Conversation>,
    up: Frames,
    down: Frames,
    booked: u32,
    /// Turns that have begun, oldest first, with the ids of their responses.
    open: Vec<(Option<Box<str>>, Receipt)>,
    /// The seconds that the session lasts.
    lasting: Option<Receipt>,
    /// Which side said first that it is over.
    closed: Option<Side>,
    /// Both have said so.
    both_closed: bool,
    flaw: Option<&'static str>,
    /// The client has gone, and the upstream is read on.
    deserted: bool,
}

/// One end of a WebSocket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
}

impl Turns {
    /// Before the first byte of a WebSocket to `target`, which is attempt `attempt` of this call; with what its events
    /// are, and how they are compressed.
    pub fn new(
        booking: Booking,
        attempt: u32,
        target: Target,
        (socket, compression): (Option<Socket>, Option<Compression>),
    ) -> Self {
        let reads = socket.is_some();
        Self {
            booking,
            attempt,
            target,
            conversation: socket.map(Conversation::new),
            up: Frames::new(reads).inflated(compression.map(Compression::of_client)),
            down: Frames::new(reads).inflated(compression.map(Compression::of_server)),
            booked: 0,
            open: Vec::new(),
            lasting: None,
            closed: None,
            both_closed: false,
            flaw: None,
            deserted: false,
        }
    }

    /// Takes bytes of the client.
    pub fn said(&mut self, bytes: &[u8]) {
        let Self { up, conversation, closed, both_closed, .. } = self;
        up.feed(bytes, |seen| match (seen, conversation.as_mut()) {
            (Seen::Close(_), _) => {
                *both_closed |= *closed.get_or_insert(Side::Client) == Side::Upstream;
            }
            (Seen::Text(event), Some(conversation)) => conversation.said(event),
            // What the client says costs nothing by itself.
            (Seen::Text(_) | Seen::Passed(_), _) => {}
        });
    }

    /// Takes bytes of the upstream; what they end is booked when this returns.
    pub fn heard(&mut self, bytes: &[u8]) {
        // Apart, so that an event can be booked while the rest is still to be read.
        let mut down = std::mem::replace(&mut self.down, Frames::new(false));
        down.feed(bytes, |seen| match seen {
            Seen::Close(_) => {
                self.both_closed |= *self.closed.get_or_insert(Side::Upstream) == Side::Client;
            }
            Seen::Passed(why) => self.flaw = Some(why),
            Seen::Text(event) => {
                if let Some(told) = self.conversation.as_mut().and_then(|conversation| conversation.heard(event)) {
                    self.book(told);
                }
            }
        });
        self.down = down;
    }

    /// Whether a frame can be put behind the last byte that went to this side.
    pub fn is_between(&self, toward: Side) -> bool {
        match toward {
            Side::Client => self.down.is_between(),
            Side::Upstream => self.up.is_between(),
        }
    }

    /// Whether some turn has begun and not ended.
    pub fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether the upstream is to finish its turns for the books where the client has gone.
    pub fn are_drained(&self) -> bool {
        self.are_open() && self.booking.policy.metering.on_disconnect == OnDisconnect::Drain
    }

    /// Whether what goes by is metered.
    pub fn are_metered(&self) -> bool {
        self.conversation.is_some()
    }

    /// The client has gone; from now on the upstream is read for the books alone.
    pub fn deserted(&mut self) {
        self.deserted = true;
    }

    /// Which side said first, by a close frame, that it is over.
    pub fn closed(&self) -> Option<Side> {
        self.closed
    }

    /// Whether both have said that it is over, so that nothing more can come.
    pub fn are_closed(&self) -> bool {
        self.both_closed
    }

    /// What could not be read.
    pub fn flaw(&self) -> Option<&'static str> {
        self.flaw
    }

    /// Books what has not ended by itself, with this outcome and reason.
    pub fn end(&mut self, outcome: Outcome, error: Option<&str>) {
        for (id, mut receipt) in std::mem::take(&mut self.open) {
            if outcome == Outcome::ClientClosed {
                receipt.left(if self.deserted { AfterClose::GivenUp } else { AfterClose::Cancelled });
            }
            let reading = Reading { upstream_id: id, ..Reading::default() };
            receipt.close(outcome, Some(reading), error);
        }
        if let Some(mut receipt) = self.lasting.take() {
            let lasted = self.conversation.as_mut().and_then(Conversation::lasted);
            receipt.close(Outcome::Ok, lasted, None);
        }
    }

    fn book(&mut self, told: Told) {
        match told {
            Told::Begun(id) => {
                if self.open.len() >= MOST_OPEN {
                    // Nothing sensible has so many at once; their ends are not told any more.
                    let (id, mut receipt) = self.open.remove(0);
                    let reading = Reading { upstream_id: id, ..Reading::default() };
                    receipt.close(Outcome::Unknown, Some(reading), Some("too many turns were open at once"));
                }
                let receipt = self.begin(true);
                self.open.push((id, receipt));
            }
            Told::Ended { reading, failed } => self.ended(*reading, failed),
            Told::Failed(reading) => {
                // It names no response; an error of a request that began nothing costs nothing.
                if !self.open.is_empty() {
                    let (id, mut receipt) = self.open.remove(0);
                    let reading = Reading { upstream_id: id, ..*reading };
                    receipt.close(Outcome::UpstreamError, Some(reading), None);
                }
            }
            Told::Lasted => {
                if self.lasting.is_none() {
                    self.lasting = Some(self.begin(false));
                }
            }
            Told::Transcribed(reading) => {
                if self.is_first_to_tell(&reading) {
                    self.begin(false).close(Outcome::Ok, Some(*reading), None);
                }
            }
        }
    }

    fn ended(&mut self, mut reading: Reading, failed: bool) {
        let at = self.open.iter().position(|(id, _)| *id == reading.upstream_id);
        let first = self.is_first_to_tell(&reading);
        let mut receipt = match at {
            Some(at) => self.open.remove(at).1,
            None if first => self.begin(true),
            None => return,
        };
        if !first {
            // Another connection of the same session has told it already, and there it is booked.
            (reading.usage, reading.raw_usage) = (None, None);
            receipt.defer();
        }
        let outcome = match (self.deserted, failed) {
            (true, _) => Outcome::ClientClosed,
            (false, true) => Outcome::UpstreamError,
            (false, false) => Outcome::Ok,
        };
        if self.deserted {
            receipt.left(AfterClose::Drained);
        }
        receipt.close(outcome, Some(reading), None);
    }

    /// Whether nobody has booked the usage of this object yet; whoever asks first books it.
    fn is_first_to_tell(&self, reading: &Reading) -> bool {
        match &reading.upstream_id {
            Some(id) if reading.usage.is_some() => self.booking.ledger.claim(id) != Claim::Booked,
            _ => true,
        }
    }

    /// Opens the entry of what begins now; `asked` says whether it is what the client asked for.
    fn begin(&mut self, asked: bool) -> Receipt {
        self.booked += 1;
        let mut booking = self.booking.clone();
        booking.time = Timestamp::now();
        booking.begun = Instant::now();
        booking.bytes_up = 0;
        // What is reserved is the connection's.
        booking.hold = None;
        let wanted = self.conversation.as_ref().map(Conversation::asked).filter(|_| asked);
        let model: Option<Arc<str>> = wanted.and_then(|wanted| wanted.model.as_deref()).map(bounded);
        booking.model = model.or_else(|| booking.model.take().filter(|_| asked));
        booking.tier = wanted.and_then(|wanted| wanted.tier.clone());
        if asked {
            return booking.turn(self.booked, self.attempt, &self.target);
        }
        // A model of its own, which is not the one behind the deployment.
        let target = Target { base_model: None, model: None, ..self.target.clone() };
        booking.turn(self.booked, self.attempt, &target)
    }
}

/// Responses that one connection may have in the making.
const MOST_OPEN: usize = 256;
