//! Passes bytes one way, each piece looked at before it goes on.

use std::cell::Cell;
use std::io::ErrorKind;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// How one direction came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// The sending side has nothing more to send.
    Ended,
    /// The sending side is gone.
    Lost,
    /// The receiving side is gone.
    Refused,
}

/// Passes on what `from` sends, until one of the two has ended.
///
/// `look` sees every piece before `into` gets it. At the end of `from`, `into` is told too if `tells` says so.
pub async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    into: &mut (impl AsyncWrite + Unpin),
    moved: &Cell<Instant>,
    mut look: impl FnMut(&[u8]),
    tells: impl Fn() -> bool,
) -> Stop {
    let mut piece = vec![0; PIECE];
    loop {
        let count = match from.read(&mut piece).await {
            Ok(count) => count,
            // TLS without its goodbye; the frames say for themselves whether something is missing.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            Err(_) => return Stop::Lost,
        };
        moved.set(Instant::now());
        if count == 0 {
            if tells() {
                let _ = into.shutdown().await;
            }
            return Stop::Ended;
        }
        look(&piece[..count]);
        // Flushed at once: what waits here is an event that somebody waits for.
        if into.write_all(&piece[..count]).await.is_err() || into.flush().await.is_err() {
            return Stop::Refused;
        }
        moved.set(Instant::now());
    }
}

const PIECE: usize = 16 << 10;
