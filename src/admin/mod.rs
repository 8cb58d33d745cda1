//! The admin surface: the books and the state of the gate over HTTP.
