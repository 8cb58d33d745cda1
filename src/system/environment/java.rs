//! Java: system properties instead of variables, and certificates in a store of its own.
//!
//! `JAVA_TOOL_OPTIONS` is read by every virtual machine, also by one inside another program; `JDK_JAVA_OPTIONS` only by
//! the launcher `java` from version 9 on. Both are told on standard error by whoever reads them.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use aws_lc_rs::digest;

use crate::net::host::{Host, HostPort};
use crate::system::environment::spared::Spared;

/// The properties that lead Java through the gate and let it trust the store, quoted as the virtual machine wants it.
/// A proxy's user cannot be told to it.
pub(super) fn options(proxy: Option<&str>, spared: &Spared, store: Option<&Path>) -> Option<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    if let Some((host, port)) = proxy.and_then(place) {
        for scheme in ["https", "http"] {
            all.push(format!("-D{scheme}.proxyHost={host}").into());
            all.push(format!("-D{scheme}.proxyPort={port}").into());
        }
        all.push(format!("-Dhttp.nonProxyHosts={}", patterns(spared)).into());
    }
    if let Some(store) = store {
        all.push(quoted("-Djavax.net.ssl.trustStore=", store.as_os_str()));
        all.push("-Djavax.net.ssl.trustStoreType=JKS".into());
        all.push(format!("-Djavax.net.ssl.trustStorePassword={PASSWORD}").into());
    }
    (!all.is_empty()).then(|| all.join(OsStr::new(" ")))
}

/// The store that options of the user's name already.
pub fn named_store(options: &str) -> Option<&str> {
    let at = options.rfind(STORE)?;
    let rest = &options[at + STORE.len()..];
    // In quotes it goes up to the next of them.
    let quote = options[..at].chars().next_back().filter(|letter| "\"'".contains(*letter));
    let end = rest.find(|letter: char| quote.map_or(letter.is_whitespace(), |quote| letter == quote));
    Some(rest[..end.unwrap_or(rest.len())].trim_matches(['"', '\''])).filter(|path| !path.is_empty())
}

/// A trust store in the form that Java has read since its beginning, so that no tool is needed to make one. The password
/// is the one that every such store has; it keeps nothing secret.
pub fn store(certificates: &[&[u8]]) -> Vec<u8> {
    let mut store = Vec::new();
    store.extend_from_slice(&MAGIC);
    store.extend_from_slice(&number(2));
    store.extend_from_slice(&number(certificates.len()));
    for (index, der) in certificates.iter().enumerate() {
        store.extend_from_slice(&number(TRUSTED));
        text(&mut store, &format!("tollgate-{index}"));
        // When it was made, which nobody asks for; the same certificates make the same file.
        store.extend_from_slice(&[0; 8]);
        text(&mut store, "X.509");
        store.extend_from_slice(&number(der.len()));
        store.extend_from_slice(der);
    }
    let mut sum = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sum.update(&PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>());
    sum.update(b"Mighty Aphrodite");
    sum.update(&store);
    store.extend_from_slice(sum.finish().as_ref());
    store
}

/// The certificates (DER) of a trust store: of a JKS file, or of a PKCS12 file whose certificates are not encrypted, as
/// Java's own are from version 18 on. `None` where it is neither.
pub fn certificates(file: &[u8]) -> Option<Vec<&[u8]>> {
    if file.starts_with(&MAGIC) { jks(file) } else { pkcs12(file) }
}

fn jks(file: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = file.get(4..)?;
    let version = take_number(&mut rest)?;
    let count = take_number(&mut rest)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let kind = take_number(&mut rest)?;
        take_text(&mut rest)?;
        take(&mut rest, 8)?;
        if kind != TRUSTED {
            // Somebody's key, with its chain; nothing to trust.
            let key = take_number(&mut rest)?;
            take(&mut rest, key)?;
            for _ in 0..take_number(&mut rest)? {
                take_certificate(&mut rest, version)?;
            }
            continue;
        }
        found.push(take_certificate(&mut rest, version)?);
    }
    Some(found)
}

fn take_certificate<'a>(rest: &mut &'a [u8], version: usize) -> Option<&'a [u8]> {
    if version > 1 {
        take_text(rest)?;
    }
    let length = take_number(rest)?;
    take(rest, length)
}

/// Looks for the bags of certificates (RFC 7292, 4.2.3) without taking apart what is around them.
fn pkcs12(file: &[u8]) -> Option<Vec<&[u8]>> {
    // A sequence whose first member is the version 3.
    let (_, inner) = member(file, 0x30)?;
    if !inner.starts_with(&[2, 1, 3]) {
        return None;
    }
    let bags = memchr::memmem::find_iter(file, &BAG).filter_map(|at| {
        let (_, explicit) = member(&file[at + BAG.len()..], 0xa0)?;
        let (_, der) = member(explicit, 0x04)?;
        Some(der)
    });
    let found: Vec<&[u8]> = bags.collect();
    (!found.is_empty()).then_some(found)
}

/// The content of a DER member with this tag at the beginning, and its length with head.
fn member(bytes: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    let (&found, &first) = (bytes.first()?, bytes.get(1)?);
    let (head, length) = match first {
        0..=0x7f => (2, usize::from(first)),
        0x81..=0x84 => {
            let digits = usize::from(first - 0x80);
            let length = bytes.get(2..2 + digits)?.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (2 + digits, length)
        }
        _ => return None,
    };
    let content = bytes.get(head..head.checked_add(length)?)?;
    (found == tag).then_some((head + length, content))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let digits = take(rest, 4)?;
    Some(digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 2)?.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    take(rest, length)
}

fn number(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

fn text(store: &mut Vec<u8>, text: &str) {
    store.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}

/// Host and port of a proxy's URL.
fn place(proxy: &str) -> Option<(String, u16)> {
    let authority = proxy.split_once("://").map_or(proxy, |(_, rest)| rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let at = HostPort::parse(authority.trim_end_matches('/'), 80).ok()?;
    let host = match at.host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.into(),
    };
    Some((host, at.port))
}

/// Spared hosts as Java writes them: `*` for the beginning of a name, and no networks.
fn patterns(spared: &Spared) -> String {
    let hosts = spared.hosts().filter(|host| !host.contains('/')).flat_map(|host| {
        let name = host.trim_start_matches('*').trim_start_matches('.');
        let safe = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
        let address = name.parse::<std::net::IpAddr>().is_ok();
        let one = safe.then(|| if address && name.contains(':') { format!("[{name}]") } else { name.to_owned() });
        // Elsewhere a name stands for what lies below it too.
        let below = (safe && !address && name != "localhost").then(|| format!("*.{name}"));
        one.into_iter().chain(below)
    });
    hosts.collect::<Vec<_>>().join("|")
}

/// Spaces in a path would end the option.
fn quoted(option: &str, path: &OsStr) -> OsString {
    let quote = if path.as_encoded_bytes().contains(&b'"') { "'" } else { "\"" };
    [OsStr::new(quote), OsStr::new(option), path, OsStr::new(quote)].into_iter().collect()
}

const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// The tag of a certificate in a JKS file.
const TRUSTED: usize = 2;
const PASSWORD: &str = "changeit";
const STORE: &str = "-Djavax.net.ssl.trustStore=";
/// `x509Certificate` (RFC 7292), as an object identifier.
const BAG: [u8; 12] = [0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
