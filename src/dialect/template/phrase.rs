//! Filters that lay out or escape a text.

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State};

use super::arguments::{by_name, is_true};
use super::{methods, repr, text};

/// Puts them in place.
pub fn install(environment: &mut Environment<'_>) {
    environment.add_filter("center", center);
    for name in ["escape", "e"] {
        environment.add_filter(name, escape);
    }
    environment.add_filter("forceescape", force_escape);
    environment.add_filter("indent", indent);
    environment.add_filter("striptags", striptags);
    environment.add_filter("truncate", truncate);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("wordcount", wordcount);
}

type Args = Rest<ValueOrKwargs>;

fn center(state: &mut State<'_, '_>, value: &Value, args: Args) -> Result<Value, Error> {
    let [width] = by_name(["width"], args)?;
    let text = Value::from(repr::text(state, value)?);
    methods::call(state, &text, "center", &[width.unwrap_or(Value::from(80))])
}

fn escape(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.is_safe() { Ok(value) } else { force_escape(state, &value) }
}

fn force_escape(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    repr::text(state, value).map(|text| Value::from_safe_string(escaped(&text)))
}

/// A text as HTML shows it.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// `indent(width=4, first=False, blank=False)`; a newline at the end stays.
fn indent(state: &State<'_, '_>, value: &Value, args: Args) -> Result<String, Error> {
    let [width, first, blank] = by_name(["width", "first", "blank"], args)?;
    let Some(text) = value.as_str() else {
        return if value.is_undefined() { Ok(String::new()) } else { Err(broken("`indent` takes a text")) };
    };
    let lines = text::lines(text);
    let margin = margin(state, &width.unwrap_or(Value::from(4)), lines.len())?;
    let mut written = if is_true(first.as_ref()) { margin.clone() } else { String::new() };
    for (index, (line, _)) in lines.iter().enumerate() {
        if index > 0 {
            written.push('\n');
            written.push_str(if is_true(blank.as_ref()) || !line.is_empty() { &margin } else { "" });
        }
        written.push_str(line);
    }
    Ok(written)
}

/// What stands before each of so many lines, paid for all of them.
fn margin(state: &State<'_, '_>, width: &Value, lines: usize) -> Result<String, Error> {
    let columns = match width.as_str() {
        Some(text) => text.len(),
        None => usize::try_from(width.as_i64().ok_or_else(|| Error::from(ErrorKind::InvalidOperation))?).unwrap_or(0),
    };
    state.consume_fuel(columns.saturating_mul(lines) as u64 / 64 + lines as u64 / 4)?;
    Ok(width.as_str().map_or_else(|| " ".repeat(columns), str::to_owned))
}

/// Without comments and tags, each run of white space one blank, and the usual entities resolved.
fn striptags(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut text = repr::text(state, value)?;
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        let (mut kept, mut rest) = (String::new(), &*text);
        while let Some((before, tag)) = rest.split_once(open) {
            let Some((_, after)) = tag.split_once(close) else { break };
            kept.push_str(before);
            rest = after;
        }
        kept.push_str(rest);
        text = kept;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Ok(entities.iter().fold(text, |text, (entity, letter)| text.replace(entity, letter)))
}

/// `truncate(length=255, killwords=False, end='...', leeway=5)`.
fn truncate(state: &State<'_, '_>, value: &Value, args: Args) -> Result<String, Error> {
    let [length, kill_words, end, leeway] = by_name(["length", "killwords", "end", "leeway"], args)?;
    let number = |value: Option<Value>, usual| {
        let number = value.map_or(Some(usual), |value| value.as_usize());
        number.ok_or_else(|| broken("`truncate` takes lengths"))
    };
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let (text, end) = (repr::text(state, value)?, end.map_or("...".to_owned(), |end| end.to_string()));
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let room = length.checked_sub(end.chars().count()).ok_or_else(|| broken("`truncate` has no room for the end"))?;
    let short: String = text.chars().take(room).collect();
    let whole = short.rsplit_once(' ').map_or(&*short, |(words, _)| words);
    Ok(if is_true(kill_words.as_ref()) { short + &end } else { whole.to_owned() + &end })
}

/// A text, or the pairs of a map or a list, as a URL has it.
fn urlencode(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    if value.as_str().is_some() || value.try_iter().is_err() {
        return Ok(quoted(&repr::text(state, value)?, "/"));
    }
    let mut pairs = Vec::new();
    for item in value.try_iter()? {
        let (key, item) = match value.kind() {
            minijinja::value::ValueKind::Map => (item.clone(), value.get_item(&item)?),
            _ => (item.get_item(&Value::from(0))?, item.get_item(&Value::from(1))?),
        };
        let part = |value: &Value| repr::text(state, value).map(|text| quoted(&text, "").replace("%20", "+"));
        pairs.push(format!("{}={}", part(&key)?, part(&item)?));
    }
    Ok(pairs.join("&"))
}

fn quoted(text: &str, safe: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric() || "_.-~".contains(letter) || safe.contains(letter) {
            quoted.push(letter);
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

fn wordcount(state: &State<'_, '_>, value: &Value) -> Result<usize, Error> {
    let text = repr::text(state, value)?;
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    Ok(text.split(|letter| !is_word(letter)).filter(|word| !word.is_empty()).count())
}

fn broken(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
