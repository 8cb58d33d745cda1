//! A SOCKS5 client that says byte for byte what it is told to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw::guard;

/// Asks for a connection without saying who asks; the stream behind the success, or the code of the refusal.
pub async fn connect(proxy: SocketAddr, target: &str) -> Result<TcpStream, u8> {
    connect_as(proxy, target, None).await
}

/// As [`connect`], with a user and a password.
pub async fn connect_as(proxy: SocketAddr, target: &str, user: Option<(&str, &str)>) -> Result<TcpStream, u8> {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    guard(async {
        match user {
            None => stream.write_all(&[5, 1, 0]).await.unwrap(),
            Some((name, password)) => {
                stream.write_all(&[5, 1, 2]).await.unwrap();
                assert_eq!(exactly::<2>(&mut stream).await, [5, 2]);
                let sized = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
                stream.write_all(&[vec![1], sized(name), sized(password)].concat()).await.unwrap();
            }
        }
        let greeted = exactly::<2>(&mut stream).await;
        assert_eq!(greeted, if user.is_some() { [1, 0] } else { [5, 0] });
        stream.write_all(&request(1, target)).await.unwrap();
        let [version, code, zero, kind] = exactly::<4>(&mut stream).await;
        assert_eq!((version, zero), (5, 0));
        let rest = if kind == 4 { 18 } else { 6 };
        stream.read_exact(&mut vec![0; rest]).await.unwrap();
        if code == 0 { Ok(stream) } else { Err(code) }
    })
    .await
}

/// A request of RFC 1928: by address where `target` is one, else by name.
pub fn request(command: u8, target: &str) -> Vec<u8> {
    let (host, port) = target.rsplit_once(':').unwrap();
    let place = match target.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(at)) => [&[1][..], &at.ip().octets()].concat(),
        Ok(SocketAddr::V6(at)) => [&[4][..], &at.ip().octets()].concat(),
        Err(_) => [&[3, u8::try_from(host.len()).unwrap()][..], host.as_bytes()].concat(),
    };
    [&[5, command, 0][..], &place, &port.parse::<u16>().unwrap().to_be_bytes()].concat()
}

async fn exactly<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}
