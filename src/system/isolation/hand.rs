//! Hands words and open sockets from one process to another, over a pair of Unix sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Two ends; each message stays one.
///
/// # Errors
/// No descriptors to be had.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message and, with it, at most [`MOST`] descriptors.
///
/// # Errors
/// The other end is gone, or has not the room.
pub fn give(to: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors at once"));
    }
    sendmsg(to, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a message and the descriptors that come with it; `None` where the other end is gone.
///
/// # Errors
/// What is no such message.
pub fn take<T: DeserializeOwned>(from: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = [0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(&from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let message = serde_json::from_slice(&bytes[..got.bytes])?;
    Ok(Some((message, descriptors)))
}

/// Descriptors in one message.
pub const MOST: usize = 16;
/// Bytes of a message.
const LONGEST: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_that_is_handed_over_is_the_same_socket() {
        let (one, other) = pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        give(&one, &"words", &[listener.as_fd()]).unwrap();
        drop(listener);
        let (words, mut sockets) = take::<String>(&other).unwrap().unwrap();
        assert_eq!((words.as_str(), sockets.len()), ("words", 1));
        let listener = TcpListener::from(sockets.pop().unwrap());
        std::net::TcpStream::connect(at).unwrap().write_all(b"x").unwrap();
        let mut got = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"x");
    }

    #[test]
    fn an_end_that_is_gone_is_no_message() {
        let (one, other) = pair().unwrap();
        drop(one);
        assert!(take::<String>(&other).unwrap().is_none());
        assert!(give(&other, &"words", &[]).is_err());
    }
}
