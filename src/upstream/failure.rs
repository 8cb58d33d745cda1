//! Why an upstream gave no answer, and whether anything was sent to it.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

/// An attempt without an answer.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// Nothing of the request left the gate, so that it may be tried elsewhere.
    pub unsent: bool,
    /// What the system said of a connection that could not be made.
    pub system: Option<ErrorKind>,
}

/// What went wrong at an upstream.
#[derive(Debug, thiserror::Error)]
pub enum FailureKind {
    /// The reply broke off before it was whole.
    #[error("`{host}` did not finish its reply: {cause}")]
    Broken {
        /// Whom.
        host: String,
        /// Why.
        cause: String,
    },
    /// The certificate or the handshake was not acceptable.
    #[error("the TLS handshake with `{host}` failed: {cause}")]
    Certificate {
        /// Whom.
        host: String,
        /// Why.
        cause: String,
    },
    /// The connection could not be made.
    #[error("`{host}` could not be reached: {cause}")]
    Connect {
        /// Whom.
        host: String,
        /// Why.
        cause: String,
    },
    /// The client's own request body broke off.
    #[error("the request body broke off")]
    ClientBody,
    /// The connection ended before an answer.
    #[error("`{host}` closed the connection before it answered: {cause}")]
    Closed {
        /// Whom.
        host: String,
        /// Why.
        cause: String,
    },
    /// The address is one of the gate's own.
    #[error("`{host}` is the gate itself")]
    Own {
        /// Whom.
        host: String,
    },
    /// The address lies within the gate's own machine or network, and a program of another machine asks for it.
    #[error(
        "`{host}` lies within the gate's own machine or network, into which it leads no program of another machine; \
         its owner can list the place in `listen.reach`"
    )]
    Inside {
        /// Whom.
        host: String,
    },
    /// The outer proxy opened no way.
    #[error("`{host}` could not be reached through the outer proxy `{proxy}`: {cause}")]
    OuterProxy {
        /// Whom.
        host: String,
        /// The proxy's host and port.
        proxy: String,
        /// Why, and what to do about it.
        cause: String,
        /// It stays so however often one tries.
        lasting: bool,
    },
    /// The outer proxy, or what lies behind it, was too slow.
    #[error(
        "`{host}` could not be reached through the outer proxy `{proxy}` within {limit:?} (`upstream.connectTimeout`)"
    )]
    OuterTimeout {
        /// Whom.
        host: String,
        /// The proxy's host and port.
        proxy: String,
        /// The limit that ran out.
        limit: Duration,
    },
    /// Too slow to connect or to answer.
    #[error("`{host}` did not {what} within {limit:?}")]
    Timeout {
        /// Whom.
        host: String,
        /// What it did not do.
        what: &'static str,
        /// The limit that ran out.
        limit: Duration,
    },
    /// The reply is not what was asked for.
    #[error("`{host}` answered with something that is no reply to the call: {cause}")]
    Unreadable {
        /// Whom.
        host: String,
        /// What it is instead.
        cause: String,
    },
}

impl Failure {
    /// A failure before anything was sent.
    pub fn unsent(kind: FailureKind) -> Self {
        Self { kind, unsent: true, system: None }
    }

    /// A failure after something may have been sent.
    pub fn sent(kind: FailureKind) -> Self {
        Self { kind, unsent: false, system: None }
    }

    /// The same with what the system said.
    pub fn because(self, system: ErrorKind) -> Self {
        Self { system: Some(system), ..self }
    }

    /// Whether a limit ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, FailureKind::Timeout { .. } | FailureKind::OuterTimeout { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}
