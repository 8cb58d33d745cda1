//! Whatever a hosts file looks like, taking the block out gives back what was there.

use proptest::prelude::*;

use super::*;

const ID: &str = "0123456789abcdef";

fn names() -> Vec<Box<str>> {
    vec!["api.openai.com".into(), "llm.example.com".into()]
}

fn cleared(text: &str) -> Cleared {
    Cleared { text: text.into(), ids: vec![ID.into()], kept: 0 }
}

#[test]
fn each_name_leads_to_this_machine_in_both_families() {
    let with = with_block("10.0.0.1\tbox\n", ID, &names());
    assert_eq!(
        with,
        "10.0.0.1\tbox\n# tollgate begin 0123456789abcdef\n127.0.0.1\tapi.openai.com\n::1\tapi.openai.com\n\
         127.0.0.1\tllm.example.com\n::1\tllm.example.com\n# tollgate end\n"
    );
}

#[test]
fn files_of_every_kind_come_back_byte_for_byte() {
    for text in ["", "\n", "a b\n", "a b", "a b\r\nc d\r\n", "a b\r\nc d", "# comment\n\n\n", "a\r\n\r\n", "x\r"] {
        assert_eq!(without_blocks(&with_block(text, ID, &names())), cleared(text), "{text:?}");
    }
}

#[test]
fn a_file_with_line_ends_of_windows_keeps_them_in_the_block() {
    let with = with_block("a b\r\n", ID, &names());
    assert!(with.lines().count() == with.matches("\r\n").count(), "{with:?}");
}

#[test]
fn what_others_wrote_into_or_behind_the_block_stays() {
    let with = with_block("a b", ID, &names());
    assert_eq!(without_blocks(&format!("{with}c d\n")), cleared("a b\nc d\n"), "the lines are not joined");
    let edited = with.replace("::1\tapi.openai.com\n", "10.0.0.7 own\n# why\n");
    let found = without_blocks(&edited);
    assert_eq!((&*found.text, found.kept), ("a b\n10.0.0.7 own\n# why\n", 2));
}

#[test]
fn a_block_without_an_end_takes_nothing_with_it() {
    let with = with_block("a b\n", ID, &names()).replace("# tollgate end\n", "");
    assert_eq!(without_blocks(&format!("{with}127.0.0.1 localhost\n")), cleared("a b\n127.0.0.1 localhost\n"));
    // Nor does one that another begins in.
    let twice = format!("{with}{}", with_block("", ID, &names()));
    assert_eq!(without_blocks(&twice).text, "a b\n");
}

#[test]
fn an_end_without_a_begin_and_a_file_without_a_block_are_left_alone() {
    for text in ["# tollgate end\na b\n", "127.0.0.1\tlocalhost\n", "# tollgate\n"] {
        assert_eq!(without_blocks(text), Cleared { text: text.into(), ids: vec![], kept: 0 });
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(text in "([a-z #.:\t]{0,12}(\n|\r\n)?){0,6}") {
        let without = without_blocks(&text).text;
        prop_assert_eq!(&without, &text);
        prop_assert_eq!(without_blocks(&with_block(&text, ID, &names())).text, text);
    }
}
