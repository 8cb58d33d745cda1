//! The authority in use: it is opened or made, and it answers for every intercepted host.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use quick_cache::sync::Cache;
use rustls::ServerConfig;
use time::OffsetDateTime;

use crate::ca::chain::Chain;
use crate::ca::error::CaError;
use crate::ca::leaf::{Leaf, Terms};
use crate::ca::store::{ROOT, Store, certificate_pem};
use crate::net::host::{Host, HostPattern};

/// The certificate authority of this installation; clones share everything.
#[derive(Clone)]
pub struct Authority(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    chain: Chain,
    patterns: Vec<HostPattern>,
    root_pem: String,
    issuer_pem: String,
    fingerprint: String,
    made_now: bool,
    terms: Terms,
    leaves: Cache<Host, Leaf>,
}

impl Authority {
    /// Opens the authority in `dir`, or makes one for `permitted` (host names; what lies below them is included) if
    /// there is none.
    ///
    /// # Errors
    /// A folder that cannot be written, files that are damaged, expired or open to others, and names other than those
    /// that the authority was made for.
    pub fn open(dir: &Path, permitted: &[String]) -> Result<Self, CaError> {
        Self::open_at(dir, permitted, SystemTime::now())
    }

    /// Makes a new authority in place of the one in `dir`. Clients have to trust the new root.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn renew(dir: &Path, permitted: &[String]) -> Result<Self, CaError> {
        Self::make(&Store::claim(dir)?, dir, &normalise(permitted)?, SystemTime::now())
    }

    pub(super) fn open_at(dir: &Path, permitted: &[String], now: SystemTime) -> Result<Self, CaError> {
        let want = normalise(permitted)?;
        let store = Store::claim(dir)?;
        if store.is_empty() {
            return Self::make(&store, dir, &want, now);
        }
        let chain = store.read()?;
        check_time(&chain, dir, now)?;
        if chain.permitted != want {
            return Err(CaError::PermittedChanged { path: dir.into(), have: chain.permitted, want });
        }
        Self::new(dir, chain, false)
    }

    fn make(store: &Store, dir: &Path, permitted: &[String], now: SystemTime) -> Result<Self, CaError> {
        let chain = Chain::make(permitted, now)?;
        store.write(&chain)?;
        Self::new(dir, chain, true)
    }

    fn new(dir: &Path, chain: Chain, made_now: bool) -> Result<Self, CaError> {
        Ok(Self(Arc::new(Shared {
            dir: dir.into(),
            patterns: patterns(&chain.permitted)?,
            root_pem: certificate_pem(&chain.root),
            issuer_pem: certificate_pem(&chain.issuer),
            fingerprint: fingerprint(&chain.root),
            made_now,
            terms: Terms::new()?,
            leaves: Cache::new(HOSTS),
            chain,
        })))
    }

    /// The TLS set-up for connections that were meant for `host`. A leaf is minted at most once at a time per host, in
    /// some tens of microseconds; callers for the same host wait for it.
    ///
    /// # Errors
    /// A host that is not permitted, and an authority that has expired meanwhile.
    pub fn server_config(&self, host: &Host, now: SystemTime) -> Result<Arc<ServerConfig>, CaError> {
        let shared = &*self.0;
        if !shared.patterns.iter().any(|pattern| pattern.matches(host)) {
            return Err(CaError::NotPermitted { host: host.to_string(), permitted: shared.chain.permitted.clone() });
        }
        if let Some(leaf) = shared.leaves.get(host) {
            if leaf.is_fresh(now) {
                return Ok(leaf.config);
            }
            // Asked again under the lock, because another caller may have put a fresh one there.
            shared.leaves.remove_if(host, |leaf| !leaf.is_fresh(now));
        }
        check_time(&shared.chain, &shared.dir, now)?;
        let mint = || Leaf::mint(host, &shared.chain, &shared.terms, now);
        Ok(shared.leaves.get_or_insert_with(host, mint)?.config)
    }

    /// The certificate that clients have to trust, PEM.
    pub fn root_pem(&self) -> &str {
        &self.0.root_pem
    }

    /// The same, DER.
    pub fn root_der(&self) -> &[u8] {
        &self.0.chain.root
    }

    /// The certificate that signs the leaves, PEM.
    pub fn issuer_pem(&self) -> &str {
        &self.0.issuer_pem
    }

    /// SHA-256 of the root: 32 pairs of hexadecimal digits with colons between them.
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// The names that leaves can be for, with what lies below them; sorted.
    pub fn permitted(&self) -> &[String] {
        &self.0.chain.permitted
    }

    /// When root and issuer expire.
    pub fn not_after(&self) -> SystemTime {
        self.0.chain.not_after
    }

    /// The folder with `ca.pem`, `issuer.pem`, `issuer-key.pem` and `bundle.pem`.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// The file that clients are told to trust: `ca.pem` in the folder.
    pub fn root_path(&self) -> PathBuf {
        self.0.dir.join(ROOT)
    }

    /// Whether it did not exist before this run, so that clients have yet to be told.
    pub fn made_now(&self) -> bool {
        self.0.made_now
    }

    #[cfg(test)]
    pub(super) fn chain(&self) -> &Chain {
        &self.0.chain
    }

    #[cfg(test)]
    pub(super) fn leaf_count(&self) -> usize {
        self.0.leaves.len()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("dir", &self.0.dir).field("fingerprint", &self.0.fingerprint).finish()
    }
}

/// Lower case, without final dots, sorted, each once: how names are compared with those on disk.
fn normalise(permitted: &[String]) -> Result<Vec<String>, CaError> {
    let mut names: Vec<_> = patterns(permitted)?.iter().map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    if names.is_empty() { Err(CaError::NothingPermitted) } else { Ok(names) }
}

fn patterns(names: &[String]) -> Result<Vec<HostPattern>, CaError> {
    names.iter().map(|name| name.parse().map_err(|_| CaError::PermittedName { name: name.clone() })).collect()
}

fn check_time(chain: &Chain, dir: &Path, now: SystemTime) -> Result<(), CaError> {
    let day = |at: SystemTime| OffsetDateTime::from(at).date().to_string();
    if now >= chain.not_after {
        return Err(CaError::Expired { path: dir.into(), day: day(chain.not_after) });
    }
    if now < chain.not_before {
        return Err(CaError::Early { path: dir.into(), day: day(chain.not_before) });
    }
    Ok(())
}

fn fingerprint(der: &[u8]) -> String {
    let sum = digest::digest(&digest::SHA256, der);
    sum.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Hosts whose leaves are kept; any client can ask for any name below a permitted one.
const HOSTS: usize = 1024;
