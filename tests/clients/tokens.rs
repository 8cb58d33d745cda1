//! Counts agree with OpenAI's own tokenizer and with Hugging Face's, on texts of many scripts.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use tollgate::tokens::encoding::Encoding;
use tollgate::tokens::tokenizer::{Specials, Tokenizer};

use super::script::{folder, home};

#[test]
#[ignore = "needs the tokenizers that setup.sh installs"]
fn counts_agree_with_the_tokenizers_of_openai_and_hugging_face() {
    let output = Command::new(home().join("templates/venv/bin/python"))
        .arg(folder().join("tokens/count.py"))
        .arg(home().join("templates/tokenizers"))
        .env("TIKTOKEN_CACHE_DIR", home().join("tiktoken"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut tokenizers: HashMap<String, Tokenizer> = HashMap::new();
    let (mut letters, mut files, mut wrong) = (0, 0, Vec::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let Case { by, mode, text, tokens } = serde_json::from_str(line).unwrap();
        let tokenizer = tokenizers.entry(by.clone()).or_insert_with(|| match Encoding::named(&by) {
            Some(encoding) => encoding.into(),
            None => {
                files += 1;
                Tokenizer::read(Path::new(&by)).unwrap()
            }
        });
        let specials = match mode.as_str() {
            "prompt" => Specials::Prompt,
            "rendered" => Specials::Rendered,
            _ => Specials::Text,
        };
        letters += text.chars().count();
        let ours = tokenizer.count(&text, specials);
        if !ours.exact || ours.tokens != tokens {
            let start: String = text.chars().take(60).collect();
            wrong.push(format!("{by}, {mode}, {start:?}...: {ours:?} instead of {tokens}"));
        }
    }
    println!("{letters} letters, {} tokenizers", tokenizers.len());
    assert!(letters > 4_000_000 && files >= 3, "{letters} letters, {files} files");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[derive(Deserialize)]
struct Case {
    by: String,
    mode: String,
    text: String,
    tokens: u64,
}
