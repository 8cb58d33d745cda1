//! `tollgate redirect status`: what is on, since when, for which addresses, and what went through.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::problem::Problem;
use crate::cli::redirect::command::{loaded, with_sudo};
use crate::cli::redirect::recorded;
use crate::cli::redirect::target::answers;
use crate::cli::redirect::words::{listed, told};
use crate::system::changes::Changes;
use crate::system::redirect::capture::{Capture, Who};
use crate::system::redirect::kernel::Kernel;
use crate::system::redirect::listener::may_change_rules;
use crate::system::redirect::record::{Added, Counters, Place, Rules, Tool};
use crate::system::redirect::tools::Tools;

/// Shows it.
///
/// # Errors
/// A journal that cannot be read, or rules that cannot be looked at.
pub(super) fn run(as_json: bool, config: Option<&PathBuf>) -> Result<(), Problem> {
    let loaded = loaded(config)?;
    let found = recorded(&Changes::at(&loaded.setup.state))?;
    let answers = answers(&loaded.setup).is_ok();
    let mut out = io::stdout().lock();
    let Some((record, added)) = found else {
        let nothing = json!({"on": false, "gate": {"answers": answers}});
        let shown = if as_json { format!("{nothing:#}") } else { "nothing is redirected".to_owned() };
        return Ok(writeln!(out, "{shown}")?);
    };
    let counted = added.rules.as_ref().map_or(Ok(None), |rules| counted(rules, &added.place))?;
    if as_json {
        let pid = record.gate.as_ref().map(|gate| gate.pid);
        let shown = shown(&added, counted.as_ref());
        let mut all = json!({"on": true, "since": record.at, "gate": {"answers": answers, "pid": pid}});
        if let (Some(all), Value::Object(shown)) = (all.as_object_mut(), shown) {
            all.extend(shown);
        }
        return Ok(writeln!(out, "{all:#}")?);
    }
    writeln!(out, "redirected {}, since {}", added.names.join(", "), record.at)?;
    if let Some(file) = &added.hosts {
        writeln!(out, "by         {}", file.display())?;
    }
    if let Some(Rules { tool, capture }) = &added.rules {
        writeln!(out, "addresses  {}", listed(&capture.hosts))?;
        writeln!(out, "to         port {}, by {}", capture.port, name(*tool))?;
        writeln!(out, "whose      {}", whose(capture).join(", "))?;
        match counted {
            Some(Counted::Here(counters)) => {
                let shown: Vec<String> = counters.iter().map(|(name, packets)| format!("{packets} {name}")).collect();
                writeln!(out, "counted    {}", shown.join(", "))?;
            }
            Some(Counted::Gone) => writeln!(out, "rules      gone; `{}` clears the record", with_sudo("off", config))?,
            None => writeln!(out, "counted    only root can see that: `{}`", with_sudo("status", config))?,
        }
    }
    writeln!(
        out,
        "gate       {}",
        if answers { "answers" } else { "does not answer: captured programs reach nobody" }
    )?;
    Ok(())
}

/// What is to be seen of the rules.
enum Counted {
    /// They are no longer there.
    Gone,
    /// They are.
    Here(Counters),
}

/// `None` where this process may not look.
fn counted(rules: &Rules, place: &Place) -> Result<Option<Counted>, Problem> {
    let here = Place::here()?;
    if here.boot != place.boot {
        return Ok(Some(Counted::Gone));
    }
    if here != *place || !may_change_rules()? {
        return Ok(None);
    }
    let counters = Kernel::of(Tools::find(), rules.tool).counters(&rules.capture.id).map_err(told)?;
    Ok(Some(if counters.is_empty() { Counted::Gone } else { Counted::Here(counters) }))
}

fn shown(added: &Added, counted: Option<&Counted>) -> Value {
    let mut shown = json!({"id": added.id, "names": added.names, "hostsFile": added.hosts});
    if let Some(Rules { tool, capture }) = &added.rules {
        shown["tool"] = json!(tool);
        shown["port"] = json!(capture.port);
        shown["addresses"] = json!(capture.hosts.iter().collect::<Vec<_>>());
        shown["whose"] = json!(whose(capture));
        shown["inForce"] = match counted {
            None => Value::Null,
            Some(counted) => matches!(counted, Counted::Here(_)).into(),
        };
        if let Some(Counted::Here(counters)) = counted {
            shown["counters"] = json!(counters);
        }
    }
    shown
}

/// Whose connections, for people.
fn whose(capture: &Capture) -> Vec<String> {
    let own = capture.own.map(|who| match who {
        Who::All => "every user".to_owned(),
        Who::User(uid) => format!("user {uid}"),
    });
    let forwarded = capture.forwarded.as_ref().map(|forwarded| {
        let by = if forwarded.tproxy.is_some() { "TPROXY" } else { "REDIRECT" };
        match &forwarded.interface {
            Some(interface) => format!("interface {interface} by {by}"),
            None => format!("every interface by {by}"),
        }
    });
    own.into_iter().chain(forwarded).collect()
}

fn name(tool: Tool) -> &'static str {
    match tool {
        Tool::Nft => "nft",
        Tool::Iptables => "iptables",
    }
}
