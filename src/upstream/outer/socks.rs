//! The asking side of SOCKS5 (RFC 1928, RFC 1929).

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use crate::net::host::{Host, HostPort};
use crate::policy::outer::Login;
use crate::upstream::outer::Obstacle;
use crate::upstream::road::Leg;

/// Asks for a connection to `to`; afterwards `leg` is that connection.
pub(super) async fn open(
    leg: &mut BufReader<Box<dyn Leg>>,
    to: &HostPort,
    login: Option<&Login>,
) -> Result<(), Obstacle> {
    let methods: &[u8] = if login.is_some() { &[5, 2, NO_LOGIN, PASSWORD] } else { &[5, 1, NO_LOGIN] };
    say(leg, methods).await?;
    match (hear(leg).await?, login) {
        ([5, NO_LOGIN], _) => {}
        ([5, PASSWORD], Some(login)) => authenticate(leg, login).await?,
        ([5, _], None) => {
            return Err(Obstacle::lasting("it wants to know who asks; set `user` and `password` of `upstream.proxy`"));
        }
        ([5, _], Some(_)) => return Err(Obstacle::lasting("it takes no user and password, and wants something else")),
        _ => return Err(garbage()),
    }
    say(leg, &request(to)).await?;
    let [version, reply, _, kind] = hear(leg).await?;
    if version != 5 {
        return Err(garbage());
    }
    if reply != 0 {
        return Err(refusal(reply));
    }
    // The address that it connected from is of no use, but must be read to its end.
    let rest = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(hear::<1>(leg).await?[0]),
        _ => return Err(garbage()),
    };
    let mut bound = vec![0; rest + 2];
    leg.read_exact(&mut bound).await.map_err(|error| Obstacle::broken(&error))?;
    Ok(())
}

async fn authenticate(leg: &mut BufReader<Box<dyn Leg>>, login: &Login) -> Result<(), Obstacle> {
    let mut message = vec![1];
    for text in [&*login.user, login.password.reveal()] {
        let length = u8::try_from(text.len());
        message.push(length.map_err(|_| Obstacle::lasting("SOCKS5 takes a user and a password of at most 255 bytes"))?);
        message.extend_from_slice(text.as_bytes());
    }
    say(leg, &message).await?;
    let [_, outcome] = hear(leg).await?;
    if outcome == 0 {
        return Ok(());
    }
    Err(Obstacle::lasting("it does not accept the user and password of `upstream.proxy`"))
}

fn request(to: &HostPort) -> Vec<u8> {
    let mut message = vec![5, CONNECT, 0];
    match &to.host {
        Host::Address(IpAddr::V4(address)) => {
            message.push(IPV4);
            message.extend_from_slice(&address.octets());
        }
        Host::Address(IpAddr::V6(address)) => {
            message.push(IPV6);
            message.extend_from_slice(&address.octets());
        }
        // A name has at most 253 bytes.
        Host::Name(name) => {
            message.extend_from_slice(&[NAME, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            message.extend_from_slice(name.as_bytes());
        }
    }
    message.extend_from_slice(&to.port.to_be_bytes());
    message
}

/// The replies of RFC 1928 in words.
fn refusal(reply: u8) -> Obstacle {
    match reply {
        1 => Obstacle::passing("it reports a general failure"),
        2 => Obstacle::lasting("its rules forbid the connection"),
        3 => Obstacle::passing("it finds the network unreachable"),
        4 => Obstacle::passing("it finds the host unreachable"),
        5 => Obstacle::passing("the host refused its connection"),
        6 => Obstacle::passing("its connection timed out (TTL expired)"),
        7 => Obstacle::lasting("it does not make connections (command not supported)"),
        8 => Obstacle::lasting(
            "it does not take this kind of address; try the other one of `socks5://` and `socks5h://`",
        ),
        other => Obstacle::passing(format!("it answered with the unknown code {other}")),
    }
}

async fn say(leg: &mut BufReader<Box<dyn Leg>>, message: &[u8]) -> Result<(), Obstacle> {
    leg.write_all(message).await.map_err(|error| Obstacle::broken(&error))?;
    leg.flush().await.map_err(|error| Obstacle::broken(&error))
}

async fn hear<const COUNT: usize>(leg: &mut BufReader<Box<dyn Leg>>) -> Result<[u8; COUNT], Obstacle> {
    let mut bytes = [0; COUNT];
    leg.read_exact(&mut bytes).await.map_err(|error| Obstacle::broken(&error))?;
    Ok(bytes)
}

fn garbage() -> Obstacle {
    Obstacle::lasting("its answer is no SOCKS5; write `http://` in `upstream.proxy` if it is an HTTP proxy")
}

const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::net::secret::Secret;

    /// Plays `script`, what is to be heard and what is then said; gives what the connection says afterwards.
    async fn played(to: &str, login: Option<&Login>, script: &[(&[u8], &[u8])]) -> Result<Vec<u8>, String> {
        let (near, mut far) = duplex(1 << 16);
        let script: Vec<(Vec<u8>, Vec<u8>)> =
            script.iter().map(|(heard, said)| (heard.to_vec(), said.to_vec())).collect();
        let proxy = tokio::spawn(async move {
            for (expected, said) in script {
                let mut heard = vec![0; expected.len()];
                far.read_exact(&mut heard).await.unwrap();
                assert_eq!(heard, expected);
                for byte in said {
                    far.write_all(&[byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut leg = BufReader::new(Box::new(near) as Box<dyn Leg>);
        let opened = open(&mut leg, &HostPort::parse_connect(to).unwrap(), login).await;
        proxy.await.unwrap();
        opened.map_err(|obstacle| obstacle.cause)?;
        let mut rest = Vec::new();
        leg.read_to_end(&mut rest).await.unwrap();
        Ok(rest)
    }

    #[tokio::test]
    async fn names_and_addresses_of_both_kinds_are_asked_for_and_what_follows_is_the_connection() {
        let asked: [(&str, &[u8], &[u8]); 3] = [
            ("a.test:443", b"\x05\x01\0\x03\x06a.test\x01\xbb", b"\x05\0\0\x01\0\0\0\0\0\0early"),
            ("192.0.2.1:80", b"\x05\x01\0\x01\xc0\0\x02\x01\0\x50", b"\x05\0\0\x03\x02ab\0\0early"),
            (
                "[::1]:80",
                b"\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50",
                &[b"\x05\0\0\x04".as_slice(), &[0; 18], b"early"].concat(),
            ),
        ];
        for (to, request, reply) in asked {
            let script: [(&[u8], &[u8]); 2] = [(b"\x05\x01\0", b"\x05\0"), (request, reply)];
            assert_eq!(played(to, None, &script).await.unwrap(), b"early", "{to}");
        }
    }

    #[tokio::test]
    async fn a_login_is_offered_and_given_where_it_is_asked_for() {
        let login = Login { user: "me".into(), password: Secret::new("word") };
        let granted: (&[u8], &[u8]) = (b"\x05\x01\0\x03\x06a.test\x01\xbb", b"\x05\0\0\x01\0\0\0\0\0\0");
        let script: [(&[u8], &[u8]); 3] =
            [(b"\x05\x02\0\x02", b"\x05\x02"), (b"\x01\x02me\x04word", b"\x01\0"), granted];
        assert_eq!(played("a.test:443", Some(&login), &script).await.unwrap(), b"");
        let script: [(&[u8], &[u8]); 2] = [(b"\x05\x02\0\x02", b"\x05\0"), granted];
        assert_eq!(played("a.test:443", Some(&login), &script).await.unwrap(), b"");
        let script: [(&[u8], &[u8]); 2] = [(b"\x05\x02\0\x02", b"\x05\x02"), (b"\x01\x02me\x04word", b"\x01\x01")];
        let refused = played("a.test:443", Some(&login), &script).await.unwrap_err();
        assert!(refused.contains("does not accept") && !refused.contains("word`"), "{refused}");
    }

    #[tokio::test]
    async fn every_refusal_is_told_in_words() {
        let request: &[u8] = b"\x05\x01\0\x03\x06a.test\x01\xbb";
        for (code, said) in [
            (1, "general"),
            (2, "rules"),
            (3, "network"),
            (4, "host unreachable"),
            (5, "refused"),
            (6, "timed out"),
            (7, "command"),
            (8, "kind of address"),
            (9, "code 9"),
            (255, "code 255"),
        ] {
            let reply = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
            let script: [(&[u8], &[u8]); 2] = [(b"\x05\x01\0", b"\x05\0"), (request, &reply)];
            let refused = played("a.test:443", None, &script).await.unwrap_err();
            assert!(refused.contains(said), "{code}: {refused}");
        }
        for (reply, said) in [
            (b"\x05\xff".as_slice(), "set `user` and `password`"),
            (b"\x05\x02", "set `user` and `password`"),
            (b"HT", "no SOCKS5"),
            (b"\x05", "closed the connection"),
            (b"", "closed the connection"),
        ] {
            let refused = played("a.test:443", None, &[(b"\x05\x01\0", reply)]).await.unwrap_err();
            assert!(refused.contains(said), "{reply:?}: {refused}");
        }
    }
}
