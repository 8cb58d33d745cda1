//! The host that the gate answers itself, so that a program can be seen to reach it, and to trust it, without a call.
//!
//! It lies below the first intercepted host: so it is opened as that is, and the certificate authority may sign for it.

use aws_lc_rs::digest::{SHA256, digest};

use crate::net::host::Host;
use crate::policy::interception::Interception;

/// Its name where `interception` is in force; `None` where nothing is intercepted.
pub fn host(interception: &Interception) -> Option<Host> {
    let principal = interception.hosts().first()?;
    Some(Host::Name(format!("{LABEL}.{}", principal.name()).into()))
}

/// Whether `host` is it.
pub fn is_self_test(interception: &Interception, host: &Host) -> bool {
    let above = host.name().and_then(|name| name.strip_prefix(LABEL)?.strip_prefix('.'));
    above.is_some_and(|above| interception.hosts().first().is_some_and(|principal| principal.name() == above))
}

/// What is answered to `nonce`: forty hexadecimal digits, so that git takes it for the name of a commit. It cannot be
/// made of the request alone, as the page of a proxy could be that repeats what it was asked for.
pub fn token(nonce: &str) -> String {
    let hash = digest(&SHA256, format!("tollgate self-test {nonce}").as_bytes());
    hash.as_ref().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// The first part of a path, which is what the token is for; `None` where it is none that can be answered.
pub fn nonce(path: &str) -> Option<&str> {
    let first = path.strip_prefix('/')?.split('/').next()?;
    let is_plain = (1..=LONGEST).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then_some(first)
}

/// What git is answered that asks for the branches of a repository (`info/refs?service=git-upload-pack`): one branch,
/// whose commit is the token, as the "smart" protocol of git says it (version 0).
pub fn branches(token: &str) -> String {
    let (service, branch) = ("# service=git-upload-pack\n", format!("{token} refs/heads/self-test\0agent=tollgate\n"));
    format!("{}0000{}0000", packet(service), packet(&branch))
}

/// A line of git's protocol: its length in four hexadecimal digits, which count themselves, before it.
fn packet(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}

/// The label before the intercepted host.
const LABEL: &str = "tollgate-self-test";
/// Letters of a nonce.
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_below_the_first_intercepted_host_and_nowhere_else() {
        let interception =
            Interception::new(["api.openai.com", "openai.azure.com"].map(|name| name.parse().unwrap()).into());
        let own = host(&interception).unwrap();
        assert_eq!(own.to_string(), "tollgate-self-test.api.openai.com");
        assert!(interception.opens(&own) && is_self_test(&interception, &own));
        assert!(is_self_test(&interception, &"Tollgate-Self-Test.API.openai.com.".parse().unwrap()));
        for other in [
            "api.openai.com",
            "tollgate-self-test.evil.com",
            "tollgate-self-test.openai.azure.com",
            "tollgate-self-test.eu.api.openai.com",
            "x.tollgate-self-test.api.openai.com",
            "tollgate-self-testapi.openai.com",
            "tollgate-self-test",
            "127.0.0.1",
        ] {
            assert!(!is_self_test(&interception, &other.parse().unwrap()), "{other}");
        }
        assert_eq!(host(&Interception::default()), None);
        assert!(!is_self_test(&Interception::default(), &own));
    }

    #[test]
    fn a_token_is_another_for_each_nonce_and_repeats_nothing_of_it() {
        let (one, two) = (token("abc123"), token("abc124"));
        assert!(one.len() == 40 && one.bytes().all(|byte| byte.is_ascii_hexdigit()) && one != two);
        for (path, expected) in [
            ("/abc123", Some("abc123")),
            ("/abc123/info/refs", Some("abc123")),
            ("/", None),
            ("/a%20b", None),
            ("*", None),
            ("/<script>", None),
        ] {
            assert_eq!(nonce(path), expected, "{path}");
        }
        assert_eq!(nonce(&format!("/{}", "a".repeat(65))), None);
    }

    #[test]
    fn the_branches_are_as_git_writes_them() {
        let token = token("x");
        let expected =
            format!("001e# service=git-upload-pack\n00000051{token} refs/heads/self-test\0agent=tollgate\n0000");
        assert_eq!(branches(&token), expected);
    }
}
