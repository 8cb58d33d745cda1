//! The first bytes of a client, read until they show whether it speaks TLS and which name it asks for.

use crate::net::host::Host;

/// Reads a ClientHello from pieces of any size; keeps the bytes, so that they can be sent on.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// Everything that came, as it came.
    raw: Vec<u8>,
    /// How much of it was taken apart.
    at: usize,
    /// Bytes that the record at `at` still has.
    record: usize,
    /// The handshake message, without the heads of the records that it came in.
    message: Vec<u8>,
}

/// What the first bytes of a client are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Look {
    /// A whole ClientHello.
    Hello(Hello),
    /// No TLS, or none that can be read.
    NotTls,
    /// The beginning of a ClientHello that is larger than any that is meant.
    TooLarge,
    /// The beginning of a ClientHello that never came to its end.
    Unfinished,
}

/// What a ClientHello tells of its client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hello {
    /// The server's name (RFC 6066); `None` where there is none, more than one, or one that is no name.
    pub name: Option<Host>,
    /// There is an `encrypted_client_hello` (RFC 9849). Most of them are sent for show alone: Chrome and Firefox put
    /// one without meaning into every hello for a host that has no key for it, and then `name` is the true one.
    pub ech: bool,
}

impl HelloReader {
    /// Takes the next bytes; tells what they are as soon as they do.
    pub fn feed(&mut self, piece: &[u8]) -> Option<Look> {
        self.raw.extend_from_slice(piece);
        loop {
            let left = &self.raw[self.at..];
            if self.record == 0 {
                match record(left) {
                    Head::Other => return Some(Look::NotTls),
                    Head::Begun => break,
                    Head::Whole(length) => {
                        self.at += RECORD_HEAD;
                        self.record = length;
                    }
                }
                continue;
            }
            if left.is_empty() {
                break;
            }
            let taken = self.record.min(left.len());
            self.message.extend_from_slice(&left[..taken]);
            self.at += taken;
            self.record -= taken;
            match message(&self.message) {
                Head::Other => return Some(Look::NotTls),
                Head::Begun => {}
                Head::Whole(length) if length > LARGEST => return Some(Look::TooLarge),
                Head::Whole(length) => {
                    if let Some(body) = self.message.get(MESSAGE_HEAD..MESSAGE_HEAD + length) {
                        return Some(hello(body).map_or(Look::NotTls, Look::Hello));
                    }
                }
            }
        }
        (self.raw.len() > LARGEST).then_some(Look::TooLarge)
    }

    /// Everything that was fed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.raw
    }
}

/// The head of a record or message, with the length of what follows.
enum Head {
    Begun,
    Other,
    Whole(usize),
}

/// `struct TLSPlaintext` of RFC 8446, as far as it is there.
fn record(bytes: &[u8]) -> Head {
    let is = |at: usize, wanted: u8| bytes.get(at).is_none_or(|byte| *byte == wanted);
    if !is(0, HANDSHAKE) || !is(1, MAJOR) {
        return Head::Other;
    }
    let Some(length) = bytes.get(3..RECORD_HEAD) else { return Head::Begun };
    match usize::from(u16::from_be_bytes([length[0], length[1]])) {
        length @ 1..=LARGEST_RECORD => Head::Whole(length),
        // An empty record would let a client go on for ever, and a larger one than this is none.
        _ => Head::Other,
    }
}

/// `struct Handshake` of RFC 8446, as far as it is there.
fn message(bytes: &[u8]) -> Head {
    if bytes.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Head::Other;
    }
    let Some(length) = bytes.get(1..MESSAGE_HEAD) else { return Head::Begun };
    Head::Whole(length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// `struct ClientHello` of RFC 8446; `None` where it is none.
fn hello(body: &[u8]) -> Option<Hello> {
    let mut fields = Cursor(body);
    // Version and random.
    fields.take(2 + 32)?;
    let _session = fields.block(1)?;
    let _suites = fields.block(2)?;
    let _compressions = fields.block(1)?;
    let mut hello = Hello::default();
    if fields.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Cursor(fields.block(2)?);
    let mut names = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let content = extensions.block(2)?;
        match kind {
            // Two of them contradict each other, whatever they say.
            SERVER_NAME if names.is_some() => names = Some(None),
            SERVER_NAME => names = Some(server_name(content)),
            ENCRYPTED_HELLO => hello.ech = true,
            _ => {}
        }
    }
    hello.name = names.flatten();
    Some(hello)
}

/// `struct ServerNameList` of RFC 6066: the one host name in it.
fn server_name(content: &[u8]) -> Option<Host> {
    let mut outer = Cursor(content);
    let mut list = Cursor(outer.block(2)?);
    let kind = list.number(1)?;
    let name = list.block(2)?;
    if kind != HOST_NAME || !list.0.is_empty() || !outer.0.is_empty() {
        return None;
    }
    let host = std::str::from_utf8(name).ok()?.parse::<Host>().ok()?;
    // Addresses are no server names.
    host.name().is_some().then_some(host)
}

/// Bytes from which pieces are taken.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, width: usize) -> Option<usize> {
        Some(self.take(width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    /// A piece with its length of `width` bytes before it.
    fn block(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = self.number(width)?;
        self.take(length)
    }
}

/// The first byte of every TLS connection.
pub const HANDSHAKE: u8 = 22;
const MAJOR: u8 = 3;
const CLIENT_HELLO: u8 = 1;
const HOST_NAME: usize = 0;
const SERVER_NAME: usize = 0;
const ENCRYPTED_HELLO: usize = 0xfe0d;
const RECORD_HEAD: usize = 5;
const MESSAGE_HEAD: usize = 4;
const LARGEST_RECORD: usize = 1 << 14;
/// The largest that is read; with several post-quantum keys they have about 4 kB.
const LARGEST: usize = 64 << 10;

#[cfg(test)]
mod tests;
