//! Why a request cannot be translated.

use std::borrow::Cow;

/// A request that has no counterpart in the other dialect, or that is none in its own.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The member that stands in the way, as OpenAI's `error.param`: `tools`, `messages[2].content[0]`.
    pub param: Cow<'static, str>,
    /// `error.code`: `unsupported_parameter`, or `invalid_type`, `missing_required_parameter` and the like for what
    /// no server would take.
    pub code: &'static str,
    /// What is wrong and what can be done about it; never shows the content of a message.
    pub message: String,
}

impl Refused {
    /// The member has no counterpart at the server that answers for the model.
    pub fn unsupported(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: param.into(), code: "unsupported_parameter", message: message.into() }
    }

    /// The member is not what the API's own rules say.
    pub fn invalid(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: param.into(), code: "invalid_type", message: message.into() }
    }

    /// The member is of the right type, and its value is out of bounds.
    pub fn value(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: param.into(), code: "invalid_value", message: message.into() }
    }

    /// The API wants the member.
    pub fn missing(param: impl Into<Cow<'static, str>>) -> Self {
        let param = param.into();
        let message = format!("missing required parameter: `{param}`");
        Self { param, code: "missing_required_parameter", message }
    }
}
