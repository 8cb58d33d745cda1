//! What is done with a connection: decided by where it goes, and by its first bytes where that says nothing.

use crate::net::host::Host;
use crate::policy::interception::Interception;
use crate::session::hello::Look;

/// What is done with a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is opened, and serves calls to this host.
    Intercept(Host),
    /// It is ended, with the reason for the log.
    Refuse(&'static str),
    /// It is passed on unseen; the host is what is known of where it leads.
    Tunnel(Option<Host>),
}

/// The first look, without a byte read: a name decides. An address does not (`None`): the first bytes must tell.
pub fn by_destination(interception: &Interception, host: &Host) -> Option<Verdict> {
    match host {
        Host::Address(_) => None,
        Host::Name(_) if interception.opens(host) => Some(Verdict::Intercept(host.clone())),
        Host::Name(_) => Some(Verdict::Tunnel(Some(host.clone()))),
    }
}

/// The second look, at the first bytes of the client.
///
/// An encrypted hello changes nothing. Where it means something, the name outside it is that of whoever hides others
/// (`cloudflare-ech.com`), which is not intercepted: it is tunnelled. Where it is only for show, as in nearly every
/// hello of a browser, the name outside is the true one.
pub fn by_hello(interception: &Interception, look: &Look) -> Verdict {
    match look {
        Look::Hello(hello) => match &hello.name {
            Some(name) if interception.opens(name) => Verdict::Intercept(name.clone()),
            name => Verdict::Tunnel(name.clone()),
        },
        Look::NotTls => Verdict::Tunnel(None),
        // Sent on unseen, they would be a way around the books for whoever pads or delays.
        Look::TooLarge => Verdict::Refuse("its TLS greeting has more than 64 kB"),
        Look::Unfinished => Verdict::Refuse("its TLS greeting did not come to an end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::hello::Hello;

    fn rules() -> Interception {
        Interception::new(vec!["api.openai.com".parse().unwrap()])
    }

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_decides_at_once_and_an_address_waits_for_the_first_bytes() {
        for (text, verdict) in [
            ("api.openai.com", Some(Verdict::Intercept(host("api.openai.com")))),
            ("EU.api.openai.com.", Some(Verdict::Intercept(host("eu.api.openai.com")))),
            ("mtls.api.openai.com", Some(Verdict::Tunnel(Some(host("mtls.api.openai.com"))))),
            ("api.openai.com.evil.example", Some(Verdict::Tunnel(Some(host("api.openai.com.evil.example"))))),
            ("127.0.0.1", None),
            ("[2606:4700::1]", None),
        ] {
            assert_eq!(by_destination(&rules(), &host(text)), verdict, "{text}");
        }
    }

    #[test]
    fn the_first_bytes_open_what_they_name_and_nothing_else() {
        let hello = |name: &str, ech| Look::Hello(Hello { name: (!name.is_empty()).then(|| host(name)), ech });
        let tunnel = |name: &str| Verdict::Tunnel(Some(host(name)));
        for (look, verdict) in [
            (hello("api.openai.com", false), Verdict::Intercept(host("api.openai.com"))),
            // For show.
            (hello("api.openai.com", true), Verdict::Intercept(host("api.openai.com"))),
            (hello("cloudflare-ech.com", true), tunnel("cloudflare-ech.com")),
            (hello("evilapi.openai.com", false), tunnel("evilapi.openai.com")),
            (hello("", false), Verdict::Tunnel(None)),
            (Look::NotTls, Verdict::Tunnel(None)),
        ] {
            assert_eq!(by_hello(&rules(), &look), verdict, "{look:?}");
        }
        for look in [Look::TooLarge, Look::Unfinished] {
            assert!(matches!(by_hello(&rules(), &look), Verdict::Refuse(_)), "{look:?}");
        }
    }
}
