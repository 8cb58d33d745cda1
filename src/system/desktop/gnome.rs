//! GNOME's setting, by `gsettings`: values are GVariant texts, as it prints and reads them.

use crate::system::commands::{CommandLine, Runner};
use crate::system::desktop::{DesktopError, OWN, Wanted, run};

/// Whether the schema is installed.
pub(super) fn is_there(runner: &dyn Runner) -> bool {
    let line = CommandLine::new("gsettings", &["list-keys", SCHEMA]);
    runner.run(&line).is_ok_and(|answer| answer.is_good())
}

/// Keys and values, the mode last, as it is what makes the others count.
pub(super) fn wanted(wanted: &Wanted, runner: &dyn Runner) -> Result<Vec<(String, String)>, DesktopError> {
    let pair = |key: &str, value: String| (key.to_owned(), value);
    match wanted {
        Wanted::Pac(url) => Ok(vec![pair("autoconfig-url", text(url)), pair("mode", text("auto"))]),
        Wanted::Proxy(at) => {
            let (host, port) = (text(&at.ip().to_string()), at.port().to_string());
            let mut pairs = vec![
                pair("http host", host.clone()),
                pair("http port", port.clone()),
                pair("https host", host),
                pair("https port", port),
            ];
            let spared = get("ignore-hosts", runner)?;
            let missing: Vec<&str> = OWN.iter().copied().filter(|own| !spares(&spared, own)).collect();
            if !missing.is_empty() {
                let more: Vec<String> = missing.iter().map(|own| text(own)).collect();
                pairs.push(pair("ignore-hosts", joined(&spared, &more)));
            }
            pairs.push(pair("mode", text("manual")));
            Ok(pairs)
        }
    }
}

/// The value, `None` where it is what nobody changed.
pub(super) fn read(key: &str, runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    let value = get(key, runner)?;
    // The memory of a fresh process holds what the schema and the distribution say.
    let default = run(&getting(key).with("GSETTINGS_BACKEND", "memory"), runner)?;
    Ok(Some(value).filter(|value| value != default.out.trim_end()))
}

/// Writes a value, or goes back to the default.
pub(super) fn line(key: &str, value: Option<&str>) -> CommandLine {
    let (schema, name) = place(key);
    match value {
        Some(value) => CommandLine::new("gsettings", &["set", &schema, name, value]),
        None => CommandLine::new("gsettings", &["reset", &schema, name]),
    }
}

/// What the mode makes of it.
pub(super) fn in_force(runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    Ok(match get("mode", runner)?.as_str() {
        "'auto'" => {
            let url = get("autoconfig-url", runner)?;
            Some(if url == "''" { "a PAC found by itself".into() } else { format!("the PAC {}", plain(&url)) })
        }
        "'manual'" => {
            let (host, port) = (get("https host", runner)?, get("https port", runner)?);
            Some(format!("the proxy {}:{port}", plain(&host)))
        }
        _ => None,
    })
}

/// The keys that records may name.
pub(super) fn knows(key: &str) -> bool {
    ["autoconfig-url", "mode", "http host", "http port", "https host", "https port", "ignore-hosts"].contains(&key)
}

fn get(key: &str, runner: &dyn Runner) -> Result<String, DesktopError> {
    Ok(run(&getting(key), runner)?.out.trim_end().to_owned())
}

fn getting(key: &str) -> CommandLine {
    let (schema, name) = place(key);
    CommandLine::new("gsettings", &["get", &schema, name])
}

/// The schema and the name in it.
fn place(key: &str) -> (String, &str) {
    match key.split_once(' ') {
        Some((child, name)) => (format!("{SCHEMA}.{child}"), name),
        None => (SCHEMA.into(), key),
    }
}

/// A string as GVariant writes it.
fn text(plain: &str) -> String {
    format!("'{}'", plain.replace('\\', r"\\").replace('\'', r"\'"))
}

/// The other way round, for people.
fn plain(text: &str) -> String {
    text.trim_matches(['\'', '"']).replace(r"\'", "'")
}

/// Whether a list of hosts has this one; `127.0.0.0/8` has `127.0.0.1`.
fn spares(list: &str, host: &str) -> bool {
    list.contains(&text(host)) || host == "127.0.0.1" && list.contains("'127.0.0.0/8'")
}

/// A list with more in it.
fn joined(list: &str, more: &[String]) -> String {
    let inner = list.trim().trim_start_matches("@as").trim().trim_start_matches('[').trim_end_matches(']').trim();
    let first = Some(inner.to_owned()).filter(|inner| !inner.is_empty());
    let all: Vec<String> = first.into_iter().chain(more.iter().cloned()).collect();
    format!("[{}]", all.join(", "))
}

const SCHEMA: &str = "org.gnome.system.proxy";
