//! How a program is made to take the gate's certificate, by what kind of program it is.

use std::path::Path;

/// What to type, in words for the log; `certs` is the folder of the certificate authority.
///
/// The variables are those of the runtimes' own documentation; of a program of another machine nothing is known.
pub(super) fn remedy(program: &str, certs: &Path) -> String {
    let file = program.rsplit(['/', '\\']).next().unwrap_or(program).to_ascii_lowercase();
    let file = file.strip_suffix(".exe").unwrap_or(&file);
    let kind = KINDS.iter().find(|(names, _)| names.iter().any(|name| is_version_of(file, name)));
    let (root, bundle) = (certs.join("ca.pem"), certs.join("bundle.pem"));
    let filled = |text: &str| {
        let text = text.replace("{root}", &root.display().to_string());
        text.replace("{bundle}", &bundle.display().to_string())
    };
    match kind {
        Some((_, remedy)) => format!("{}, or start it with `tollgate run -- ...`", filled(remedy)),
        None if program.parse::<std::net::IpAddr>().is_ok() => filled(ELSEWHERE),
        None => filled(OTHERS),
    }
}

/// Whether a file is the program, with or without a version: `python3.12`, `node-20`, not `nodemon`.
fn is_version_of(file: &str, name: &str) -> bool {
    let rest = file.strip_prefix(name);
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || b".-_".contains(&byte)))
}

/// Programs by the names of their files, and what to do.
const KINDS: [(&[&str], &str); 12] = [
    (&["python", "pypy", "uv"], "set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to `{bundle}`"),
    (&["node", "nodejs", "bun"], "set NODE_EXTRA_CA_CERTS to `{root}`"),
    (&["deno"], "set DENO_CERT to `{root}`"),
    (
        &["java", "javaw"],
        "put the certificate into a trust store of Java (`keytool -importcert -cacerts -storepass changeit -noprompt \
         -alias tollgate -file {root}`)",
    ),
    (&["curl"], "set CURL_CA_BUNDLE to `{bundle}`"),
    (&["wget"], "give it `--ca-certificate={bundle}`, or write `ca_certificate = {bundle}` into ~/.wgetrc"),
    (&["git", "git-remote-http", "git-remote-https"], "set GIT_SSL_CAINFO to `{bundle}`"),
    (&["php", "php-fpm", "php-cgi"], "set `openssl.cafile` and `curl.cainfo` to `{bundle}` in its php.ini"),
    (&["perl"], "set PERL_LWP_SSL_CA_FILE to `{bundle}`"),
    (&["aws"], "set AWS_CA_BUNDLE to `{bundle}`"),
    (&["ruby", "dotnet", "go", "codex"], "set SSL_CERT_FILE to `{bundle}`"),
    (
        &["chrome", "chromium", "google-chrome", "msedge", "firefox", "firefox-esr", "electron"],
        "trust the certificate with `tollgate ca trust`",
    ),
];

const ELSEWHERE: &str = "trust `{root}` on that machine, which it also finds at http://tollgate.internal/ca.pem";
const OTHERS: &str = "trust the certificate with `tollgate ca trust`, or set SSL_CERT_FILE to `{bundle}`, or start the program \
                      with `tollgate run -- ...`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_is_told_its_own_variable() {
        for (program, expected) in [
            ("/usr/bin/python3.11", "SSL_CERT_FILE and REQUESTS_CA_BUNDLE to `/c/bundle.pem`"),
            ("/opt/pypy3", "REQUESTS_CA_BUNDLE"),
            ("/usr/bin/node", "NODE_EXTRA_CA_CERTS to `/c/ca.pem`"),
            ("/usr/lib/jvm/java-17/bin/java", "-file /c/ca.pem"),
            ("C:\\curl\\curl.EXE", "CURL_CA_BUNDLE to `/c/bundle.pem`"),
            ("/usr/lib/git-core/git-remote-https", "GIT_SSL_CAINFO"),
            ("/usr/lib/chromium/chromium", "tollgate ca trust"),
            ("/usr/bin/nodemon", "tollgate ca trust"),
            ("/opt/app", "SSL_CERT_FILE"),
            ("192.0.2.7", "on that machine"),
            ("2001:db8::1", "on that machine"),
        ] {
            let told = remedy(program, Path::new("/c"));
            assert!(told.contains(expected), "{program}: {told}");
            assert!(!told.contains('{') && !told.contains("  "), "{told}");
        }
    }
}
