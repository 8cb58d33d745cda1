//! The setting of Windows for this user: values of its registry, by `reg.exe`.

use crate::system::commands::{CommandLine, Runner};
use crate::system::desktop::{DesktopError, Wanted};

/// Names and values, with their types.
pub(super) fn wanted(wanted: &Wanted) -> Vec<(String, String)> {
    let pair = |key: &str, value: String| (key.to_owned(), value);
    match wanted {
        Wanted::Pac(url) => vec![pair("AutoConfigURL", format!("REG_SZ {url}"))],
        Wanted::Proxy(at) => vec![
            pair("ProxyServer", format!("REG_SZ {at}")),
            pair("ProxyOverride", "REG_SZ localhost;127.*;[::1];<local>".into()),
            pair("ProxyEnable", "REG_DWORD 0x1".into()),
        ],
    }
}

/// Type and value, `None` where there is none.
pub(super) fn read(key: &str, runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    let line = CommandLine::new(TOOL, &["query", KEY, "/v", key]);
    let answer = runner.run(&line).map_err(|source| DesktopError::Run { program: TOOL.into(), source })?;
    // It says 1 for a value that does not exist, in words of every language.
    Ok(if answer.is_good() { value(&answer.out, key) } else { None })
}

/// Writes a value, or removes it.
pub(super) fn line(key: &str, value: Option<&str>) -> CommandLine {
    match value {
        Some(value) => {
            let (kind, data) = value.split_once(' ').unwrap_or((value, ""));
            CommandLine::new(TOOL, &["add", KEY, "/v", key, "/t", kind, "/d", data, "/f"])
        }
        None => CommandLine::new(TOOL, &["delete", KEY, "/v", key, "/f"]),
    }
}

/// Makes running programs read it again: options 39 (settings changed) and 37 (refresh) of WinINet.
pub(super) fn notice() -> CommandLine {
    CommandLine::new("powershell.exe", &["-NoProfile", "-NonInteractive", "-Command", NOTICE])
}

/// A PAC wins over a proxy there too.
pub(super) fn in_force(runner: &dyn Runner) -> Result<Option<String>, DesktopError> {
    let data = |value: Option<String>| value.and_then(|value| Some(value.split_once(' ')?.1.to_owned()));
    if let Some(url) = data(read("AutoConfigURL", runner)?).filter(|url| !url.is_empty()) {
        return Ok(Some(format!("the PAC {url}")));
    }
    if data(read("ProxyEnable", runner)?).as_deref() == Some("0x1") {
        return Ok(Some(format!("the proxy {}", data(read("ProxyServer", runner)?).unwrap_or_default())));
    }
    Ok(None)
}

/// The names that records may hold.
pub(super) fn knows(key: &str) -> bool {
    ["AutoConfigURL", "ProxyServer", "ProxyOverride", "ProxyEnable"].contains(&key)
}

/// The line of a value: its name, its type and its data, with four spaces between.
fn value(out: &str, key: &str) -> Option<String> {
    let rest = out.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix("    "))?;
    let (kind, data) = rest.split_once("    ").unwrap_or((rest.trim_end(), ""));
    Some(format!("{kind} {}", data.trim_end_matches('\r')))
}

const TOOL: &str = "reg.exe";
const KEY: &str = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings";
const NOTICE: &str = r#"$t = Add-Type -PassThru -Namespace Tollgate -Name WinInet -MemberDefinition '[DllImport("wininet.dll")] public static extern bool InternetSetOption(IntPtr h, int o, IntPtr b, int l);'; [void]$t::InternetSetOption([IntPtr]::Zero, 39, [IntPtr]::Zero, 0); [void]$t::InternetSetOption([IntPtr]::Zero, 37, [IntPtr]::Zero, 0)"#;
