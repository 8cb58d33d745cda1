//! A browser client that forgives nothing: it takes streams for exactly what OpenAI's own servers send.

use serde_json::Value;

/// What such a page has read of a reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// The text that it shows.
    pub text: String,
    /// How its reading ended.
    pub ended: Ended,
}

/// How the reading of a reply ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// With `[DONE]`.
    Done,
    /// With the end of the body.
    Eof,
    /// By an error that the page shows.
    Told(String),
    /// By an exception, at this line.
    Broken(String),
}

impl Page {
    /// Reads a body as the page does: lines end at LF, exactly `data: ` is taken off, a line is `[DONE]` or JSON, its
    /// first choice is used without a look, and a chunk with a role is thrown away with its text.
    pub fn read(body: &str) -> Self {
        let mut page = Self { text: String::new(), ended: Ended::Eof };
        if body.starts_with('{') {
            page.ended = match serde_json::from_str::<Value>(body) {
                Ok(document) if is_truthy(&document["error"]) => Ended::Told(document["error"].to_string()),
                _ => Ended::Broken(body.chars().take(200).collect()),
            };
            return page;
        }
        let mut first = true;
        for line in body.split('\n').filter(|line| !line.is_empty()) {
            let line = line.strip_prefix("data: ").unwrap_or(line);
            if line == "[DONE]" {
                page.ended = Ended::Done;
                return page;
            }
            let Some(piece) = piece(line, &mut first) else {
                page.ended = Ended::Broken(line.into());
                return page;
            };
            page.text += &piece;
        }
        page
    }
}

/// The text that one line adds; `None` where the page's script throws.
fn piece(line: &str, first: &mut bool) -> Option<String> {
    let chunk: Value = serde_json::from_str(line).ok()?;
    let choice = chunk.get("choices")?.get(0)?;
    if let Some(text) = choice.get("text") {
        let text = text.as_str()?;
        let shown = if std::mem::take(first) { text.trim_start() } else { text };
        return Some(shown.to_owned());
    }
    let delta = choice.get("delta").filter(|delta| !delta.is_null())?;
    let is_dropped = is_truthy(&delta["role"]) || !is_truthy(&delta["content"]);
    Some(if is_dropped { String::new() } else { delta["content"].as_str()?.to_owned() })
}

/// Whether JavaScript takes the value for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

#[test]
fn the_page_reads_what_openai_sends_and_breaks_at_anything_else() {
    let role = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#;
    let text = r#"data: {"choices":[{"index":0,"delta":{"content":" Hi"}}]}"#;
    let both = r#"data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}"#;
    let last = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let completed = r#"data: {"choices":[{"index":0,"text":" Hi"}]}"#;
    let read = |lines: &[&str]| Page::read(&lines.join("\n\n"));
    let page = |text: &str, ended| Page { text: text.into(), ended };
    assert_eq!(read(&[role, text, last, "data: [DONE]", "x"]), page(" Hi", Ended::Done));
    assert_eq!(read(&[completed, completed]), page("Hi Hi", Ended::Eof));
    assert_eq!(read(&[both, last]), page("", Ended::Eof), "a role hides the text beside it");
    for odd in ["data: [DONE]\r", ": ping", "event: x", "data:{}", r#"data: {"choices":[]}"#, r#"data: {"error":{}}"#] {
        assert!(matches!(read(&[text, odd]), Page { text, ended: Ended::Broken(_) } if text == " Hi"), "{odd}");
    }
    let no_text = r#"data: {"choices":[{"index":0,"finish_reason":"stop"}]}"#;
    assert!(matches!(read(&[no_text]).ended, Ended::Broken(_)));
    assert!(matches!(read(&[r#"{"error":{"message":"no"}}"#]).ended, Ended::Told(_)));
}
