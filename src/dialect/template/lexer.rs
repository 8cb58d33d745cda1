//! The tags of a template's source, and the words in them.

/// A tag: `{{ ... }}` or `{% ... %}`.
pub struct Tag {
    /// Whether it is `{% ... %}`.
    pub is_block: bool,
    /// What stands in it.
    pub tokens: Vec<Token>,
    /// How deeply its brackets are nested.
    pub depth: usize,
}

/// A word of a tag.
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins in the source.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// In how many brackets it stands; a bracket stands outside of its own.
    pub depth: usize,
}

/// What a word of a tag is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A name or a keyword.
    Name,
    /// A number.
    Number,
    /// An operator or a bracket.
    Sign,
    /// A text in quotes.
    Text,
}

impl Token {
    /// The word itself.
    pub fn of<'a>(&self, source: &'a str) -> &'a str {
        &source[self.start..self.end]
    }
}

/// All tags outside of comments and raw blocks. What is not finished ends with the source.
pub fn tags(source: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(opening) = find(source, at, "{") {
        let body = opening + 2;
        at = match source.as_bytes().get(opening + 1) {
            Some(b'#') => find(source, body, "#}").map_or(source.len(), |end| end + 2),
            Some(&byte @ (b'{' | b'%')) => {
                let (tag, end) = tag(source, body, byte == b'%');
                let is_raw = tag.is_block && tag.tokens.first().is_some_and(|token| token.of(source) == "raw");
                tags.push(tag);
                if is_raw { raw_end(source, end) } else { end }
            }
            _ => opening + 1,
        };
    }
    tags
}

/// The tag whose words begin there, and where it ends.
fn tag(source: &str, body: usize, is_block: bool) -> (Tag, usize) {
    let bytes = source.as_bytes();
    let closing = if is_block { b'%' } else { b'}' };
    let mut tag = Tag { is_block, tokens: Vec::new(), depth: 0 };
    let mut at = body + usize::from(matches!(bytes.get(body), Some(b'-' | b'+')));
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        let ends = |at: usize| bytes.get(at) == Some(&closing) && bytes.get(at + 1) == Some(&b'}');
        if depth == 0 && ends(at) {
            return (tag, at + 2);
        }
        if depth == 0 && matches!(byte, b'-' | b'+') && ends(at + 1) {
            return (tag, at + 3);
        }
        let start = at;
        let rest = &source[start..];
        let (kind, length) = word(rest);
        at += length;
        let Some(kind) = kind else { continue };
        if matches!(byte, b')' | b']' | b'}') {
            depth = depth.saturating_sub(1);
        }
        tag.tokens.push(Token { kind, start, end: at, depth });
        if matches!(byte, b'(' | b'[' | b'{') {
            depth += 1;
            tag.depth = tag.depth.max(depth);
        }
    }
    (tag, source.len())
}

/// What stands at the beginning of a text, and its length; white space is nothing.
fn word(rest: &str) -> (Option<Kind>, usize) {
    let Some(first) = rest.chars().next() else { return (None, 0) };
    let run = |goes: fn(char) -> bool| rest.find(|letter| !goes(letter)).unwrap_or(rest.len());
    match first {
        '\'' | '"' => (Some(Kind::Text), text_length(rest)),
        '0'..='9' => (Some(Kind::Number), run(|letter| letter.is_alphanumeric() || letter == '_')),
        letter if letter.is_alphabetic() || letter == '_' => {
            (Some(Kind::Name), run(|letter| letter.is_alphanumeric() || letter == '_'))
        }
        letter if letter.is_whitespace() => (None, run(char::is_whitespace)),
        letter => {
            let double = ["**", "//", "==", "!=", "<=", ">="].iter().any(|sign| rest.starts_with(sign));
            (Some(Kind::Sign), if double { 2 } else { letter.len_utf8() })
        }
    }
}

/// The length of a text with its quotes.
fn text_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == bytes[0] => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Behind the tag that ends a raw block.
fn raw_end(source: &str, mut at: usize) -> usize {
    while let Some(opening) = find(source, at, "{%") {
        at = opening + 2;
        // Looked at by hand: what stands in a raw block is no tag, and may be an opening without an end.
        let rest = &source[at..];
        let word = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
        if let Some(behind) = word.strip_prefix("endraw") {
            let behind = behind.trim_start();
            if let Some(behind) = behind.strip_prefix(['-', '+']).unwrap_or(behind).strip_prefix("%}") {
                return source.len() - behind.len();
            }
        }
    }
    source.len()
}

fn find(source: &str, from: usize, what: &str) -> Option<usize> {
    source.get(from..)?.find(what).map(|found| from + found)
}
