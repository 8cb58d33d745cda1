//! What a reply may hold beside its usage, by what was asked for.

use crate::dialect::endpoint::{Dialect, Endpoint, Job};
use crate::dialect::facts;

/// What is looked for in a reply beside usage, model and id.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sight {
    /// The captions of a piece of sound, where the reply is no JSON.
    Captions,
    /// Objects that go on after the reply, one or a list of them.
    Jobs,
    /// The items that a model put out, some of which are tools that cost something.
    Output,
    /// Pictures, one or more.
    Pictures,
    /// Nothing.
    #[default]
    Plain,
    /// The same as `Jobs`, among events of other objects.
    Runs,
}

impl Sight {
    /// What replies of this operation may hold.
    pub fn of(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Call(Dialect::Responses) | Endpoint::Job(Job::Response) => Self::Output,
            Endpoint::Call(dialect) if facts::draws(*dialect) => Self::Pictures,
            Endpoint::Call(dialect) if facts::hears(*dialect) => Self::Captions,
            Endpoint::Job(Job::Run) => Self::Runs,
            Endpoint::Job(_) => Self::Jobs,
            _ => Self::Plain,
        }
    }

    /// The key of the array whose objects are read one by one.
    pub(super) fn list(self) -> Option<&'static [u8]> {
        match self {
            Self::Jobs | Self::Pictures | Self::Runs => Some(b"data"),
            Self::Output => Some(b"output"),
            Self::Captions | Self::Plain => None,
        }
    }
}
