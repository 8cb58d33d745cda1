//! Errors of servers in OpenAI's form.

use serde_json::{Map, Value, json};

/// An error body in OpenAI's form, JSON; `None` where it has that form already.
///
/// `status` is the reply's. What cannot be read as any known form is told as what it is ("answered with HTML"), and
/// never shown at length.
pub fn error_body(body: &[u8], status: u16) -> Option<Vec<u8>> {
    let document = serde_json::from_slice::<Value>(within_event(body).unwrap_or(body)).ok();
    if let Some(Value::Object(document)) = &document
        && is_sound(document)
        && within_event(body).is_none()
    {
        return None;
    }
    let told = match &document {
        Some(Value::Object(document)) => Told::of(document),
        // Google's.
        Some(Value::Array(documents)) if documents.first().is_some_and(Value::is_object) => {
            documents[0].as_object().map(Told::of).unwrap_or_default()
        }
        Some(Value::String(text)) => Told { message: Some(text.clone()), ..Told::default() },
        _ => Told { message: Some(in_words(body)), ..Told::default() },
    };
    Some(told.written(status))
}

/// What the only event of a stream says, where an error comes as one.
fn within_event(body: &[u8]) -> Option<&[u8]> {
    let is_event = body.starts_with(b"data:") || body.starts_with(b"event:");
    body.split(|byte| *byte == b'\n').filter(|_| is_event).find_map(|line| line.strip_prefix(b"data:"))
}

/// Whether OpenAI could have written it: an object with a message, a type, and a param and a code that are texts or
/// null.
fn is_sound(document: &Map<String, Value>) -> bool {
    let Some(Value::Object(error)) = document.get("error") else { return false };
    let is_text = |name: &str| error.get(name).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    let may_lack = |name: &str| error.get(name).is_some_and(|value| value.is_null() || value.is_string());
    is_text("message") && is_text("type") && may_lack("param") && may_lack("code")
}

/// What an error says, in whichever form.
#[derive(Debug, Default)]
struct Told {
    message: Option<String>,
    kind: Option<String>,
    param: Option<String>,
    code: Option<String>,
}

impl Told {
    fn of(document: &Map<String, Value>) -> Self {
        match (document.get("error"), document.get("detail")) {
            (Some(Value::Object(error)), _) => Self::of_members(error),
            // Text Generation Inference.
            (Some(Value::String(message)), _) => Self {
                message: Some(message.clone()),
                kind: text(document.get("error_type")),
                ..Self::of_members(document)
            },
            // FastAPI: a text, or what is wrong with each field.
            (_, Some(Value::String(message))) => Self { message: Some(message.clone()), ..Self::default() },
            (_, Some(Value::Array(details))) => Self::of_details(details),
            (_, Some(Value::Object(detail))) => Self::of_members(detail),
            // vLLM's older flat form, and servers that have nothing but a message.
            _ => Self::of_members(document),
        }
    }

    fn of_members(members: &Map<String, Value>) -> Self {
        let kind = text(members.get("type")).filter(|kind| kind != "error");
        let status = text(members.get("status"));
        Self {
            message: text(members.get("message")).or_else(|| text(members.get("msg"))),
            kind: kind.or(status),
            param: text(members.get("param")),
            code: text(members.get("code")),
        }
    }

    fn of_details(details: &[Value]) -> Self {
        let place = |detail: &Value| {
            let parts = detail["loc"].as_array().into_iter().flatten();
            let parts: Vec<String> = parts.filter_map(|part| text(Some(part))).filter(|part| part != "body").collect();
            parts.join(".")
        };
        let mut messages = Vec::new();
        for detail in details {
            let message = text(detail.get("msg")).unwrap_or_else(|| "not valid".into());
            let place = place(detail);
            messages.push(if place.is_empty() { message } else { format!("{place}: {message}") });
        }
        let param = details.first().map(place).filter(|param| !param.is_empty());
        Self { message: Some(messages.join("; ")), param, ..Self::default() }
    }

    fn written(self, status: u16) -> Vec<u8> {
        let kind = self.kind.filter(|kind| !kind.is_empty()).unwrap_or_else(|| kind_of(status).into());
        let message = self.message.filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| format!("the server answered with status {status} and no message"));
        let error = json!({ "message": short(&message), "type": kind, "param": self.param, "code": self.code });
        json!({ "error": error }).to_string().into_bytes()
    }
}

/// What OpenAI calls errors of a status.
fn kind_of(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        401 | 403 => "authentication_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// A text, or a number as a text; SDKs take codes for texts.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What came in the place of JSON.
fn in_words(body: &[u8]) -> String {
    let start = body.trim_ascii_start();
    let begins = |mark: &[u8]| start.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    if start.is_empty() {
        return String::new();
    }
    if begins(b"<!doctype") || begins(b"<html") || begins(b"<head") {
        return "the server answered with HTML".into();
    }
    if matches!(start[0], b'{' | b'[' | b'<') {
        return "the server answered with something that is no error of an API".into();
    }
    String::from_utf8_lossy(start).trim_end().to_owned()
}

/// A message cut to what a person would read.
fn short(message: &str) -> &str {
    let end = (0..=message.len().min(LONGEST)).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    &message[..end]
}

/// Bytes of a message that are passed on.
const LONGEST: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(body: &str, status: u16) -> Value {
        let body = error_body(body.as_bytes(), status).unwrap_or_else(|| panic!("{body} is sound"));
        serde_json::from_slice::<Value>(&body).unwrap()["error"].clone()
    }

    #[test]
    fn what_openai_could_have_written_stays() {
        for body in [
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}"#,
            r#"{ "error": {"message":"no","type":"x","param":"a","code":"b","more":1}, "y": 2 }"#,
        ] {
            assert_eq!(error_body(body.as_bytes(), 400), None, "{body}");
        }
    }

    #[test]
    fn every_server_s_form_becomes_openais() {
        for (body, status, message, kind, param, code) in [
            (r#"{"error":{"message":"no"}}"#, 404, "no", "invalid_request_error", None, None),
            (r#"{"error":{"code":500,"message":"no","type":""}}"#, 500, "no", "server_error", None, Some("500")),
            (
                r#"{"error":{"message":"no","type":"BadRequestError","param":null,"code":400}}"#,
                400,
                "no",
                "BadRequestError",
                None,
                Some("400"),
            ),
            (
                r#"{"object":"error","message":"no","type":"NotFoundError","param":null,"code":404}"#,
                404,
                "no",
                "NotFoundError",
                None,
                Some("404"),
            ),
            (r#"{"error":"no","error_type":"validation"}"#, 422, "no", "validation", None, None),
            (r#"{"detail":"Invalid API key"}"#, 401, "Invalid API key", "authentication_error", None, None),
            (
                r#"{"detail":[{"loc":["body","max_tokens"],"msg":"none is not allowed","type":"x"},{"loc":["body","prompt",0],"msg":"bad"}]}"#,
                422,
                "max_tokens: none is not allowed; prompt.0: bad",
                "invalid_request_error",
                Some("max_tokens"),
                None,
            ),
            (
                r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
                400,
                "no",
                "INVALID_ARGUMENT",
                None,
                Some("400"),
            ),
            (r#"{"error":{"message":"no","type":"x","code":null}}"#, 400, "no", "x", None, None),
            (r#"{"error":{"message":"no","type":"x","param":7,"code":"c"}}"#, 400, "no", "x", Some("7"), Some("c")),
            (r#"{"type":"error","message":"no"}"#, 400, "no", "invalid_request_error", None, None),
            (r#"{"detail":{"msg":"no","type":"x"}}"#, 400, "no", "x", None, None),
            ("\"no\"", 400, "no", "invalid_request_error", None, None),
            (
                "event: error\ndata: {\"error\":{\"message\":\"no\"}}\n\n",
                400,
                "no",
                "invalid_request_error",
                None,
                None,
            ),
            ("data:{\"error\":\"no\"}", 400, "no", "invalid_request_error", None, None),
            (r#"{"message":"no"}"#, 429, "no", "rate_limit_error", None, None),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#,
                529,
                "no",
                "overloaded_error",
                None,
                None,
            ),
            (
                "Internal Server Error (generated by basaran)\n",
                500,
                "Internal Server Error (generated by basaran)",
                "server_error",
                None,
                None,
            ),
            ("<!DOCTYPE html><p>secret", 502, "the server answered with HTML", "server_error", None, None),
            ("", 503, "the server answered with status 503 and no message", "server_error", None, None),
            (
                "{\"broken\":",
                400,
                "the server answered with something that is no error of an API",
                "invalid_request_error",
                None,
                None,
            ),
            (
                "[1]",
                400,
                "the server answered with something that is no error of an API",
                "invalid_request_error",
                None,
                None,
            ),
        ] {
            let error = mended(body, status);
            assert_eq!((error["message"].as_str(), error["type"].as_str()), (Some(message), Some(kind)), "{body}");
            assert_eq!((error["param"].as_str(), error["code"].as_str()), (param, code), "{body}");
        }
    }

    #[test]
    fn a_message_is_passed_on_only_as_far_as_a_person_reads() {
        let error = mended(&json!({"error": "é".repeat(10_000)}).to_string(), 500);
        assert_eq!(error["message"].as_str().unwrap().len(), LONGEST);
    }
}
