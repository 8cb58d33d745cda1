//! KDE's setting: the group `Proxy Settings` of `kioslaverc`, by the tools of its framework 5 or 6.

use crate::system::commands::{CommandLine, Runner};
use crate::system::desktop::{Desktop, DesktopError, OWN, Wanted, run};

/// What reads and what writes, where both are there.
pub(super) fn tools(runner: &dyn Runner) -> Option<(&'static str, &'static str)> {
    let pairs = [("kreadconfig6", "kwriteconfig6"), ("kreadconfig5", "kwriteconfig5")];
    pairs.into_iter().find(|(read, write)| runner.find(read).is_some() && runner.find(write).is_some())
}

/// Keys and values, the type last, as it is what makes the others count.
pub(super) fn wanted(wanted: &Wanted, runner: &dyn Runner) -> Result<Vec<(String, String)>, DesktopError> {
    let pair = |key: &str, value: String| (key.to_owned(), value);
    match wanted {
        Wanted::Pac(url) => Ok(vec![pair(SCRIPT, url.clone()), pair(TYPE, PAC.into())]),
        Wanted::Proxy(at) => {
            // A password in it would be seen by every program of this machine when it is written back.
            for key in ["httpProxy", "httpsProxy"] {
                if read(key, runner)?.is_some_and(|value| value.contains('@')) {
                    return Err(DesktopError::Password { desktop: Desktop::Kde, key: key.into() });
                }
            }
            let proxy = format!("http://{} {}", at.ip(), at.port());
            let mut pairs = vec![pair("httpProxy", proxy.clone()), pair("httpsProxy", proxy)];
            let spared = read(SPARED, runner)?.unwrap_or_default();
            let mut hosts: Vec<&str> = spared.split(',').filter(|host| !host.is_empty()).collect();
            let missing: Vec<&str> = OWN.into_iter().filter(|own| !hosts.iter().any(|host| host == own)).collect();
            if !missing.is_empty() {
                hosts.extend(missing);
                pairs.push(pair(SPARED, hosts.join(",")));
            }
            pairs.push(pair(TYPE, MANUAL.into()));
            Ok(pairs)
        }
    }
}

/// The value, `None` where there is none.
pub(super) fn read(key: &str, runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    let tool = tools(runner).map_or("kreadconfig5", |(read, _)| read);
    let answer =
        run(&CommandLine::new(tool, &["--file", FILE, "--group", GROUP, "--key", key, "--default", UNSET]), runner)?;
    let value = answer.out.strip_suffix('\n').unwrap_or(&answer.out);
    Ok(Some(value.to_owned()).filter(|value| value != UNSET))
}

/// Writes a value, or removes it.
pub(super) fn line(key: &str, value: Option<&str>, runner: &dyn Runner) -> CommandLine {
    let tool = tools(runner).map_or("kwriteconfig5", |(_, write)| write);
    let place = ["--file", FILE, "--group", GROUP, "--key", key];
    match value {
        Some(value) => CommandLine::new(tool, &[&place[..], &["--", value]].concat()),
        // The value is not looked at, but asked for.
        None => CommandLine::new(tool, &[&place[..], &["--delete", ""]].concat()),
    }
}

/// Makes running programs read it again.
pub(super) fn notice() -> CommandLine {
    let signal = "org.kde.KIO.Scheduler.reparseSlaveConfiguration";
    CommandLine::new("dbus-send", &["--type=signal", "/KIO/Scheduler", signal, "string:"])
}

/// What the type makes of it.
pub(super) fn in_force(runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    Ok(match read(TYPE, runner)?.as_deref() {
        Some(MANUAL) => Some(format!("the proxy {}", read("httpsProxy", runner)?.unwrap_or_default())),
        Some(PAC) => Some(format!("the PAC {}", read(SCRIPT, runner)?.unwrap_or_default())),
        Some("3") => Some("a PAC found by itself".into()),
        Some("4") => Some("the proxy of the environment".into()),
        _ => None,
    })
}

/// The keys that records may name.
pub(super) fn knows(key: &str) -> bool {
    [SCRIPT, TYPE, SPARED, "httpProxy", "httpsProxy"].contains(&key)
}

const FILE: &str = "kioslaverc";
const GROUP: &str = "Proxy Settings";
const SCRIPT: &str = "Proxy Config Script";
const SPARED: &str = "NoProxyFor";
const TYPE: &str = "ProxyType";
/// `KProtocolManager::ProxyType`.
const MANUAL: &str = "1";
const PAC: &str = "2";
/// Said where there is no value.
const UNSET: &str = "tollgate-finds-none";
