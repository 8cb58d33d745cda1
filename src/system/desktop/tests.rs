//! What the system's tools say is understood, and what is typed for a user is what puts it there and back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::json;

use crate::system::changes::undo::{Undo, Undone};
use crate::system::commands::tests::Table;
use crate::system::commands::{Answer, CommandLine, Runner};
use crate::system::desktop::restore::Desktops;
use crate::system::desktop::{Desktop, Session, Wanted, without_password};

const PAC: &str = "http://127.0.0.1:8484/proxy.pac";
const KEY: &str = r"'HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings'";

fn pac() -> Wanted {
    Wanted::Pac(PAC.into())
}

fn proxy() -> Wanted {
    Wanted::Proxy("127.0.0.1:8484".parse().unwrap())
}

fn lines(desktop: Desktop, key: &str, value: Option<&str>, runner: &dyn Runner) -> Vec<String> {
    desktop.lines(key, value, runner).iter().map(ToString::to_string).collect()
}

/// GNOME's settings, as `gsettings` keeps them.
struct Gnome {
    values: RefCell<BTreeMap<String, String>>,
    /// Keys that cannot be written, and do not say so: what a machine without a session bus does.
    deaf: RefCell<Vec<&'static str>>,
}

impl Gnome {
    fn with(values: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { values: RefCell::new(values), deaf: RefCell::default() }
    }

    fn default(key: &str) -> &'static str {
        match key {
            "org.gnome.system.proxy mode" => "'none'",
            "org.gnome.system.proxy ignore-hosts" => "['localhost', '127.0.0.0/8', '::1']",
            "org.gnome.system.proxy.http port" => "8080",
            "org.gnome.system.proxy.https port" => "0",
            _ => "''",
        }
    }

    fn values(&self) -> Vec<(String, String)> {
        self.values.borrow().clone().into_iter().collect()
    }
}

impl Runner for Gnome {
    fn run(&self, line: &CommandLine) -> io::Result<Answer> {
        assert_eq!(line.program, "gsettings");
        let words: Vec<&str> = line.arguments.iter().map(String::as_str).collect();
        let key = words[1..].iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let is_deaf = self.deaf.borrow().contains(&words.get(2).copied().unwrap_or_default());
        let mut out = String::new();
        match words[0] {
            "get" => {
                let kept = self.values.borrow().get(&key).cloned().filter(|_| line.variables.is_empty());
                out = kept.unwrap_or_else(|| Self::default(&key).into()) + "\n";
            }
            _ if is_deaf => {}
            "set" => drop(self.values.borrow_mut().insert(key, words[3].into())),
            "reset" => drop(self.values.borrow_mut().remove(&key)),
            other => assert_eq!(other, "list-keys"),
        }
        let err = if is_deaf { "dconf-WARNING: failed to commit changes\n".into() } else { String::new() };
        Ok(Answer { code: Some(0), out, err })
    }

    fn run_attended(&self, line: &CommandLine) -> io::Result<Answer> {
        self.run(line)
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        (program == "gsettings").then(|| "/usr/bin/gsettings".into())
    }
}

#[test]
fn gnome_is_set_and_put_back_to_the_letter_whatever_was_there() {
    let corporate: &[(&str, &str)] = &[
        ("org.gnome.system.proxy mode", "'manual'"),
        ("org.gnome.system.proxy ignore-hosts", "['10.0.0.0/8']"),
        ("org.gnome.system.proxy.https host", "'proxy.corp.example'"),
        ("org.gnome.system.proxy.https port", "3128"),
    ];
    for before in [&[][..], corporate, &[("org.gnome.system.proxy autoconfig-url", "'http://wpad/x.dat'")]] {
        for wanted in [pac(), proxy()] {
            let gnome = Gnome::with(before);
            let earlier = gnome.values();
            let setting = Desktop::Gnome.plan(&wanted, &gnome).unwrap();
            Desktop::Gnome.set(&setting.values, &gnome).unwrap();
            let now = gnome.values.borrow().clone();
            match wanted {
                Wanted::Pac(_) => {
                    assert_eq!(now["org.gnome.system.proxy mode"], "'auto'");
                    assert_eq!(now["org.gnome.system.proxy autoconfig-url"], format!("'{PAC}'"));
                }
                Wanted::Proxy(_) => {
                    assert_eq!(now["org.gnome.system.proxy mode"], "'manual'");
                    assert_eq!(now["org.gnome.system.proxy.https host"], "'127.0.0.1'");
                    assert_eq!(now["org.gnome.system.proxy.http port"], "8484");
                    let spared = now.get("org.gnome.system.proxy ignore-hosts").map(String::as_str);
                    assert!(spared.is_none_or(|list| list == "['10.0.0.0/8', 'localhost', '127.0.0.1', '::1']"));
                }
            }
            assert_eq!(setting.restore(&gnome), Undone::Restored);
            assert_eq!(gnome.values(), earlier);
            assert_eq!(setting.restore(&gnome), Undone::Restored, "a second time");
            assert_eq!(gnome.values(), earlier);
        }
    }
}

#[test]
fn a_change_that_broke_off_anywhere_is_put_back() {
    let gnome = Gnome::with(&[("org.gnome.system.proxy mode", "'manual'")]);
    let earlier = gnome.values();
    let setting = Desktop::Gnome.plan(&proxy(), &gnome).unwrap();
    for done in 0..=setting.values.len() {
        Desktop::Gnome.set(&setting.values[..done], &gnome).unwrap();
        // As it is found in the journal.
        let data = serde_json::to_value(&setting).unwrap();
        assert_eq!(serde_json::from_value::<crate::system::desktop::Setting>(data).unwrap(), setting);
        assert_eq!(setting.restore(&gnome), Undone::Restored, "{done}");
        assert_eq!(gnome.values(), earlier, "{done}");
    }
}

#[test]
fn what_somebody_has_changed_since_is_left_alone_and_said() {
    let gnome = Gnome::with(&[]);
    let setting = Desktop::Gnome.plan(&pac(), &gnome).unwrap();
    Desktop::Gnome.set(&setting.values, &gnome).unwrap();
    gnome.values.borrow_mut().insert("org.gnome.system.proxy mode".into(), "'manual'".into());
    assert_eq!(setting.restore(&gnome), Undone::Left(vec!["`mode` of GNOME".into()]));
    assert_eq!(gnome.values(), [("org.gnome.system.proxy mode".to_owned(), "'manual'".to_owned())]);
}

#[test]
fn a_tool_that_says_nothing_and_does_nothing_is_found_out() {
    let gnome = Gnome::with(&[]);
    let setting = Desktop::Gnome.plan(&pac(), &gnome).unwrap();
    gnome.deaf.borrow_mut().push("mode");
    let error = Desktop::Gnome.set(&setting.values, &gnome).unwrap_err().to_string();
    assert_eq!(error, "GNOME did not take the value of `mode`: dconf-WARNING: failed to commit changes");
    assert_eq!(setting.restore(&gnome), Undone::Restored);
    assert!(gnome.values().is_empty());

    gnome.deaf.borrow_mut().clear();
    Desktop::Gnome.set(&setting.values, &gnome).unwrap();
    gnome.deaf.borrow_mut().push("mode");
    let Undone::Blocked { why, command } = setting.restore(&gnome) else { panic!("it was not put back") };
    assert!(why.starts_with("GNOME did not take"), "{why}");
    assert_eq!(command.as_deref(), Some("gsettings reset org.gnome.system.proxy mode"));
}

#[test]
fn records_that_name_anything_else_run_nothing() {
    let value = |key: &str| json!({ "key": key, "before": "'x'", "ours": "'y'" });
    for (desktop, key) in [
        ("gnome", "org.gnome.desktop.background picture-uri"),
        ("kde", "../kdeglobals"),
        ("macos", "dns Wi-Fi"),
        ("windows", r"..\Run"),
    ] {
        let runner = Desktops(Table::default());
        let undone = runner.undo(&json!({ "desktop": desktop, "values": [value(key)] }));
        assert!(matches!(undone, Undone::Blocked { command: None, .. }), "{key}: {undone:?}");
        assert!(runner.0.ran.borrow().is_empty(), "{key}");
    }
    let runner = Desktops(Table::default());
    assert!(matches!(runner.undo(&json!({ "desktop": "beos" })), Undone::Blocked { .. }));
}

#[test]
fn desktops_are_found_by_their_tools() {
    let session = |os, current: &str| Session { os, current: current.into() };
    let linux = session("linux", "ubuntu:GNOME");
    assert_eq!(Desktop::found(&linux, &Table::default()), []);
    assert_eq!(Desktop::found(&linux, &Table::with(&["gsettings"])), [Desktop::Gnome]);
    let bare = Table::with(&["gsettings"]).on("gsettings list-keys org.gnome.system.proxy", 1, "No such schema");
    assert_eq!(Desktop::found(&linux, &bare), []);
    let both = Table::with(&["gsettings", "kreadconfig6", "kwriteconfig6"]);
    assert_eq!(Desktop::found(&linux, &both), [Desktop::Gnome, Desktop::Kde]);
    assert_eq!(Desktop::found(&linux, &Table::with(&["kreadconfig6", "kwriteconfig5"])), []);
    assert_eq!(Desktop::found(&session("macos", ""), &Table::default()), [Desktop::MacOs]);
    assert_eq!(Desktop::found(&session("windows", ""), &Table::default()), [Desktop::Windows]);
    assert!(Desktop::Gnome.is_current(&linux) && !Desktop::Kde.is_current(&linux));
    assert!(Desktop::Kde.is_current(&session("linux", "KDE")) && !Desktop::Gnome.is_current(&session("linux", "KDE")));
}

#[test]
fn kde_is_read_and_written_by_the_tools_that_are_there() {
    for (tool, other) in [("5", "kreadconfig5"), ("6", "kreadconfig6")] {
        let write = if tool == "5" { "kwriteconfig5" } else { "kwriteconfig6" };
        let get = |key: &str| {
            format!("{other} --file kioslaverc --group 'Proxy Settings' --key {key} --default tollgate-finds-none")
        };
        let table = Table::with(if tool == "5" {
            &["kreadconfig5", "kwriteconfig5"]
        } else {
            &["kreadconfig6", "kwriteconfig6"]
        })
        .on(&get("'Proxy Config Script'"), 0, "tollgate-finds-none\n")
        .on(&get("ProxyType"), 0, "0\n");
        let setting = Desktop::Kde.plan(&pac(), &table).unwrap();
        let pairs: Vec<_> =
            setting.values.iter().map(|value| (&*value.key, value.before.as_deref(), &*value.ours)).collect();
        assert_eq!(pairs, [("Proxy Config Script", None, PAC), ("ProxyType", Some("0"), "2")]);
        assert_eq!(
            lines(Desktop::Kde, "ProxyType", Some("2"), &table),
            [format!("{write} --file kioslaverc --group 'Proxy Settings' --key ProxyType -- 2")]
        );
        assert_eq!(
            lines(Desktop::Kde, "Proxy Config Script", None, &table),
            [format!("{write} --file kioslaverc --group 'Proxy Settings' --key 'Proxy Config Script' --delete ''")]
        );
    }
}

#[test]
fn macos_is_set_for_every_service_and_switched_off_where_nothing_was() {
    let services = "An asterisk (*) denotes that a network service is disabled.\nUSB 10/100/1000 LAN\nWi-Fi\n\
                    *Thunderbolt Bridge\n";
    let table = Table::default()
        .on("networksetup -listallnetworkservices", 0, services)
        .on("networksetup -getautoproxyurl 'USB 10/100/1000 LAN'", 0, "URL: (null)\nEnabled: No\n")
        .on("networksetup -getautoproxyurl Wi-Fi", 0, "URL: http://wpad.corp.example/wpad.dat\nEnabled: Yes\n")
        .on("networksetup -getautoproxyurl 'Thunderbolt Bridge'", 0, "URL: http://old.example/p\nEnabled: No\n");
    let setting = Desktop::MacOs.plan(&pac(), &table).unwrap();
    let ours = format!("on {PAC}");
    let pairs: Vec<_> =
        setting.values.iter().map(|value| (&*value.key, value.before.as_deref(), &*value.ours)).collect();
    assert_eq!(
        pairs,
        [
            ("auto USB 10/100/1000 LAN", None, &*ours),
            ("auto Wi-Fi", Some("on http://wpad.corp.example/wpad.dat"), &*ours),
            ("auto Thunderbolt Bridge", Some("off http://old.example/p"), &*ours),
        ]
    );
    assert_eq!(Desktop::MacOs.in_force(&table).unwrap().unwrap(), "the PAC http://wpad.corp.example/wpad.dat");
    for (value, typed) in [
        (Some(&*ours), vec![format!("networksetup -setautoproxyurl Wi-Fi {PAC}"), state("Wi-Fi", "on")]),
        (
            Some("off http://old.example/p"),
            vec!["networksetup -setautoproxyurl Wi-Fi http://old.example/p".into(), state("Wi-Fi", "off")],
        ),
        (None, vec![state("Wi-Fi", "off")]),
    ] {
        assert_eq!(lines(Desktop::MacOs, "auto Wi-Fi", value, &table), typed);
    }
    // After that, the URL of the gate is still in it, but says nothing.
    let after = Table::default().on("networksetup -getautoproxyurl Wi-Fi", 0, &format!("URL: {PAC}\nEnabled: No\n"));
    assert_eq!(Desktop::MacOs.read("auto Wi-Fi", &after).unwrap(), None);
}

fn state(service: &str, switch: &str) -> String {
    format!("networksetup -setautoproxystate {service} {switch}")
}

#[test]
fn macos_by_hand_keeps_hands_off_proxies_with_a_password() {
    let get = |kind: &str, out: &str| (format!("networksetup -get{kind} Wi-Fi"), out.to_owned());
    let with = |authenticated: &str| {
        let out =
            format!("Enabled: Yes\nServer: proxy.corp\nPort: 3128\nAuthenticated Proxy Enabled: {authenticated}\n");
        let (web, _) = get("webproxy", "");
        let (secure, _) = get("securewebproxy", "");
        Table::default()
            .on("networksetup -listallnetworkservices", 0, "…\nWi-Fi\n")
            .on(&web, 0, &out)
            .on(&secure, 0, &out)
    };
    let setting = Desktop::MacOs.plan(&proxy(), &with("0")).unwrap();
    assert_eq!(setting.values[1].before.as_deref(), Some("on proxy.corp:3128"));
    let typed = lines(Desktop::MacOs, "secure Wi-Fi", Some("on proxy.corp:3128"), &with("0"));
    assert_eq!(
        typed,
        ["networksetup -setsecurewebproxy Wi-Fi proxy.corp 3128", "networksetup -setsecurewebproxystate Wi-Fi on"]
    );
    let error = Desktop::MacOs.plan(&proxy(), &with("1")).unwrap_err();
    assert!(error.to_string().contains("has a password"), "{error}");
}

#[test]
fn windows_is_read_and_written_with_its_types() {
    let out = "\r\nHKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\r\n    \
               AutoConfigURL    REG_SZ    http://wpad.corp.example/wpad.dat\r\n\r\n";
    let enabled = "\r\nHKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\r\n    \
                   ProxyEnable    REG_DWORD    0x0\r\n\r\n";
    let table = Table::default()
        .on(&format!("reg.exe query {KEY} /v AutoConfigURL"), 0, out)
        .on(&format!("reg.exe query {KEY} /v ProxyEnable"), 0, enabled)
        .on(&format!("reg.exe query {KEY} /v ProxyServer"), 1, "")
        .on(&format!("reg.exe query {KEY} /v ProxyOverride"), 1, "");
    let setting = Desktop::Windows.plan(&pac(), &table).unwrap();
    assert_eq!(setting.values[0].before.as_deref(), Some("REG_SZ http://wpad.corp.example/wpad.dat"));
    let setting = Desktop::Windows.plan(&proxy(), &table).unwrap();
    let before: Vec<_> = setting.values.iter().map(|value| (&*value.key, value.before.as_deref())).collect();
    assert_eq!(before, [("ProxyServer", None), ("ProxyOverride", None), ("ProxyEnable", Some("REG_DWORD 0x0"))]);
    assert_eq!(
        lines(Desktop::Windows, "AutoConfigURL", Some("REG_SZ http://wpad.corp.example/wpad.dat"), &table),
        [format!("reg.exe add {KEY} /v AutoConfigURL /t REG_SZ /d http://wpad.corp.example/wpad.dat /f")]
    );
    assert_eq!(
        lines(Desktop::Windows, "ProxyEnable", Some("REG_DWORD 0x0"), &table),
        [format!("reg.exe add {KEY} /v ProxyEnable /t REG_DWORD /d 0x0 /f")]
    );
    assert_eq!(
        lines(Desktop::Windows, "AutoConfigURL", None, &table),
        [format!("reg.exe delete {KEY} /v AutoConfigURL /f")]
    );
}

#[test]
fn passwords_of_proxies_are_never_shown() {
    for (text, shown) in [
        ("the proxy http://user:secret@proxy.corp 3128", "the proxy http://***@proxy.corp 3128"),
        ("the PAC http://a:b@c@wpad/x", "the PAC http://***@wpad/x"),
        ("the proxy user:secret@proxy.corp:3128", "the proxy ***@proxy.corp:3128"),
        ("the PAC http://wpad/x", "the PAC http://wpad/x"),
    ] {
        assert_eq!(without_password(text), shown);
    }
}
