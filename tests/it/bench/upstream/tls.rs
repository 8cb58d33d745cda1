//! The stand-in's certificate authority and its TLS side.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;

/// A certificate authority of its own, trusted by nobody until its PEM is handed out.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Which HTTP versions TLS offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// `h2` and `http/1.1`, as api.openai.com does.
    Both,
    /// `http/1.1` alone.
    Http1,
    /// `h2` alone.
    Http2,
}

impl Authority {
    /// A fresh root with a fresh key.
    pub fn make() -> Self {
        let mut params = lasting_a_season(Vec::new());
        params.distinguished_name.push(DnType::CommonName, "stand-in authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// The root certificate.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// A server side with one certificate for all names that tests use.
    pub fn acceptor(&self, alpn: Alpn) -> TlsAcceptor {
        let mut params = lasting_a_season(NAMES.iter().map(|name| (*name).to_owned()).collect());
        params.distinguished_name.push(DnType::CommonName, "stand-in");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], secret)
            .unwrap();
        config.alpn_protocols = match alpn {
            Alpn::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http2 => vec![b"h2".to_vec()],
        };
        TlsAcceptor::from(Arc::new(config))
    }
}

fn lasting_a_season(names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = OffsetDateTime::now_utc() - Duration::days(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(90);
    params
}

const NAMES: [&str; 6] =
    ["api.openai.com", "eu.api.openai.com", "res.openai.azure.com", "mirror.example.com", "localhost", "127.0.0.1"];
