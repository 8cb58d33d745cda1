//! A small proxy between the gate and the stand-ins: CONNECT in the clear or over TLS, or SOCKS5; or one that misbehaves.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::upstream::tls::{Alpn, Authority};

/// What the proxy speaks.
#[derive(Clone, Debug)]
pub enum Speaks {
    /// CONNECT, with these credentials (base64 of `user:password`) where some are wanted.
    Http(Option<&'static str>),
    /// CONNECT over TLS.
    Https,
    /// SOCKS5, with this user and password where some are wanted.
    Socks(Option<(&'static str, &'static str)>),
    /// Reads what it is asked, says this and closes.
    Says(Vec<u8>),
    /// Reads what it is asked and says nothing.
    Hangs,
}

/// A running proxy; it lives in the runtime of the test.
pub struct Proxy {
    address: SocketAddr,
    ca_pem: String,
    seen: Arc<Mutex<Vec<String>>>,
}

struct Inside {
    speaks: Speaks,
    /// Where hosts and ports are really found.
    places: HashMap<String, SocketAddr>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// One that finds each of these hosts and ports at its address, and nothing else.
    pub async fn start(speaks: Speaks, places: &[(&str, SocketAddr)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authority = Authority::make();
        let acceptor = matches!(speaks, Speaks::Https).then(|| authority.acceptor(Alpn::Http1));
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let places = places.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        let inside = Arc::new(Inside { speaks, places, seen: Arc::clone(&seen) });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (inside, acceptor) = (Arc::clone(&inside), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => inside.serve(stream).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => inside.serve(stream).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, ca_pem: authority.pem(), seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root of its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What it was asked for, in order.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Inside {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> Option<()> {
        match &self.speaks {
            Speaks::Http(login) => self.connect(stream, *login).await,
            Speaks::Https => self.connect(stream, None).await,
            Speaks::Socks(login) => self.socks(stream, *login).await,
            Speaks::Says(bytes) => {
                let asked = head(&mut stream).await?;
                self.saw(asked.lines().next()?);
                stream.write_all(bytes).await.ok()?;
                stream.shutdown().await.ok()
            }
            Speaks::Hangs => {
                let mut sink = Vec::new();
                stream.read_to_end(&mut sink).await.ok().map(drop)
            }
        }
    }

    async fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, login: Option<&str>) -> Option<()> {
        let head = head(&mut stream).await?;
        let asked = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        assert_eq!(field("Host: ").as_ref(), Some(&asked));
        if let Some(login) = login
            && field("Proxy-Authorization: Basic ").as_deref() != Some(login)
        {
            let refusal = b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
            return stream.write_all(refusal).await.ok();
        }
        self.saw(&asked);
        let Some(mut upstream) = self.reached(&asked).await else {
            return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await.ok();
        };
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 outer\r\n\r\n").await.ok()?;
        copy_bidirectional(&mut stream, &mut upstream).await.ok().map(drop)
    }

    async fn socks<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, login: Option<(&str, &str)>) -> Option<()> {
        let [5, count] = bytes(&mut stream).await? else { return None };
        let methods = several(&mut stream, count.into()).await?;
        let wanted = if login.is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            return stream.write_all(&[5, 0xff]).await.ok();
        }
        stream.write_all(&[5, wanted]).await.ok()?;
        if let Some((user, password)) = login {
            let [1, length] = bytes(&mut stream).await? else { return None };
            let given = several(&mut stream, length.into()).await?;
            let [length] = bytes(&mut stream).await?;
            let word = several(&mut stream, length.into()).await?;
            let fits = given == user.as_bytes() && word == password.as_bytes();
            stream.write_all(&[1, u8::from(!fits)]).await.ok()?;
            if !fits {
                return None;
            }
        }
        let [5, 1, 0, kind] = bytes(&mut stream).await? else { return None };
        let host = match kind {
            1 => IpAddr::from(bytes::<4>(&mut stream).await?).to_string(),
            4 => format!("[{}]", IpAddr::from(bytes::<16>(&mut stream).await?)),
            _ => {
                let [length] = bytes(&mut stream).await?;
                String::from_utf8(several(&mut stream, length.into()).await?).ok()?
            }
        };
        let asked = format!("{host}:{}", u16::from_be_bytes(bytes(&mut stream).await?));
        self.saw(&asked);
        let Some(mut upstream) = self.reached(&asked).await else {
            return stream.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok();
        };
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
        copy_bidirectional(&mut stream, &mut upstream).await.ok().map(drop)
    }

    async fn reached(&self, asked: &str) -> Option<TcpStream> {
        TcpStream::connect(self.places.get(asked)?).await.ok()
    }

    fn saw(&self, asked: &str) {
        self.seen.lock().unwrap().push(asked.to_owned());
    }
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn bytes<const COUNT: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn several(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}
