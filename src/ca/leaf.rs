//! Leaves: the certificate that a client is shown for one host, and the TLS set-up that shows it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use crate::ca::chain::{BACKDATED, Chain, serial};
use crate::ca::error::CaError;
use crate::net::host::Host;

/// One host's certificate in use.
#[derive(Clone)]
pub(super) struct Leaf {
    /// What answers a ClientHello; built once, so that tickets stay good.
    pub(super) config: Arc<ServerConfig>,
    not_before: SystemTime,
    renewed_at: SystemTime,
}

impl Leaf {
    /// Mints a certificate for `host`.
    pub(super) fn mint(host: &Host, chain: &Chain, terms: &Terms, now: SystemTime) -> Result<Self, CaError> {
        let not_before = now - BACKDATED;
        let not_after = (now + AHEAD).min(chain.not_after);
        let (certificate, key) = sign(host, chain, not_before, not_after)?;
        let config = terms.server_config(vec![certificate, chain.issuer.clone()], key.serialize_der(), host)?;
        // In the last days of the authority itself a new leaf would not last longer.
        let renewed_at = if not_after == chain.not_after { not_after } else { not_after - MARGIN };
        Ok(Self { config: Arc::new(config), not_before, renewed_at })
    }

    /// Whether the certificate can still be shown at `now`.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        (self.not_before..self.renewed_at).contains(&now)
    }
}

/// What all leaves share: the provider and the means to resume a session.
pub(super) struct Terms {
    provider: Arc<CryptoProvider>,
    // rustls resumes a session only under the name that it was made for, so all hosts can share both.
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Terms {
    pub(super) fn new() -> Result<Self, CaError> {
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new()
            .map_err(|cause| CaError::Tls { subject: "session tickets".into(), cause })?;
        Ok(Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            tickets,
            sessions: ServerSessionMemoryCache::new(SESSIONS),
        })
    }

    fn server_config(
        &self,
        certificates: Vec<CertificateDer<'static>>,
        key: Vec<u8>,
        host: &Host,
    ) -> Result<ServerConfig, CaError> {
        let failed = |cause| CaError::Tls { subject: host.to_string(), cause };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(certificates, PrivateKeyDer::Pkcs8(key.into()))
            .map_err(failed)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = self.tickets.clone();
        config.session_storage = self.sessions.clone();
        Ok(config)
    }
}

/// Signs a certificate with exactly one name: browsers reuse a connection for every name that they see in it.
pub(super) fn sign(
    host: &Host,
    chain: &Chain,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<(CertificateDer<'static>, KeyPair), CaError> {
    let failed = |cause| CaError::Mint { subject: host.to_string(), cause };
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![match host {
        Host::Address(address) => SanType::IpAddress(*address),
        Host::Name(name) => SanType::DnsName(name.as_ref().try_into().map_err(failed)?),
    }];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name(host));
    params.serial_number = Some(serial()?);
    params.not_before = not_before.into();
    params.not_after = not_after.into();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python from 3.13 on refuses a leaf without it.
    params.use_authority_key_identifier_extension = true;
    // A key of its own: Windows rejects a leaf whose key identifier is its issuer's.
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &chain.signer).map_err(failed)?;
    Ok((certificate.into(), key))
}

/// A common name has room for 64 characters; nobody verifies it, so a longer host goes without.
fn common_name(host: &Host) -> String {
    let name = match host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.to_string(),
    };
    if name.len() <= 64 { name } else { "Tollgate leaf".into() }
}

/// With the day before, seven days in all: a leaf that leaks is soon worth nothing.
const AHEAD: Duration = Duration::from_secs(6 * 24 * 3600);

/// A connection may last, so a leaf is not shown in its last day.
const MARGIN: Duration = Duration::from_secs(24 * 3600);

/// Sessions of clients that know no tickets.
const SESSIONS: usize = 256;
