//! What the authority promises to clients, to its owner, and against a thief of its key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, PublicKeyData, SanType};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection};
use tempfile::TempDir;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::ca::authority::Authority;
use crate::ca::bundle::write_bundle;
use crate::ca::chain::{Chain, parse};
use crate::ca::error::CaError;
use crate::ca::leaf;
use crate::ca::store::{BUNDLE, ISSUER, KEY, ROOT};
use crate::net::host::Host;

const NAME: &str = "api.openai.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn authority() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(&folder.path().join("certs"), &names(&[NAME])).unwrap();
    (folder, authority)
}

fn host(text: &str) -> Host {
    text.parse().unwrap()
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.root_pem().as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
}

/// What rustls says to `leaf` for `name`, trusting the root alone.
fn verify(authority: &Authority, leaf: &CertificateDer<'_>, name: &str) -> Result<(), rustls::Error> {
    let issuer = CertificateDer::from_pem_slice(authority.issuer_pem().as_bytes()).unwrap();
    verify_through(authority, leaf, &[issuer], name)
}

fn verify_through(
    authority: &Authority,
    leaf: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    name: &str,
) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority), provider).build().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(leaf, issuers, &name, &[], UnixTime::now()).map(drop)
}

fn mint(authority: &Authority, host: &Host) -> CertificateDer<'static> {
    let now = SystemTime::now();
    leaf::sign(host, authority.chain(), now - DAY, now + DAY).unwrap().0
}

fn client(authority: &Authority) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots(authority)).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A whole handshake in memory, including the tickets that come after it.
fn shake(
    authority: &Authority,
    client: &Arc<ClientConfig>,
    name: &str,
) -> (HandshakeKind, Vec<CertificateDer<'static>>) {
    let config = authority.server_config(&host(name), SystemTime::now()).unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    for _ in 0..4 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().unwrap();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));
    let shown = client.peer_certificates().unwrap_or_default().iter().map(|der| der.clone().into_owned()).collect();
    (client.handshake_kind().unwrap(), shown)
}

#[test]
fn a_client_that_trusts_the_root_alone_accepts_a_leaf() {
    let (_folder, authority) = authority();
    for name in [NAME, "eu.api.openai.com"] {
        let (_, shown) = shake(&authority, &client(&authority), name);
        assert_eq!(shown.len(), 2, "leaf and issuer, no root");
        assert_eq!(verify(&authority, &shown[0], name), Ok(()));
    }
}

#[test]
fn a_stolen_issuer_key_is_worth_nothing_elsewhere() {
    let (_folder, authority) = authority();
    for (made_for, asked) in [
        ("bank.example", "bank.example"),
        ("openai.com", "openai.com"),
        ("evilapi.openai.com", "evilapi.openai.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[2001:db8::1]", "2001:db8::1"),
    ] {
        let refused = verify(&authority, &mint(&authority, &host(made_for)), asked).unwrap_err();
        assert!(format!("{refused:?}").contains("NameConstraintViolation"), "{made_for}: {refused:?}");
    }
    // A wildcard, which the gate itself never makes.
    for (wildcard, asked) in
        [("*.bank.example", "www.bank.example"), ("*.openai.com", "chat.openai.com"), ("*.openai.com", NAME)]
    {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(wildcard.try_into().unwrap())];
        let forged = params.signed_by(&KeyPair::generate().unwrap(), &authority.chain().signer).unwrap();
        let refused = verify(&authority, forged.der(), asked).unwrap_err();
        assert!(format!("{refused:?}").contains("NameConstraintViolation"), "{wildcard}: {refused:?}");
    }
}

#[test]
fn the_issuer_cannot_make_further_authorities() {
    let (_folder, authority) = authority();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let below = params.signed_by(&key, &authority.chain().signer).unwrap();
    let leaf = CertificateParams::new(names(&[NAME])).unwrap();
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &rcgen::Issuer::new(params, key)).unwrap();
    let issuer = CertificateDer::from_pem_slice(authority.issuer_pem().as_bytes()).unwrap();
    let refused = verify_through(&authority, leaf.der(), &[below.into(), issuer], NAME).unwrap_err();
    assert!(format!("{refused:?}").contains("PathLenConstraintViolated"), "{refused:?}");
}

#[test]
fn hosts_that_are_not_permitted_get_no_certificate() {
    let (_folder, authority) = authority();
    for name in ["bank.example", "openai.com", "evilapi.openai.com", "127.0.0.1", "[::1]"] {
        let refused = authority.server_config(&host(name), SystemTime::now());
        assert!(matches!(refused, Err(CaError::NotPermitted { .. })), "{name}");
    }
    assert_eq!(authority.leaf_count(), 0);
}

#[test]
fn a_leaf_names_one_host_and_its_kind_is_the_hosts() {
    let (_folder, authority) = authority();
    let sans = |text: &str| {
        let der = mint(&authority, &host(text));
        let read = parse(&der).unwrap();
        let names = &read.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names.len(), 1);
        format!("{:?}", names[0])
    };
    assert_eq!(sans(NAME), format!("{:?}", GeneralName::DNSName(NAME)));
    assert_eq!(sans("127.0.0.1"), format!("{:?}", GeneralName::IPAddress(&[127, 0, 0, 1])));
    assert_eq!(sans("[::1]"), format!("{:?}", GeneralName::IPAddress(&std::net::Ipv6Addr::LOCALHOST.octets())));
    let long = format!("{}.{NAME}", "a".repeat(60));
    assert_eq!(sans(&long), format!("{:?}", GeneralName::DNSName(&long)));
}

#[test]
fn a_leaf_has_all_that_strict_verifiers_ask_for() {
    let (_folder, authority) = authority();
    let (_, shown) = shake(&authority, &client(&authority), NAME);
    let [leaf, issuer] = [0, 1].map(|index| parse(&shown[index]).unwrap());
    let key_identifiers = |read: &x509_parser::certificate::X509Certificate<'_>| {
        let mut found = (None, None);
        for extension in read.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => found.0 = Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    found.1 = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                _ => {}
            }
        }
        found
    };
    let root = parse(authority.root_der()).unwrap();
    assert!(key_identifiers(&root).0.is_some());
    assert_eq!(key_identifiers(&issuer).1, key_identifiers(&root).0);
    assert_eq!(key_identifiers(&leaf).1, key_identifiers(&issuer).0);
    assert!(key_identifiers(&leaf).0.is_some_and(|own| Some(own) != key_identifiers(&issuer).0));
    assert_ne!(leaf.public_key().raw, issuer.public_key().raw);
    assert_eq!(leaf.issuer(), issuer.subject());

    let basic = leaf.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && !basic.value.ca);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.flags == 1);
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    let validity = leaf.validity();
    let whole = validity.not_after.to_datetime() - validity.not_before.to_datetime();
    assert!(whole <= time::Duration::days(7));
    let now = time::OffsetDateTime::now_utc();
    let age = now - validity.not_before.to_datetime();
    assert!((age - time::Duration::days(1)).abs() < time::Duration::minutes(5));

    for read in [&root, &issuer, &leaf] {
        assert!((0x40..0x80).contains(&read.raw_serial()[0]) && read.raw_serial().len() == 16);
    }
    for (read, length) in [(&root, 1), (&issuer, 0)] {
        let basic = read.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(length));
        assert!(read.key_usage().unwrap().unwrap().critical);
        assert!(read.name_constraints().unwrap().unwrap().critical);
    }
    assert!(issuer.extended_key_usage().unwrap().unwrap().value.server_auth);
}

#[test]
fn fifty_callers_at_once_share_one_leaf() {
    let (_folder, authority) = authority();
    let now = SystemTime::now();
    // Stale ones must be minted anew once, too.
    for at in [now, now + 6 * DAY] {
        let gate = Arc::new(Barrier::new(50));
        let threads: Vec<_> = (0..50)
            .map(|_| {
                let (authority, gate) = (authority.clone(), gate.clone());
                std::thread::spawn(move || {
                    gate.wait();
                    authority.server_config(&host(NAME), at).unwrap()
                })
            })
            .collect();
        let configs: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(configs.iter().all(|config| Arc::ptr_eq(config, &configs[0])));
    }
}

#[test]
fn a_leaf_in_its_last_day_is_replaced() {
    let (_folder, authority) = authority();
    let now = SystemTime::now();
    let at = |later: Duration| authority.server_config(&host(NAME), now + later).unwrap();
    let first = at(Duration::ZERO);
    assert!(Arc::ptr_eq(&first, &at(4 * DAY)));
    assert!(!Arc::ptr_eq(&first, &at(5 * DAY + DAY / 24)));
}

#[test]
fn no_leaf_outlives_its_authority() {
    let (_folder, authority) = authority();
    let end = authority.not_after();
    let last = authority.server_config(&host(NAME), end - DAY / 2).unwrap();
    assert!(Arc::ptr_eq(&last, &authority.server_config(&host(NAME), end - DAY / 4).unwrap()));
    assert!(matches!(authority.server_config(&host(NAME), end), Err(CaError::Expired { .. })));
}

#[test]
fn any_number_of_names_keeps_the_cache_bounded() {
    let (_folder, authority) = authority();
    let now = SystemTime::now();
    for number in 0..1500 {
        authority.server_config(&host(&format!("h{number}.{NAME}")), now).unwrap();
    }
    assert!(authority.leaf_count() <= 1024, "{}", authority.leaf_count());
}

#[test]
fn a_second_handshake_of_one_client_is_resumed() {
    let (_folder, authority) = authority();
    let client = client(&authority);
    assert_ne!(shake(&authority, &client, NAME).0, HandshakeKind::Resumed);
    assert_eq!(shake(&authority, &client, NAME).0, HandshakeKind::Resumed);
    assert_ne!(shake(&authority, &client, "eu.api.openai.com").0, HandshakeKind::Resumed, "another name");
}

#[test]
fn the_same_authority_is_opened_again() {
    let (folder, first) = authority();
    let again = Authority::open(first.dir(), &names(&["API.OpenAI.com.", NAME])).unwrap();
    assert!(first.made_now() && !again.made_now());
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_eq!(again.permitted(), [NAME]);
    assert_eq!(first.not_after(), again.not_after());
    assert_eq!(fs::read_to_string(first.root_path()).unwrap(), again.root_pem());
    let (_, shown) = shake(&again, &client(&first), NAME);
    assert_eq!(verify(&first, &shown[0], NAME), Ok(()));
    assert_eq!(again.fingerprint().len(), 95);
    drop(folder);
}

#[test]
fn a_renewed_authority_has_another_name_and_key() {
    let (_folder, old) = authority();
    let new = Authority::renew(old.dir(), &names(&["api.example.com"])).unwrap();
    let [before, after] = [&old, &new].map(|authority| parse(authority.root_der()).unwrap());
    assert_ne!(before.subject(), after.subject());
    assert_ne!(before.public_key().raw, after.public_key().raw);
    assert!(new.made_now());
    assert_eq!(Authority::open(old.dir(), &names(&["api.example.com"])).unwrap().fingerprint(), new.fingerprint());
    assert!(verify(&old, &mint(&new, &host(NAME)), NAME).is_err());
}

#[test]
fn the_roots_key_is_nowhere_on_disk() {
    let (_folder, authority) = authority();
    let root = parse(authority.root_der()).unwrap();
    let mut keys = 0;
    for entry in fs::read_dir(authority.dir()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        keys += text.matches("PRIVATE KEY-----").count() / 2;
        if let Ok(key) = KeyPair::from_pem(&text) {
            assert_ne!(key.subject_public_key_info(), root.public_key().raw);
        }
    }
    assert_eq!(keys, 1);
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[cfg(unix)]
#[test]
fn folder_and_key_are_the_owners_alone() {
    let (_folder, authority) = authority();
    assert_eq!(mode(authority.dir()), 0o700);
    assert_eq!(mode(&authority.dir().join(KEY)), 0o600);
    // Only these: no draft is left behind.
    let mut left: Vec<_> = fs::read_dir(authority.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", ROOT, KEY, ISSUER]);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, authority) = authority();
    let key = authority.dir().join(KEY);
    for wide in [0o640, 0o604, 0o644, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(wide)).unwrap();
        let refused = Authority::open(authority.dir(), &names(&[NAME])).unwrap_err();
        assert!(refused.to_string().contains(&format!("`{}`", key.display())), "{refused}");
        assert!(refused.to_string().contains(&format!("{wide:04o}")), "{refused}");
        assert!(refused.hint().unwrap().contains(&format!("chmod 600 {}", key.display())));
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    Authority::open(authority.dir(), &names(&[NAME])).unwrap();
}

#[test]
fn other_names_need_a_renewal() {
    let (_folder, authority) = authority();
    let refused = Authority::open(authority.dir(), &names(&["b.example", NAME])).unwrap_err();
    let CaError::PermittedChanged { have, want, .. } = &refused else { panic!("{refused}") };
    assert_eq!((have, want), (&names(&[NAME]), &names(&[NAME, "b.example"])));
    let hint = refused.hint().unwrap();
    assert!(hint.contains("tollgate ca renew") && hint.contains("ca.pem"), "{hint}");
}

#[test]
fn nothing_or_an_address_cannot_be_permitted() {
    let folder = tempfile::tempdir().unwrap();
    let open = |list: &[&str]| Authority::open(&folder.path().join("certs"), &names(list)).unwrap_err();
    assert!(matches!(open(&[]), CaError::NothingPermitted));
    for bad in ["127.0.0.1", "*.openai.com", ".openai.com", ""] {
        assert!(matches!(open(&[bad]), CaError::PermittedName { .. }), "{bad}");
    }
    assert!(!folder.path().join("certs").exists());
}

#[test]
fn an_expired_authority_is_refused() {
    let (_folder, authority) = authority();
    let open = |now| Authority::open_at(authority.dir(), &names(&[NAME]), now);
    assert!(open(authority.not_after() - DAY).is_ok());
    let expired = open(authority.not_after()).unwrap_err();
    assert!(expired.hint().unwrap().contains("tollgate ca renew"), "{expired}");
    assert!(matches!(expired, CaError::Expired { .. }));
    assert!(matches!(open(SystemTime::now() - 2 * DAY), Err(CaError::Early { .. })));
}

#[test]
fn files_that_are_damaged_or_mixed_up_are_named() {
    let (_one, one) = authority();
    let (_two, two) = authority();
    let said = || Authority::open(one.dir(), &names(&[NAME])).unwrap_err();
    let put = |name: &str, bytes: &[u8]| fs::write(one.dir().join(name), bytes).unwrap();
    for name in [ROOT, ISSUER, KEY] {
        let good = fs::read(one.dir().join(name)).unwrap();
        put(name, &good[..good.len() / 2]);
        assert!(matches!(said(), CaError::Corrupt { path, .. } if path.ends_with(name)), "{name}");
        put(name, &fs::read(two.dir().join(name)).unwrap());
        assert!(matches!(said(), CaError::Strangers { .. }), "{name}: {}", said());
        put(name, &good);
    }
    fs::remove_file(one.dir().join(KEY)).unwrap();
    assert!(matches!(said(), CaError::Read { path, .. } if path.ends_with(KEY)));
    assert!(said().hint().unwrap().contains("tollgate ca renew"));
}

#[test]
fn an_authority_without_limits_is_refused() {
    let (_folder, authority) = authority();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    let issuer_key = KeyPair::generate().unwrap();
    let issuer = params.signed_by(&issuer_key, &rcgen::Issuer::new(params.clone(), key)).unwrap();
    fs::write(authority.dir().join(ROOT), root.pem()).unwrap();
    fs::write(authority.dir().join(ISSUER), issuer.pem()).unwrap();
    fs::write(authority.dir().join(KEY), issuer_key.serialize_pem()).unwrap();
    let refused = Authority::open(authority.dir(), &names(&[NAME])).unwrap_err();
    assert!(matches!(refused, CaError::Unlimited { .. }), "{refused}");
}

#[test]
fn a_crash_while_writing_leaves_no_half_authority() {
    let (_folder, authority) = authority();
    // Killed after the issuer: the root, written last, is not there; a draft is.
    fs::remove_file(authority.dir().join(ROOT)).unwrap();
    fs::write(authority.dir().join(".new-00000000-ca.pem"), "half").unwrap();
    let next = Authority::open(authority.dir(), &names(&[NAME])).unwrap();
    assert!(next.made_now());
    assert!(!authority.dir().join(".new-00000000-ca.pem").exists());
    assert_eq!(Authority::open(authority.dir(), &names(&[NAME])).unwrap().fingerprint(), next.fingerprint());
}

#[test]
fn two_first_starts_at_once_agree_on_one_authority() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (dir, gate) = (folder.path().join("certs"), gate.clone());
            std::thread::spawn(move || {
                gate.wait();
                Authority::open(&dir, &names(&[NAME])).unwrap()
            })
        })
        .collect();
    let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(all.iter().all(|authority| authority.fingerprint() == all[0].fingerprint()));
    assert_eq!(all.iter().filter(|authority| authority.made_now()).count(), 1);
}

#[test]
fn a_place_that_cannot_be_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("certs")] {
        let refused = Authority::open(&dir, &names(&[NAME])).unwrap_err();
        assert!(matches!(refused, CaError::Folder { .. }), "{refused}");
        assert!(refused.to_string().contains(&dir.display().to_string()));
    }
}

#[test]
fn the_bundle_adds_to_what_the_user_had_and_holds_no_key() {
    let (folder, authority) = authority();
    let machine = &webpki_root_certs::TLS_SERVER_ROOT_CERTS[..3];
    let (_other, corporate) = self::authority();
    let theirs = folder.path().join("corporate.pem");
    let key = fs::read_to_string(corporate.dir().join(KEY)).unwrap();
    let damaged = pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2, 3]));
    let known = pem::encode(&pem::Pem::new("CERTIFICATE", machine[1].to_vec()));
    fs::write(&theirs, format!("{key}{}{damaged}{known}", corporate.root_pem())).unwrap();
    let huge = folder.path().join("huge.pem");
    fs::write(&huge, vec![b'\n'; (1 << 20) + 1]).unwrap();
    let inherited: Vec<PathBuf> = vec![
        theirs,
        folder.path().join("missing.pem"),
        huge,
        folder.path().into(),
        authority.dir().join(BUNDLE),
        authority.dir().join(ROOT),
    ];
    for _ in 0..2 {
        let bundle = write_bundle(&authority, machine, &inherited).unwrap();
        assert_eq!((bundle.certificates, bundle.skipped.len()), (5, 3));
        let text = fs::read_to_string(&bundle.path).unwrap();
        assert!(!text.contains("PRIVATE"));
        let held: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect();
        let mut expected: Vec<_> = machine.iter().map(|der| der.to_vec()).collect();
        expected.extend([corporate.root_der().to_vec(), authority.root_der().to_vec()]);
        assert_eq!(held.iter().map(|der| der.to_vec()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn nothing_secret_is_printed() {
    let (_folder, authority) = authority();
    let shown = format!("{authority:?}");
    assert!(shown.contains(authority.fingerprint()) && !shown.contains("PRIVATE"), "{shown}");
}

/// Writes an authority where `tests/clients/constraints.sh` can use it; without the variable there is nothing to do.
#[test]
fn an_authority_for_other_verifiers() {
    if let Some(dir) = std::env::var_os("TOLLGATE_TEST_CERTS") {
        Authority::open(Path::new(&dir), &names(&[NAME])).unwrap();
    }
}

#[test]
fn the_issuer_signs_with_the_key_on_disk() {
    let (_folder, authority) = authority();
    let key = KeyPair::from_pem(&fs::read_to_string(authority.dir().join(KEY)).unwrap()).unwrap();
    let chain: &Chain = authority.chain();
    assert_eq!(key.subject_public_key_info(), chain.signer.key().subject_public_key_info());
}
