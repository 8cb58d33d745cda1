//! The TLS configurations that upstreams are verified with, by the roots that are trusted for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;

use crate::policy::target::ExtraRoots;
use crate::system::roots::{MachineRoots, RootsError, root_store};

/// Makes TLS configurations, one for each set of further roots, and keeps them so that sessions resume.
#[derive(Debug)]
pub(super) struct Verifying {
    /// The machine's roots.
    pub(super) machine: MachineRoots,
    /// Our own root, DER: clients trust it, upstreams are never verified by it.
    pub(super) own_root: Vec<u8>,
    /// Trusted for every upstream.
    pub(super) shared: Option<Arc<ExtraRoots>>,
    /// By the identity of the further roots; each keeps its roots alive.
    pub(super) kept: Mutex<HashMap<usize, Kept>>,
}

/// A TLS configuration; holds its roots so that their identity is never given to others.
#[derive(Debug)]
pub(super) struct Kept {
    _roots: Option<Arc<ExtraRoots>>,
    both: Arc<ClientConfig>,
    /// The same for connections that must speak HTTP/1.
    http1: Arc<ClientConfig>,
}

/// Which HTTP versions are offered to an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    /// HTTP/2 and HTTP/1.
    Both,
    /// HTTP/1 alone.
    Http1,
}

impl Verifying {
    /// The configuration for an upstream with some further roots.
    ///
    /// # Errors
    /// A root that is no certificate.
    pub(super) fn upstream(
        &self,
        extra: Option<&Arc<ExtraRoots>>,
        offer: Offer,
    ) -> Result<Arc<ClientConfig>, TrustError> {
        let key = extra.map_or(0, |roots| Arc::as_ptr(roots) as usize);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get(&key) {
            return Ok(kept.offering(offer));
        }
        let mut config = self.trusting([self.shared.as_ref(), extra])?;
        let http1 = Arc::new(config.clone());
        config.alpn_protocols.insert(0, b"h2".to_vec());
        let new = Kept { _roots: extra.cloned(), both: Arc::new(config), http1 };
        let chosen = new.offering(offer);
        kept.insert(key, new);
        Ok(chosen)
    }

    /// A configuration for HTTP/1 that trusts the machine's roots and `further` ones, and no others.
    ///
    /// # Errors
    /// A root that is no certificate.
    pub(super) fn trusting(&self, further: [Option<&Arc<ExtraRoots>>; 2]) -> Result<ClientConfig, TrustError> {
        let further: Vec<Vec<u8>> =
            further.into_iter().flatten().flat_map(|roots| roots.certificates.iter().cloned()).collect();
        let roots = root_store(&self.machine, &further, Some(&self.own_root))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl Kept {
    fn offering(&self, offer: Offer) -> Arc<ClientConfig> {
        Arc::clone(match offer {
            Offer::Both => &self.both,
            Offer::Http1 => &self.http1,
        })
    }
}

/// Why upstreams cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A root is no certificate.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The provider does not fit the versions.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}
