//! Sound requests pass and ambiguous ones do not, however they are cut.

use super::*;

/// Feeds `text` in two pieces at every place; all must agree.
fn verdict(text: &[u8]) -> Result<(), &'static str> {
    let whole = Framing::new(4096).feed(text).map_err(|violation| violation.reason);
    for cut in 0..text.len() {
        let mut framing = Framing::new(4096);
        let split = framing.feed(&text[..cut]).and_then(|()| framing.feed(&text[cut..]));
        assert_eq!(split.map_err(|violation| violation.reason), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn sound_requests_pass_at_every_split() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /x HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com\r\n\r\n\x16\x03\x01\0\n\r",
    ] {
        assert_eq!(verdict(text.as_bytes()), Ok(()), "{text:?}");
    }
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused_at_every_split() {
    let with = |field: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
    let mut bad: Vec<String> = [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked;q=1",
        "A: b\r\n folded",
        "A : b",
        ": b",
        "no colon",
        "A: b\x00c",
        "A: b\x01c",
        "A: b\rc",
        "A: b\nB: c",
        "Host: b",
    ]
    .into_iter()
    .map(with)
    .collect();
    bad.extend(
        [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "CONNECT host HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT host:0 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT u@host:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT host:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\n",
        ]
        .map(String::from),
    );
    for text in bad {
        assert!(verdict(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn what_comes_before_a_violation_is_still_served() {
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = [&good[..], b"GET / HTTP/1.1\nHost: a\r\n\r\n"].concat();
    let violation = Framing::new(4096).feed(&text);
    assert_eq!(violation, Err(Violation { reason: "bare line feed", sound: good.len(), in_head: true }));
}

#[test]
fn what_follows_a_request_for_a_websocket_is_no_request() {
    let asked = "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n\n\0frames";
    assert!(verdict(format!("GET /v1/realtime HTTP/1.1\r\n{asked}").as_bytes()).is_ok());
    for other in [
        format!("POST / HTTP/1.1\r\n{asked}"),
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\n".to_owned(),
    ] {
        assert!(verdict(other.as_bytes()).is_err(), "{other:?}");
    }
}

#[test]
fn a_head_without_end_is_refused_at_the_limit() {
    let mut framing = Framing::new(4096);
    assert_eq!(framing.feed(&[b'a'; 4096]), Ok(()));
    assert!(framing.feed(b"a").is_err());
}
