//! What came of a probe: whether it works, and if not why, and what to type; made of what the program said alone.

use crate::cli::doctor::execute::Heard;
use crate::cli::doctor::runtimes::Kind;

/// What came of a probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The gate's answer came.
    Works,
    /// It did not.
    Fails {
        /// Why, in words.
        why: String,
        /// What to type.
        remedy: String,
    },
    /// Nothing can be said of it.
    Unknown {
        /// Why, in words.
        why: String,
        /// What to type, so that it can be said.
        remedy: Option<String>,
    },
}

/// Who was probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probed<'a> {
    /// Which runtime.
    pub(super) kind: Kind,
    /// Its program.
    pub(super) path: &'a str,
    /// Its version.
    pub(super) version: &'a str,
}

/// Judges what was heard where the answer would have held `token`.
pub(super) fn judge(probed: Probed<'_>, token: &str, heard: &Heard) -> Verdict {
    if heard.out.contains(token) {
        return Verdict::Works;
    }
    let said = said(probed.kind, heard);
    let lower = said.to_ascii_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| lower.contains(sign));
    let fails = |why: &str, remedy: String| Verdict::Fails { why: why.into(), remedy };
    let unknown = |why: &str, remedy: &str| Verdict::Unknown {
        why: why.into(),
        remedy: Some(remedy.to_owned()).filter(|remedy| !remedy.is_empty()),
    };
    let isolated = || format!("tollgate run --isolate -- {}", program(probed.path));
    if has(&NO_COMPILER) && probed.kind == Kind::Java {
        return unknown("found without a compiler (JRE), which a probe needs", "install a JDK");
    }
    if has(&NO_SDK) && probed.kind == Kind::Dotnet {
        return unknown("found; cannot be probed without an SDK or a project", "");
    }
    if has(&MISSING) {
        return unknown("found, but a module that the probe needs is missing", "");
    }
    if has(&STRICT) {
        let why = "its strict rules for certificates (RFC 5280) do not take the gate's";
        return fails(why, "tollgate ca renew".into());
    }
    if has(&CONSTRAINED) {
        let why = "the gate's authority may not sign for this host";
        return fails(why, "tollgate ca renew".into());
    }
    if has(&EXPIRED) {
        return fails("the gate's certificate is out of date, or the clock is wrong", "date; tollgate ca renew".into());
    }
    if has(&UNTRUSTED) {
        return fails("it does not trust the gate's certificate", trusting(probed.kind).into());
    }
    if has(&PAST) {
        let why = match probed.kind {
            Kind::Node if !reads_proxies(probed.version) => {
                "nothing reached the gate: it looked for the host by itself; this Node reads no proxy variables (before \
                 22.21 and 24.5), and the module that does it instead was not in force"
            }
            _ => "nothing reached the gate: it looked for the host by itself, past the proxy",
        };
        return fails(why, isolated());
    }
    if has(&REFUSED) {
        let why = "the gate cannot be reached from it: the connection was refused";
        return fails(why, isolated());
    }
    if has(&["407", "proxy authentication required"]) {
        let why = "the gate, or a proxy in its place, wants a user and a password (407)";
        return fails(why, format!("tollgate run --label NAME -- {}", program(probed.path)));
    }
    if heard.is_late || has(&["timed out", "timeout", "operation too slow"]) {
        return fails("no answer came in time", isolated());
    }
    if heard.code == Some(0) {
        return fails("it was answered, but not by the gate: the call went another way", isolated());
    }
    let why = match last_word(&said) {
        Some(word) => word,
        None => match heard.code {
            Some(code) => format!("it ended with {code} and said nothing"),
            None => "a signal ended it, and it said nothing".into(),
        },
    };
    fails(&why, format!("tollgate run -- {} ...", program(probed.path)))
}

/// What is looked at. Chromium tells of much that has nothing to do with the call.
fn said(kind: Kind, heard: &Heard) -> String {
    if kind != Kind::Chromium {
        return format!("{}\n{}", heard.out, heard.err);
    }
    let of_net = |line: &&str| line.contains("net_error") || line.contains("ERR_");
    let lines: Vec<&str> = heard.err.lines().chain(heard.out.lines()).filter(of_net).collect();
    lines.join("\n")
}

/// What makes a runtime trust the gate that does not do so in the environment of `tollgate run`.
fn trusting(kind: Kind) -> &'static str {
    match kind {
        Kind::Chromium | Kind::Firefox => "tollgate ca trust --nss",
        Kind::Java => "tollgate ca trust --java",
        // Its variable was taken away, or its own settings name other certificates.
        Kind::Curl => {
            "tollgate ca trust --system   # and look for `cacert` in ~/.curlrc, and for what unsets CURL_CA_BUNDLE"
        }
        Kind::Wget => "tollgate ca trust --system   # and look for `ca_certificate` in ~/.wgetrc",
        Kind::Git => "tollgate ca trust --system   # and look at `git config --get-all http.sslCAInfo`",
        _ => "tollgate ca trust --system",
    }
}

/// Whether a version of Node takes the proxy out of the environment (`NODE_USE_ENV_PROXY`).
fn reads_proxies(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    major > 24 || (major == 24 && minor >= 5) || (major == 22 && minor >= 21)
}

fn program(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The line that says most of what went wrong, for people: short, and without passwords or keys.
pub(super) fn last_word(said: &str) -> Option<String> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("at "));
    let tells = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["error", "exception", "fail", "cannot", "fatal"].iter().any(|word| line.contains(word))
    };
    let line = lines().rfind(tells).or_else(|| lines().next_back())?;
    let words: Vec<String> = line.split_whitespace().map(without_secret).collect();
    let text: String = words.join(" ").chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
    Some(text)
}

fn without_secret(word: &str) -> String {
    if let Some((before, rest)) = word.split_once("://")
        && let Some((_, place)) = rest.rsplit_once('@')
    {
        return format!("{before}://***@{place}");
    }
    match word.find("sk-") {
        Some(at) => format!("{}***", &word[..at]),
        None => word.to_owned(),
    }
}

/// Letters of what an unknown failure is told by.
const LONGEST: usize = 160;

const NO_COMPILER: [&str; 3] = ["could not find or load main class", "module jdk.compiler", "no compiler"];
const NO_SDK: [&str; 3] = ["no .net sdks were found", "the command could not be loaded", "'fsi'"];
const MISSING: [&str; 4] = ["modulenotfounderror", "no module named", "cannot find module", "cannot load such file"];
/// OpenSSL with `X509_V_FLAG_X509_STRICT`, which Python sets from 3.13 on.
const STRICT: [&str; 6] = [
    "missing authority key identifier",
    "missing subject key identifier",
    "not marked critical",
    "ca cert does not include key usage",
    "invalid ca certificate",
    "path length given without key usage",
];
const CONSTRAINED: [&str; 3] = ["permitted subtree", "name constraint", "nameconstraint"];
const EXPIRED: [&str; 5] =
    ["certificate has expired", "not yet valid", "err_cert_date_invalid", "cert_has_expired", "notafter"];
const UNTRUSTED: [&str; 19] = [
    "unable to get local issuer",
    "unable to get issuer",
    "self-signed certificate",
    "self signed certificate",
    "self_signed_cert",
    "certificate verify failed",
    "certificate verification failed",
    "unable to verify the first certificate",
    "unable_to_verify",
    "ssl certificate problem",
    "unknownissuer",
    "unknown issuer",
    "unknown authority",
    "unable to find valid certification path",
    "trustanchors parameter must be non-empty",
    "cannot verify",
    "err_cert_authority_invalid",
    "net_error -202",
    "untrustedroot",
];
/// The host is in no DNS; who asks there has not asked the gate.
const PAST: [&str; 17] = [
    "could not resolve host",
    "unable to resolve host",
    "name or service not known",
    "name resolution",
    "getaddrinfo",
    "enotfound",
    "eai_again",
    "unknownhostexception",
    "unresolvedaddressexception",
    "no such host",
    "nodename nor servname",
    "err_name_not_resolved",
    "failed to lookup address",
    "dns error",
    "network is unreachable",
    "no route to host",
    "getaddresses",
];
const REFUSED: [&str; 4] = ["connection refused", "econnrefused", "err_proxy_connection_failed", "connectexception"];

#[cfg(test)]
mod tests;
