//! Bytes passed unseen, each direction to its own end.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

use crate::net::prefixed::Prefixed;
use crate::net::shutdown::Phase;
use crate::session::house::House;
use crate::upstream::road::Road;

/// Copies both ways until both have ended; one end may close before the other.
pub async fn tunnel(client: Prefixed<impl AsyncRead + AsyncWrite + Unpin>, upstream: Road, house: Rc<House>) {
    let mut client = client;
    let mut upstream = Prefixed::new(Bytes::new(), upstream);
    let (up, down) = (client.count(), upstream.count());
    house.ledger.tunnel_opened();
    tokio::select! {
        outcome = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a tunnel broke off");
            }
        }
        // A tunnel has no end of its own that could be waited for.
        () = house.stopping.reached(Phase::Halting) => {}
    }
    house.ledger.tunnel_closed(up.get(), down.get());
}

const BUFFER: usize = 32 << 10;
