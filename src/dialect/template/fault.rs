//! What can go wrong inside a template.

/// Why a template gave nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The template called `raise_exception` with that message.
    #[error("{0}")]
    Raised(String),
    /// It went over that bound.
    #[error("{0}")]
    Unbounded(&'static str),
    /// It does not compile, or failed.
    #[error("{0}")]
    Broken(String),
}

impl From<minijinja::Error> for Fault {
    fn from(error: minijinja::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        let mut innermost = error.to_string();
        while let Some(current) = cause {
            if let Some(fault) = current.downcast_ref::<Self>() {
                return fault.clone();
            }
            if let Some(inner) = current.downcast_ref::<minijinja::Error>() {
                if inner.kind() == minijinja::ErrorKind::OutOfFuel {
                    return Self::Unbounded("it did more work than its messages can need");
                }
                if inner.detail() == Some("recursion limit exceeded") {
                    return Self::Unbounded("it calls itself too deeply");
                }
                innermost = inner.to_string();
            }
            cause = current.source();
        }
        Self::Broken(innermost)
    }
}

impl Fault {
    /// The same as an error that passes through the engine.
    pub fn into_error(self) -> minijinja::Error {
        minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, self.to_string()).with_source(self)
    }
}
