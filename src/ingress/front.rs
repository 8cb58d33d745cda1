//! What arrives in the clear: CONNECT, absolute URLs, and requests to the gate's own address.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use http::header::HOST;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::exchange::answer::Answer;
use crate::exchange::caller::proxy_user;
use crate::exchange::fault::Fault;
use crate::exchange::origin::Origin;
use crate::exchange::peer::Peer;
use crate::exchange::websocket::is_mentioned;
use crate::ingress::portal;
use crate::ledger::entry::Ingress;
use crate::net::host::{Host, HostPort};
use crate::net::strict::Strict;
use crate::policy::target::Scheme;
use crate::session::arrival::{Arrival, Client};
use crate::session::house::House;
use crate::session::look::{follow, open};
use crate::session::serve::{self, Switch, closing, h1, until_drained};
use crate::session::tunnel::{note, tunnel};
use crate::session::verdict::{Verdict, by_destination};

/// Serves one connection to the proxy listener until it ends or becomes a tunnel.
///
/// # Errors
/// What hyper says of a broken connection.
pub async fn serve(stream: TcpStream, peer: Rc<Peer>, house: Rc<House>) -> hyper::Result<()> {
    let io = TokioIo::new(Strict::new(stream, house.limits.header_bytes, house.limits.header_timeout));
    let service = service_fn(|request| {
        let front = Front { peer: Rc::clone(&peer), house: Rc::clone(&house) };
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let connection = pin!(h1(&house.limits).serve_connection(io, service).with_upgrades());
    until_drained(connection, http1::UpgradeableConnection::graceful_shutdown, &house.stopping).await
}

struct Front {
    peer: Rc<Peer>,
    house: Rc<House>,
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        if let Some(fault) = Fault::malformed(&request) {
            return fault.answer();
        }
        if request.method() == Method::CONNECT {
            // Boxed like the relaying of plain HTTP: rare beside calls, and a connection at rest keeps no room for it.
            return closing(Box::pin(self.connect(request)).await);
        }
        if is_mentioned(request.headers()) {
            return Box::pin(self.switched(request)).await;
        }
        self.relay(request).await
    }

    async fn relay(&self, request: Request<Incoming>) -> Response<Answer> {
        if request.uri().authority().is_some() {
            return self.forward(request).await;
        }
        self.base_url(request).await
    }

    /// A request that speaks of a WebSocket; its connection is one afterwards, or over.
    async fn switched(&self, mut request: Request<Incoming>) -> Response<Answer> {
        let upgrade = hyper::upgrade::on(&mut request);
        let switch = Switch::default();
        let response = switch.take_from(self.relay(request).await);
        if let Some(outcome) = switch.outcome() {
            self.spawn(async move |house| {
                let Some(stream) = upgrade.await.ok().and_then(reclaimed) else { return };
                outcome.follow(stream, &house.stopping).await;
            });
        }
        response
    }

    async fn connect(&self, mut request: Request<Incoming>) -> Response<Answer> {
        let authority = request.uri().authority().map(|authority| HostPort::parse_connect(authority.as_str()));
        let Some(Ok(destination)) = authority else {
            return bad_request("the authority of the CONNECT is not host:port");
        };
        let arrival = Arrival::new(destination, Ingress::Connect, Rc::clone(&self.peer));
        let arrival = arrival.labelled(proxy_user(request.headers()));
        let verdict = by_destination(&self.house.relay.policy().interception, &arrival.destination.host);
        if let Some(Verdict::Intercept(_)) = verdict {
            let upgrade = hyper::upgrade::on(&mut request);
            self.spawn(async move |house| {
                let Some(stream) = upgrade.await.ok().and_then(reclaimed) else { return };
                logged(open(stream, arrival, house).await);
            });
            return Response::new(Answer::empty());
        }
        // Dialled before the 200: a client that hears 502 knows what a failed handshake would hide.
        let upstream = match self.house.connector.dial(&arrival.destination).await {
            Ok(upstream) => upstream,
            Err(failure) => return Fault::upstream(&failure).answer(),
        };
        if verdict.is_some() {
            note(Some(&arrival.destination.host), &self.house.ledger);
        }
        let upgrade = hyper::upgrade::on(&mut request);
        self.spawn(async move |house| {
            let Some(stream) = upgrade.await.ok().and_then(reclaimed) else { return };
            match verdict {
                Some(_) => tunnel(stream, upstream, house).await,
                None => logged(Box::pin(follow(stream, upstream, arrival, house)).await),
            }
        });
        Response::new(Answer::empty())
    }

    /// An absolute URL: what a client sends to its proxy for plain HTTP.
    async fn forward(&self, request: Request<Incoming>) -> Response<Answer> {
        let uri = request.uri();
        let scheme = match uri.scheme_str() {
            Some("http" | "ws") => Scheme::Http,
            Some("https" | "wss") => Scheme::Https,
            _ => return bad_request("only http and https URLs can be relayed"),
        };
        let authority = uri.authority().map(|authority| HostPort::parse(authority.as_str(), scheme.default_port()));
        let Some(Ok(at)) = authority else { return bad_request("the URL names no usable host") };
        if at.host.name() == Some(portal::HOST) {
            return portal::answer(uri.path(), &self.house.authority);
        }
        if self.house.relay.policy().interception.opens(&at.host) {
            let label = proxy_user(request.headers());
            let origin = Origin { label, ..self.origin(at, Ingress::Forward, scheme) };
            return self.house.relay.handle(request, &origin).await;
        }
        match scheme {
            Scheme::Http => Box::pin(self.house.relay.pass(request, at)).await,
            Scheme::Https => bad_request("https to this host goes through CONNECT"),
        }
    }

    /// The gate's own address stands for the first intercepted host.
    async fn base_url(&self, request: Request<Incoming>) -> Response<Answer> {
        let policy = self.house.relay.policy();
        let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let Some(Ok(named)) = named.map(|host| HostPort::parse(host, Scheme::Https.default_port())) else {
            return bad_request("the request names no usable host");
        };
        let host = if policy.interception.opens(&named.host) {
            Some(named.host)
        } else if is_own_name(&named.host) {
            policy.interception.principal()
        } else {
            None
        };
        let Some(host) = host else {
            // Any other name here is a browser that was led to this address by somebody else's DNS.
            return Fault::misdirected("the gate itself").answer();
        };
        let at = HostPort { host, port: Scheme::Https.default_port() };
        let origin = self.origin(at, Ingress::BaseUrl, Scheme::Https);
        self.house.relay.handle(request, &origin).await
    }

    fn origin(&self, at: HostPort, ingress: Ingress, scheme: Scheme) -> Origin {
        Arrival::new(at, ingress, Rc::clone(&self.peer)).into_origin(scheme, false)
    }

    /// Runs what follows a CONNECT; counted, so that a stop waits for it.
    fn spawn(&self, work: impl AsyncFnOnce(Rc<House>) + 'static) {
        let house = Rc::clone(&self.house);
        let open = Open::new(&house.open);
        tokio::task::spawn_local(async move {
            let _open = open;
            work(house).await;
        });
    }
}

/// Counts what is open, also when its task panics.
struct Open(Rc<Cell<usize>>);

impl Open {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The bare stream behind an upgraded connection, with what was read beyond the head.
fn reclaimed(upgraded: Upgraded) -> Option<Client> {
    let parts = upgraded.downcast::<TokioIo<Strict<TcpStream>>>().ok()?;
    Some(serve::reclaimed(parts.io, parts.read_buf))
}

fn logged(ended: Result<(), String>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended");
    }
}

fn is_own_name(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => &**name == "localhost",
    }
}

fn bad_request(message: &str) -> Response<Answer> {
    Fault::client(StatusCode::BAD_REQUEST, None, message).answer()
}
