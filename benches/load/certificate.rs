//! The certificates of the stand-in upstream and of nginx, made for one run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Where the certificates of a run lie.
pub(crate) struct Papers {
    /// The authority that everyone trusts, as PEM.
    pub(crate) ca: PathBuf,
}

impl Papers {
    /// Makes an authority and a certificate for the API's host in `folder`.
    pub(crate) fn write(folder: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "load authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let root = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?.pem();
        let ca = folder.join(CA);
        std::fs::write(&ca, root).context("the temporary folder cannot be written")?;
        std::fs::write(folder.join(LEAF), leaf)?;
        std::fs::write(folder.join(KEY), key.serialize_pem())?;
        Ok(Self { ca })
    }
}

/// The host that all calls are for.
pub(crate) const HOST: &str = "api.openai.com";
/// The stand-in's authority.
pub(crate) const CA: &str = "ca.pem";
/// The stand-in's certificate.
pub(crate) const LEAF: &str = "leaf.pem";
/// The key of the certificate.
pub(crate) const KEY: &str = "leaf.key";
