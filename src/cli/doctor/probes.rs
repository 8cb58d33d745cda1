//! Finds the runtimes, asks each for its version, and lets each of its libraries send one request.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::Serialize;

use crate::cli::demo::folder::Folder;
use crate::cli::doctor::execute::{Heard, execute};
use crate::cli::doctor::firefox;
use crate::cli::doctor::judge::{Probed, Verdict, judge, last_word};
use crate::cli::doctor::runtimes::{Kind, Libraries, Runtime};
use crate::policy::self_test::token;
use crate::system::commands::{Machine, Runner};
use crate::system::environment::Variable;

/// What all probes share.
#[derive(Debug)]
pub(super) struct Bench {
    /// The self-test host.
    pub(super) host: String,
    /// What `tollgate run` changes in the environment.
    pub(super) variables: Vec<Variable>,
    /// The certificate of the authority.
    pub(super) root_file: PathBuf,
    /// The user asked for these, so that one that is missing is told.
    pub(super) are_named: bool,
}

/// What is told of one library of one runtime.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Its name.
    pub(super) runtime: &'static str,
    /// Its version, as far as it says it.
    pub(super) version: Option<String>,
    /// Its program.
    pub(super) path: Option<String>,
    /// The library, with its version if it says it.
    pub(super) library: Option<String>,
    /// Whether it works; `None` where that cannot be told.
    pub(super) works: Option<bool>,
    /// Why not.
    pub(super) why: Option<String>,
    /// What to type.
    pub(super) remedy: Option<String>,
    /// How long it took.
    pub(super) milliseconds: u64,
}

/// A program that was found.
struct Found {
    runtime: &'static Runtime,
    path: PathBuf,
}

/// One library of it.
struct Job {
    runtime: &'static Runtime,
    path: PathBuf,
    version: Option<String>,
    library: Option<String>,
}

impl Bench {
    /// Probes them, several at a time; in the order of the table.
    ///
    /// # Errors
    /// No folder for the probes.
    pub(super) fn probe(&self, runtimes: &[&'static Runtime]) -> anyhow::Result<Vec<Row>> {
        let mut found = Vec::new();
        let mut rows = Vec::new();
        for runtime in runtimes {
            let paths = programs(runtime);
            if paths.is_empty() && self.are_named {
                rows.push(Row {
                    runtime: runtime.name,
                    version: None,
                    path: None,
                    library: None,
                    works: Some(false),
                    why: Some("it is not on PATH".into()),
                    remedy: None,
                    milliseconds: 0,
                });
            }
            found.extend(paths.into_iter().map(|path| Found { runtime, path }));
        }
        let folder = Folder::make("doctor");
        let folder = folder.context("cannot make a folder for the probes")?;
        let looked = at_once(found, |found| self.look(found, &folder));
        let mut jobs = Vec::new();
        for outcome in looked {
            match outcome {
                Ok(libraries) => jobs.extend(libraries),
                Err(row) => rows.push(*row),
            }
        }
        rows.extend(at_once(jobs, |job| self.call(job, &folder)));
        Ok(rows)
    }

    /// Asks for the version, and for the libraries.
    fn look(&self, found: Found, folder: &Folder) -> Result<Vec<Job>, Box<Row>> {
        let Found { runtime, path } = found;
        let begun = Instant::now();
        let mut command = self.command(runtime, &path, folder);
        let heard = execute(command.args(runtime.version), LIMIT);
        let (version, said) = match &heard {
            Ok(heard) if heard.code == Some(0) => versions(heard),
            Ok(_) | Err(_) => {
                let why = why_not_run(&heard);
                let why = Some(format!("it does not run: {why}"));
                let path = Some(path.display().to_string());
                let row = Row { path, works: Some(false), why, ..Row::bare(runtime, begun) };
                return Err(Box::new(row));
            }
        };
        let libraries: Vec<Option<String>> = match runtime.libraries {
            Libraries::One => vec![None],
            Libraries::These(names) => names.iter().map(|name| Some((*name).to_owned())).collect(),
            Libraries::Said => said.into_iter().map(Some).collect(),
        };
        let job = |library| Job { runtime, path: path.clone(), version: version.clone(), library };
        Ok(libraries.into_iter().map(job).collect())
    }

    /// Lets it call.
    fn call(&self, job: Job, folder: &Folder) -> Row {
        let begun = Instant::now();
        let verdict = if job.runtime.probe.is_empty() {
            firefox::read(&job.path, &self.root_file)
        } else {
            self.called(&job, folder).unwrap_or_else(|error| Verdict::Fails {
                why: format!("it cannot be started: {error:#}"),
                remedy: job.path.display().to_string(),
            })
        };
        let (works, why, remedy) = match verdict {
            Verdict::Works => (Some(true), None, None),
            Verdict::Fails { why, remedy } => (Some(false), Some(why), Some(remedy)),
            Verdict::Unknown { why, remedy } => (None, Some(why), remedy),
        };
        let path = Some(job.path.display().to_string());
        Row { version: job.version, path, library: job.library, works, why, remedy, ..Row::bare(job.runtime, begun) }
    }

    fn called(&self, job: &Job, folder: &Folder) -> anyhow::Result<Verdict> {
        let nonce = nonce()?;
        let own = folder.path().join(&nonce);
        fs::create_dir(&own)?;
        if let Some((name, text)) = job.runtime.file {
            fs::write(own.join(name), text)?;
        }
        let library = job.library.as_deref().unwrap_or_default();
        // What follows the name is its version.
        let library = library.split(' ').next().unwrap_or_default();
        let url = format!("https://{}/{nonce}", self.host);
        let is_root = rustix::process::geteuid().is_root();
        let arguments = job.runtime.arguments(&url, library, &own.display().to_string(), is_root);
        let heard = execute(self.command(job.runtime, &job.path, folder).args(arguments), LIMIT)?;
        let (path, version) = (job.path.display().to_string(), job.version.as_deref().unwrap_or_default());
        Ok(judge(Probed { kind: job.runtime.kind, path: &path, version }, &token(&nonce), &heard))
    }

    /// The program in the environment of `tollgate run`, away from the files of the user's own folder.
    fn command(&self, runtime: &Runtime, path: &Path, folder: &Folder) -> Command {
        let mut command = Command::new(path);
        for variable in &self.variables {
            match &variable.value {
                Some(value) => command.env(variable.name, value),
                None => command.env_remove(variable.name),
            };
        }
        // What it says is read, and is to be the same in every language.
        command.env("LC_ALL", "C.UTF-8").env("LANGUAGE", "C").current_dir(folder.path());
        command.envs(runtime.variables.iter().copied());
        command
    }
}

impl Row {
    fn bare(runtime: &Runtime, begun: Instant) -> Self {
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let runtime = runtime.name;
        Self { runtime, version: None, path: None, library: None, works: None, why: None, remedy: None, milliseconds }
    }
}

/// Where the programs of a runtime are: the first, or for Python each, also that of the environment in use.
fn programs(runtime: &Runtime) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = runtime.programs.iter().filter_map(|name| Machine.find(name)).collect();
    if runtime.kind != Kind::Python {
        found.truncate(1);
        return found;
    }
    let active = env::var_os("VIRTUAL_ENV").map(|folder| PathBuf::from(folder).join("bin/python"));
    found.extend(active.filter(|python| python.is_file()));
    // The same file in another folder is another Python, with libraries of its own.
    let identity = |path: &PathBuf| {
        let folder = path.parent().and_then(|folder| fs::canonicalize(folder).ok());
        (folder, fs::canonicalize(path).ok())
    };
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(identity(path)));
    found
}

/// The version, and the lines after the one that has it.
fn versions(heard: &Heard) -> (Option<String>, Vec<String>) {
    let is_version = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.');
    // Java says first which options it was given.
    let lines = heard.out.lines().chain(heard.err.lines()).filter(|line| !line.starts_with("Picked up "));
    let mut lines = lines.map(str::trim).skip_while(|line| line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut words = first.split([' ', '"', 'v', ',']).map(|word| word.trim_start_matches("go"));
    let version = words.find(is_version).map(|word| word.chars().take(LONGEST_VERSION).collect());
    (version, lines.filter(|line| !line.is_empty()).take(MOST_LIBRARIES).map(str::to_owned).collect())
}

fn why_not_run(heard: &io::Result<Heard>) -> String {
    match heard {
        Err(error) => error.to_string(),
        Ok(heard) if heard.is_late => "it does not end".into(),
        Ok(heard) => last_word(&format!("{}\n{}", heard.out, heard.err)).unwrap_or_else(|| "it says nothing".into()),
    }
}

/// Does the work for each of them, a few at a time; the outcomes are in the same order.
fn at_once<T: Send, U: Send>(all: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    let wide = thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    let queue = Mutex::new(all.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..wide {
            scope.spawn(|| {
                while let Some((at, one)) = next() {
                    let outcome = work(one);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn nonce() -> anyhow::Result<String> {
    let mut bytes = [0; 12];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How long a program may take; Java and Go compile first.
const LIMIT: Duration = Duration::from_secs(30);
const LONGEST_VERSION: usize = 40;
const MOST_LIBRARIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_libraries_are_read_out_of_what_programs_say() {
        for (out, err, version) in [
            ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", "", "7.88.1"),
            ("GNU Wget 1.21.3 built on linux-gnu.", "", "1.21.3"),
            ("git version 2.47.3", "", "2.47.3"),
            (
                "",
                "Picked up JAVA_TOOL_OPTIONS: -Dhttps.proxyHost=127.0.0.1\nopenjdk version \"17.0.15\" 2025",
                "17.0.15",
            ),
            ("go version go1.22.3 linux/amd64", "", "1.22.3"),
            ("deno 2.1.4 (stable, release)", "", "2.1.4"),
            ("ruby 3.1.2p20 (2022-04-12 revision 4491bb740a)", "", "3.1.2p20"),
            ("Chromium 156.0.8078.108 built on Debian", "", "156.0.8078.108"),
        ] {
            let heard = Heard { code: Some(0), out: out.into(), err: err.into(), ..Heard::default() };
            assert_eq!(versions(&heard).0.as_deref(), Some(version), "{out}{err}");
        }
        let heard = Heard { out: "3.11.2\nurllib\nhttpx 0.27\n".into(), ..Heard::default() };
        assert_eq!(versions(&heard), (Some("3.11.2".into()), vec!["urllib".into(), "httpx 0.27".into()]));
    }

    #[test]
    fn work_is_shared_and_its_outcomes_keep_their_order() {
        let outcomes = at_once((0..50).collect(), |number: u32| number * 2);
        assert_eq!(outcomes, (0..50).map(|number| number * 2).collect::<Vec<_>>());
    }
}
