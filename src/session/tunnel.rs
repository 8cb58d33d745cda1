//! Bytes passed unseen, each direction to its own end.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

use crate::ledger::tunnels::Gap;
use crate::net::host::Host;
use crate::net::prefixed::Prefixed;
use crate::net::shutdown::Phase;
use crate::policy::interception::{serves_models, wants_client_certificate};
use crate::session::house::House;
use crate::upstream::road::Road;

/// Copies both ways until both have ended; one end may close before the other.
pub async fn tunnel(client: Prefixed<impl AsyncRead + AsyncWrite + Unpin>, upstream: Road, house: Rc<House>) {
    let mut client = client;
    let mut upstream = Prefixed::new(Bytes::new(), upstream);
    let (up, down) = (client.count(), upstream.count());
    // What was read before, to ask for the tunnel, is no part of it.
    let asked = up.get();
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
    house.ledger.tunnel_closed(up.get().saturating_sub(asked), down.get());
}

/// Notes what the books will not see because it goes to `host` in a tunnel.
pub fn note(host: Option<&Host>, house: &House) {
    let Some(host) = host else { return };
    let ledger = &house.ledger;
    // Nothing but a bypass makes a tunnel of it.
    let bypassed = house.relay.policy().interception.opens(host);
    if bypassed {
        ledger.gap(Gap::Bypassed);
    }
    if bypassed || serves_models(host) {
        ledger.gap(Gap::UnmeteredAi);
    }
    if wants_client_certificate(host) {
        ledger.gap(Gap::Mtls);
    }
}

const BUFFER: usize = 32 << 10;
