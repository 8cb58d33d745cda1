//! `upstream.proxy`: the outer proxy, from the file or from the environment.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::config::address::leads_home;
use crate::config::document::{Node, Shape};
use crate::config::field::{Field, Fields, shown};
use crate::config::files::Trust;
use crate::config::review::Source;
use crate::config::secrets::secret;
use crate::net::host::HostPort;
use crate::net::secret::Secret;
use crate::policy::bypass::{Bypass, Excepted};
use crate::policy::outer::{Login, OuterKind, OuterProxy};

/// The outer proxy, and what its domain value does not keep.
#[derive(Debug)]
pub(super) struct Listed {
    /// The proxy.
    pub(super) proxy: OuterProxy,
    /// `ca` as written.
    pub(super) ca: Option<String>,
}

/// Reads `upstream.proxy`, or where the file sets none, `TOLLGATE_UPSTREAM_PROXY`; a proxy without `noProxy` has
/// `TOLLGATE_UPSTREAM_NO_PROXY`.
pub(super) fn read(top: &Fields<'_>, upstream: Option<&Fields<'_>>, own: &[SocketAddr]) -> Option<Listed> {
    match upstream.and_then(|fields| fields.given("proxy")) {
        Some(field) => from_file(&field, own),
        None => from_environment(top, own),
    }
}

fn from_file(field: &Field<'_>, own: &[SocketAddr]) -> Option<Listed> {
    if let Shape::Text(_) = field.shape() {
        let url = Url::read(field, own)?;
        return Some(Listed { proxy: url.proxy(inherited(field).unwrap_or_default()), ca: None });
    }
    if !matches!(field.shape(), Shape::Object(_)) {
        field.wrong_kind("a URL or an object with `url`");
        return None;
    }
    let fields = field.fields(&KEYS)?;
    let url = fields.required("url").and_then(|field| Url::read(&field, own));
    let user = fields.given("user").and_then(|field| user(&field));
    let password = fields.given("password").and_then(|field| secret(&field));
    if let Some(field) = fields.given("password")
        && fields.given("user").is_none()
    {
        field.wrong_hint("is a password without a user", "set `user`");
    }
    if let Some(field) = fields.given("user")
        && url.as_ref().is_some_and(|url| url.login.is_some())
    {
        field.wrong("stands twice: the URL has a user too");
    }
    let bypass = match fields.given("noProxy") {
        Some(field) => exceptions(&field),
        None => inherited(field).unwrap_or_default(),
    };
    let ca = Trust::read(&fields);
    let mut proxy = url?.proxy(bypass);
    if let Some(field) = fields.given("ca")
        && proxy.kind != OuterKind::Https
    {
        field
            .warn("is not used: it is for the TLS with an `https://` proxy; roots for upstreams go into `upstream.ca`");
    }
    if let Some(user) = user {
        proxy.login = Some(Login { user: user.into(), password: password.unwrap_or_else(|| Secret::new("")) });
    }
    proxy.roots = ca.as_ref().map(|ca| Arc::clone(&ca.roots));
    Some(Listed { proxy, ca: ca.map(|ca| ca.path) })
}

fn from_environment(top: &Fields<'_>, own: &[SocketAddr]) -> Option<Listed> {
    let text = (top.field.review.environment)(PROXY).filter(|text| !text.trim().is_empty())?;
    let node = Node::argument(&text);
    let source = Source { file: PROXY, folder: Path::new(""), may_look: false };
    let field = Field::root(top.field.review, source, &node).called("upstream.proxy");
    let url = Url::read(&field, own)?;
    Some(Listed { proxy: url.proxy(inherited(&field).unwrap_or_default()), ca: None })
}

/// What the environment excepts. Others wrote it for other programs, so what cannot be read is only told.
fn inherited(field: &Field<'_>) -> Option<Bypass> {
    let text = (field.review.environment)(NO_PROXY)?;
    let read = |item: &str| match item.parse() {
        Ok(excepted) => Some(excepted),
        Err(error) => {
            field.review.warn(format!("{NO_PROXY}: `{}` is {error}, and is passed over", shown(item)));
            None
        }
    };
    Some(Bypass(items(&text).filter_map(read).collect()))
}

/// `noProxy`: a list, or a text with commas as in the environment.
fn exceptions(field: &Field<'_>) -> Bypass {
    let read = |field: &Field<'_>, item: &str| {
        let excepted = item.parse::<Excepted>();
        excepted
            .map_err(|error| {
                let what = format!("holds `{}`, which is {error}", shown(item));
                field.wrong_hint(&what, "write them as `corp.example`, `10.0.0.0/8`, `192.0.2.1:8080` or `*`");
            })
            .ok()
    };
    if let Shape::Text(text) = field.shape() {
        return Bypass(items(text).filter_map(|item| read(field, item)).collect());
    }
    Bypass(field.items().iter().filter_map(|item| read(item, item.filled_text()?)).collect())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(|sign: char| sign == ',' || sign.is_whitespace()).filter(|item| !item.is_empty())
}

fn user<'a>(field: &Field<'a>) -> Option<&'a str> {
    let user = field.filled_text()?;
    if is_user(user) {
        return Some(user);
    }
    field.wrong("must be a name without `:` and line breaks, of at most 255 bytes");
    None
}

fn is_user(user: &str) -> bool {
    (1..=255).contains(&user.len()) && !user.contains(':') && !user.chars().any(char::is_control)
}

/// A proxy's URL, taken apart.
#[derive(Debug)]
struct Url {
    kind: OuterKind,
    at: HostPort,
    login: Option<Login>,
}

impl Url {
    /// Reads a URL that does not lead back to the gate. It is never shown: it may hold a password.
    fn read(field: &Field<'_>, own: &[SocketAddr]) -> Option<Self> {
        match Self::parse(field.filled_text()?) {
            Ok(url) if leads_home(&url.at, own) => {
                field.wrong("must not be an address on which the gate itself listens");
                None
            }
            Ok(url) => Some(url),
            Err(predicate) => {
                field.wrong(predicate);
                None
            }
        }
    }

    /// As in `HTTPS_PROXY`: a text without a scheme is an HTTP proxy.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (kind, rest) = match text.split_once("://") {
            None => (OuterKind::Http, text),
            Some((scheme, rest)) => {
                let kind = OuterKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(scheme));
                (kind.ok_or(NO_URL)?, rest)
            }
        };
        let (userinfo, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let at = HostPort::parse(place.strip_suffix('/').unwrap_or(place), kind.default_port()).map_err(|_| NO_URL)?;
        let login = userinfo.map(login).transpose()?;
        Ok(Self { kind, at, login })
    }

    fn proxy(self, bypass: Bypass) -> OuterProxy {
        let Self { kind, at, login } = self;
        OuterProxy { kind, at, login, bypass, roots: None }
    }
}

/// `user` or `user:password`, each with its signs escaped by `%`.
fn login(text: &str) -> Result<Login, &'static str> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (unescaped(user).ok_or(BAD_LOGIN)?, unescaped(password).ok_or(BAD_LOGIN)?);
    if !is_user(&user) || password.chars().any(char::is_control) {
        return Err(BAD_LOGIN);
    }
    Ok(Login { user: user.into(), password: Secret::new(password) })
}

/// Takes `%41` for `A`.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next())? << 4 | digit(rest.next())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

const KEYS: [&str; 5] = ["url", "user", "password", "noProxy", "ca"];

/// The environment's outer proxy, for one who starts a gate from where another proxy was in use.
const PROXY: &str = "TOLLGATE_UPSTREAM_PROXY";

/// The environment's exceptions from it.
const NO_PROXY: &str = "TOLLGATE_UPSTREAM_NO_PROXY";

const NO_URL: &str =
    "must be a URL such as `http://proxy.example:3128`, or one with `https://`, `socks5://` or `socks5h://`";

const BAD_LOGIN: &str =
    "has a user or a password that cannot be read; special signs are written as `%40`, or set `user` and `password`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_kind_are_taken_apart() {
        for (text, kind, at, login) in [
            ("http://proxy.example:3128", OuterKind::Http, "proxy.example:3128", None),
            ("HTTP://Proxy.example/", OuterKind::Http, "proxy.example:80", None),
            ("proxy.example:3128", OuterKind::Http, "proxy.example:3128", None),
            ("https://proxy.example", OuterKind::Https, "proxy.example:443", None),
            ("socks5://[::1]", OuterKind::Socks5, "[::1]:1080", None),
            ("socks5h://10.0.0.1:1", OuterKind::Socks5h, "10.0.0.1:1", None),
            ("http://me@p.test:1", OuterKind::Http, "p.test:1", Some(("me", ""))),
            ("http://me:word@p.test:1", OuterKind::Http, "p.test:1", Some(("me", "word"))),
            ("http://d%5Cme:p%40%3a%25@p.test:1", OuterKind::Http, "p.test:1", Some(("d\\me", "p@:%"))),
            ("http://me:a@b:c@p.test:1", OuterKind::Http, "p.test:1", Some(("me", "a@b:c"))),
        ] {
            let url = Url::parse(text).unwrap();
            let found = url.login.as_ref().map(|login| (&*login.user, login.password.reveal()));
            assert_eq!((url.kind, url.at.to_string().as_str(), found), (kind, at, login), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_proxy_is_refused_without_being_shown() {
        for text in [
            "",
            "ftp://a.b:1",
            "socks4://a.b:1",
            "http://",
            "http://a.b:0",
            "http://a.b:1/path",
            "http://a b:1",
            "http://@a.b:1",
            "http://:hidden@a.b:1",
            "http://a%3ab:hidden@a.b:1",
            "http://me:hidd%zzen@a.b:1",
            "http://me:hid%0aden@a.b:1",
            "http://me:hidden@",
            "http://me:hidd%ffen@a.b:1",
            "http://me:hidden%4@a.b:1",
        ] {
            let refused = Url::parse(text).unwrap_err();
            assert!(!refused.contains("hid"), "{text}");
        }
    }
}
