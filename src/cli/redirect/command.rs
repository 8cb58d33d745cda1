//! The command as its user can type it again, and the configuration of the user behind `sudo`.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::cli::arguments::ConfigArgs;
use crate::cli::problem::Problem;
use crate::cli::sources::loaded_in;
use crate::config::load::Loaded;

/// Loads the configuration that the user's gate runs with, also where that user called `sudo`.
///
/// # Errors
/// Every mistake of the configuration at once.
pub(super) fn loaded(config: Option<&PathBuf>) -> Result<Loaded, Problem> {
    let home = home_behind_sudo();
    let environment = |name: &str| match (name, &home) {
        ("HOME", Some(home)) => Some(home.clone()),
        _ => env::var(name).ok(),
    };
    loaded_in(&ConfigArgs { config: config.cloned(), ..ConfigArgs::default() }, &environment)
}

/// The number of the user who called `sudo`, unless that is root.
pub(super) fn user_behind_sudo() -> Option<u32> {
    env::var("SUDO_UID").ok()?.parse().ok().filter(|uid| *uid != 0)
}

/// The number of a user given by number or name.
pub(super) fn uid_of(user: &str) -> Option<u32> {
    if let Ok(uid) = user.parse() {
        return Some(uid);
    }
    users(&fs::read_to_string(PASSWD).ok()?).find(|(name, ..)| *name == user).map(|(_, uid, _)| uid)
}

/// What root can type; `arguments` follow `tollgate redirect`.
pub(super) fn with_sudo(arguments: &str, config: Option<&PathBuf>) -> String {
    let program = env::current_exe().map_or_else(|_| "tollgate".into(), |path| path.display().to_string());
    let config = config.map(|path| format!(" --config {}", quoted(&absolute(path)))).unwrap_or_default();
    format!("sudo {} redirect {arguments}{config}", quoted(&program))
}

/// What this process was called with, behind `redirect`, without its `--config`.
pub(super) fn typed() -> String {
    let mut words = env::args().skip_while(|word| word != "redirect").skip(1);
    let mut typed = Vec::new();
    while let Some(word) = words.next() {
        if word == "--config" {
            words.next();
        } else if !word.starts_with("--config=") {
            typed.push(quoted(&word));
        }
    }
    typed.join(" ")
}

fn home_behind_sudo() -> Option<String> {
    let uid = user_behind_sudo()?;
    users(&fs::read_to_string(PASSWD).ok()?).find(|(_, other, _)| *other == uid).map(|(_, _, home)| home.to_owned())
}

/// Name, number and home of each user in the text of passwd(5).
fn users(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        Some((*fields.first()?, fields.get(2)?.parse().ok()?, *fields.get(5)?))
    })
}

fn absolute(path: &PathBuf) -> String {
    env::current_dir().map_or_else(|_| path.clone(), |here| here.join(path)).display().to_string()
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_number_and_by_name() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# no\nada:x:1000:1000:Ada,,,:/home/ada:/bin/bash\n";
        let found: Vec<_> = users(text).collect();
        assert_eq!(found, [("root", 0, "/root"), ("ada", 1000, "/home/ada")]);
        assert_eq!(uid_of("4711"), Some(4711));
        assert_eq!(uid_of("root"), Some(0));
        assert_eq!(uid_of("nobody of that name"), None);
    }

    #[test]
    fn a_shell_reads_back_what_was_typed() {
        for (word, shown) in [("--for-all", "--for-all"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
