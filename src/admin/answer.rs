//! Answers of the admin surface: JSON, text and errors.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::json;

/// A JSON answer in which nothing can be taken for markup.
pub(crate) fn json(value: &impl Serialize) -> Response {
    with_status(StatusCode::OK, value)
}

/// An answer of any other type.
pub(crate) fn of_type(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An error that is about no parameter.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    with_status(status, &json!({ "error": { "message": message, "param": null } }))
}

/// An error in a query, which names the parameter.
pub(crate) fn bad_parameter(name: &str, message: &str) -> Response {
    with_status(StatusCode::BAD_REQUEST, &json!({ "error": { "message": message, "param": name } }))
}

/// A JSON answer with a status.
pub(crate) fn with_status(status: StatusCode, value: &impl Serialize) -> Response {
    let (status, text) = match serde_json::to_string(value) {
        Ok(text) => (status, escaped(&text)),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "null".into()),
    };
    let mut response = of_type("application/json", text);
    *response.status_mut() = status;
    response
}

/// `<` and the control characters from DEL on occur in JSON within texts only, where the escape means the same.
///
/// The first could be taken for markup, and the others steer a terminal on which somebody reads the answer.
pub(crate) fn escaped(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '\u{7f}'..='\u{9f}' => safe.push_str(&format!("\\u{:04x}", u32::from(letter))),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_or_a_terminal_would_act_on_is_escaped_and_means_the_same() {
        let text = "a<b\u{1b}\u{7f}\u{9b}31m\u{a0}é";
        let safe = escaped(&json!(text).to_string());
        assert_eq!(safe, "\"a\\u003cb\\u001b\\u007f\\u009b31m\u{a0}é\"");
        assert_eq!(serde_json::from_str::<String>(&safe).ok().as_deref(), Some(text));
    }
}
