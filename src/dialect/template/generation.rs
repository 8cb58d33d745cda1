//! The tag `generation`, which marks the assistant's text for training and changes nothing in the prompt.

use std::borrow::Cow;
use std::ops::Range;

/// The source with each `generation` block written as an empty `with` block, which has the same scope and the same rules
/// for white space. Strings, comments and raw blocks stay as they are, and so does every line number.
pub fn replace(source: &str) -> Cow<'_, str> {
    let mut written = String::new();
    let mut copied = 0;
    for name in block_names(source) {
        let word = match &source[name.clone()] {
            "generation" => "with",
            "endgeneration" => "endwith",
            _ => continue,
        };
        written.push_str(&source[copied..name.start]);
        written.push_str(word);
        copied = name.end;
    }
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    written.push_str(&source[copied..]);
    Cow::Owned(written)
}

/// Where the names of the block tags stand.
fn block_names(source: &str) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(opening) = find(source, at, "{") {
        let body = opening + 2;
        at = match source.as_bytes().get(opening + 1) {
            Some(b'#') => find(source, body, "#}").map_or(source.len(), |end| end + 2),
            Some(b'{') => tag_end(source, body, b'}'),
            Some(b'%') => {
                let name = name_at(source, body);
                let end = tag_end(source, body, b'%');
                let raw = &source[name.clone()] == "raw";
                names.push(name);
                if raw { raw_end(source, end) } else { end }
            }
            _ => opening + 1,
        };
    }
    names
}

/// The first word of a tag.
fn name_at(source: &str, body: usize) -> Range<usize> {
    let rest = &source[body..];
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
    let start = source.len() - rest.len();
    let length = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    start..start + length
}

/// Behind the end of a tag that ends with that byte and a brace; braces within are counted, strings are passed over.
fn tag_end(source: &str, body: usize, closing: u8) -> usize {
    let bytes = source.as_bytes();
    let (mut at, mut depth) = (body, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        if depth == 0 && byte == closing && bytes.get(at + 1) == Some(&b'}') {
            return at + 2;
        }
        at = match byte {
            b'\'' | b'"' => string_end(bytes, at),
            _ => at + 1,
        };
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    source.len()
}

fn string_end(bytes: &[u8], opening: usize) -> usize {
    let mut at = opening + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            _ if byte == bytes[opening] => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Behind the tag that ends a raw block.
fn raw_end(source: &str, mut at: usize) -> usize {
    while let Some(opening) = find(source, at, "{%") {
        let name = name_at(source, opening + 2);
        at = opening + 2;
        if &source[name.clone()] == "endraw" {
            return tag_end(source, name.end, b'%');
        }
    }
    source.len()
}

fn find(source: &str, from: usize, what: &str) -> Option<usize> {
    source.get(from..)?.find(what).map(|found| from + found)
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn the_tag_becomes_a_scope_and_keeps_its_white_space_control() {
        assert_eq!(replace("a{%- generation -%}b{% endgeneration +%}c"), "a{%- with -%}b{% endwith +%}c");
        assert_eq!(replace("{%generation%}é{%\nendgeneration%}"), "{%with%}é{%\nendwith%}");
    }

    #[test]
    fn strings_comments_and_raw_blocks_keep_the_word() {
        for source in [
            "{{ '{% generation %}' }}",
            "{{ \"\\\"{% generation %}\" }}",
            "{# {% generation %} #}",
            "{% raw %}{% generation %}{% endraw %}",
            "{%- raw -%}{% endrawx %}{% generation %}{%- endraw -%}",
            "{% set generation = '%} {% generation %}' %}",
            "{{ {'a': {'b': '{% generation %}'}} }}",
            "{{ generation }} { generation",
        ] {
            assert_eq!(replace(source), source);
        }
    }

    #[test]
    fn an_unfinished_source_is_left_to_the_compiler() {
        for source in ["{", "{%", "{{ 'a", "{% raw %}", "{#", "{% raw %}{% x", "{{ '\\", "{%-", "é{%é"] {
            assert_eq!(replace(source), source);
        }
    }
}
