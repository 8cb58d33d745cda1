//! Root and issuer: how they are made, and what must hold for those found on disk.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree as Subtree};
use x509_parser::prelude::FromDer;

use crate::ca::error::CaError;

/// A root, the issuer that it signed, and the issuer's key.
pub(super) struct Chain {
    /// What clients trust.
    pub(super) root: CertificateDer<'static>,
    /// What signs the leaves; sent along with each.
    pub(super) issuer: CertificateDer<'static>,
    /// The issuer's name, key identifier and key.
    pub(super) signer: Issuer<'static, KeyPair>,
    /// The only names, with what lies below them, that leaves can be for; sorted.
    pub(super) permitted: Vec<String>,
    /// From when both are valid.
    pub(super) not_before: SystemTime,
    /// Until when both are valid.
    pub(super) not_after: SystemTime,
}

impl Chain {
    /// Makes a root and an issuer for `permitted` (sorted names). The root's key does not outlive this call.
    pub(super) fn make(permitted: &[String], now: SystemTime) -> Result<Self, CaError> {
        // A name of its own for each authority: clients that still trust an older root then say what is wrong.
        let mark = hex(&random::<3>()?);
        let failed = |cause| CaError::Mint { subject: "the certificate authority".into(), cause };
        let root_key = KeyPair::generate().map_err(failed)?;
        let root = authority_params(&format!("Tollgate root {mark}"), 1, permitted, now)?;
        let root_certificate = root.self_signed(&root_key).map_err(failed)?;
        let root_signer = Issuer::new(root, root_key);

        let issuer_key = KeyPair::generate().map_err(failed)?;
        let mut issuer = authority_params(&format!("Tollgate issuer {mark}"), 0, permitted, now)?;
        issuer.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        issuer.use_authority_key_identifier_extension = true;
        let issuer_certificate = issuer.signed_by(&issuer_key, &root_signer).map_err(failed)?;
        Self::read(root_certificate.into(), issuer_certificate.into(), issuer_key).map_err(|flaw| match flaw {
            Flaw::Signer(cause) => failed(cause),
            _ => failed(rcgen::Error::CouldNotParseCertificate),
        })
    }

    /// Takes what was on disk, if it is one authority, whole and limited.
    pub(super) fn read(
        root: CertificateDer<'static>,
        issuer: CertificateDer<'static>,
        key: KeyPair,
    ) -> Result<Self, Flaw> {
        let root_read = parse(&root).ok_or(Flaw::Root)?;
        let issuer_read = parse(&issuer).ok_or(Flaw::Issuer)?;
        if root_read.verify_signature(None).is_err() || !root_read.is_ca() {
            return Err(Flaw::Root);
        }
        let signed = issuer_read.verify_signature(Some(root_read.public_key())).is_ok();
        if !signed || issuer_read.issuer() != root_read.subject() || !issuer_read.is_ca() {
            return Err(Flaw::NotSigned);
        }
        if issuer_read.public_key().raw != key.subject_public_key_info() {
            return Err(Flaw::OtherKey);
        }
        let permitted = read_permitted(&root_read).ok_or(Flaw::RootUnlimited)?;
        if read_permitted(&issuer_read).as_ref() != Some(&permitted) {
            return Err(Flaw::IssuerUnlimited);
        }
        let valid = [root_read.validity(), issuer_read.validity()];
        let not_before = valid.iter().map(|valid| valid.not_before.to_datetime()).max();
        let not_after = valid.iter().map(|valid| valid.not_after.to_datetime()).min();
        let (Some(not_before), Some(not_after)) = (not_before, not_after) else { return Err(Flaw::Root) };
        let signer = Issuer::from_ca_cert_der(&issuer, key).map_err(Flaw::Signer)?;
        Ok(Self { root, issuer, signer, permitted, not_before: not_before.into(), not_after: not_after.into() })
    }
}

/// What is wrong with an authority read from disk.
pub(super) enum Flaw {
    /// The root is no certificate of an authority.
    Root,
    /// The issuer is no certificate.
    Issuer,
    /// The root did not sign the issuer.
    NotSigned,
    /// The key is not the issuer's.
    OtherKey,
    /// The root could be used for any name.
    RootUnlimited,
    /// The issuer could be used for other names than the root.
    IssuerUnlimited,
    /// The issuer cannot sign.
    Signer(rcgen::Error),
}

/// A serial that is positive, never repeats, and always fills its 16 bytes.
pub(super) fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = random::<16>()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], CaError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| CaError::Random)?;
    Ok(bytes)
}

/// Reads one certificate, with nothing after it.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().and_then(|(rest, read)| rest.is_empty().then_some(read))
}

fn authority_params(
    name: &str,
    path_length: u8,
    permitted: &[String],
    now: SystemTime,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Tollgate");
    params.serial_number = Some(serial()?);
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + LIFETIME).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        // No leading dot: some verifiers would then refuse the name itself.
        permitted_subtrees: permitted.iter().cloned().map(GeneralSubtree::DnsName).collect(),
        // Permitted names limit names alone; addresses stay free unless they are excluded.
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    });
    Ok(params)
}

/// The names that a certificate is limited to; `None` if it could be used for anything else.
fn read_permitted(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let limits = certificate.name_constraints().ok()??;
    if !limits.critical {
        return None;
    }
    let excluded = limits.value.excluded_subtrees.as_deref().unwrap_or_default();
    let excludes =
        |range: &[u8]| excluded.iter().any(|tree| matches!(tree.base, GeneralName::IPAddress(at) if at == range));
    if !excludes(&[0; 8]) || !excludes(&[0; 32]) {
        return None;
    }
    let name = |tree: &Subtree<'_>| match tree.base {
        GeneralName::DNSName(name) if !name.is_empty() => Some(name.to_owned()),
        _ => None,
    };
    let mut names: Vec<_> = limits.value.permitted_subtrees.as_ref()?.iter().map(name).collect::<Option<_>>()?;
    names.sort();
    (!names.is_empty()).then_some(names)
}

/// Clocks differ; and a certificate that is a day old already surprises nobody.
pub(super) const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// Every renewal has to be told to every client, so two years; the constraints limit the harm meanwhile.
const LIFETIME: Duration = Duration::from_secs(730 * 24 * 3600);
