//! CONNECT, as an HTTP proxy understands it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::net::host::HostPort;
use crate::policy::outer::Login;
use crate::upstream::outer::Obstacle;
use crate::upstream::road::Leg;

/// Asks for a tunnel to `to`; afterwards `leg` is that tunnel.
pub(super) async fn open(
    leg: &mut BufReader<Box<dyn Leg>>,
    to: &HostPort,
    login: Option<&Login>,
) -> Result<(), Obstacle> {
    leg.write_all(request(to, login).as_bytes()).await.map_err(|error| Obstacle::broken(&error))?;
    leg.flush().await.map_err(|error| Obstacle::broken(&error))?;
    // Interim answers may come before the one that counts; nobody sends many.
    for _ in 0..MOST_INTERIM {
        let head = head(leg).await?;
        match status(&head).ok_or_else(garbage)? {
            100..200 => {}
            200..300 => return Ok(()),
            status => return Err(refusal(status, &head, to, login.is_some())),
        }
    }
    Err(garbage())
}

fn request(to: &HostPort, login: Option<&Login>) -> String {
    let agent = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: {agent}\r\n");
    if let Some(Login { user, password }) = login {
        let credentials = STANDARD.encode(format!("{user}:{}", password.reveal()));
        request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
    }
    request + "\r\n"
}

/// Reads the head of an answer, and not one byte more.
async fn head(leg: &mut BufReader<Box<dyn Leg>>) -> Result<Vec<u8>, Obstacle> {
    let mut head = Vec::new();
    loop {
        let piece = leg.fill_buf().await.map_err(|error| Obstacle::broken(&error))?;
        if piece.is_empty() {
            return Err(Obstacle::passing("it closed the connection before it answered"));
        }
        let before = head.len();
        head.extend_from_slice(piece);
        let taken = piece.len();
        if let Some(end) = end_of_head(&head) {
            leg.consume(end - before);
            head.truncate(end);
            return Ok(head);
        }
        leg.consume(taken);
        let beginning = head.len().min(BEGINNING.len());
        if head[..beginning] != BEGINNING[..beginning] {
            return Err(garbage());
        }
        if head.len() > LARGEST_HEAD {
            return Err(Obstacle::lasting("the head of its answer has more than 64 KiB"));
        }
    }
}

/// Where the first blank line ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends = |at: usize| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    };
    memchr::memchr_iter(b'\n', bytes).find_map(ends)
}

/// `200` of `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(BEGINNING)?;
    let [b'0'..=b'9', b' ', digits @ ..] = rest else { return None };
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ' | b'\r' | b'\n', ..] = digits else { return None };
    Some([a, b, c].into_iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
}

/// The schemes of `Proxy-Authenticate`.
fn asked_for(head: &[u8]) -> Vec<String> {
    let head = String::from_utf8_lossy(head);
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let values = fields.filter(|(name, _)| name.trim().eq_ignore_ascii_case("proxy-authenticate"));
    let scheme = |value: &str| value.split_whitespace().next().map(str::to_owned);
    let plain =
        |scheme: &String| scheme.len() <= 32 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    values.filter_map(|(_, value)| scheme(value)).filter(plain).take(8).collect()
}

/// What the proxy said, in our words: its own text could hold anything.
fn refusal(status: u16, head: &[u8], to: &HostPort, has_login: bool) -> Obstacle {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let answered = format!("it answered {status} {reason}").trim_end().to_owned();
    let remedy = match status {
        407 => {
            let asked = asked_for(head);
            let knows_basic = asked.is_empty() || asked.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
            match (knows_basic, has_login) {
                (false, _) => format!("; it asks for {}, and the gate knows Basic alone", asked.join(" or ")),
                (true, true) => "; it does not accept the user and password of `upstream.proxy`".into(),
                (true, false) => "; set `user` and `password` of `upstream.proxy`".into(),
            }
        }
        403 | 405 | 501 => format!(
            "; let it pass CONNECT to port {}, or list `{}` in `noProxy` of `upstream.proxy` to go there directly",
            to.port, to.host
        ),
        400 => "; is it an HTTP proxy at all?".into(),
        _ => String::new(),
    };
    let passes = status >= 500 && status != 501 || status == 408 || status == 429;
    Obstacle { cause: answered + &remedy, lasting: !passes }
}

fn garbage() -> Obstacle {
    Obstacle::lasting("its answer is no HTTP; write `https://` or `socks5://` in `upstream.proxy` if it speaks that")
}

const BEGINNING: &[u8] = b"HTTP/1.";
const LARGEST_HEAD: usize = 64 << 10;
const MOST_INTERIM: usize = 8;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::net::secret::Secret;

    fn to() -> HostPort {
        HostPort::parse_connect("api.openai.com:443").unwrap()
    }

    /// What comes of an answer that arrives in pieces of `size`, and what the tunnel then says.
    async fn answered(answer: &[u8], size: usize) -> Result<Vec<u8>, String> {
        let (near, mut far) = duplex(1 << 20);
        let answer = answer.to_vec();
        let proxy = tokio::spawn(async move {
            let mut asked = vec![0; 256];
            let count = far.read(&mut asked).await.unwrap();
            assert!(asked[..count].ends_with(b"\r\n\r\n"));
            for piece in answer.chunks(size) {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut leg = BufReader::new(Box::new(near) as Box<dyn Leg>);
        let opened = open(&mut leg, &to(), None).await;
        proxy.await.unwrap();
        opened.map_err(|obstacle| format!("{} {}", obstacle.cause, obstacle.lasting))?;
        let mut rest = Vec::new();
        leg.read_to_end(&mut rest).await.unwrap();
        Ok(rest)
    }

    #[tokio::test]
    async fn what_follows_the_head_belongs_to_the_tunnel_wherever_the_answer_is_split() {
        let answer =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nX: y\r\n\r\n220 ready\r\n\r\n";
        for size in 1..answer.len() + 1 {
            assert_eq!(answered(answer, size).await.unwrap(), b"220 ready\r\n\r\n", "pieces of {size}");
        }
    }

    #[tokio::test]
    async fn every_refusal_says_what_it_was_and_what_to_do() {
        for (answer, said) in [
            ("HTTP/1.1 407 No\r\n\r\n", "407 Proxy Authentication Required; set `user` and `password`"),
            (
                "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nproxy-authenticate: Negotiate x\r\n\r\n",
                "NTLM or Negotiate",
            ),
            (
                "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
                "set `user`",
            ),
            ("HTTP/1.1 403 sk-secret\r\n\r\n", "it answered 403 Forbidden; let it pass CONNECT to port 443"),
            ("HTTP/1.1 502\r\n\r\n", "it answered 502 Bad Gateway false"),
            ("HTTP/1.1 599 ?\n\n", "it answered 599 false"),
            ("HTTP/2 200\r\n\r\n", "no HTTP"),
            ("HTTP/1.1 20 OK\r\n\r\n", "no HTTP"),
            ("HTTP/1.1 2000\r\n\r\n", "no HTTP"),
            ("\x15\x03\x01\x00\x02\x02\x16", "no HTTP"),
            ("\x05\u{7f}", "no HTTP"),
            ("HTTP/1.1 200 OK\r\nX", "closed the connection before it answered"),
            ("", "closed the connection before it answered"),
        ] {
            let refused = answered(answer.as_bytes(), 7).await.unwrap_err();
            assert!(refused.contains(said) && !refused.contains("sk-"), "{answer:?}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_head_has_a_bound() {
        let head = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; LARGEST_HEAD]].concat();
        assert!(answered(&head, 4096).await.unwrap_err().contains("64 KiB"));
        let endless = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
        assert!(answered(&endless, 4096).await.unwrap_err().contains("no HTTP"));
    }

    #[test]
    fn user_and_password_are_sent_as_basic() {
        let login = Login { user: "Aladdin".into(), password: Secret::new("open sesame") };
        let asked = request(&to(), Some(&login));
        assert!(asked.contains("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{asked}");
        assert!(!request(&to(), None).contains("Proxy-Authorization"));
    }
}
