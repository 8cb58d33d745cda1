//! Texts as Python's own methods take them apart.

use minijinja::{Error, ErrorKind};

/// `strip`, `lstrip` or `rstrip`: without those letters at the ends, or without white space.
pub fn strip<'a>(text: &'a str, method: &str, letters: Option<&str>) -> &'a str {
    let goes = |letter: char| letters.map_or_else(|| is_space(letter), |letters| letters.contains(letter));
    match method {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    }
}

/// White space as Python has it: Unicode's, and the four separators of ASCII.
pub fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// `split` or, from the right, `rsplit`.
///
/// # Errors
/// The separator is empty.
pub fn split(text: &str, separator: Option<&str>, most: Option<i64>, right: bool) -> Result<Vec<String>, Error> {
    let most = most.and_then(|most| usize::try_from(most).ok()).map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) if right => text.rsplitn(most, separator).collect(),
        Some(separator) => text.splitn(most, separator).collect(),
        None => words(text, most, right),
    };
    if right {
        parts.reverse();
    }
    Ok(parts.into_iter().map(str::to_owned).collect())
}

/// Words between white space; the last one is all the rest.
fn words(text: &str, most: usize, right: bool) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        rest = if right { rest.trim_end_matches(is_space) } else { rest.trim_start_matches(is_space) };
        if rest.is_empty() {
            return parts;
        }
        let gap = if right { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(gap) = gap.filter(|_| parts.len() + 1 < most) else {
            parts.push(rest);
            return parts;
        };
        let (before, after) = rest.split_at(gap);
        let (part, left) = if right { (after.trim_start_matches(is_space), before) } else { (before, after) };
        parts.push(part);
        rest = left;
    }
}

/// The lines of a text by `splitlines`, each with its end; the last one may be empty.
pub fn lines(text: &str) -> Vec<(&str, &str)> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(end) = rest.find(is_line_end) {
        let letter = rest[end..].chars().next().map_or(1, char::len_utf8);
        let length = if rest[end..].starts_with("\r\n") { 2 } else { letter };
        lines.push((&rest[..end], &rest[end..end + length]));
        rest = &rest[end + length..];
    }
    lines.push((rest, ""));
    lines
}

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The part of a text between two places, which count letters and may count from the end, and how many letters stand
/// before it; `None` where the part begins behind the end.
pub fn window(text: &str, start: Option<i64>, end: Option<i64>) -> Option<(&str, usize)> {
    if start.is_none() && end.is_none() {
        return Some((text, 0));
    }
    let length = text.chars().count();
    let place = |place: i64| match usize::try_from(place) {
        Ok(place) => place,
        Err(_) => length.saturating_sub(usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let (start, end) = (start.map_or(0, place), end.map_or(length, place).min(length));
    let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    (start <= end).then(|| (&text[byte(start)..byte(end)], start))
}

/// `title`: each letter after something that is none in its large form, all others in their small one.
pub fn title(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(text.len());
    for letter in text.chars() {
        if inside {
            titled.extend(letter.to_lowercase());
        } else {
            let mut large = letter.to_uppercase();
            titled.extend(large.next());
            titled.extend(large.flat_map(char::to_lowercase));
        }
        inside = letter.is_alphabetic();
    }
    titled
}

/// `casefold`: small, and long where the large form is long.
pub fn casefold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'ς' => folded.push('σ'),
            letter if letter.to_uppercase().count() > 1 => {
                folded.extend(letter.to_uppercase().flat_map(char::to_lowercase));
            }
            letter => folded.extend(letter.to_lowercase()),
        }
    }
    folded
}

/// `swapcase`: large letters small, small ones large.
pub fn swapcase(text: &str) -> String {
    let mut swapped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_uppercase() {
            true => swapped.extend(letter.to_lowercase()),
            false => swapped.extend(letter.to_uppercase()),
        }
    }
    swapped
}

/// `expandtabs`: blanks up to the next multiple of so many columns, in each line.
pub fn expandtabs(text: &str, columns: usize) -> String {
    let (mut expanded, mut at) = (String::with_capacity(text.len()), 0);
    for letter in text.chars() {
        if letter == '\t' {
            let blanks = if columns == 0 { 0 } else { columns - at % columns };
            expanded.extend(std::iter::repeat_n(' ', blanks));
            at += blanks;
        } else {
            expanded.push(letter);
            at = if matches!(letter, '\n' | '\r') { 0 } else { at + 1 };
        }
    }
    expanded
}

/// `istitle`: large letters only after something that is no letter, small ones only after letters.
pub fn is_title(text: &str) -> bool {
    let (mut inside, mut any) = (false, false);
    for letter in text.chars() {
        let (large, small) = (letter.is_uppercase(), letter.is_lowercase());
        if large && inside || small && !inside {
            return false;
        }
        inside = large || small;
        any |= inside;
    }
    any
}

/// Whether a predicate such as `isalpha` holds for a letter; `None` where there is no such predicate.
pub fn predicate(method: &str) -> Option<fn(char) -> bool> {
    Some(match method {
        "isalnum" => |letter| is_alphabetic(letter) || letter.is_numeric(),
        "isalpha" => is_alphabetic,
        "isdecimal" => is_decimal,
        "isdigit" => is_digit,
        "isnumeric" => |letter| letter.is_numeric() || "一二三四五六七八九十百千万億兆零〇".contains(letter),
        "isspace" => is_space,
        _ => return None,
    })
}

/// Letters alone: Rust takes Roman numerals for letters too.
fn is_alphabetic(letter: char) -> bool {
    letter.is_alphabetic() && !letter.is_numeric()
}

fn is_decimal(letter: char) -> bool {
    let code = u32::from(letter);
    DECIMALS.iter().any(|zero| (*zero..*zero + 10).contains(&code))
}

fn is_digit(letter: char) -> bool {
    is_decimal(letter) || matches!(letter, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨')
}

/// The zeros of the decimal digits, of the scripts in Unicode's first plane.
const DECIMALS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];
