//! The end of a connection whose last answer must be read by a peer that may still be sending.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Says that nothing more comes, and takes in what the peer still sends, within bounds.
///
/// Closing at once, with bytes unread, would reset the connection and take the answer with it.
pub async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = timeout(LINGER, async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut waste = vec![0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 {
            let Ok(count @ 1..) = stream.read(&mut waste).await else { return };
            left = left.saturating_sub(count);
        }
    })
    .await;
}

/// How long, and for how many bytes, the peer may go on.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;
