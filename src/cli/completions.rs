//! `tollgate completions` and `tollgate man`: what shells and readers need to know of the commands, from the parser itself.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::{Generator, shells};
use clap_mangen::Man;

use crate::cli::arguments::Arguments;
use crate::cli::problem::Problem;

/// `tollgate completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell that is to know the commands
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Shells whose completions can be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Shell {
    /// `tollgate completions bash > ~/.local/share/bash-completion/completions/tollgate`
    Bash,
    /// `tollgate completions elvish >> ~/.config/elvish/rc.elv`
    Elvish,
    /// `tollgate completions fish > ~/.config/fish/completions/tollgate.fish`
    Fish,
    /// `tollgate completions powershell >> $PROFILE`
    PowerShell,
    /// `tollgate completions zsh > FOLDER/_tollgate`, a folder of `$fpath`
    Zsh,
}

/// `tollgate man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Write the page of every command into this folder, which is made if need be, instead of the main one to standard
    /// output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Writes the completions of a shell to standard output.
///
/// # Errors
/// Nobody reads them.
pub fn run(args: &CompletionsArgs) -> Result<(), Problem> {
    Ok(io::stdout().write_all(&completions(args.shell))?)
}

/// Writes manual pages.
///
/// # Errors
/// A folder that cannot be written.
pub fn man(args: &ManArgs) -> Result<(), Problem> {
    let pages = pages()?;
    let Some(folder) = &args.dir else {
        let main = pages.into_iter().next().map(|(_, page)| page).unwrap_or_default();
        return Ok(io::stdout().write_all(&main)?);
    };
    let failed = || format!("cannot write manual pages into `{}`", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    for (name, page) in pages {
        fs::write(folder.join(name), page).with_context(failed)?;
    }
    Ok(())
}

fn completions(shell: Shell) -> Vec<u8> {
    fn of(shell: impl Generator) -> Vec<u8> {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut text);
        text
    }
    match shell {
        Shell::Bash => of(shells::Bash),
        Shell::Elvish => of(shells::Elvish),
        Shell::Fish => of(shells::Fish),
        Shell::PowerShell => of(shells::PowerShell),
        Shell::Zsh => of(shells::Zsh),
    }
}

/// The pages by the names of their files, the main one first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Arguments::command();
    // Fills in the full names of the commands, joined by a hyphen as the names of pages are.
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| add(below, pages))
}

const NAME: &str = "tollgate";

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of every command.
    fn names(command: &Command, found: &mut Vec<String>) {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            found.push(below.get_name().to_owned());
            names(below, found);
        }
    }

    fn all() -> Vec<String> {
        let mut found = Vec::new();
        names(&Arguments::command(), &mut found);
        assert!(found.len() > 10 && found.contains(&"completions".to_owned()), "{found:?}");
        found
    }

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(completions(*shell)).unwrap();
            for name in all() {
                assert!(text.contains(&name), "{shell:?} does not know {name}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page_under_its_full_name() {
        let pages = pages().unwrap();
        assert_eq!(pages[0].0, "tollgate.1");
        assert_eq!(pages.len(), all().len() + 1);
        for wanted in ["tollgate-serve.1", "tollgate-ca-export.1"] {
            let (_, page) = pages.iter().find(|(name, _)| name == wanted).unwrap_or_else(|| panic!("no {wanted}"));
            assert!(String::from_utf8_lossy(page).contains(".SH SYNOPSIS"), "{wanted}");
        }
    }
}
