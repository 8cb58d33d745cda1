//! Asks the gate for a connection, as its clients do: by CONNECT.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The gate, and who asks.
#[derive(Clone, Debug)]
pub struct Gate {
    at: SocketAddr,
    credentials: Option<String>,
}

impl Gate {
    /// The proxy listener at this address; the label is its user.
    pub fn new(at: SocketAddr, label: Option<&str>) -> Self {
        // Some proxies take no user without a password, so there is one that says nothing.
        Self { at, credentials: label.map(|label| base64(format!("{label}:x").as_bytes())) }
    }

    /// A connection to `to` (`host:port`) through the gate, and what came of it already.
    ///
    /// # Errors
    /// The gate is gone, or refuses.
    pub async fn connect(&self, to: &str) -> io::Result<(TcpStream, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.at).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(credentials) = &self.credentials {
            request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(512);
        while answer.len() < LONGEST {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let granted = answer.get(9..12).is_some_and(|status| status.starts_with(b"2"));
                let rest = answer.split_off(end + 4);
                return if granted { Ok((stream, rest)) } else { Err(io::ErrorKind::ConnectionRefused.into()) };
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the gate's answer has no end"))
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let value = (bits >> (18 - 6 * place) & 63) as usize;
            text.push(if place <= three.len() { char::from(SIGNS[value]) } else { '=' });
        }
    }
    text
}

/// Bytes of the gate's answer.
const LONGEST: usize = 16 << 10;
const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What the gate was asked, and what came of it.
    async fn asked(label: Option<&str>, answer: &'static [u8]) -> (String, io::Result<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gate = Gate::new(listener.local_addr().unwrap(), label);
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            // In pieces of one byte, as a network may have it.
            for byte in answer {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            String::from_utf8(request).unwrap()
        };
        let (request, outcome) = tokio::join!(serve, gate.connect("api.openai.com:443"));
        let all = async |(mut stream, mut got): (TcpStream, Vec<u8>)| {
            stream.read_to_end(&mut got).await.unwrap();
            got
        };
        let outcome = match outcome {
            Ok(granted) => Ok(all(granted).await),
            Err(error) => Err(error),
        };
        (request, outcome)
    }

    #[tokio::test]
    async fn the_gate_is_asked_by_name_and_no_byte_behind_its_answer_is_lost() {
        let (request, got) = asked(Some("team ä"), b"HTTP/1.1 200 OK\r\nx-tollgate-id: 1\r\n\r\n220 hello").await;
        assert_eq!(got.unwrap(), b"220 hello");
        assert_eq!(
            request,
            "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\nProxy-Authorization: Basic \
             dGVhbSDDpDp4\r\n\r\n"
        );
        let (request, _) = asked(None, b"HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(!request.contains("Authorization"), "{request}");
    }

    #[tokio::test]
    async fn a_gate_that_refuses_or_breaks_off_gives_no_connection() {
        for answer in [&b"HTTP/1.1 502 Bad Gateway\r\n\r\n"[..], b"HTTP/1.1 407 x\r\n\r\n", b"HTTP/1.1 20", b""] {
            assert!(asked(None, answer).await.1.is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }
}
