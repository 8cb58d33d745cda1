//! The command line: one file per command, and the wording of errors and hints.

pub mod arguments;
pub mod ask;
pub mod books;
pub mod budget;
mod budgets;
pub mod ca;
pub mod check;
pub mod completions;
pub mod count;
pub mod demo;
pub mod export;
pub mod hub;
pub mod listing;
pub mod machine;
pub mod price;
pub mod problem;
pub mod reconcile;
pub mod redirect;
pub mod reprice;
pub mod route;
pub mod run;
pub mod serve;
pub mod service;
pub mod sources;
pub mod stats;
pub mod system;
pub mod tail;
pub mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use self::arguments::{Arguments, Command};
use self::budget::Verdict;
use self::problem::Problem;

/// Runs what was typed.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let outcome = match arguments.command {
        Some(Command::Budget(args)) => return verdict(budget::run(&args)),
        Some(Command::Reconcile(args)) => return agreement(reconcile::run(&args)),
        None => serve::run(&arguments.serve),
        Some(Command::Ca(args)) => ca::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Count(args)) => count::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Export(args)) => export::run(&args).map_err(Problem::from_asking),
        Some(Command::Man(args)) => completions::man(&args),
        Some(Command::Redirect(args)) => redirect::run(&args),
        Some(Command::Relay(args)) => run::isolate::relay(&args),
        Some(Command::Reprice(args)) => reprice::run(&args),
        Some(Command::Route(args)) => route::run(&args),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Service(args)) => service::run(&args),
        Some(Command::Stats(args)) => stats::run(&args).map_err(Problem::from_asking),
        Some(Command::System(args)) => system::run(&args),
        Some(Command::Tail(args)) => tail::run(&args).map_err(Problem::from_asking),
        Some(Command::Top(args)) => top::run(&args).map_err(Problem::from_asking),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) if problem.is_broken_pipe() => ExitCode::SUCCESS,
        Err(problem) => failed(&problem, problem.code),
    }
}

/// Here 1 says that the limit is reached, so that every error is 2.
fn verdict(outcome: anyhow::Result<Verdict>) -> ExitCode {
    match outcome {
        Ok(verdict) => ExitCode::from(verdict.code()),
        Err(error) => failed(&Problem::from_asking(error), 2),
    }
}

/// Here 1 says that both sides were read and differ.
fn agreement(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&Problem::from_asking(error), 2),
    }
}

fn failed(problem: &Problem, code: u8) -> ExitCode {
    let _ = write!(io::stderr(), "{problem}");
    ExitCode::from(code)
}

/// Help and version go to standard output and are no failure; everything else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
