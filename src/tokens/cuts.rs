//! Places where a text can be cut so that OpenAI's encodings count the same.
//!
//! Every encoding first splits the text by a regular expression, and no token reaches over such a split. None of the
//! expressions joins a letter or digit with what is neither and no apostrophe, and none looks back; so a match ends
//! there whether or not the text goes on, and the next one begins there whatever went before. The classes here hold
//! only letters and signs that have been such in every version of Unicode that any tokenizer uses.

/// Takes a text apart, piece by piece.
pub(crate) struct Pieces<'a> {
    rest: &'a str,
    /// Where a piece should end, in bytes.
    size: usize,
    /// Where it is cut even if that may change the count.
    most: usize,
}

/// One piece of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Piece<'a> {
    /// The piece.
    pub text: &'a str,
    /// It ends where a cut changes nothing.
    pub clean: bool,
}

impl<'a> Pieces<'a> {
    /// Pieces of about `size` bytes and never more than `most`, both more than a few letters.
    pub(crate) fn of(text: &'a str, size: usize, most: usize) -> Self {
        Self { rest: text, size, most }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (end, clean) = self.end();
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Piece { text, clean })
    }
}

impl Pieces<'_> {
    fn end(&self) -> (usize, bool) {
        let start = boundary(self.rest, self.size);
        let most = boundary(self.rest, self.most);
        if start == self.rest.len() {
            return (start, true);
        }
        let mut letters = self.rest[start..].char_indices();
        let Some((_, mut before)) = letters.next() else { return (self.rest.len(), true) };
        for (at, letter) in letters {
            let at = start + at;
            if at > most {
                return (most, false);
            }
            if is_cut(before, letter) {
                return (at, true);
            }
            before = letter;
        }
        match self.rest.len() <= self.most {
            true => (self.rest.len(), true),
            false => (most, false),
        }
    }
}

/// The last place at or before `at` that lies between two letters.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Whether every encoding splits between these two.
fn is_cut(before: char, after: char) -> bool {
    match (class(before), class(after)) {
        (Class::Letter, Class::Other | Class::Digit) | (Class::Digit, Class::Other | Class::Letter) => true,
        (Class::Letter | Class::Digit | Class::Other | Class::Unsure, _) => false,
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    Digit,
    Letter,
    /// Neither letter, digit nor mark, and not the apostrophe, which some expressions join with a letter before it.
    Other,
    Unsure,
}

fn class(letter: char) -> Class {
    match letter {
        '0'..='9' => Class::Digit,
        'a'..='z'
        | 'A'..='Z'
        | 'À'..='Ö'
        | 'Ø'..='ö'
        | 'ø'..='ÿ'
        | 'α'..='ω'
        | 'А'..='я'
        | 'א'..='ת'
        | 'ا'..='غ'
        | 'अ'..='ह'
        | 'ก'..='ะ'
        | 'ぁ'..='ゖ'
        | 'ァ'..='ヺ'
        | '一'..='龥'
        | '가'..='힣' => Class::Letter,
        ' '..='&'
        | '('..='/'
        | ':'..='@'
        | '['..='`'
        | '{'..='~'
        | '\t'
        | '\n'
        | '\r'
        | '‐'..='‧'
        | '←'..='⏿'
        | '─'..='⛿'
        | '\u{3000}'..='\u{3003}'
        | '\u{e000}'..='\u{f8ff}'
        | '！'..='／'
        | '：'..='＠'
        | '🌀'..='🛒' => Class::Other,
        _ => Class::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encoding::Encoding;
    use super::*;

    const BASES: [Encoding; 4] = [Encoding::O200k, Encoding::Cl100k, Encoding::P50k, Encoding::R50k];

    fn text() -> impl Strategy<Value = String> {
        let special = prop::sample::select(vec![
            ' ',
            ' ',
            ' ',
            '\n',
            '\n',
            '\r',
            '\t',
            '\'',
            '/',
            '.',
            '<',
            '|',
            's',
            'S',
            't',
            'r',
            'e',
            'L',
            'l',
            'a',
            'Z',
            '1',
            '2',
            '9',
            'é',
            'ß',
            'я',
            'Ж',
            'ω',
            'ש',
            'ع',
            'ह',
            'ि',
            'ก',
            'ั',
            'の',
            '日',
            '本',
            '한',
            '。',
            '　',
            '！',
            '—',
            '’',
            '🙂',
            '👋',
            '\u{1f3fd}',
            '\u{200d}',
            '\u{301}',
            '\u{a0}',
            '\u{85}',
            'ſ',
            'ª',
            '²',
            '½',
            '٣',
            '\u{e000}',
            '→',
            '①',
            'ǅ',
            'ʰ',
            '\0',
        ]);
        let letter = prop_oneof![6 => special, 1 => any::<char>()];
        prop::collection::vec(letter, 0..80).prop_map(|letters| letters.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn a_clean_cut_never_changes_the_count(text in text(), size in 1_usize..9) {
            for base in BASES {
                let ranks = base.ranks().unwrap();
                let pieces = Pieces::of(&text, size, 1 << 20).map(|piece| ranks.count(piece.text)).sum::<usize>();
                prop_assert_eq!(pieces, ranks.count(&text), "{:?} {:?}", base, text);
            }
        }

        #[test]
        fn the_pieces_are_the_text_and_stay_within_their_bound(text in text(), size in 1_usize..9, more in 4_usize..9) {
            let pieces: Vec<_> = Pieces::of(&text, size, size + more).collect();
            prop_assert_eq!(pieces.iter().map(|piece| piece.text).collect::<String>(), text.as_str());
            prop_assert!(pieces.iter().all(|piece| !piece.text.is_empty() && piece.text.len() <= size + more));
        }
    }

    #[test]
    fn written_text_has_cuts_nearly_everywhere() {
        for text in ["Where there are words, there are cuts. ", "日本語の文章。次の文。", "x=1;y=2;", "123,456\n"]
        {
            let text = text.repeat(100);
            assert!(Pieces::of(&text, 32, 128).all(|piece| piece.clean), "{text}");
        }
        let run = "a".repeat(1000);
        assert!(!Pieces::of(&run, 32, 128).next().unwrap().clean);
    }
}
