//! `tollgate run`: one program whose calls go through the gate.

pub mod background;
pub mod environment;
mod folder;
pub(in crate::cli) mod gate;
pub mod isolate;
mod outer;
mod program;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::anyhow;

use crate::cli::arguments::{ConfigArgs, RunArgs};
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::system::environment::Variable;
use crate::system::lease::Lease;

/// Becomes the program, with an environment in which its calls go through the gate; so its exit status, its signals
/// and its terminal are its own.
///
/// # Errors
/// No gate runs and none can be started, or the program cannot be started.
pub fn run(args: &RunArgs) -> Result<(), Problem> {
    let Some((program, rest)) = args.command.split_first() else { return Err(anyhow!("no program is named").into()) };
    // Before anything is started for it.
    program::look_up(program, env::var_os("PATH").as_deref()).map_err(|cause| unable(program, cause))?;
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    let now = |name: &str| env::var_os(name);
    let gate = gate::reach(&loaded, args, &now)?;
    let prepared = environment::prepare(&loaded, !args.no_modules, &now)?;
    for warning in prepared.warnings.iter().chain(&gate.warnings) {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    let label = args.label.as_deref();
    if args.isolate {
        isolate::enter(program, &loaded.setup.certs, &prepared.files, &gate, label)?;
    }
    let proxy = (!args.isolate).then(|| gate.as_proxy(label));
    let environment = prepared.variables(&loaded, proxy.as_deref(), &now);
    launch(program, rest, &environment, gate.lease)
}

/// Becomes the program.
fn launch(program: &OsString, arguments: &[OsString], environment: &[Variable], lease: Lease) -> Result<(), Problem> {
    let mut command = Command::new(program);
    command.args(arguments);
    for variable in environment {
        match &variable.value {
            Some(value) => command.env(variable.name, value),
            None => command.env_remove(variable.name),
        };
    }
    lease.hand_on()?;
    // Returns only where it failed.
    Err(unable(program, command.exec()))
}

/// Why a program cannot be run, with the code that shells have for it.
fn unable(program: &OsString, cause: io::Error) -> Problem {
    let code = if cause.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let named = Path::new(program).display().to_string();
    let mut problem: Problem =
        anyhow::Error::from(cause).context(format!("cannot run `{}`", named.escape_debug())).into();
    problem.code = code;
    problem
}

/// The label as an argument: what survives the way through a URL and a header.
///
/// # Errors
/// In words for the user.
pub fn label(text: &str) -> Result<String, String> {
    if text.is_empty() || text.trim() != text {
        return Err("a label must not be empty or begin or end with a space".into());
    }
    if text.len() > LONGEST || text.contains(|letter: char| letter == ':' || letter.is_control()) {
        return Err(format!("a label has at most {LONGEST} bytes, and no `:` or control character"));
    }
    Ok(text.into())
}

/// Bytes of a label that the books take.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_the_url_of_a_proxy_or_are_refused() {
        for bad in ["", " a", "a:b", "a\nb", &"x".repeat(129)] {
            assert!(label(bad).is_err(), "{bad:?}");
        }
        assert_eq!(label("team a").as_deref(), Ok("team a"));
    }
}
