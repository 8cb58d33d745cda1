//! The one test binary: a file per promise.
