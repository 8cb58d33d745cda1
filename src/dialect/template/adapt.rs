//! The source of a template, put into the engine's own words.
//!
//! What the engine has no word for is written with words that it has, in the same line, so that an error still names the
//! line of the source: `generation` blocks, `'%s' % value`, loops over nothing, values that would hold themselves.

use super::fault::Fault;
use super::lexer::{self, Kind, Tag, Token};

/// The filter in place of the operator `+`, where texts may be marked as safe.
pub const ADD: &str = "_add";
/// The filter in place of the operator `~`.
pub const CONCAT: &str = "_concat";
/// The function that a loop's values go through.
pub const EACH: &str = "_each";
/// The function that a value goes through before it is kept in a variable.
pub const KEEP: &str = "_keep";
/// The function that a value goes through before it is placed in a namespace.
pub const PLACE: &str = "_place";
/// The filter in place of the operator `%` behind a text.
pub const PERCENT: &str = "_percent";

/// The source as the engine takes it.
///
/// # Errors
/// Its values are nested too deeply.
pub fn adapt(source: &str) -> Result<String, Fault> {
    let source = one_line_end(source);
    let (mut edits, mut branches) = (Vec::new(), 0);
    let tags = lexer::tags(&source);
    let marks = tags.iter().any(|tag| marks_safe(&source, &tag.tokens));
    for tag in tags {
        branches += usize::from(tag.tokens.first().is_some_and(|token| tag.is_block && token.of(&source) == "elif"));
        if tag.depth > MAX_NESTING || branches > MAX_BRANCHES || longest_chain(&source, &tag.tokens) > MAX_CHAIN {
            return Err(Fault::Unbounded("it is nested too deeply"));
        }
        edit(&source, &tag, &mut edits);
        let spans = Spans { source: &source, tokens: &tag.tokens, first: usize::from(tag.is_block) };
        chains(&spans, &CONCATENATIONS, &mut edits);
        if marks {
            chains(&spans, &SUMS, &mut edits);
        }
    }
    Ok(apply(&source, edits))
}

/// The most words that one value of a tag is made of: the compiler goes as deep as `1 + 1 + 1` is long. Those between
/// commas are values of their own.
fn longest_chain(source: &str, tokens: &[Token]) -> usize {
    let (mut open, mut sum, mut longest) = (vec![0_usize], 0_usize, 0);
    for token in tokens {
        while open.len() > token.depth + 1 {
            sum -= open.pop().unwrap_or(0);
        }
        open.resize(token.depth + 1, 0);
        if let Some(here) = open.last_mut() {
            if token.of(source) == "," {
                sum -= std::mem::take(here);
            }
            *here += 1;
            sum += 1;
        }
        longest = longest.max(sum);
    }
    longest
}

/// Each line ends with a newline alone, in strings too.
fn one_line_end(source: &str) -> String {
    source.replace("\r\n", "\n").replace('\r', "\n")
}

/// A text that replaces some of the source.
struct Edit {
    start: usize,
    end: usize,
    /// Where several stand at one place: what closes an inner one comes before what closes an outer one, what opens an
    /// outer one before what opens an inner one.
    order: i32,
    text: String,
}

impl Edit {
    fn open(token: &Token, depth: i32, text: impl Into<String>) -> Self {
        Self { start: token.start, end: token.start, order: depth, text: text.into() }
    }

    fn close(token: &Token, depth: i32, text: impl Into<String>) -> Self {
        Self { start: token.end, end: token.end, order: -depth, text: text.into() }
    }

    fn replace(token: &Token, text: impl Into<String>) -> Self {
        Self { start: token.start, end: token.end, order: 0, text: text.into() }
    }
}

fn apply(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.start, edit.end, edit.order));
    let mut written = String::with_capacity(source.len() + edits.len() * 16);
    let mut copied = 0;
    for edit in edits {
        written.push_str(&source[copied..edit.start]);
        written.push_str(&edit.text);
        copied = edit.end;
    }
    written.push_str(&source[copied..]);
    written
}

fn edit(source: &str, tag: &Tag, edits: &mut Vec<Edit>) {
    let Some(first) = tag.tokens.first() else { return };
    if tag.is_block {
        match first.of(source) {
            // An empty `with` has the same scope and the same rules for white space.
            "generation" => edits.push(Edit::replace(first, "with")),
            "endgeneration" => edits.push(Edit::replace(first, "endwith")),
            "for" => wrap_loop(source, &tag.tokens, edits),
            "set" => wrap_value(source, &tag.tokens, edits),
            _ => {}
        }
    }
    percent(source, &tag.tokens, edits);
    long_escapes(source, &tag.tokens, edits);
}

/// `for x in VALUES if ...` has its values go through [`EACH`].
fn wrap_loop(source: &str, tokens: &[Token], edits: &mut Vec<Edit>) {
    let is_flat = |token: &Token, word: &str| token.depth == 0 && token.of(source) == word;
    let Some(at) = tokens.iter().position(|token| is_flat(token, "in")) else { return };
    let values = &tokens[at + 1..];
    let ends = |token: &Token| is_flat(token, "if") || is_flat(token, "recursive");
    let end = values.iter().position(ends).unwrap_or(values.len());
    if let (Some(first), Some(last)) = (values.first(), values[..end].last()) {
        edits.push(Edit::open(first, OUTERMOST, format!("{EACH}((")));
        edits.push(Edit::close(last, OUTERMOST, "))"));
    }
}

/// `set x = VALUE` has the value go through [`KEEP`] where it can hold others, `set n.x = VALUE` through [`PLACE`].
fn wrap_value(source: &str, tokens: &[Token], edits: &mut Vec<Edit>) {
    let Some(at) = tokens.iter().position(|token| token.depth == 0 && token.of(source) == "=") else { return };
    let (target, value) = (&tokens[1..at], &tokens[at + 1..]);
    let into_namespace = target.iter().any(|token| token.of(source) == ".");
    if !(can_nest(source, value) || into_namespace && !is_plain(source, value)) {
        return;
    }
    if let (Some(first), Some(last)) = (value.first(), value.last()) {
        let way = if into_namespace { PLACE } else { KEEP };
        edits.push(Edit::open(first, OUTERMOST, format!("{way}((")));
        edits.push(Edit::close(last, OUTERMOST, "))"));
    }
}

/// Whether an expression can give a value that is nested more deeply than those that it was made of.
fn can_nest(source: &str, tokens: &[Token]) -> bool {
    let is_value = |token: &Token| token.kind != Kind::Sign || matches!(token.of(source), ")" | "]" | "}");
    tokens.iter().enumerate().any(|(index, token)| match token.of(source) {
        "{" | "," => true,
        "[" => index == 0 || !is_value(&tokens[index - 1]),
        word => token.kind == Kind::Name && NESTING.contains(&word),
    })
}

/// Whether an expression gives a text or a number for sure: one token that is no name, or texts put together.
fn is_plain(source: &str, tokens: &[Token]) -> bool {
    let flat = |word: &str| tokens.iter().any(|token| token.depth == 0 && token.of(source) == word);
    match tokens {
        [one] => one.kind != Kind::Name || matches!(one.of(source), "true" | "false" | "none"),
        _ => flat("~") && !["if", "and", "or", "is", "in"].iter().any(|word| flat(word)),
    }
}

/// `'text' % VALUE` becomes `'text'|_percent(VALUE)`.
fn percent(source: &str, tokens: &[Token], edits: &mut Vec<Edit>) {
    for (at, pair) in tokens.windows(2).enumerate() {
        if pair[0].kind != Kind::Text || pair[1].of(source) != "%" {
            continue;
        }
        let before = tokens[..at].iter().rfind(|token| token.kind != Kind::Text).map(|token| token.of(source));
        if matches!(before, Some("*" | "/" | "//" | "%" | "**")) {
            continue;
        }
        let Some(end) = operand_end(source, tokens, at + 2) else { continue };
        edits.push(Edit::replace(&pair[1], format!("|{PERCENT}(")));
        edits.push(Edit::close(&tokens[end], INNERMOST, ")"));
    }
}

/// The last token of the operand that begins at that token: a value with all that is called, asked and filtered of it.
fn operand_end(source: &str, tokens: &[Token], start: usize) -> Option<usize> {
    let word = |at: usize| tokens.get(at).map_or("", |token: &Token| token.of(source));
    let group = |at: usize| {
        let depth = tokens[at].depth;
        tokens[at + 1..].iter().position(|token| token.depth == depth).map(|length| at + 1 + length)
    };
    let mut at = start;
    while matches!(word(at), "-" | "+") {
        at += 1;
    }
    let first = tokens.get(at)?;
    let mut end = match word(at) {
        "(" | "[" | "{" => group(at)?,
        _ if first.kind == Kind::Sign => return None,
        _ => at,
    };
    while first.kind == Kind::Text && tokens.get(end + 1).is_some_and(|token| token.kind == Kind::Text) {
        end += 1;
    }
    loop {
        end = match word(end + 1) {
            "(" | "[" => group(end + 1)?,
            "." | "|" if end + 2 < tokens.len() => end + 2,
            _ => return Some(end),
        };
    }
}

/// Whether a filter marks a text as safe.
fn marks_safe(source: &str, tokens: &[Token]) -> bool {
    let marks = |word| matches!(word, "safe" | "escape" | "e" | "forceescape");
    tokens.windows(2).any(|pair| pair[0].of(source) == "|" && marks(pair[1].of(source)))
}

/// `a ~ b ~ c` becomes `[a, b, c]|_concat`, and so do sums; one with a difference in it is of numbers, and stays.
fn chains(tag: &Spans<'_>, chain: &Chain, edits: &mut Vec<Edit>) {
    for at in tag.all(chain.operator).filter(|at| !tag.is_unary(*at)) {
        let (start, end) = tag.around(at, chain.operator);
        let same = |other: &usize| tag.tokens[*other].depth == tag.tokens[at].depth;
        let is_operator = |word, other: &usize| same(other) && tag.word(*other) == word && !tag.is_unary(*other);
        if chain.operator == "+" && (start..=end).any(|other| is_operator("-", &other)) {
            continue;
        }
        if !(start..at).any(|other| is_operator(chain.operator, &other)) {
            edits.push(Edit::open(&tag.tokens[start], chain.order, "["));
            edits.push(Edit::close(&tag.tokens[end], chain.order, format!("]|{}", chain.filter)));
        }
        edits.push(Edit::replace(&tag.tokens[at], ","));
    }
}

/// An operator that is written as a filter of a list.
struct Chain {
    operator: &'static str,
    filter: &'static str,
    order: i32,
}

/// Where the operands of a tag's operators begin and end.
struct Spans<'a> {
    source: &'a str,
    tokens: &'a [Token],
    /// The first word that can belong to a value: a block begins with one that does not.
    first: usize,
}

impl Spans<'_> {
    fn word(&self, at: usize) -> &str {
        self.tokens[at].of(self.source)
    }

    /// Where that operator stands between two words.
    fn all<'a>(&'a self, operator: &'a str) -> impl Iterator<Item = usize> + 'a {
        (self.first + 1..self.tokens.len().saturating_sub(1)).filter(move |at| self.word(*at) == operator)
    }

    fn is_bound(&self, at: usize, depth: usize) -> bool {
        self.tokens[at].depth < depth || self.tokens[at].depth == depth && is_bound(self.word(at))
    }

    fn is_unary(&self, at: usize) -> bool {
        at == self.first || self.is_bound(at - 1, self.tokens[at].depth) || is_operator(self.word(at - 1))
    }

    /// The first and the last word of the chain that an operator stands in.
    fn around(&self, at: usize, operator: &str) -> (usize, usize) {
        let depth = self.tokens[at].depth;
        let is_sign = |at: usize| matches!(self.word(at), "+" | "-") && !self.is_unary(at);
        let ends = |at: &usize| {
            self.is_bound(*at, depth) || operator == "~" && self.tokens[*at].depth == depth && is_sign(*at)
        };
        let start = (self.first..at).rfind(ends).map_or(self.first, |bound| bound + 1);
        (start, (at + 1..self.tokens.len()).find(ends).unwrap_or(self.tokens.len()) - 1)
    }
}

/// Words that stand outside of a sum.
fn is_bound(word: &str) -> bool {
    let keywords = ["and", "else", "elif", "if", "in", "is", "not", "or", "recursive"];
    let signs = [",", ":", "=", "==", "!=", "<", ">", "<=", ">="];
    keywords.contains(&word) || signs.contains(&word)
}

/// Words after which a sign is one of the number behind it.
fn is_operator(word: &str) -> bool {
    is_bound(word) || ["+", "-", "*", "/", "//", "%", "**", "~"].contains(&word)
}

/// `\U0001F388` in a text becomes the letter.
fn long_escapes(source: &str, tokens: &[Token], edits: &mut Vec<Edit>) {
    for token in tokens.iter().filter(|token| token.kind == Kind::Text) {
        let text = token.of(source);
        let mut at = 0;
        while let Some(found) = text[at..].find('\\') {
            at += found;
            let digits = text.get(at + 2..at + 10).filter(|_| text[at..].starts_with("\\U"));
            let letter = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
            if let Some(letter) = letter.filter(|letter| !letter.is_ascii()) {
                let start = token.start + at;
                edits.push(Edit { start, end: start + 10, order: 0, text: letter.to_string() });
            }
            at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
        }
    }
}

/// Functions and filters whose result holds their arguments.
const NESTING: [&str; 6] = ["batch", "cycler", "dict", "groupby", "namespace", "slice"];
/// How deep in a value the parts are that are put in other words, from its outside to its inside.
const OUTERMOST: i32 = 1;
const SUMS: Chain = Chain { operator: "+", filter: ADD, order: 2 };
const CONCATENATIONS: Chain = Chain { operator: "~", filter: CONCAT, order: 3 };
const INNERMOST: i32 = 4;
/// How many `elif` a source may have, each of which is one level deeper than the one before.
const MAX_BRANCHES: usize = 200;
/// How many words a value of a tag may be made of.
const MAX_CHAIN: usize = 500;
/// How deeply brackets may be nested.
const MAX_NESTING: usize = 32;

#[cfg(test)]
mod tests {
    use super::adapt;

    #[test]
    fn generation_becomes_a_scope_and_keeps_its_white_space_control() {
        for (source, adapted) in [
            ("a{%- generation -%}b{% endgeneration +%}c", "a{%- with -%}b{% endwith +%}c"),
            ("{%generation%}é{%\nendgeneration%}", "{%with%}é{%\nendwith%}"),
        ] {
            assert_eq!(adapt(source).as_deref(), Ok(adapted));
        }
    }

    #[test]
    fn each_construct_is_written_with_words_of_the_engine() {
        for (source, adapted) in [
            ("{{ 'a' % b.c|d(1) ~ e }}", "{{ ['a' |_percent( b.c|d(1)) , e]|_concat }}"),
            ("{{ x + '%s' % -(b)['k'] + 1 }}", "{{ x + '%s' |_percent( -(b)['k']) + 1 }}"),
            ("{{ 7 % 3 }}{{ a % 'b' }}{{ 2 * 'a' % 2 }}", "{{ 7 % 3 }}{{ a % 'b' }}{{ 2 * 'a' % 2 }}"),
            ("{{ '%s' % ('%d' % 1) }}", "{{ '%s' |_percent( ('%d' |_percent( 1))) }}"),
            ("{%- for x in a.b if x recursive -%}", "{%- for x in _each((a.b)) if x recursive -%}"),
            ("{% for x in 1, 2 %}", "{% for x in _each((1, 2)) %}"),
            ("{% set x = [y] %}", "{% set x = _keep(([y])) %}"),
            ("{% set n.x = y -%}", "{% set n.x = _place((y)) -%}"),
            (
                "{% set x = y[0].z %}{% set n.s = n.s ~ [1] | f %}",
                "{% set x = y[0].z %}{% set n.s = _place(([n.s , [1] | f]|_concat)) %}",
            ),
            (
                "{% set n.s = n.s ~ x['a'] %}{% set n.b = true %}",
                "{% set n.s = [n.s , x['a']]|_concat %}{% set n.b = true %}",
            ),
            (
                "{{ a ~ -b + c ~ d(e ~ f) if g ~ h }}",
                "{{ [a , -b]|_concat + [c , d([e , f]|_concat)]|_concat if [g , h]|_concat }}",
            ),
            ("{% set x %}y{% endset %}", "{% set x %}y{% endset %}"),
            ("{{ 'a'|safe + b[1 + 2] + c if d + 1 }}", "{{ ['a'|safe , b[[1 , 2]|_add] , c]|_add if [d , 1]|_add }}"),
            (
                "{% set x = -a + b + -c + (d + e)|e ~ f %}",
                "{% set x = [-a , b , -c , [([d , e]|_add)|e , f]|_concat]|_add %}",
            ),
            ("{{ a|e }}{{ a + b - c }}", "{{ a|e }}{{ a + b - c }}"),
            ("{{ 'a' + b }}", "{{ 'a' + b }}"),
            ("a\r\nb\r{{ 'c\r\n' }}", "a\nb\n{{ 'c\n' }}"),
            ("{{ '\\U0001F388\\\\U0001F388' }}", "{{ '🎈\\\\U0001F388' }}"),
        ] {
            assert_eq!(adapt(source).as_deref(), Ok(adapted));
        }
    }

    #[test]
    fn strings_comments_and_raw_blocks_stay() {
        for source in [
            "{{ '{% generation %}' }}",
            "{{ \"\\\"{% generation %}\" }}",
            "{# {% generation %} #}",
            "{% raw %}{% generation %}{{ 'a' % b }}{% endraw %}",
            "{%- raw -%}{% endrawx %}{% generation %}{%- endraw -%}",
            "{% set generation = '%} {% generation %}' %}",
            "{{ {'a': {'b': '{% generation %}'}} }}",
            "{{ generation }} { generation",
            "'%s' % x {{ x }}",
        ] {
            assert_eq!(adapt(source).as_deref(), Ok(source));
        }
    }

    #[test]
    fn an_unfinished_source_is_left_to_the_compiler() {
        for source in [
            "{",
            "{%",
            "{{ 'a",
            "{% raw %}",
            "{#",
            "{% raw %}{% x",
            "{{ '\\",
            "{%-",
            "é{%é",
            "{{ 'a' %",
            "{{ 'a' % (",
            "{% set",
            "{% for x in",
        ] {
            assert_eq!(adapt(source).as_deref(), Ok(source));
        }
    }

    #[test]
    fn deep_brackets_are_refused() {
        assert!(adapt(&format!("{{{{ {}{} }}}}", "[".repeat(40), "]".repeat(40))).is_err());
    }
}
