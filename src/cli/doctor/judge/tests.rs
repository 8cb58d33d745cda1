//! What programs really say, and what is made of it.

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

fn heard(code: i32, out: &str, err: &str) -> Heard {
    Heard { code: Some(code), is_late: false, out: out.into(), err: err.into() }
}

fn judged(kind: Kind, version: &str, heard: &Heard) -> Verdict {
    judge(Probed { kind, path: "/usr/bin/tool", version }, TOKEN, heard)
}

/// Why and what to type.
fn failure(kind: Kind, version: &str, said: &str) -> (String, String) {
    match judged(kind, version, &heard(1, "", said)) {
        Verdict::Fails { why, remedy } => (why, remedy),
        other => panic!("{said}: {other:?}"),
    }
}

#[test]
fn only_the_gates_own_answer_works() {
    assert_eq!(judged(Kind::Curl, "", &heard(0, &format!("{{\"token\":\"{TOKEN}\"}}"), "noise")), Verdict::Works);
    // A page of some proxy, with the address that was asked for.
    let page = heard(0, "<h1>Blocked: https://tollgate-self-test.api.openai.com/n1</h1>", "");
    let Verdict::Fails { why, .. } = judged(Kind::Curl, "", &page) else { panic!("a page is no answer") };
    assert!(why.contains("not by the gate"), "{why}");
    // What is said on standard error is no answer either.
    assert_ne!(judged(Kind::Curl, "", &heard(1, "", TOKEN)), Verdict::Works);
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_with_the_store_of_the_runtime() {
    for (kind, said, remedy) in [
        (
            Kind::Curl,
            "curl: (60) SSL certificate problem: unable to get local issuer certificate",
            "tollgate ca trust --system",
        ),
        (
            Kind::Wget,
            "ERROR: cannot verify h's certificate, issued by 'CN=x':\n  Self-signed certificate encountered.",
            "~/.wgetrc",
        ),
        (
            Kind::Git,
            "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none CRLfile: none",
            "http.sslCAInfo",
        ),
        (
            Kind::Python,
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed \
             certificate in certificate chain (_ssl.c:1006)",
            "tollgate ca trust --system",
        ),
        (Kind::Node, "self-signed certificate in certificate chain SELF_SIGNED_CERT_IN_CHAIN", "ca trust --system"),
        (Kind::Deno, "invalid peer certificate: UnknownIssuer", "ca trust"),
        (
            Kind::Java,
            "Exception in thread \"main\" javax.net.ssl.SSLHandshakeException: PKIX path building failed: \
             sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to \
             requested target\n\tat java.base/x.y",
            "tollgate ca trust --java",
        ),
        (Kind::Go, "tls: failed to verify certificate: x509: certificate signed by unknown authority", "ca trust"),
        (
            Kind::Chromium,
            "[1:2:ERROR:ssl_client_socket_impl.cc(916)] handshake failed; returned -1, SSL error code 1, net_error -202",
            "tollgate ca trust --nss",
        ),
    ] {
        let (why, told) = failure(kind, "", said);
        assert_eq!(why, "it does not trust the gate's certificate", "{said}");
        assert!(told.contains(remedy), "{said}: {told}");
    }
}

#[test]
fn who_looks_for_the_host_by_itself_has_not_asked_the_gate() {
    for (kind, said) in [
        (Kind::Curl, "curl: (6) Could not resolve host: tollgate-self-test.api.openai.com"),
        (Kind::Wget, "wget: unable to resolve host address 'tollgate-self-test.api.openai.com'"),
        (Kind::Python, "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>"),
        (Kind::Python, "aiohttp.client_exceptions.ClientConnectorDNSError: [Temporary failure in name resolution]"),
        (Kind::Java, "Exception in thread \"main\" java.net.UnknownHostException: tollgate-self-test.api.openai.com"),
        (Kind::Go, "dial tcp: lookup tollgate-self-test.api.openai.com: no such host"),
        (Kind::Php, "file_get_contents(): php_network_getaddresses: getaddrinfo failed"),
        (Kind::Chromium, "[1:2:ERROR] net_error -105 ERR_NAME_NOT_RESOLVED"),
    ] {
        let (why, remedy) = failure(kind, "", said);
        assert!(why.starts_with("nothing reached the gate"), "{said}: {why}");
        assert_eq!(remedy, "tollgate run --isolate -- tool");
    }
    let said = "getaddrinfo ENOTFOUND tollgate-self-test.api.openai.com ENOTFOUND";
    for (version, is_old) in
        [("20.20.2", true), ("22.20.0", true), ("22.21.0", false), ("24.4.1", true), ("24.5.0", false)]
    {
        let (why, _) = failure(Kind::Node, version, said);
        assert_eq!(why.contains("reads no proxy variables"), is_old, "{version}: {why}");
    }
}

#[test]
fn other_failures_have_their_own_words() {
    for (kind, said, why, remedy) in [
        (
            Kind::Python,
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Missing Authority Key Identifier (_ssl.c:1032)",
            "strict rules",
            "tollgate ca renew",
        ),
        (Kind::Curl, "SSL certificate problem: permitted subtree violation", "may not sign", "tollgate ca renew"),
        (Kind::Curl, "SSL certificate problem: certificate has expired", "out of date", "tollgate ca renew"),
        (
            Kind::Ruby,
            "Failed to open TCP connection to 127.0.0.1:8484 (Connection refused - connect(2))",
            "refused",
            "--isolate",
        ),
        (Kind::Curl, "curl: (56) CONNECT tunnel failed, response 407", "(407)", "--label NAME"),
        (Kind::Curl, "curl: (28) Operation timed out after 15001 milliseconds", "in time", "--isolate"),
        (
            Kind::Curl,
            "curl: (2) no memory, it failed at http://me:secret@corp:3128 with sk-abc",
            "***",
            "tollgate run -- tool",
        ),
        (Kind::Curl, "", "it ended with 1 and said nothing", "tollgate run -- tool"),
    ] {
        let (told, typed) = failure(kind, "", said);
        assert!(told.contains(why), "{said}: {told}");
        assert!(typed.contains(remedy), "{said}: {typed}");
        assert!(!told.contains("secret") && !told.contains("sk-abc"), "{told}");
    }
    let late = Heard { code: None, is_late: true, ..Heard::default() };
    let Verdict::Fails { why, .. } = judged(Kind::Bun, "", &late) else { panic!("a late answer is none") };
    assert_eq!(why, "no answer came in time");
}

#[test]
fn what_cannot_be_probed_is_not_called_broken() {
    for (kind, said, why) in [
        (Kind::Java, "Error: Could not find or load main class .tmp.Probe.java", "JRE"),
        (Kind::Dotnet, "No .NET SDKs were found.", "without an SDK"),
        (Kind::Python, "ModuleNotFoundError: No module named 'httpx'", "missing"),
    ] {
        let verdict = judged(kind, "", &heard(1, "", said));
        assert!(matches!(&verdict, Verdict::Unknown { why: told, .. } if told.contains(why)), "{said}: {verdict:?}");
    }
}

#[test]
fn of_an_unknown_failure_the_telling_line_is_shown_and_cut() {
    let said = "Traceback\n  File \"x\"\nValueError: \u{1b}[31mno luck\n\tat somewhere\n\n";
    assert_eq!(last_word(said).as_deref(), Some("ValueError: [31mno luck"));
    assert_eq!(last_word(&"é".repeat(400)).map(|line| line.chars().count()), Some(LONGEST));
    assert_eq!(last_word(" \n "), None);
}
