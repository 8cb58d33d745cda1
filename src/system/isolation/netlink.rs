//! Netlink: messages to the kernel about its network, and its answers.

use std::io;

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// One message (`struct nlmsghdr`, the head of its kind, attributes), padded to four bytes.
#[derive(Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message of this kind; it asks for an acknowledgement if `flags` has [`ACK`].
    pub fn new(kind: u16, flags: u16, sequence: u32, head: &[u8]) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(head);
        let mut message = Self(bytes);
        message.pad();
        message
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.put(kind, value);
        self
    }

    /// Adds an attribute that is a text with a final zero.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.with(kind, &bytes)
    }

    /// Adds an attribute that is made of attributes.
    #[must_use]
    pub fn nested(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let inner = inner(Self(Vec::new()));
        self.put(kind | NESTED, &inner.0);
        self
    }

    /// The bytes, with the length at their beginning.
    pub fn finished(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }

    fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad();
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// Sends messages of which `acknowledged` ask for an acknowledgement, and waits for those; without a protocol, they are
/// about links and routes (`NETLINK_ROUTE`, which is 0).
///
/// # Errors
/// The kernel's first refusal, or a kernel that does not know this part of netlink.
pub fn tell(protocol: Option<Protocol>, messages: &[u8], acknowledged: usize) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    send(&socket, messages, SendFlags::empty())?;
    let mut left = acknowledged;
    let mut buffer = vec![0_u8; 32 << 10];
    while left > 0 {
        // The kernel answers within `send`, so that there is nothing to wait for.
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        for code in codes(&buffer[..length]) {
            if code != 0 {
                return Err(io::Error::from_raw_os_error(-code));
            }
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

/// The outcomes in an answer: 0 or a negative error number each.
fn codes(mut bytes: &[u8]) -> Vec<i32> {
    let mut codes = Vec::new();
    while let Some((head, body)) = bytes.split_at_checked(HEADER) {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if u16::from_ne_bytes([head[4], head[5]]) == ERROR
            && let [a, b, c, d, ..] = *body
        {
            codes.push(i32::from_ne_bytes([a, b, c, d]));
        }
        if length < HEADER {
            break;
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    codes
}

/// `NLM_F_ACK`.
pub const ACK: u16 = 4;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub const APPEND: u16 = 0x800;
/// `NLM_F_EXCL`.
pub const EXCLUSIVE: u16 = 0x200;

const REQUEST: u16 = 1;
const NESTED: u16 = 1 << 15;
const ERROR: u16 = 2;
const HEADER: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_has_its_length_and_its_attributes_are_aligned() {
        let message = Message::new(16, ACK | CREATE, 9, &[1, 2, 3, 4])
            .text(3, "lo")
            .nested(18, |inner| inner.text(1, "dummy"))
            .finished();
        let expected: Vec<u8> = [
            &44_u32.to_ne_bytes()[..],
            &16_u16.to_ne_bytes(),
            &0x405_u16.to_ne_bytes(),
            &9_u32.to_ne_bytes(),
            &[0; 4],
            &[1, 2, 3, 4],
            &7_u16.to_ne_bytes(),
            &3_u16.to_ne_bytes(),
            b"lo\0\0",
            &16_u16.to_ne_bytes(),
            &0x8012_u16.to_ne_bytes(),
            &10_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            b"dummy\0\0\0",
        ]
        .concat();
        assert_eq!(message, expected);
    }

    fn outcome(code: i32) -> Vec<u8> {
        let mut bytes = Message::new(ERROR, 0, 1, &code.to_ne_bytes()).finished();
        bytes.extend([0; 16]);
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    #[test]
    fn acknowledgements_and_refusals_are_told_apart() {
        assert_eq!(codes(&[outcome(0), outcome(-1), outcome(0)].concat()), [0, -1, 0]);
        assert_eq!(codes(&[]), Vec::<i32>::new());
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = codes(&bytes);
        }
    }
}
