//! What arrives in the clear: CONNECT, absolute URLs, and requests to the gate's own address.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use http::header::HOST;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::exchange::admission::{admit, whose};
use crate::exchange::answer::Answer;
use crate::exchange::fault::Fault;
use crate::exchange::origin::{Origin, Whose};
use crate::exchange::peer::Peer;
use crate::exchange::websocket::is_mentioned;
use crate::ingress::portal;
use crate::ledger::entry::Ingress;
use crate::net::host::{Host, HostPort};
use crate::net::strict::Strict;
use crate::policy::pac;
use crate::policy::target::Scheme;
use crate::session::arrival::{Arrival, Client};
use crate::session::bypass::relented;
use crate::session::house::House;
use crate::session::look::{follow, open};
use crate::session::serve::{self, Switch, closing, h1, last, until_drained};
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
        if let Some(page) = self.page(&request) {
            return page;
        }
        let user = match admit(&self.peer, &self.house.keepers, request.headers()) {
            Ok(user) => user,
            // What follows a CONNECT, or stands in a large body, is not waited for.
            Err(fault) => return closing(fault.answer()),
        };
        if request.method() == Method::CONNECT {
            // Boxed like the relaying of plain HTTP: rare beside calls, and a connection at rest keeps no room for it.
            return closing(Box::pin(self.connect(request, user)).await);
        }
        if is_mentioned(request.headers()) {
            return Box::pin(self.switched(request, user)).await;
        }
        last(self.relay(request, user).await, &self.house.stopping)
    }

    /// What says nothing private, for whoever comes: how to trust the gate, and how to be led through it.
    fn page(&self, request: &Request<Incoming>) -> Option<Response<Answer>> {
        let uri = request.uri();
        match uri.authority() {
            Some(authority) => {
                let host = authority.host();
                let is_portal = host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(portal::HOST);
                (is_portal && request.method() != Method::CONNECT).then(|| match uri.path() {
                    pac::PATH => self.pac(),
                    path => portal::answer(path, &self.house.authority),
                })
            }
            None if uri.path() == pac::PATH && [Method::GET, Method::HEAD].contains(request.method()) => {
                let named = request.headers().get(HOST)?.to_str().ok()?;
                match HostPort::parse(named, Scheme::Http.default_port()) {
                    Ok(named) if self.house.relay.policy().interception.opens(&named.host) => None,
                    Ok(named) if self.is_own_name(&named.host) => Some(self.pac()),
                    // A page of a stranger, whose DNS leads here, would learn how this machine is set up.
                    _ => Some(portal::foreign_pac(self.peer.reached)),
                }
            }
            None => None,
        }
    }

    /// For who reached the gate where this client did: its own address, never the name under which it was asked.
    fn pac(&self) -> Response<Answer> {
        let Some(reached) = self.peer.reached else { return Fault::internal().answer() };
        let policy = self.house.relay.policy();
        portal::script(pac::script(&policy.interception, policy.auditing, reached))
    }

    async fn relay(&self, request: Request<Incoming>, user: Option<Arc<str>>) -> Response<Answer> {
        if request.uri().authority().is_some() {
            return self.forward(request, user).await;
        }
        self.base_url(request, user).await
    }

    /// A request that speaks of a WebSocket; its connection is one afterwards, or over.
    async fn switched(&self, mut request: Request<Incoming>, user: Option<Arc<str>>) -> Response<Answer> {
        let upgrade = hyper::upgrade::on(&mut request);
        let switch = Switch::default();
        let response = switch.take_from(self.relay(request, user).await);
        if let Some(outcome) = switch.outcome() {
            self.spawn(async move |house| {
                let Some(stream) = upgrade.await.ok().and_then(reclaimed) else { return };
                outcome.follow(stream, &house.stopping).await;
            });
        }
        response
    }

    async fn connect(&self, mut request: Request<Incoming>, user: Option<Arc<str>>) -> Response<Answer> {
        let authority = request.uri().authority().map(|authority| HostPort::parse_connect(authority.as_str()));
        let Some(Ok(destination)) = authority else {
            return bad_request("the authority of the CONNECT is not host:port");
        };
        let arrival = Arrival::new(destination, Ingress::Connect, Rc::clone(&self.peer));
        let arrival = arrival.labelled(whose(user, request.headers()));
        let verdict = by_destination(&self.house.relay.policy().interception, &arrival.destination.host);
        let verdict = relented(verdict, &arrival, &self.house).await;
        if let Some(Verdict::Intercept(_)) = verdict {
            let upgrade = hyper::upgrade::on(&mut request);
            self.spawn(async move |house| {
                let Some(stream) = upgrade.await.ok().and_then(reclaimed) else { return };
                logged(open(stream, arrival, house).await);
            });
            return Response::new(Answer::empty());
        }
        // Dialled before the 200: a client that hears 502 knows what a failed handshake would hide.
        let upstream = match self.house.connector.dial(&arrival.destination, self.peer.asker()).await {
            Ok(upstream) => upstream,
            Err(failure) => return Fault::upstream(&failure).answer(),
        };
        if verdict.is_some() {
            note(Some(&arrival.destination.host), &self.house);
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
    async fn forward(&self, request: Request<Incoming>, user: Option<Arc<str>>) -> Response<Answer> {
        let uri = request.uri();
        let scheme = match uri.scheme_str() {
            Some("http" | "ws") => Scheme::Http,
            Some("https" | "wss") => Scheme::Https,
            _ => return bad_request("only http and https URLs can be relayed"),
        };
        let authority = uri.authority().map(|authority| HostPort::parse(authority.as_str(), scheme.default_port()));
        let Some(Ok(at)) = authority else { return bad_request("the URL names no usable host") };
        if self.house.relay.policy().interception.opens(&at.host) {
            let label = whose(user, request.headers());
            let origin = Origin { label, ..self.origin(at, Ingress::Forward, scheme) };
            return self.house.relay.handle(request, &origin).await;
        }
        match scheme {
            Scheme::Http => Box::pin(self.house.relay.pass(request, at, self.peer.asker())).await,
            Scheme::Https => bad_request("https to this host goes through CONNECT"),
        }
    }

    /// The gate's own address stands for the first intercepted host.
    async fn base_url(&self, request: Request<Incoming>, user: Option<Arc<str>>) -> Response<Answer> {
        let policy = self.house.relay.policy();
        let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let Some(Ok(named)) = named.map(|host| HostPort::parse(host, Scheme::Https.default_port())) else {
            return bad_request("the request names no usable host");
        };
        let host = if policy.interception.opens(&named.host) {
            Some(named.host)
            // No page can send a user's password, so that who does was led here by nobody.
        } else if user.is_some() || self.is_own_name(&named.host) {
            policy.interception.principal()
        } else {
            None
        };
        let Some(host) = host else {
            // Any other name here is a browser that was led to this address by somebody else's DNS.
            return Fault::misdirected("the gate itself").answer();
        };
        let at = HostPort { host, port: Scheme::Https.default_port() };
        let label = user.map_or(Whose::Unknown, Whose::Proven);
        let origin = Origin { label, ..self.origin(at, Ingress::BaseUrl, Scheme::Https) };
        self.house.relay.handle(request, &origin).await
    }

    fn origin(&self, at: HostPort, ingress: Ingress, scheme: Scheme) -> Origin {
        Arrival::new(at, ingress, Rc::clone(&self.peer)).into_origin(scheme, false)
    }

    /// Whether a name can only be meant for the gate: one of this machine, or the address that was reached.
    fn is_own_name(&self, host: &Host) -> bool {
        match host {
            Host::Address(address) => {
                let reached = self.peer.reached.map(|reached| reached.ip().to_canonical());
                address.is_loopback() || reached == Some(address.to_canonical())
            }
            Host::Name(name) => &**name == "localhost",
        }
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

fn bad_request(message: &str) -> Response<Answer> {
    Fault::client(StatusCode::BAD_REQUEST, None, message).answer()
}
