//! A private line between two processes of one user: messages of one line each, and descriptors beside them.

use std::fs::{self, File, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    Shutdown, recvmsg, sendmsg, shutdown,
};

/// One end of the line.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    /// The process at the other end when the line was opened.
    process: u32,
}

impl Channel {
    /// Calls whoever listens at `path`.
    ///
    /// # Errors
    /// Nobody does, or a process of another user.
    pub fn call(path: &Path) -> io::Result<Self> {
        let (path, _folder) = within_reach(path)?;
        Self::of(UnixStream::connect(path)?)
    }

    fn of(stream: UnixStream) -> io::Result<Self> {
        let peer = socket_peercred(&stream)?;
        if peer.uid != rustix::process::geteuid() {
            let why = format!("the process at the other end belongs to another user ({})", peer.uid.as_raw());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, process: peer.pid.as_raw_nonzero().get().unsigned_abs() })
    }

    /// The process at the other end.
    pub fn process(&self) -> u32 {
        self.process
    }

    /// Sends a line, which has no break in it, with descriptors.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&self, line: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = [line.as_bytes(), b"\n"].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors at once"));
        }
        let mut sent = sendmsg(&self.stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        while sent < bytes.len() {
            let mut nothing = SendAncillaryBuffer::default();
            sent += sendmsg(&self.stream, &[IoSlice::new(&bytes[sent..])], &mut nothing, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Waits for a line and the descriptors that come with it.
    ///
    /// # Errors
    /// The other end is gone, says nothing for half a minute, or says what is no line.
    pub fn receive(&self) -> io::Result<(String, Vec<OwnedFd>)> {
        let (mut line, mut descriptors) = (Vec::new(), Vec::new());
        while line.last() != Some(&b'\n') {
            if line.len() > LONGEST {
                return Err(io::Error::other("the other process sends no line"));
            }
            let mut bytes = [0; 1024];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            if got.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line.extend_from_slice(&bytes[..got.bytes]);
        }
        line.pop();
        let line = String::from_utf8(line).map_err(|_| io::Error::other("the other process sends no text"))?;
        Ok((line, descriptors))
    }
}

/// Where this process can be called; gone when it is dropped, unless another process is called there by then.
#[derive(Debug)]
pub struct Post {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is.
    file: (u64, u64),
}

impl Post {
    /// Listens at `path`, in the place of whoever did before; for this user alone.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&draft);
        let (short, _folder) = within_reach(&draft)?;
        let listener = UnixListener::bind(short)?;
        let published = || -> io::Result<(u64, u64)> {
            fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
            let file = identity(&draft)?;
            fs::rename(&draft, path)?;
            Ok(file)
        };
        let file = published().inspect_err(|_| {
            let _ = fs::remove_file(&draft);
        })?;
        Ok(Self { listener, path: path.into(), file })
    }

    /// Waits for the next process of this user that calls.
    ///
    /// # Errors
    /// A caller of another user; or the end, see [`Closer`].
    pub fn answer(&self) -> io::Result<Channel> {
        Channel::of(self.listener.accept()?.0)
    }

    /// What ends the waiting, from another thread.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn closer(&self) -> io::Result<Closer> {
        Ok(Closer(self.listener.as_fd().try_clone_to_owned()?))
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Ends the waiting of a [`Post`].
#[derive(Debug)]
pub struct Closer(OwnedFd);

impl Closer {
    /// Ends it; what is asked after that fails.
    pub fn close(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// A path that fits into the address of a socket, good for as long as the folder beside it is open.
fn within_reach(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().len() < LONGEST_PATH {
        return Ok((path.into(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    let folder = File::open(folder)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name), Some(folder)))
}

/// How long the other process may keep this one waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// Descriptors in one message.
const MOST: usize = 16;

/// Bytes of a line.
const LONGEST: usize = 64 << 10;

/// Bytes of a path in the address of a socket.
const LONGEST_PATH: usize = 100;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn lines_and_descriptors_arrive_as_they_were_sent_also_at_a_long_path() {
        let folder = TempDir::new().unwrap();
        let deep = folder.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        for path in [folder.path().join("s"), deep.join("s")] {
            let post = Post::open(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            let caller = Channel::call(&path).unwrap();
            let callee = post.answer().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let long = "x".repeat(10_000);
            callee.send(&long, &[listener.as_fd()]).unwrap();
            let (line, mut descriptors) = caller.receive().unwrap();
            assert_eq!((line, descriptors.len(), caller.process()), (long, 1, std::process::id()));
            let copy = TcpListener::from(descriptors.remove(0));
            assert_eq!(copy.local_addr().unwrap(), listener.local_addr().unwrap());
            caller.send("short", &[]).unwrap();
            assert_eq!(callee.receive().unwrap().0, "short");
            drop(callee);
            assert!(caller.receive().is_err());
            drop(post);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_post_that_was_taken_over_is_left_to_the_next_and_one_that_is_closed_wakes() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("s");
        let first = Post::open(&path).unwrap();
        let second = Post::open(&path).unwrap();
        drop(first);
        Channel::call(&path).unwrap();
        second.answer().unwrap();
        let closer = second.closer().unwrap();
        let waiting = std::thread::spawn(move || second.answer().is_err());
        closer.close();
        assert!(waiting.join().unwrap());
        assert!(Channel::call(&path).is_err());
    }
}
