//! Which headers pass on which way.

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, COOKIE, EXPECT, HOST,
    HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::policy::target::Credential;

/// Whether the client sent some credential of its own.
pub fn has_credential(headers: &HeaderMap) -> bool {
    let full = |name: &HeaderName| {
        headers.get(name).is_some_and(|value| {
            let value = value.as_bytes().trim_ascii();
            !value.is_empty() && !value.eq_ignore_ascii_case(b"bearer")
        })
    };
    full(&AUTHORIZATION) || full(&API_KEY) || protocols(headers).any(|name| name.starts_with(KEY_PROTOCOL))
}

/// The protocols that a WebSocket offers.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

/// Makes the headers of a WebSocket's handshake fit for a target, with the target's own credential.
///
/// A page's key, and whose it
/// is, stand among the protocols, and stay there only for the host that the page asked for.
pub fn toward_socket(headers: &mut HeaderMap, credential: &Credential) {
    let is_clients = |name: &&str| CLIENTS_PROTOCOLS.iter().any(|prefix| name.starts_with(prefix));
    let kept: Vec<&str> = protocols(headers).filter(|name| !is_clients(name)).collect();
    let kept = (!kept.is_empty()).then(|| kept.join(", "));
    toward_upstream(headers, credential);
    if *credential != Credential::Clients {
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        if let Some(Ok(kept)) = kept.map(|kept| HeaderValue::from_str(&kept)) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, kept);
        }
    }
    switching(headers);
}

/// Says that the connection becomes a WebSocket.
pub fn switching(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Makes a request's headers fit for a target, with the target's own credential.
///
/// The host is set where the request is sent; the length follows from the body.
pub fn toward_upstream(headers: &mut HeaderMap, credential: &Credential) {
    strip_hop_by_hop(headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT, LABEL] {
        headers.remove(name);
    }
    if *credential == Credential::Clients {
        return;
    }
    let key = match credential {
        Credential::ApiKey(secret) | Credential::Bearer(secret) => Some(secret.reveal().to_owned()),
        Credential::ClientsApiKey | Credential::ClientsBearer => clients_key(headers).map(str::to_owned),
        Credential::Clients | Credential::None => None,
    };
    // These were meant for the host that the client asked for, and for nobody else.
    for name in CLIENTS_OWN {
        headers.remove(name);
    }
    let Some(key) = key else { return };
    let (name, value) = match credential {
        Credential::ApiKey(_) | Credential::ClientsApiKey => (API_KEY, HeaderValue::from_str(&key)),
        _ => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
    };
    if let Ok(mut value) = value {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// The key that the client sent, in whichever of the headers.
pub fn clients_key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = text(&AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let among_protocols = || {
        let protocols = text(&SEC_WEBSOCKET_PROTOCOL)?.split(',').map(str::trim);
        protocols.into_iter().find_map(|protocol| protocol.strip_prefix(KEY_PROTOCOL))
    };
    bearer.or_else(|| text(&API_KEY)).or_else(among_protocols).filter(|key| !key.is_empty())
}

/// Leaves only codings that the meter can read, or none where the reply must be edited.
pub fn narrow_codings(headers: &mut HeaderMap, edited: bool) {
    if edited {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        return;
    }
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let known = |coding: &&str| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        READABLE.iter().any(|readable| readable.eq_ignore_ascii_case(name))
    };
    let lines = || headers.get_all(ACCEPT_ENCODING).iter();
    let codings = || lines().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim);
    if lines().all(|line| line.to_str().is_ok()) && codings().all(|coding| known(&coding)) {
        return;
    }
    let kept: Vec<&str> = codings().filter(known).collect();
    let kept = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    if let Ok(value) = HeaderValue::from_str(&kept) {
        headers.insert(ACCEPT_ENCODING, value);
    }
}

/// Makes a reply's headers fit for the client.
pub fn toward_client(headers: &mut HeaderMap, swapped: bool) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // The chunks say how long the reply is; passed on, another length would cut it short unseen.
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
    // It would invite the client to come by a way that the gate does not see.
    headers.remove(ALT_SVC);
    if swapped {
        headers.remove(SET_COOKIE);
    }
}

/// The reply's body will be another one than the upstream's.
pub fn body_changes(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_ENCODING);
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Azure's credential header.
pub const API_KEY: HeaderName = HeaderName::from_static("api-key");
/// Whose call it is; for the books only.
pub const LABEL: HeaderName = HeaderName::from_static("x-tollgate-label");
/// What says who the client is, in every form in which some API takes its key.
const CLIENTS_OWN: [HeaderName; 8] = [
    AUTHORIZATION,
    API_KEY,
    COOKIE,
    HeaderName::from_static("ocp-apim-subscription-key"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    // Pages cannot set other headers on a WebSocket, so their key is one of its protocols.
    SEC_WEBSOCKET_PROTOCOL,
    HeaderName::from_static("x-api-key"),
];
/// How a page's key begins, which it cannot send in a header.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";
/// What a page says about itself among the protocols.
const CLIENTS_PROTOCOLS: [&str; 3] = [KEY_PROTOCOL, "openai-organization.", "openai-project."];
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
const READABLE: [&str; 5] = ["br", "deflate", "gzip", "identity", "zstd"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::secret::Secret;

    fn sent() -> HeaderMap {
        [
            ("host", "api.openai.com"),
            ("authorization", "Bearer sk-client"),
            ("api-key", "client"),
            ("cookie", "a=b"),
            ("openai-organization", "org"),
            ("openai-project", "proj"),
            ("x-api-key", "client"),
            ("ocp-apim-subscription-key", "client"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.sk-client"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("openai-beta", "assistants=v2"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
    }

    #[test]
    fn what_was_meant_for_one_host_never_reaches_another() {
        let mut headers = sent();
        toward_upstream(&mut headers, &Credential::Bearer(Secret::new("sk-mirror")));
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "openai-beta"]);
        assert_eq!(headers[AUTHORIZATION], "Bearer sk-mirror");
        let mut headers = sent();
        toward_upstream(&mut headers, &Credential::None);
        assert!(!headers.contains_key(AUTHORIZATION));
        let mut headers = sent();
        toward_upstream(&mut headers, &Credential::ApiKey(Secret::new("k")));
        assert!(!headers.contains_key(AUTHORIZATION));
        assert_eq!(headers[API_KEY], "k");
    }

    #[test]
    fn a_line_that_asks_for_the_clients_key_gets_that_and_nothing_else_of_the_client() {
        for (credential, name, value) in [
            (Credential::ClientsBearer, AUTHORIZATION, "Bearer sk-client"),
            (Credential::ClientsApiKey, API_KEY, "sk-client"),
        ] {
            let mut headers = sent();
            toward_upstream(&mut headers, &credential);
            let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(left, [name.as_str(), "openai-beta"]);
            assert_eq!(headers[&name], value);
            let mut bare = HeaderMap::new();
            toward_upstream(&mut bare, &credential);
            assert!(bare.is_empty());
        }
    }

    #[test]
    fn a_pages_key_is_swapped_and_its_other_protocols_stay() {
        let offered = "realtime, openai-insecure-api-key.sk-page, openai-project.p,openai-beta.realtime-v1";
        let page = || {
            let fields = [
                ("sec-websocket-protocol", offered),
                ("sec-websocket-extensions", "permessage-deflate"),
                ("sec-websocket-key", "a"),
                ("connection", "keep-alive, Upgrade"),
                ("upgrade", "websocket"),
            ];
            let named = fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            named.into_iter().collect::<HeaderMap>()
        };
        assert!(has_credential(&page()));
        for (credential, protocols) in [
            (Credential::Clients, offered),
            (Credential::ApiKey(Secret::new("k")), "realtime, openai-beta.realtime-v1"),
            (Credential::Bearer(Secret::new("k")), "realtime, openai-beta.realtime-v1"),
        ] {
            let mut headers = page();
            toward_socket(&mut headers, &credential);
            assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], protocols);
            assert_eq!(
                (&headers[CONNECTION], &headers[UPGRADE]),
                (&"Upgrade".parse().unwrap(), &"websocket".parse().unwrap())
            );
            assert!(headers.contains_key("sec-websocket-extensions") && headers.contains_key("sec-websocket-key"));
        }
        let mut only = HeaderMap::new();
        only.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("openai-insecure-api-key.sk-page"));
        toward_socket(&mut only, &Credential::None);
        assert!(!only.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn the_host_that_was_asked_for_gets_the_clients_own_headers() {
        let mut headers = sent();
        toward_upstream(&mut headers, &Credential::Clients);
        for name in ["authorization", "cookie", "openai-organization", "x-api-key"] {
            assert!(headers.contains_key(name), "{name}");
        }
        for name in ["x-hop", "proxy-authorization", "te", "connection", "host"] {
            assert!(!headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn an_empty_bearer_is_no_credential() {
        for (value, has) in [("Bearer sk-x", true), ("Bearer ", false), ("", false), ("Basic abc", true)] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(has_credential(&headers), has, "{value:?}");
        }
    }

    #[test]
    fn a_second_line_of_codings_is_no_way_around_the_meter() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.append(ACCEPT_ENCODING, HeaderValue::from_static("x-lz, br"));
        narrow_codings(&mut headers, false);
        assert_eq!(headers.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(), ["gzip, br"]);
    }

    #[test]
    fn codings_that_cannot_be_read_are_not_asked_for() {
        for (asked, sent) in
            [("gzip, deflate, br, zstd", "gzip, deflate, br, zstd"), ("br;q=1, x-lz", "br;q=1"), ("*", "identity")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(asked));
            narrow_codings(&mut headers, false);
            assert_eq!(headers[ACCEPT_ENCODING], sent);
        }
    }
}
