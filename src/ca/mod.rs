//! The certificate authority of this installation.
