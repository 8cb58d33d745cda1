//! Checks the framing of HTTP/1 requests byte by byte, more strictly than the parser behind it.
//!
//! hyper accepts bare line feeds, repeated equal lengths and some doubled transfer codings. A message that two
//! parsers can read in two ways is how requests are smuggled, so such a message is refused before anyone reads it.

use memchr::{memchr, memchr3};

use crate::net::host::HostPort;

/// Follows the request side of one HTTP/1 connection.
#[derive(Debug)]
pub struct Framing {
    state: State,
    /// The bytes of a head that did not arrive in one piece.
    held: Vec<u8>,
    /// Largest head that is looked at.
    limit: usize,
}

impl Framing {
    /// Starts before the first request; heads longer than `limit` bytes are refused.
    pub fn new(limit: usize) -> Self {
        Self { state: State::Head { after_cr: false }, held: Vec::new(), limit }
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// The first violation, with the number of leading bytes that belong to sound messages before it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut at = 0;
        while at < bytes.len() {
            let begun = at;
            let step = match self.state {
                State::Opaque => return Ok(()),
                State::Head { after_cr } => self.head(&bytes[at..], after_cr),
                State::Body(left) => Ok(self.body(bytes.len() - at, left)),
                State::Chunks(chunks) => self.chunks(&bytes[at..], chunks),
            };
            match step {
                Ok(used) => at += used,
                Err(reason) => {
                    let in_head = matches!(self.state, State::Head { .. });
                    return Err(Violation { reason, sound: begun, in_head });
                }
            }
        }
        Ok(())
    }

    /// How many of the bytes that were looked at last belong to a head that is not complete yet.
    pub fn pending(&self) -> usize {
        self.held.len()
    }

    fn head(&mut self, bytes: &[u8], mut after_cr: bool) -> Result<usize, &'static str> {
        let mut at = 0;
        loop {
            if after_cr {
                match bytes.get(at) {
                    None => break,
                    Some(b'\n') => at += 1,
                    Some(_) => return Err("bare carriage return"),
                }
                after_cr = false;
                if self.ends_head(&bytes[..at]) {
                    return self.finish_head(&bytes[..at], at);
                }
            }
            match memchr3(b'\r', b'\n', 0, &bytes[at..]) {
                None => break,
                Some(found) => {
                    at += found;
                    match bytes[at] {
                        b'\r' => after_cr = true,
                        b'\n' => return Err("bare line feed"),
                        _ => return Err("NUL byte"),
                    }
                    at += 1;
                }
            }
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() > self.limit {
            return Err(HEAD_TOO_LARGE);
        }
        self.state = State::Head { after_cr };
        Ok(bytes.len())
    }

    fn ends_head(&self, seen: &[u8]) -> bool {
        let last = |back: usize| match seen.len().checked_sub(back) {
            Some(at) => seen.get(at).copied(),
            None => self.held.len().checked_sub(back - seen.len()).and_then(|at| self.held.get(at).copied()),
        };
        last(4) == Some(b'\r') && last(3) == Some(b'\n')
    }

    fn finish_head(&mut self, seen: &[u8], used: usize) -> Result<usize, &'static str> {
        if self.held.len() + seen.len() > self.limit {
            return Err(HEAD_TOO_LARGE);
        }
        let framed = if self.held.is_empty() {
            read_head(seen)
        } else {
            let mut whole = std::mem::take(&mut self.held);
            whole.extend_from_slice(seen);
            read_head(&whole)
        };
        self.state = framed?;
        Ok(used)
    }

    fn body(&mut self, here: usize, left: u64) -> usize {
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(here);
        let left = left - used as u64;
        self.state = if left == 0 { State::HEAD } else { State::Body(left) };
        used
    }

    fn chunks(&mut self, bytes: &[u8], chunks: Chunks) -> Result<usize, &'static str> {
        let first = bytes[0];
        let (next, used) = match chunks {
            Chunks::Size { value, digits } => match (hex(first), first) {
                (Some(_), _) if digits == MAX_SIZE_DIGITS => return Err("chunk size too large"),
                (Some(digit), _) => (Chunks::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }, 1),
                (None, _) if digits == 0 => return Err("chunk size missing"),
                (None, b'\r') => (Chunks::SizeEnd(value), 1),
                (None, b';' | b' ' | b'\t') => (Chunks::Extension(value), 1),
                _ => return Err("chunk size malformed"),
            },
            Chunks::Extension(value) => match first {
                b'\r' => (Chunks::SizeEnd(value), 1),
                b'\n' | 0 => return Err("chunk extension malformed"),
                _ => (Chunks::Extension(value), 1),
            },
            Chunks::SizeEnd(value) => match (first, value) {
                (b'\n', 0) => (Chunks::Trailer { empty: true }, 1),
                (b'\n', value) => (Chunks::Bytes(value), 1),
                _ => return Err("chunk size not ended by CRLF"),
            },
            Chunks::Bytes(left) => {
                let used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - used as u64;
                (if left == 0 { Chunks::AfterBytes } else { Chunks::Bytes(left) }, used)
            }
            Chunks::AfterBytes if first == b'\r' => (Chunks::AfterBytesCr, 1),
            Chunks::AfterBytesCr if first == b'\n' => (Chunks::Size { value: 0, digits: 0 }, 1),
            Chunks::AfterBytes | Chunks::AfterBytesCr => return Err("chunk not ended by CRLF"),
            Chunks::Trailer { empty } => match first {
                b'\r' => (Chunks::TrailerCr { empty }, 1),
                b'\n' | 0 => return Err("trailer malformed"),
                b' ' | b'\t' if empty => return Err("folded trailer"),
                _ => (Chunks::Trailer { empty: false }, 1),
            },
            Chunks::TrailerCr { empty } => match (first, empty) {
                (b'\n', true) => {
                    self.state = State::HEAD;
                    return Ok(1);
                }
                (b'\n', false) => (Chunks::Trailer { empty: true }, 1),
                _ => return Err("trailer malformed"),
            },
        };
        self.state = State::Chunks(next);
        Ok(used)
    }
}

/// What is wrong with a request, and how much before it was sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Violation {
    /// In a few words.
    pub reason: &'static str,
    /// Leading bytes of the piece that may still be passed on.
    pub sound: usize,
    /// Whether it lies in a head, so that an answer can still be given.
    pub in_head: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Body(u64),
    Chunks(Chunks),
    Head {
        after_cr: bool,
    },
    /// After a CONNECT, or a request to become a WebSocket: no longer HTTP, or the end.
    Opaque,
}

impl State {
    const HEAD: Self = Self::Head { after_cr: false };
}

#[derive(Clone, Copy, Debug)]
enum Chunks {
    AfterBytes,
    AfterBytesCr,
    Bytes(u64),
    Extension(u64),
    Size { value: u64, digits: u8 },
    SizeEnd(u64),
    Trailer { empty: bool },
    TrailerCr { empty: bool },
}

/// Checks a whole head, blank line included, and says what follows it.
fn read_head(head: &[u8]) -> Result<State, &'static str> {
    let mut lines = Lines(head);
    let request = lines.next().ok_or("request line missing")?;
    let (method, is_1_1) = read_request_line(request)?;
    let is_connect = method == b"CONNECT";
    let mut fields = Fields::default();
    for line in lines {
        if line.is_empty() {
            break;
        }
        fields.read(line)?;
    }
    if fields.hosts > 1 || (is_1_1 && fields.hosts == 0) {
        return Err("exactly one Host is required");
    }
    match (fields.length, fields.chunked) {
        (Some(_), true) => Err("both Content-Length and Transfer-Encoding"),
        (Some(_), _) | (_, true) if is_connect => Err("CONNECT with a body"),
        (_, true) if !is_1_1 => Err("Transfer-Encoding in HTTP/1.0"),
        (None, false) if is_connect => Ok(State::Opaque),
        // Whoever answers it otherwise than with a switch closes the connection.
        (None | Some(0), false) if method == b"GET" && is_1_1 && fields.is_websocket() => Ok(State::Opaque),
        (None | Some(0), false) => Ok(State::HEAD),
        (Some(length), false) => Ok(State::Body(length)),
        (None, true) => Ok(State::Chunks(Chunks::Size { value: 0, digits: 0 })),
    }
}

/// The method, and whether the version is 1.1.
fn read_request_line(line: &[u8]) -> Result<(&[u8], bool), &'static str> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("request line malformed");
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err("method malformed");
    }
    if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic()) {
        return Err("target malformed");
    }
    let is_1_1 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err("version not supported"),
    };
    if method == b"CONNECT" {
        let authority = std::str::from_utf8(target).map_err(|_| "CONNECT authority malformed")?;
        HostPort::parse_connect(authority).map_err(|_| "CONNECT authority malformed")?;
    }
    Ok((method, is_1_1))
}

#[derive(Default)]
struct Fields {
    chunked: bool,
    hosts: u32,
    length: Option<u64>,
    /// `Upgrade` names a WebSocket.
    upgrade: bool,
    /// `Connection` names `Upgrade`.
    upgrading: bool,
}

impl Fields {
    fn is_websocket(&self) -> bool {
        self.upgrade && self.upgrading
    }

    fn read(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if matches!(line[0], b' ' | b'\t') {
            return Err("folded header line");
        }
        let colon = memchr(b':', line).ok_or("header line without a colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err("header name malformed");
        }
        if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err("control character in a header value");
        }
        if name.eq_ignore_ascii_case(b"host") {
            let named = std::str::from_utf8(value).map_err(|_| "Host malformed")?;
            HostPort::parse(named, ANY_PORT).map_err(|_| "Host malformed")?;
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
            if !digits || self.length.is_some() {
                return Err("Content-Length malformed or repeated");
            }
            self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("Transfer-Encoding other than one `chunked`");
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade |= lists(value, WEBSOCKET);
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.upgrading |= lists(value, b"upgrade");
        }
        Ok(())
    }
}

/// Whether a list of words parted by commas has this one in it.
pub fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|listed| listed.trim_ascii().eq_ignore_ascii_case(word))
}

/// The lines of a head, each without its CRLF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end.saturating_sub(1)];
        self.0 = &self.0[end + 1..];
        Some(line)
    }
}

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What `Upgrade` says of a WebSocket.
pub const WEBSOCKET: &[u8] = b"websocket";

/// The one violation that is not a matter of form.
pub const HEAD_TOO_LARGE: &str = "head too large";

/// Stands for the port that a Host field leaves out; any would do.
const ANY_PORT: u16 = 80;

const MAX_SIZE_DIGITS: u8 = 15;

/// Which bytes a method or field name may hold; looked up, since every byte of every name is asked about.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let signs = b"!#$%&'*+-.^_`|~";
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < signs.len() {
        table[signs[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests;
