//! Every form in which a hello comes, at every split point.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::client::{EchGreaseConfig, EchMode};
use rustls::crypto::hpke::Hpke;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, WantsVerifier};

use super::*;

/// What `bytes` are when they come in pieces of `size`, and how many were fed until that was told.
fn looked(bytes: &[u8], size: usize) -> (Option<Look>, usize) {
    let mut reader = HelloReader::default();
    let mut fed = 0;
    for piece in bytes.chunks(size) {
        fed += piece.len();
        if let Some(look) = reader.feed(piece) {
            assert_eq!(reader.into_bytes(), &bytes[..fed]);
            return (Some(look), fed);
        }
    }
    assert_eq!(reader.into_bytes(), bytes);
    (None, fed)
}

/// A hello as rustls sends it.
fn real(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    said(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap(), name)
}

/// The same with an encrypted hello for show, as browsers send it.
fn greased(name: &str) -> Vec<u8> {
    let suite = rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
    let (key, _) = suite.generate_key_pair().unwrap();
    let grease = EchMode::from(EchGreaseConfig::new(suite, key));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    said(ClientConfig::builder_with_provider(provider).with_ech(grease).unwrap(), name)
}

fn said(config: ConfigBuilder<ClientConfig, WantsVerifier>, name: &str) -> Vec<u8> {
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn sized(width: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - width..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(2, content)].concat()
}

fn named(names: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| [&[0][..], &sized(2, name)].concat()).collect();
    extension(0, &sized(2, &list))
}

/// A message with these extensions.
fn message_of(extensions: &[u8]) -> Vec<u8> {
    let body = [&[3, 3][..], &[7; 32], &sized(1, &[9; 32]), &sized(2, &[0x13, 1]), &sized(1, &[0])].concat();
    let body = if extensions.is_empty() { body } else { [&body[..], &sized(2, extensions)].concat() };
    [&[1][..], &sized(3, &body)].concat()
}

/// A message in records of at most `size` bytes.
fn recorded(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|piece| [&[22, 3, 1][..], &sized(2, piece)].concat()).collect()
}

fn told(name: &str, ech: bool) -> Look {
    Look::Hello(Hello { name: (!name.is_empty()).then(|| name.parse().unwrap()), ech })
}

#[test]
fn a_real_hello_is_told_at_its_last_byte_however_it_is_cut() {
    let whole = real("api.openai.com");
    assert!(whole.len() > 1400, "it should have a post-quantum key: {}", whole.len());
    for size in 1..=whole.len() {
        let (look, fed) = looked(&whole, size);
        assert_eq!(look, Some(told("api.openai.com", false)), "{size}");
        assert_eq!(fed, whole.len());
    }
    for end in 0..whole.len() {
        assert_eq!(looked(&whole[..end], end.max(1)).0, None, "{end}");
    }
}

#[test]
fn a_hello_may_span_records_and_be_followed_by_more() {
    let message = message_of(&named(&[b"API.OpenAI.com"]));
    for size in 1..=message.len() {
        let bytes = recorded(&message, size);
        for piece in [1, 3, bytes.len()] {
            assert_eq!(looked(&bytes, piece), (Some(told("api.openai.com", false)), bytes.len()), "{size} {piece}");
        }
        let more = [&bytes[..], b"early data of any kind"].concat();
        assert_eq!(looked(&more, more.len()).0, Some(told("api.openai.com", false)));
    }
}

#[test]
fn the_name_is_one_name_or_none() {
    let long = [b"a".repeat(63), b"b".repeat(63), b"c".repeat(63), b"d".repeat(63)].join(&b'.');
    for (extensions, name) in [
        (Vec::new(), ""),
        (extension(10, &[0, 2, 0, 29]), ""),
        (named(&[b"api.openai.com"]), "api.openai.com"),
        (named(&[b"api.openai.com."]), "api.openai.com"),
        (named(&[b"a_b.example"]), "a_b.example"),
        (named(&[b"xn--bcher-kva.example"]), "xn--bcher-kva.example"),
        (named(&["b\u{fc}cher.example".as_bytes()]), ""),
        (named(&[b"1.2.3.4"]), ""),
        (named(&[b"[::1]"]), ""),
        (named(&[b""]), ""),
        (named(&[b"api.openai.com\0.evil"]), ""),
        (named(&[b"\xff\xfe"]), ""),
        (named(&[&long]), ""),
        (named(&[b"api.openai.com", b"evil.example"]), ""),
        ([named(&[b"api.openai.com"]), named(&[b"evil.example"])].concat(), ""),
        ([named(&[b"a.example"]), named(&[b"b.example"]), named(&[b"api.openai.com"])].concat(), ""),
        (extension(0, &[]), ""),
        (extension(0, &[0, 9, 0, 0, 3, b'a', b'.', b'b']), ""),
    ] {
        let bytes = recorded(&message_of(&extensions), LARGEST_RECORD);
        assert_eq!(looked(&bytes, 7).0, Some(told(name, false)), "{extensions:?}");
    }
}

#[test]
fn an_encrypted_hello_for_show_has_the_true_name_outside() {
    let whole = greased("api.openai.com");
    assert_eq!(looked(&whole, 100).0, Some(told("api.openai.com", true)));
}

#[test]
fn an_encrypted_hello_is_seen_beside_the_name_outside() {
    for extensions in [
        [extension(0xfe0d, &[0; 200]), named(&[b"cloudflare-ech.com"])].concat(),
        [named(&[b"cloudflare-ech.com"]), extension(0xfe0d, &[])].concat(),
    ] {
        let bytes = recorded(&message_of(&extensions), LARGEST_RECORD);
        assert_eq!(looked(&bytes, 1).0, Some(told("cloudflare-ech.com", true)));
    }
}

#[test]
fn what_is_no_tls_is_told_at_the_first_byte_that_shows_it() {
    let sound = message_of(&named(&[b"a.example"]));
    let cut = &message_of(&named(&[b"a.example"]))[..60];
    for (bytes, fed) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), 1),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), 1),
        // SSLv2.
        (vec![0x80, 0x2e, 1, 0, 2], 1),
        (vec![22, 2, 0, 0, 5, 1], 2),
        // Records without content, or with more than there can be.
        (vec![22, 3, 1, 0, 0, 1], 5),
        (vec![22, 3, 1, 0x40, 1, 1], 5),
        // A ServerHello.
        (recorded(&[&[2][..], &sound[1..]].concat(), 100), 6),
        // An alert between two records of the hello.
        ([&recorded(&sound[..9], 9)[..], &[21, 3, 1, 0, 2, 1, 0]].concat(), 15),
        // Lengths that lead beyond the message.
        (recorded(&[&[1][..], &sized(3, &cut[4..])].concat(), 100), 5 + 60),
    ] {
        assert_eq!(looked(&bytes, 1), (Some(Look::NotTls), fed), "{bytes:?}");
    }
}

#[test]
fn a_hello_has_bounds_whoever_sends_it() {
    let padded = |length: usize| message_of(&[named(&[b"api.openai.com"]), extension(21, &vec![0; length])].concat());
    let large = recorded(&padded(60_000), LARGEST_RECORD);
    assert_eq!(looked(&large, 1000).0, Some(told("api.openai.com", false)));
    let too_large = recorded(&[&[1, 1, 0, 1][..], &[0; 100]].concat(), 100);
    assert_eq!(looked(&too_large, 1), (Some(Look::TooLarge), 9), "by what it says of itself");
    // Of a length that is allowed, in records so small that their heads make it too large.
    let (look, fed) = looked(&recorded(&padded(60_000), 1), 1);
    assert_eq!(look, Some(Look::TooLarge));
    assert_eq!(fed, LARGEST + 1);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail_and_cuts_change_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        size in 1_usize..50,
    ) {
        for bytes in [bytes.clone(), recorded(&[&[1][..], &sized(3, &bytes)].concat(), 16)] {
            let (whole, _) = looked(&bytes, bytes.len().max(1));
            prop_assert_eq!(looked(&bytes, size).0, whole);
        }
    }

    #[test]
    fn one_changed_byte_never_makes_another_name_of_it(at in 0_usize..120, to in any::<u8>()) {
        let mut bytes = recorded(&message_of(&named(&[b"api.openai.com"])), LARGEST_RECORD);
        let at = at.min(bytes.len() - 1);
        bytes[at] = to;
        if let (Some(Look::Hello(hello)), _) = looked(&bytes, 3) {
            let within = bytes.windows(14).any(|window| {
                hello.name.as_ref().and_then(Host::name).is_some_and(|name| window.eq_ignore_ascii_case(name.as_bytes()))
            });
            let short = hello.name.as_ref().and_then(Host::name).is_none_or(|name| name.len() < 14);
            prop_assert!(within || short);
        }
    }
}
