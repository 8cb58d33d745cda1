//! The setting of macOS, by `networksetup`: for every network service, as it knows no setting for all.
//!
//! A key is `auto`, `web` or `secure`, and the service; a value is `on` or `off` and the URL or address, of which
//! macOS keeps the last one also while it is off.

use crate::system::commands::{Answer, CommandLine, Runner};
use crate::system::desktop::{Desktop, DesktopError, Wanted, run};

/// Keys and values for every service, also for those that are switched off now.
pub(super) fn wanted(wanted: &Wanted, runner: &dyn Runner) -> Result<Vec<(String, String)>, DesktopError> {
    let mut pairs = Vec::new();
    for service in services(runner)? {
        match wanted {
            Wanted::Pac(url) => pairs.push((format!("auto {service}"), format!("on {url}"))),
            Wanted::Proxy(at) => {
                for kind in ["web", "secure"] {
                    pairs.push((format!("{kind} {service}"), format!("on {at}")));
                }
            }
        }
    }
    for (key, _) in &pairs {
        let answer = ask(key, runner)?;
        if field(&answer.out, "Authenticated Proxy Enabled").is_some_and(|value| value != "0") {
            return Err(DesktopError::Password { desktop: Desktop::MacOs, key: key.clone() });
        }
    }
    Ok(pairs)
}

/// `on URL`, `off URL`, or `None` where it is off and there never was one.
pub(super) fn read(key: &str, runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    let answer = ask(key, runner)?;
    let is_on = field(&answer.out, "Enabled").is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let at = match field(&answer.out, "URL") {
        Some(url) => Some(url.to_owned()).filter(|url| url != "(null)"),
        None => match (field(&answer.out, "Server"), field(&answer.out, "Port")) {
            (Some(server), Some(port)) => Some(address(server, port)),
            _ => None,
        },
    };
    Ok(match (is_on, at.filter(|at| !at.is_empty())) {
        (true, at) => Some(format!("on {}", at.unwrap_or_default())),
        // It cannot be taken away again, only be switched off; then it is no setting any more.
        (false, Some(at)) if !is_of_a_gate(&at) => Some(format!("off {at}")),
        (false, _) => None,
    })
}

/// Writes a value; what was never set is switched off.
pub(super) fn lines(key: &str, value: Option<&str>) -> Vec<CommandLine> {
    let (kind, service) = key.split_once(' ').unwrap_or((key, ""));
    let (set, state) = match kind {
        "auto" => ("-setautoproxyurl", "-setautoproxystate"),
        "web" => ("-setwebproxy", "-setwebproxystate"),
        _ => ("-setsecurewebproxy", "-setsecurewebproxystate"),
    };
    let (switch, at) = value.and_then(|value| value.split_once(' ')).unwrap_or(("off", ""));
    let mut lines = Vec::new();
    if kind == "auto" && !at.is_empty() {
        lines.push(CommandLine::new(TOOL, &[set, service, at]));
    }
    if kind != "auto"
        && let Some((host, port)) = at.rsplit_once(':')
    {
        lines.push(CommandLine::new(TOOL, &[set, service, host.trim_matches(['[', ']']), port]));
    }
    // Setting one also switches it on, so the switch comes last.
    lines.push(CommandLine::new(TOOL, &[state, service, if switch == "on" { "on" } else { "off" }]));
    lines
}

/// What the first service says that is switched on and has one.
pub(super) fn in_force(runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    for service in services(runner)? {
        for (kind, name) in [("auto", "PAC"), ("secure", "proxy"), ("web", "proxy")] {
            let value = read(&format!("{kind} {service}"), runner)?;
            if let Some(at) = value.as_deref().and_then(|value| value.strip_prefix("on ")) {
                return Ok(Some(format!("the {name} {at}")));
            }
        }
    }
    Ok(None)
}

/// The keys that records may name.
pub(super) fn knows(key: &str) -> bool {
    let known = |(kind, service): (&str, &str)| ["auto", "web", "secure"].contains(&kind) && !service.is_empty();
    key.split_once(' ').is_some_and(known)
}

/// The names of all services; the first line is for people, and a star means that one is switched off.
fn services(runner: &dyn Runner) -> Result<Vec<String>, DesktopError> {
    let answer = run(&CommandLine::new(TOOL, &["-listallnetworkservices"]), runner)?;
    let lines = answer.out.lines().skip(1).map(|line| line.strip_prefix('*').unwrap_or(line).trim());
    Ok(lines.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn ask(key: &str, runner: &dyn Runner) -> Result<Answer, DesktopError> {
    let (kind, service) = key.split_once(' ').unwrap_or((key, ""));
    let get = match kind {
        "auto" => "-getautoproxyurl",
        "web" => "-getwebproxy",
        _ => "-getsecurewebproxy",
    };
    run(&CommandLine::new(TOOL, &[get, service]), runner)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn address(server: &str, port: &str) -> String {
    match server {
        "" => String::new(),
        server if server.contains(':') => format!("[{server}]:{port}"),
        server => format!("{server}:{port}"),
    }
}

/// Whether it leads to a listener of this machine.
fn is_of_a_gate(at: &str) -> bool {
    let authority = at.strip_prefix("http://").unwrap_or(at);
    authority.starts_with("127.") || authority.starts_with("[::1]")
}

const TOOL: &str = "networksetup";
