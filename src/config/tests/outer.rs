//! The outer proxy from the file and from the environment.

use crate::config::load::{Loaded, Sources, load};
use crate::config::tests::{Folder, mistakes_of, sources};
use crate::net::host::HostPort;
use crate::policy::outer::OuterKind;

/// Loads `text` where the environment has these two variables.
fn with(text: &str, proxy: Option<&'static str>, no_proxy: Option<&'static str>) -> Loaded {
    let folder = Folder::with(text);
    let environment = |name: &str| match name {
        "TOLLGATE_UPSTREAM_PROXY" => proxy.map(Into::into),
        "TOLLGATE_UPSTREAM_NO_PROXY" => no_proxy.map(Into::into),
        "HTTPS_PROXY" | "https_proxy" | "ALL_PROXY" | "HTTP_PROXY" => Some("http://not.asked:1".into()),
        _ => None,
    };
    load(&Sources { environment: &environment, ..sources(folder.path()) }).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_proxy_is_read_from_a_url_or_from_an_object_and_its_password_is_never_shown() {
    for text in [
        "{upstream: {proxy: 'https://me:hidden@proxy.test:3129'}}",
        "{upstream: {proxy: {url: 'https://proxy.test:3129', user: 'me', password: 'hidden'}}}",
        "{upstream: {proxy: {url: 'https://me:hidden@proxy.test:3129', noProxy: [], ca: null}}}",
    ] {
        let loaded = with(text, None, None);
        let proxy = loaded.setup.upstream.outer.as_ref().unwrap();
        let login = proxy.login.as_ref().unwrap();
        assert_eq!((proxy.kind, proxy.at.to_string().as_str()), (OuterKind::Https, "proxy.test:3129"));
        assert_eq!((&*login.user, login.password.reveal()), ("me", "hidden"));
        let view = &loaded.view["upstream"]["proxy"];
        assert_eq!((&view["url"], &view["user"]), (&"https://proxy.test:3129".into(), &"me".into()));
        let shown = format!("{} {:?}", loaded.view, loaded.setup);
        assert!(!shown.contains("hidden"), "{shown}");
    }
}

#[test]
fn the_environment_names_a_proxy_only_where_the_file_names_none() {
    let at = |loaded: &Loaded| loaded.setup.upstream.outer.as_ref().map(|proxy| proxy.at.to_string());
    let environment = Some("socks5h://env.test");
    for empty in ["{}", "{upstream: {}}", "{upstream: {proxy: null}}"] {
        assert_eq!(at(&with(empty, environment, None)).as_deref(), Some("env.test:1080"), "{empty}");
        assert_eq!(at(&with(empty, None, None)), None, "{empty}");
        assert_eq!(at(&with(empty, Some(" "), None)), None, "{empty}");
    }
    assert_eq!(
        at(&with("{upstream: {proxy: 'http://file.test'}}", environment, None)).as_deref(),
        Some("file.test:80")
    );
}

#[test]
fn exceptions_of_the_environment_hold_where_the_file_names_none_and_odd_ones_are_told() {
    let host = HostPort::parse_connect("a.corp.test:443").unwrap();
    let env = Some("localhost, .corp.test,127.*");
    for (text, direct, warnings) in [
        ("{upstream: {proxy: 'http://p.test'}}", true, 1),
        ("{upstream: {proxy: {url: 'http://p.test'}}}", true, 1),
        ("{upstream: {proxy: {url: 'http://p.test', noProxy: []}}}", false, 0),
        ("{upstream: {proxy: {url: 'http://p.test', noProxy: 'x.test, corp.test'}}}", true, 0),
        ("{upstream: {proxy: {url: 'http://p.test', noProxy: ['10.0.0.0/8', '*.corp.test']}}}", true, 0),
    ] {
        let loaded = with(text, None, env);
        assert_eq!(loaded.setup.upstream.outer.unwrap().bypass.covers(&host), direct, "{text}");
        assert_eq!(loaded.warnings.len(), warnings, "{text}: {:?}", loaded.warnings);
    }
    let loaded = with("{}", Some("p.test:3128"), env);
    assert!(loaded.setup.upstream.outer.unwrap().bypass.covers(&host));
    assert_eq!(
        loaded.warnings,
        ["TOLLGATE_UPSTREAM_NO_PROXY: `127.*` is neither a host name nor an address nor a network, and is passed over"]
    );
}

#[test]
fn a_bad_proxy_of_the_environment_is_told_by_its_variable_and_not_shown() {
    let folder = Folder::with("{}");
    let environment = |name: &str| (name == "TOLLGATE_UPSTREAM_PROXY").then(|| "gopher://me:hidden@x".into());
    let found = mistakes_of(load(&Sources { environment: &environment, ..sources(folder.path()) }));
    let shown = found[0].to_string();
    assert!(
        shown.starts_with("TOLLGATE_UPSTREAM_PROXY: upstream.proxy must be a URL") && !shown.contains("hidden"),
        "{shown}"
    );
}
