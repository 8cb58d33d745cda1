//! What the two ends of a WebSocket agree on beyond the protocol itself: compression, which the gate can read.

use http::HeaderMap;
use http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

use crate::meter::frames::inflater::Inflater;

/// What was agreed on, as far as reading needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Compression {
    /// The client's messages may refer to earlier ones.
    client_keeps: bool,
    /// The upstream's may.
    server_keeps: bool,
}

impl Compression {
    /// Reads the client's messages.
    pub fn of_client(self) -> Inflater {
        Inflater::new(self.client_keeps)
    }

    /// Reads the upstream's messages.
    pub fn of_server(self) -> Inflater {
        Inflater::new(self.server_keeps)
    }
}

/// Leaves of what a client offers only what the gate can read; without anything left, the header goes.
pub fn offer_readable(headers: &mut HeaderMap) {
    let offers: Vec<&str> = named(headers).filter(|offer| name(offer).eq_ignore_ascii_case(DEFLATE)).collect();
    let offers = (!offers.is_empty()).then(|| HeaderValue::from_str(&offers.join(", ")));
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    if let Some(Ok(offers)) = offers {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, offers);
    }
}

/// What the upstream chose of what was offered.
///
/// # Errors
/// It chose something that nobody offered.
pub fn chosen(offered: &HeaderMap, answer: &HeaderMap) -> Result<Option<Compression>, NotOffered> {
    let mut choices = named(answer);
    let Some(choice) = choices.next() else { return Ok(None) };
    let is_offered = named(offered).any(|offer| name(offer).eq_ignore_ascii_case(DEFLATE));
    if !is_offered || choices.next().is_some() || !name(choice).eq_ignore_ascii_case(DEFLATE) {
        return Err(NotOffered);
    }
    let has = |parameter: &str| choice.split(';').skip(1).any(|given| given.trim().eq_ignore_ascii_case(parameter));
    Ok(Some(Compression {
        client_keeps: !has("client_no_context_takeover"),
        server_keeps: !has("server_no_context_takeover"),
    }))
}

/// The upstream chose an extension that was not offered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotOffered;

/// The extensions that a header lists, each with its parameters.
fn named(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|extension| !extension.is_empty())
}

fn name(extension: &str) -> &str {
    extension.split(';').next().unwrap_or_default().trim()
}

/// Compression of each message by itself (RFC 7692).
const DEFLATE: &str = "permessage-deflate";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn only_compression_that_can_be_read_is_offered() {
        for (lines, left) in [
            (&["permessage-deflate"][..], Some("permessage-deflate")),
            (
                &["x-webkit-deflate-frame, Permessage-Deflate; client_max_window_bits"],
                Some("Permessage-Deflate; client_max_window_bits"),
            ),
            (
                &["permessage-deflate; server_max_window_bits=10, permessage-bzip2", "permessage-deflate"],
                Some("permessage-deflate; server_max_window_bits=10, permessage-deflate"),
            ),
            (&["permessage-deflater", "", ","], None),
            (&[], None),
        ] {
            let mut offered = headers(lines);
            offer_readable(&mut offered);
            let now = offered.get(SEC_WEBSOCKET_EXTENSIONS).map(|line| line.to_str().unwrap());
            assert_eq!(now, left, "{lines:?}");
        }
    }

    #[test]
    fn what_was_not_offered_cannot_be_chosen() {
        let offered = headers(&["permessage-deflate; client_max_window_bits"]);
        let agreed = |client_keeps, server_keeps| Ok(Some(Compression { client_keeps, server_keeps }));
        for (offered, answer, expected) in [
            (&offered, &[][..], Ok(None)),
            (&offered, &["permessage-deflate"], agreed(true, true)),
            (&offered, &["permessage-deflate; server_no_context_takeover"], agreed(true, false)),
            (
                &offered,
                &["permessage-deflate ;Client_No_Context_Takeover; client_max_window_bits=9"],
                agreed(false, true),
            ),
            (&offered, &["permessage-bzip2"], Err(NotOffered)),
            (&offered, &["permessage-deflate, permessage-deflate"], Err(NotOffered)),
            (&HeaderMap::new(), &["permessage-deflate"], Err(NotOffered)),
        ] {
            assert_eq!(chosen(offered, &headers(answer)), expected, "{answer:?}");
        }
    }
}
