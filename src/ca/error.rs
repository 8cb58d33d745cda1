//! What can be wrong with a certificate authority, and what helps.

use std::io;
use std::path::PathBuf;

/// Why the authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The folder cannot be made or written.
    #[error("cannot keep a certificate authority in `{}`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file is missing or closed to us.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Others than the owner can read the key.
    #[error("the key `{}` is open to others than its owner (mode {mode:04o})", path.display())]
    KeyMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key that marks clients' keys is no such key.
    #[error("`{}` is not the key that it should be", path.display())]
    MarkerKey {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what its name says.
    #[error("`{}` is not {wanted}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// Two files are not of one authority.
    #[error("`{}` and `{}` do not belong together", path.display(), other.display())]
    Strangers {
        /// One file.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A certificate could sign for any site.
    #[error("`{}` does not limit the names that it can be used for", path.display())]
    Unlimited {
        /// The file.
        path: PathBuf,
    },
    /// The authority is too old.
    #[error("the certificate authority in `{}` has expired on {day}", path.display())]
    Expired {
        /// The folder.
        path: PathBuf,
        /// The day (UTC), `2026-11-22`.
        day: String,
    },
    /// The authority is not valid yet: a clock was or is wrong.
    #[error("the certificate authority in `{}` is valid only from {day} on", path.display())]
    Early {
        /// The folder.
        path: PathBuf,
        /// The day (UTC), `2026-11-22`.
        day: String,
    },
    /// The configuration asks for other names than the authority was made for.
    #[error(
        "the certificate authority in `{}` is made for {}, but the configuration intercepts {}",
        path.display(),
        list(have),
        list(want)
    )]
    PermittedChanged {
        /// The folder.
        path: PathBuf,
        /// The names on disk, sorted.
        have: Vec<String>,
        /// The names configured, sorted.
        want: Vec<String>,
    },
    /// Without a name there is nothing to limit the authority to.
    #[error("a certificate authority needs at least one host name to intercept")]
    NothingPermitted,
    /// Not a name that a certificate can be limited to.
    #[error("`{name}` is not a host name that can be intercepted")]
    PermittedName {
        /// What was configured.
        name: String,
    },
    /// A host that the authority was not made for.
    #[error("no certificate can be made for `{host}`: only names under {} are intercepted", list(permitted))]
    NotPermitted {
        /// The host.
        host: String,
        /// The names that are.
        permitted: Vec<String>,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate for `{subject}`")]
    Mint {
        /// Whose certificate.
        subject: String,
        /// Why.
        #[source]
        cause: rcgen::Error,
    },
    /// A TLS configuration could not be made.
    #[error("cannot set up TLS for `{subject}`")]
    Tls {
        /// Whose certificate.
        subject: String,
        /// Why.
        #[source]
        cause: rustls::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random numbers")]
    Random,
}

impl CaError {
    /// What the user can do, in one or two sentences.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder { .. } | Self::Write { .. } => {
                Some("the folder must be writable, with room left, for the user that runs tollgate".into())
            }
            Self::KeyMode { path, .. } => {
                Some(format!("run `chmod 600 {}`; if others may have read it, run `tollgate ca renew`", path.display()))
            }
            Self::MarkerKey { path } => Some(format!(
                "remove `{}`: a new one is made, with which the same client key has another fingerprint in the books",
                path.display()
            )),
            Self::Read { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => {
                Some("run tollgate as the user that the file belongs to".into())
            }
            Self::Read { .. }
            | Self::Corrupt { .. }
            | Self::Strangers { .. }
            | Self::Unlimited { .. }
            | Self::Expired { .. }
            | Self::PermittedChanged { .. } => Some(RENEW.into()),
            Self::Early { .. } => Some("set the clock of this machine, or run `tollgate ca renew`".into()),
            Self::NothingPermitted | Self::PermittedName { .. } => {
                Some("name hosts in `intercept`, such as \"api.openai.com\"; addresses cannot be intercepted".into())
            }
            Self::NotPermitted { .. } => {
                Some("add the host to `intercept`, then run `tollgate ca renew` and trust the new `ca.pem`".into())
            }
            Self::Mint { .. } | Self::Tls { .. } | Self::Random => None,
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

const RENEW: &str =
    "run `tollgate ca renew`; every client that trusted the old `ca.pem` must then be told to trust the new one";
