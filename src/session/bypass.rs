//! Clients that do not take the gate's certificate are told about, and then passed on unopened for a while, where the owner
//! lets them.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustls::AlertDescription;

use crate::ledger::bypasses::Bypass;
use crate::ledger::tunnels::Gap;
use crate::net::host::Host;
use crate::net::reach::Asker;
use crate::policy::self_test::is_self_test;
use crate::session::arrival::Arrival;
use crate::session::house::House;
use crate::session::pinned::{Client, ENOUGH, Refusal};
use crate::session::remedy::remedy;
use crate::session::verdict::Verdict;

/// What is done with a connection after all: one that would be opened is passed on unseen for a client with a bypass.
pub async fn relented(verdict: Option<Verdict>, arrival: &Arrival, house: &House) -> Option<Verdict> {
    match verdict {
        Some(Verdict::Intercept(host)) if is_bypassed(&host, arrival, house).await => Some(Verdict::Tunnel(Some(host))),
        verdict => verdict,
    }
}

async fn is_bypassed(host: &Host, arrival: &Arrival, house: &House) -> bool {
    if house.pinned.is_empty() || allowed(arrival, house).is_err() {
        return false;
    }
    house.pinned.bypasses(&client(host, arrival).await, Instant::now())
}

/// Notes that a client has taken the certificate, and spoken.
pub async fn accepted(arrival: &Arrival, house: &House) {
    if !house.pinned.is_empty() {
        house.pinned.accepted(&client(&arrival.destination.host, arrival).await);
    }
}

/// Notes that a client has refused the certificate; says so where that is news, and begins a bypass where it settles it.
pub async fn refused(arrival: &Arrival, house: &Rc<House>, error: &io::Error) {
    if is_self_test(&house.relay.policy().interception, &arrival.destination.host) {
        // Whoever asks wants to know; and there is nothing to pass its connections on to.
        tracing::debug!(client = %arrival.peer.address, %error, "a client did not take the certificate of the self-test");
        return;
    }
    let client = client(&arrival.destination.host, arrival).await;
    let allowed = allowed(arrival, house);
    let refusal = house.pinned.refused(&client, Instant::now(), allowed.ok());
    let (program, host) = (&client.program, &client.host);
    match refusal {
        Refusal::Single => tracing::warn!(
            %program, %host, client = %arrival.peer.address, %error,
            "a client did not take the gate's certificate; does it trust certs/ca.pem?"
        ),
        Refusal::Again => {
            tracing::debug!(%program, %host, %error, "a client did not take the gate's certificate again");
        }
        Refusal::Settled => {
            let remedy = remedy(program, house.authority.dir());
            let then = match allowed {
                Ok(time) => format!("its next connections are passed on unopened and unmetered for {time:?}"),
                Err(why) => format!("its connections are not passed on unopened: {why}"),
            };
            tracing::warn!(
                %program, %host, client = %arrival.peer.address, %error, remedy,
                "a client has refused the gate's certificate {ENOUGH} times; {then}"
            );
            if let Ok(time) = allowed {
                begin(client, time, house);
            }
        }
    }
    // Who reads of a refusal finds what came of it.
    house.ledger.gap(Gap::Pinned);
}

/// Whether a client went because of the certificate that it was shown, `after` having seen it.
///
/// By an alert that speaks of the certificate, or without a word and at once: so go clients that look at the certificate
/// only when the handshake is over, as Node and GnuTLS do. A client whose patience ends, or whose TLS fails otherwise, has
/// not refused anything.
pub fn is_refusal(error: &io::Error, after: Duration) -> bool {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => ABOUT_CERTIFICATES.contains(alert),
        Some(_) => false,
        None => WITHOUT_A_WORD.contains(&error.kind()) && after < AT_ONCE,
    }
}

/// For how long the client may be passed on unopened, or why it may not.
fn allowed(arrival: &Arrival, house: &House) -> Result<Duration, &'static str> {
    let auditing = house.relay.policy().auditing;
    if auditing.mandatory {
        return Err("auditing is mandatory");
    }
    let Some(time) = auditing.bypass() else { return Err("`pinned.bypass` is off") };
    // What a budget refuses must not be had by refusing a certificate.
    let label = arrival.label.label().map(|label| &**label);
    let process = arrival.peer.program.program().map(|program| &*program.name);
    if house.budgets.iter().any(|budget| budget.may_refuse(label, process)) {
        return Err("a budget that refuses may be for it");
    }
    Ok(time)
}

fn begin(client: Client, time: Duration, house: &Rc<House>) {
    let since = Timestamp::now();
    house.ledger.bypass(Bypass {
        client: Arc::clone(&client.program),
        label: client.label.clone(),
        host: client.host.to_string().into(),
        since,
        until: since.saturating_add(time).unwrap_or(Timestamp::MAX),
    });
    let pinned = house.pinned.clone();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(time).await;
        if pinned.end(&client, Instant::now()) {
            let (program, host) = (&client.program, &client.host);
            tracing::warn!(%program, %host, "a client's connections are opened again: its bypass has ended");
        }
    });
}

async fn client(host: &Host, arrival: &Arrival) -> Client {
    let peer = &arrival.peer;
    peer.program.settled().await;
    let program = peer.program.program();
    let address = || peer.address.to_canonical().to_string().into();
    Client {
        program: program.map_or_else(address, |program| Arc::clone(&program.path)),
        known: program.is_some() || peer.asker() == Asker::Elsewhere,
        label: arrival.label.label().cloned(),
        host: host.clone(),
    }
}

/// Alerts by which a client says what is wrong with a certificate (RFC 8446, section 6.2).
const ABOUT_CERTIFICATES: [AlertDescription; 6] = [
    AlertDescription::BadCertificate,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::UnsupportedCertificate,
];

/// How a connection ends that is just closed.
const WITHOUT_A_WORD: [ErrorKind; 3] = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];

/// A client looks at a certificate when it comes; who goes later than this has waited for something.
pub const AT_ONCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use rustls::Error;

    use super::*;

    #[test]
    fn only_words_about_the_certificate_or_going_at_once_are_a_refusal() {
        let alert = |alert| io::Error::new(ErrorKind::InvalidData, Error::AlertReceived(alert));
        let at_once = Duration::from_millis(5);
        for (description, refusal) in [
            (AlertDescription::UnknownCA, true),
            (AlertDescription::CertificateUnknown, true),
            (AlertDescription::BadCertificate, true),
            (AlertDescription::HandshakeFailure, false),
            (AlertDescription::ProtocolVersion, false),
            (AlertDescription::UserCanceled, false),
            (AlertDescription::InternalError, false),
        ] {
            assert_eq!(is_refusal(&alert(description), at_once), refusal, "{description:?}");
            // An alert says what it says whenever it comes.
            assert_eq!(is_refusal(&alert(description), AT_ONCE * 5), refusal, "{description:?}");
        }
        for (kind, after, refusal) in [
            (ErrorKind::UnexpectedEof, at_once, true),
            (ErrorKind::ConnectionReset, at_once, true),
            (ErrorKind::UnexpectedEof, AT_ONCE, false),
            (ErrorKind::TimedOut, at_once, false),
            (ErrorKind::InvalidData, at_once, false),
        ] {
            assert_eq!(is_refusal(&kind.into(), after), refusal, "{kind} {after:?}");
        }
        let broken = io::Error::new(ErrorKind::InvalidData, Error::DecryptError);
        assert!(!is_refusal(&broken, at_once));
    }
}
