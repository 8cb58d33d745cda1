//! The table, row by row.

use super::*;

fn files() -> Files {
    Files {
        added: "/t/added.pem".into(),
        bundle: "/t/bundle.pem".into(),
        java: Some("/t/java.jks".into()),
        node: Some("/t/a b/node.cjs".into()),
        php: Some("/t/php".into()),
        python: Some("/t/python".into()),
        wget: Some("/t/wgetrc".into()),
    }
}

/// The environment of a program that would have had `there`.
fn environment(proxy: Option<&str>, files: &Files, there: &[(&str, &str)]) -> Vec<(&'static str, Option<String>)> {
    let now = |name: &str| there.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    let intercepted = ["api.openai.com".parse().unwrap(), "openai.azure.com".parse().unwrap()];
    let all = variables(&Way { proxy, intercepted: &intercepted, files }, &now);
    for variable in &all {
        assert!(!variable.reason.is_empty());
        assert_eq!(all.iter().filter(|other| other.name == variable.name).count(), 1, "{} twice", variable.name);
    }
    all.into_iter().map(|variable| (variable.name, variable.value.map(|value| value.into_string().unwrap()))).collect()
}

fn value<'a>(all: &'a [(&'static str, Option<String>)], name: &str) -> Option<&'a str> {
    all.iter().find(|(key, _)| *key == name)?.1.as_deref()
}

const GATE: &str = "http://team:x@127.0.0.1:8484";

#[test]
fn what_adds_to_trust_gets_the_root_and_what_replaces_it_gets_everything() {
    let all = environment(Some(GATE), &files(), &[]);
    for name in ["NODE_EXTRA_CA_CERTS", "DENO_CERT"] {
        assert_eq!(value(&all, name), Some("/t/added.pem"), "{name}");
    }
    for name in [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "AWS_CA_BUNDLE",
        "PERL_LWP_SSL_CA_FILE",
        "HTTPLIB2_CA_CERTS",
        "CODEX_CA_CERTIFICATE",
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    ] {
        assert_eq!(value(&all, name), Some("/t/bundle.pem"), "{name}");
    }
    for (name, expected) in
        [("PHP_INI_SCAN_DIR", ":/t/php"), ("PYTHONPATH", "/t/python"), ("SYSTEM_WGETRC", "/t/wgetrc")]
    {
        assert_eq!(value(&all, name), Some(expected), "{name}");
    }
}

#[test]
fn every_spelling_leads_to_the_gate() {
    let all = environment(Some(GATE), &files(), &[]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "TOLLGATE_RUN_PROXY"] {
        assert_eq!(value(&all, name), Some(GATE), "{name}");
    }
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(value(&all, name), Some("localhost,127.0.0.1,::1"), "{name}");
    }
    assert_eq!(value(&all, "NODE_USE_ENV_PROXY"), Some("1"));
    assert_eq!(value(&all, "TOLLGATE_RUN_HOSTS"), Some("api.openai.com,openai.azure.com"));
    assert_eq!(value(&all, "NODE_OPTIONS"), Some("--require \"/t/a b/node.cjs\""));
}

#[test]
fn what_one_tool_prefers_is_replaced_only_where_the_user_has_set_it() {
    let proxies = PROXIES_REPLACED.map(|(name, _)| name);
    let trusts = REPLACING_REPLACED.map(|(name, _)| name);
    let bare = environment(Some(GATE), &files(), &[]);
    for name in proxies.iter().chain(&trusts).chain(&SPARING_REPLACED.map(|(name, _)| name)) {
        assert!(!bare.iter().any(|(key, _)| key == name), "{name}");
    }
    for name in proxies {
        let all = environment(Some(GATE), &files(), &[(name, "http://corp:3128")]);
        assert_eq!(value(&all, name), Some(GATE), "{name}");
    }
    for name in trusts {
        let all = environment(Some(GATE), &files(), &[(name, "/corp.pem")]);
        assert_eq!(value(&all, name), Some("/t/bundle.pem"), "{name}");
    }
    let all = environment(Some(GATE), &files(), &[("npm_config_noproxy", "registry.corp,openai.com")]);
    assert_eq!(value(&all, "npm_config_noproxy"), Some("registry.corp"));
}

#[test]
fn what_the_user_has_set_stays_beside_ours_and_a_run_in_a_run_adds_nothing() {
    let there = [
        ("NO_PROXY", "corp.example, *.openai.com ,127.0.0.1"),
        ("NODE_OPTIONS", "--max-old-space-size=64"),
        ("PYTHONPATH", "/my/lib"),
        ("PHP_INI_SCAN_DIR", "/my/php"),
        ("JAVA_TOOL_OPTIONS", "-Xmx1g"),
    ];
    let all = environment(Some(GATE), &files(), &there);
    assert_eq!(value(&all, "NO_PROXY"), Some("corp.example,127.0.0.1,localhost,::1"));
    assert_eq!(value(&all, "NODE_OPTIONS"), Some("--max-old-space-size=64 --require \"/t/a b/node.cjs\""));
    assert_eq!(value(&all, "PYTHONPATH"), Some("/t/python:/my/lib"));
    assert_eq!(value(&all, "PHP_INI_SCAN_DIR"), Some("/my/php:/t/php"));
    assert!(value(&all, "JAVA_TOOL_OPTIONS").unwrap().starts_with("-Xmx1g -Dhttps.proxyHost=127.0.0.1 "));
    let inner: Vec<(&str, &str)> = all.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let again = environment(Some(GATE), &files(), &inner);
    for (name, value) in &all {
        assert_eq!(again.iter().find(|(other, _)| other == name).unwrap().1, *value, "{name}");
    }
}

#[test]
fn java_gets_properties_and_its_paths_may_hold_spaces() {
    let mut files = files();
    files.java = Some("/t/a b/java.jks".into());
    let all = environment(Some("http://[::1]:8484"), &files, &[("NO_PROXY", ".corp.example,10.0.0.0/8,evil;$(x)")]);
    let expected = "-Dhttps.proxyHost=::1 -Dhttps.proxyPort=8484 -Dhttp.proxyHost=::1 -Dhttp.proxyPort=8484 \
        -Dhttp.nonProxyHosts=corp.example|*.corp.example|localhost|127.0.0.1|[::1] \
        \"-Djavax.net.ssl.trustStore=/t/a b/java.jks\" -Djavax.net.ssl.trustStoreType=JKS \
        -Djavax.net.ssl.trustStorePassword=changeit";
    assert_eq!(value(&all, "JAVA_TOOL_OPTIONS"), Some(expected));
    files.java = None;
    let without = environment(Some(GATE), &files, &[]);
    assert!(!without.iter().any(|(name, _)| *name == "JAVA_TOOL_OPTIONS"), "where there is no Java it is not told");
}

#[test]
fn the_store_that_options_name_is_found() {
    for (options, expected) in [
        ("-Xmx1g -Djavax.net.ssl.trustStore=/a/b.jks -Dx=y", Some("/a/b.jks")),
        ("\"-Djavax.net.ssl.trustStore=/a b/c.jks\" -Dx=y", Some("/a b/c.jks")),
        ("-Djavax.net.ssl.trustStore=/one -Djavax.net.ssl.trustStore=/two", Some("/two")),
        ("-Djavax.net.ssl.trustStoreType=JKS", None),
        ("-Djavax.net.ssl.trustStore=", None),
        ("", None),
    ] {
        assert_eq!(java::named_store(options), expected, "{options}");
    }
}

#[test]
fn a_store_for_java_is_read_back_and_a_damaged_one_is_told_from_it() {
    let certificates: Vec<&[u8]> = vec![b"one", &[7; 300], b""];
    let store = java::store(&certificates);
    assert_eq!(java::certificates(&store).unwrap(), certificates);
    for length in 0..store.len() - 20 {
        assert_eq!(java::certificates(&store[..length]), None, "cut at {length}");
    }
    assert_eq!(java::certificates(b"-----BEGIN CERTIFICATE-----"), None);
    // PFX { 3, ... certBag { x509Certificate, [0] { OCTET STRING "abc" } } ... }, with a length in the long form.
    let mut bag = vec![0x30, 0x81, 23, 2, 1, 3, 0x30, 18];
    bag.extend([0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01, 0xa0, 5, 4, 3]);
    bag.extend(b"abc");
    bag[2] = u8::try_from(bag.len() - 3).unwrap();
    assert_eq!(java::certificates(&bag).unwrap(), [b"abc"]);
}

#[test]
fn a_program_that_reaches_the_gate_by_itself_is_told_of_no_proxy() {
    let there = [("HTTPS_PROXY", "http://corp:3128"), ("ALL_PROXY", "socks5://corp:1080"), ("NODE_USE_ENV_PROXY", "1")];
    let all = environment(None, &files(), &there);
    for (name, _) in there {
        assert!(all.contains(&(name, None)), "{name}");
    }
    assert!(!all.iter().any(|(name, _)| ["https_proxy", "NO_PROXY", "NODE_OPTIONS"].contains(name)));
    assert_eq!(value(&all, "SSL_CERT_FILE"), Some("/t/bundle.pem"));
    assert!(!value(&all, "JAVA_TOOL_OPTIONS").unwrap().contains("proxy"));
}
