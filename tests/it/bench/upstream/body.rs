//! A reply body: pieces that wait, cost and break as asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;

use super::books::{Books, Tab};
use super::coding::Encoder;
use super::fault::{Fault, HELL};
use super::link::Link;
use super::script::{Piece, Script};

/// The body of every reply.
pub type ReplyBody = UnsyncBoxBody<Bytes, Broken>;

/// The reply breaks off here.
#[derive(Debug, thiserror::Error)]
#[error("broken off as asked")]
pub struct Broken;

struct Flow {
    pieces: VecDeque<Piece>,
    sent: usize,
    over: bool,
    short: bool,
    cut_after: Option<usize>,
    reset_stream: Option<usize>,
    pace: Option<Duration>,
    encoder: Option<Encoder>,
    books: Arc<Books>,
    link: Arc<Link>,
    tab: Option<Tab>,
}

/// No body.
pub fn nothing() -> ReplyBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Plays the body of a script; charges its line piece by piece.
pub fn play(script: Script, fault: &Fault, encoder: Option<Encoder>, on: (Arc<Books>, Arc<Link>)) -> ReplyBody {
    let (books, link) = on;
    let tab = script.billed.map(|billed| books.serve(billed));
    let pieces = altered(script.pieces, fault);
    let flow = Flow {
        pieces,
        sent: 0,
        over: false,
        short: fault.short_body,
        cut_after: fault.cut_after,
        reset_stream: fault.reset_stream,
        pace: fault.pace,
        encoder,
        books,
        link,
        tab,
    };
    StreamBody::new(stream::unfold(flow, step)).boxed_unsync()
}

async fn step(mut flow: Flow) -> Option<(Result<Frame<Bytes>, Broken>, Flow)> {
    if flow.over {
        if flow.short {
            let_the_rest_out().await;
        }
        return None;
    }
    if [flow.cut_after, flow.reset_stream].contains(&Some(flow.sent)) {
        let_the_rest_out().await;
        flow.books.sluice.pass().await;
    }
    if flow.cut_after == Some(flow.sent) {
        flow.link.reset();
        drop(flow.tab.take());
        return std::future::pending().await;
    }
    if flow.reset_stream == Some(flow.sent) {
        flow.over = true;
        return Some((Err(Broken), flow));
    }
    let piece = flow.pieces.pop_front()?;
    flow.books.sluice.pass().await;
    if let Some(pace) = flow.pace {
        tokio::time::sleep(pace).await;
    }
    let bytes = flow.pass(&piece);
    Some((Ok(Frame::data(bytes)), flow))
}

impl Flow {
    fn pass(&mut self, piece: &Piece) -> Bytes {
        self.sent += 1;
        let breaks = [self.cut_after, self.reset_stream].contains(&Some(self.sent));
        let is_last = self.pieces.is_empty() && !breaks;
        self.over = is_last;
        if let Some(tab) = &self.tab {
            tab.charge(piece.output, piece.reasoning);
        }
        if is_last && let Some(tab) = self.tab.take() {
            tab.complete();
        }
        let Some(mut encoder) = self.encoder.take() else { return piece.bytes.clone() };
        let coded = encoder.push(&piece.bytes);
        if !is_last {
            self.encoder = Some(encoder);
            return coded;
        }
        [coded, encoder.finish()].concat().into()
    }
}

/// While the body has nothing to give, the server flushes what it already has.
async fn let_the_rest_out() {
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
}

fn altered(mut pieces: Vec<Piece>, fault: &Fault) -> VecDeque<Piece> {
    if let Some(count) = fault.error_after {
        pieces.truncate(count);
        pieces.push(Piece::new(ERROR_FRAME));
    }
    if let Some(hell) = fault.hell {
        for piece in &mut pieces {
            let text = String::from_utf8(piece.bytes.to_vec()).unwrap();
            if let Some(at) = text.find("\"usage\":{") {
                let (before, usage) = text.split_at(at + "\"usage\":".len());
                piece.bytes = format!("{before}{}{}", HELL[hell], &usage[length_of(usage)..]).into();
            }
        }
    }
    if fault.crlf {
        for piece in &mut pieces {
            piece.bytes = String::from_utf8(piece.bytes.to_vec()).unwrap().replace('\n', "\r\n").into();
        }
    }
    pieces.into()
}

/// The length of the object at the beginning of a text that has no braces in its strings.
fn length_of(object: &str) -> usize {
    let mut open = 0;
    for (at, letter) in object.char_indices() {
        open += i32::from(letter == '{') - i32::from(letter == '}');
        if open == 0 {
            return at + 1;
        }
    }
    object.len()
}

const ERROR_FRAME: &str = "data: {\"error\":{\"message\":\"The server had an error while processing your request. \
                           Sorry about that!\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
