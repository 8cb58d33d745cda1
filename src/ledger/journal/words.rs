//! The words of the journal for what an entry says in enumerations; the same as in JSON.

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::ledger::entry::{AfterClose, Ingress, Outcome};
use crate::policy::target::RouteKind;
use crate::units::Basis;

/// What has a word.
pub(super) trait Word: Copy + DeserializeOwned {
    /// As it is written.
    fn word(self) -> &'static str;

    /// What is written so.
    fn read(word: &str) -> Option<Self> {
        let word: StrDeserializer<'_, Error> = word.into_deserializer();
        Self::deserialize(word).ok()
    }
}

impl Word for Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamError => "upstream_error",
        }
    }
}

impl Word for Basis {
    fn word(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::Estimated => "estimated",
            Self::None => "none",
        }
    }
}

impl Word for Ingress {
    fn word(self) -> &'static str {
        match self {
            Self::BaseUrl => "base-url",
            Self::Connect => "connect",
            Self::Forward => "forward",
            Self::Socks5 => "socks5",
            Self::Transparent => "transparent",
        }
    }
}

impl Word for AfterClose {
    fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Drained => "drained",
            Self::GivenUp => "given_up",
        }
    }
}

impl Word for RouteKind {
    fn word(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Duplicate => "duplicate",
            Self::Origin => "origin",
        }
    }
}
