//! `tollgate service`: what systemd or launchd needs to run the gate, made from the configuration and hardened.

mod launchd;
mod systemd;

use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::cli::arguments::ConfigArgs;
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::config::load::Loaded;

/// `tollgate service`.
#[derive(Args, Clone, Debug)]
pub struct ServiceArgs {
    /// For the whole machine, under a user of its own, instead of for you
    #[arg(long)]
    pub system: bool,
    /// A property list for launchd (macOS) instead of a unit for systemd
    #[arg(long, conflicts_with_all = ["system", "socket", "sandbox"])]
    pub launchd: bool,
    /// The unit of the sockets that start the gate with the first connection, instead of the unit of the service
    #[arg(long, conflicts_with = "sandbox")]
    pub socket: bool,
    /// Also close the file system to it, where it runs for you alone: then it cannot see which programs call it
    #[arg(long, conflicts_with = "system")]
    pub sandbox: bool,
    /// Configuration file (JSON5) that the gate will run with
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What a service is made of; all paths are absolute.
#[derive(Clone, Debug)]
struct Service {
    /// This program.
    program: PathBuf,
    /// The configuration, where there is a file.
    config: Option<PathBuf>,
    /// Folders that it writes to.
    writes: Vec<PathBuf>,
    proxy: SocketAddr,
    admin: SocketAddr,
    /// What the system leads here arrives there.
    transparent: Option<SocketAddr>,
    /// How long it may take to stop.
    drain: Duration,
}

/// Prints the definition to standard output, and how to install it to standard error.
///
/// # Errors
/// A configuration with mistakes.
pub fn run(args: &ServiceArgs) -> Result<(), Problem> {
    let config = ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() };
    let service = Service::of(&loaded(&config)?)?;
    let (text, steps) = if args.launchd {
        (launchd::agent(&service), launchd::steps(&service))
    } else {
        let whose = match (args.system, args.sandbox) {
            (true, _) => systemd::Whose::Machine,
            (false, true) => systemd::Whose::UserSandboxed,
            (false, false) => systemd::Whose::User,
        };
        let text = if args.socket { systemd::sockets(&service) } else { systemd::unit(&service, whose) };
        (text, systemd::steps(&service, whose, args.socket))
    };
    io::stdout().write_all(text.as_bytes())?;
    for step in steps {
        let _ = writeln!(io::stderr(), "hint: {step}");
    }
    Ok(())
}

impl Service {
    fn of(loaded: &Loaded) -> Result<Self, Problem> {
        let here = env::current_dir().context("cannot tell the working directory")?;
        let setup = &loaded.setup;
        let journal = setup.journal.as_deref().and_then(Path::parent);
        let mut writes: Vec<PathBuf> =
            [Some(&*setup.certs), journal, Some(&*setup.state)].into_iter().flatten().map(|at| here.join(at)).collect();
        writes.dedup();
        Ok(Self {
            program: env::current_exe().context("cannot tell which file this program is")?,
            config: loaded.file.as_ref().map(|file| here.join(file)),
            writes,
            proxy: setup.proxy,
            admin: setup.admin,
            drain: setup.limits.drain_timeout,
            transparent: setup.transparent,
        })
    }

    /// What is typed to run the gate.
    fn words(&self) -> Vec<String> {
        let mut words = vec![shown(&self.program), "serve".to_owned()];
        if let Some(config) = &self.config {
            words.extend(["--config".to_owned(), shown(config)]);
        }
        words
    }

    /// How long to wait for the end before it is forced, in seconds.
    fn patience(&self) -> u64 {
        self.drain.as_secs() + 15
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A word for a shell.
fn for_shell(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
fn example() -> Service {
    Service {
        program: "/opt/to ll/tollgate".into(),
        config: Some("/home/me/100%/$a \"b\"/tollgate.json5".into()),
        writes: vec!["/home/me/.local/share/tollgate/certs".into(), "/home/me/da ta".into()],
        proxy: "127.0.0.1:8484".parse().unwrap_or_else(|_| unreachable!()),
        admin: "[::1]:8485".parse().unwrap_or_else(|_| unreachable!()),
        drain: Duration::from_secs(600),
        transparent: None,
    }
}
