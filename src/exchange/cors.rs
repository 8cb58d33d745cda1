//! Cross-origin rules: what api.openai.com answers to browsers, also after a host swap.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::exchange::answer::Answer;
use crate::net::host::{Host, HostPort};

/// Whether this is a browser asking for permission.
pub fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The permission: what was asked for, reflected.
///
/// A fixed list would break OpenAI's own JavaScript client, which adds `x-stainless-*` headers, and `*` does not
/// cover `Authorization`.
pub fn preflight(head: &Parts) -> Response<Answer> {
    let mut response = Response::new(Answer::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    headers.insert(
        VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    if let Some(method) = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    }
    if let Some(asked) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// Lets a page of any origin read this answer, as api.openai.com does.
pub fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(HeaderValue::from_static("X-Request-ID"));
}

/// Whether a page from elsewhere is calling the gate's own address.
///
/// Pages of this machine may use the base URL; any other page could spend a configured key through it.
pub fn is_foreign_page(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ORIGIN) {
        return headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    }
    headers.get_all(ORIGIN).iter().any(is_foreign)
}

fn is_foreign(origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return true };
    let Some((_, authority)) = origin.split_once("://") else { return true };
    match HostPort::parse(authority, 80) {
        Ok(HostPort { host: Host::Address(address), .. }) => !address.is_loopback(),
        Ok(HostPort { host: Host::Name(name), .. }) => &*name != "localhost",
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_may_use_the_base_url() {
        for (origin, foreign) in [
            ("http://localhost:3000", false),
            ("http://127.0.0.1", false),
            ("http://[::1]:8080", false),
            ("https://evil.example", true),
            ("http://localhost.evil.example", true),
            ("http://127.0.0.1.nip.io", true),
            ("null", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(is_foreign_page(&headers), foreign, "{origin}");
        }
        assert!(!is_foreign_page(&HeaderMap::new()));
    }
}
