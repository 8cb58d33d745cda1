//! The files of a model, read: its tokenizer, its template and its length.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::dialect::template::Template;
use crate::dialect::template::choose::choose;
use crate::tokens::kit::Kit;
use crate::tokens::length::length;

/// The files that say all that is to be known about a model, each with the bytes that it may have.
pub const FILES: [(&str, u64); 6] = [
    (CONFIG, SMALL),
    (TOKENIZER_CONFIG, 16 << 20),
    (SPECIALS, SMALL),
    (TEMPLATE, SMALL),
    (OLD_TEMPLATE, SMALL),
    (TOKENIZER, 64 << 20),
];

/// Where each of [`FILES`] lies; `None` for one that the model does not have.
pub type Paths = [Option<PathBuf>; FILES.len()];

/// The paths in a folder of this machine; what is no file is told when it is read.
pub fn in_folder(folder: &Path) -> Paths {
    FILES.map(|(file, _)| Some(folder.join(file)).filter(|path| path.exists()))
}

/// The bytes of one of [`FILES`]: only of a true file, since a pipe or a device may have none or no end of them, and no
/// more than such a file may have.
///
/// # Errors
/// What is wrong with it, fit to be shown.
pub fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let size = size_of(path)?;
    let limit = FILES.iter().find(|(file, _)| *file == name).map_or(SMALL, |(_, limit)| *limit);
    let too_large = |size: u64| Err(format!("{name} has {size} bytes, more than the {limit} that are read"));
    if size > limit {
        return too_large(size);
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{name} cannot be read: {error}"))?;
    if bytes.len() as u64 > limit { too_large(bytes.len() as u64) } else { Ok(bytes) }
}

/// The size of a true file.
///
/// # Errors
/// It is none, or cannot be looked at.
pub fn size_of(path: &Path) -> Result<u64, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let about = fs::metadata(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    match about.is_file() {
        true => Ok(about.len()),
        false => Err(format!("{name} is no file")),
    }
}

/// The path of the tokenizer.
pub fn tokenizer(paths: &Paths) -> Option<&PathBuf> {
    paths[5].as_ref()
}

/// Adds to `kit` what these files say and the line does not: the length, and the template unless the line has one. What
/// is wrong with one of them goes to `flaws`.
pub fn read(paths: &Paths, has_template: bool, kit: &mut Kit, flaws: &mut Vec<String>) {
    let [config, tokenizer_config, specials, template, old_template, _] = paths;
    let mut json = |path: &Option<PathBuf>| {
        let read = document(path.as_deref()?);
        read.map_err(|flaw| flaws.push(flaw)).ok()
    };
    let (config, tokenizer_config) = (json(config), json(tokenizer_config));
    let (specials, old_template) = (json(specials), json(old_template));
    if kit.length.is_none()
        && let Some(length) = length(config.as_ref(), tokenizer_config.as_ref())
    {
        kit.length = Some(length);
        kit.length_from = Some(CONFIG.into());
    }
    if has_template {
        return;
    }
    let text = |path: &Path| String::from_utf8(bytes(path)?).map_err(|_| format!("{TEMPLATE} is not UTF-8"));
    let jinja = match template.as_deref().map(text).transpose() {
        Ok(jinja) => jinja,
        // Another template in its place would be the wrong one.
        Err(flaw) => return flaws.push(flaw),
    };
    let chosen = |document: &Option<Value>| choose(&document.as_ref()?["chat_template"], false).map(str::to_owned);
    let found = jinja
        .map(|source| (source, TEMPLATE))
        .or_else(|| chosen(&tokenizer_config).map(|source| (source, TOKENIZER_CONFIG)))
        .or_else(|| chosen(&old_template).map(|source| (source, OLD_TEMPLATE)));
    let Some((source, from)) = found else { return };
    match Template::compile(&source, &special_tokens(tokenizer_config.as_ref(), specials.as_ref())) {
        Ok(template) => {
            kit.template = Some(Arc::new(template));
            kit.template_from = Some(from.into());
        }
        Err(error) => flaws.push(format!("{from}: {error}")),
    }
}

/// The special tokens by name, and whether the begin token is added; those of the tokenizer's configuration win.
pub fn special_tokens(tokenizer_config: Option<&Value>, specials: Option<&Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for document in [specials, tokenizer_config].into_iter().flatten() {
        for (name, value) in document.as_object().into_iter().flatten() {
            let token = name.ends_with("_token") && (value.is_string() || value["content"].is_string());
            if token || name == "add_bos_token" && value.is_boolean() {
                all.insert(name.clone(), value.clone());
            }
        }
    }
    all
}

/// A document of JSON.
///
/// # Errors
/// What is wrong with it, fit to be shown.
pub fn document(path: &Path) -> Result<Value, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    serde_json::from_slice(&bytes(path)?).map_err(|error| format!("{name} is not JSON: {error}"))
}

/// Whether a file is missed where a model is used without a network: for its tokens, its length or its template.
pub fn is_needed(at: usize, paths: &Paths, (has_length, has_template): (bool, bool)) -> bool {
    match FILES[at].0 {
        TOKENIZER => true,
        CONFIG => !has_length,
        TOKENIZER_CONFIG => !has_template && paths[3].is_none() && paths[4].is_none(),
        _ => false,
    }
}

const CONFIG: &str = "config.json";
const OLD_TEMPLATE: &str = "chat_template.json";
const SPECIALS: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SMALL: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::civil::date;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::{Kit, in_folder, read};
    use crate::dialect::template::Conversation;

    /// The prompt of no messages by the template of these files, and the file it is from.
    fn prompt(files: &[(&str, Value)]) -> (String, String) {
        let folder = TempDir::new().unwrap();
        for (file, content) in files {
            let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
            fs::write(folder.path().join(file), text).unwrap();
        }
        let (mut kit, mut flaws) = (Kit::default(), Vec::new());
        read(&in_folder(folder.path()), false, &mut kit, &mut flaws);
        assert!(flaws.is_empty(), "{flaws:?}");
        let now = date(2024, 7, 4).at(0, 0, 0, 0);
        let none = Conversation { messages: &[], tools: None, variables: None, now };
        (kit.template.unwrap().render(&none).unwrap(), kit.template_from.unwrap().to_string())
    }

    #[test]
    fn a_file_of_its_own_wins_over_the_templates_of_the_configuration() {
        let list = json!([{"name": "tool_use", "template": "t"}, {"name": "default", "template": "{{ bos_token }}d"}]);
        let config = json!({"bos_token": {"content": "<s>"}, "chat_template": list});
        let old = ("chat_template.json", json!({"chat_template": "o"}));
        let named = |text: &str, file: &str| (text.to_owned(), file.to_owned());
        let files = [("tokenizer_config.json", config.clone()), ("chat_template.jinja", json!("j{{ bos_token }}"))];
        assert_eq!(prompt(&files), named("j<s>", "chat_template.jinja"));
        assert_eq!(prompt(&[("tokenizer_config.json", config), old.clone()]), named("d", "tokenizer_config.json"));
        assert_eq!(prompt(&[old]), named("o", "chat_template.json"));
    }

    #[test]
    fn the_begin_token_stays_where_the_configuration_says_that_none_is_added() {
        for (adds, text) in [(json!(true), "x"), (json!(null), "x"), (json!(false), "<s>x")] {
            let config = json!({"bos_token": "<s>", "add_bos_token": adds, "chat_template": "{{ bos_token }}x"});
            assert_eq!(prompt(&[("tokenizer_config.json", config)]).0, text);
        }
    }
}
