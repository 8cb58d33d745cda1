//! Units for systemd, as `systemd.service(5)`, `systemd.exec(5)` and `systemd.socket(5)` describe them; for version 245 and
//! later.

use crate::cli::service::{Service, for_shell, shown};

/// Whom the service is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    /// Everybody on the machine; it runs as a user of its own.
    Machine,
    /// One user, whose programs it can see.
    User,
    /// One user, shut off in a user namespace.
    UserSandboxed,
}

/// The unit of the service.
pub(super) fn unit(service: &Service, whose: Whose) -> String {
    let start: Vec<String> = service.words().iter().map(|word| quoted(word, true)).collect();
    let mut text = format!(
        "[Unit]\n\
         Description=Tollgate, a gate between programs and api.openai.com\n\
         Documentation=man:tollgate(1)\n\
         After=network.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={}\n\
         # SIGUSR2 instead starts the program anew, which takes over without refusing a connection.\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         # A configuration with mistakes does not get better by trying again.\n\
         RestartPreventExitStatus=2\n\
         # Longer than `limits.drainTimeout`.\n\
         TimeoutStopSec={}\n\
         KillMode=mixed\n\
         WatchdogSec=60\n\
         LimitCORE=0\n\
         LimitNOFILE=65536\n\
         UMask=0077\n",
        start.join(" "),
        service.patience(),
    );
    if whose == Whose::Machine {
        text.push_str("User=tollgate\n");
    }
    // For the mark on its own connections, and for listening to what was meant for others. A user has none to give.
    let redirects = whose == Whose::Machine && service.transparent.is_some();
    let privilege = if redirects { "CAP_NET_ADMIN" } else { "" };
    if redirects {
        text.push_str("AmbientCapabilities=CAP_NET_ADMIN\n");
    }
    text.push_str(ALWAYS);
    if whose == Whose::User {
        text.push_str(
            "# What would close the file system to it also hides other programs of a user, so that calls could not be\n\
             # booked by program any more: `tollgate service --sandbox`.\n",
        );
    } else {
        text.push_str(&format!("CapabilityBoundingSet={privilege}\n"));
        text.push_str(CLOSED);
        if whose == Whose::UserSandboxed {
            // Older versions do not infer it from the rest.
            text.push_str("PrivateUsers=yes\n");
        }
        let folders: Vec<String> = service.writes.iter().map(|folder| quoted(&shown(folder), false)).collect();
        text.push_str(&format!("ReadWritePaths={}\n", folders.join(" ")));
    }
    let wanted = if whose == Whose::Machine { "multi-user.target" } else { "default.target" };
    text.push_str(&format!("\n[Install]\nWantedBy={wanted}\n"));
    text
}

/// The unit of the sockets; the gate knows them by their addresses. It opens `listen.transparent` itself, as that has one
/// on each loopback address.
pub(super) fn sockets(service: &Service) -> String {
    let listens: String = [service.proxy, service.admin].iter().map(|at| format!("ListenStream={at}\n")).collect();
    format!(
        "[Unit]\n\
         Description=Sockets of Tollgate\n\
         \n\
         [Socket]\n\
         {listens}\
         NoDelay=yes\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target\n"
    )
}

/// How to install it.
pub(super) fn steps(service: &Service, whose: Whose, socket: bool) -> Vec<String> {
    let (sudo, user, folder) = match whose {
        Whose::Machine => ("sudo ", "", "/etc/systemd/system"),
        Whose::User | Whose::UserSandboxed => ("", " --user", "~/.config/systemd/user"),
    };
    let kind = if socket { "socket" } else { "service" };
    let flags = match whose {
        Whose::Machine => " --system",
        Whose::User => "",
        Whose::UserSandboxed => " --sandbox",
    };
    let flags = if socket { format!("{flags} --socket") } else { flags.to_owned() };
    let config =
        service.config.as_ref().map(|file| format!(" --config {}", for_shell(&shown(file)))).unwrap_or_default();
    let program = for_shell(&shown(&service.program));
    let folders: Vec<String> = service.writes.iter().map(|folder| for_shell(&shown(folder))).collect();
    let folders = folders.join(" ");
    let prepare = match whose {
        Whose::Machine => format!("sudo useradd --system tollgate; sudo install -d -o tollgate -m 700 {folders}"),
        Whose::User | Whose::UserSandboxed => format!("mkdir -p -m 700 {folders} {folder}"),
    };
    vec![
        prepare,
        format!("{program} service{flags}{config} | {sudo}tee {folder}/tollgate.{kind}"),
        format!("{sudo}systemctl{user} daemon-reload && {sudo}systemctl{user} enable --now tollgate.{kind}"),
    ]
}

/// A word of a unit's line. A dollar is only special where a command is meant.
fn quoted(word: &str, is_command: bool) -> String {
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '%' => text.push_str("%%"),
            '$' if is_command => text.push_str("$$"),
            '\n' => text.push_str("\\n"),
            _ => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// What takes rights away and needs no namespace.
const ALWAYS: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
";

/// What closes the rest of the machine to it.
const CLOSED: &str = "\
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::service::example;

    #[test]
    fn words_of_a_unit_are_what_they_were() {
        for (word, command, path) in [
            ("/a b", r#""/a b""#, r#""/a b""#),
            ("100%", r#""100%%""#, r#""100%%""#),
            ("$a", r#""$$a""#, r#""$a""#),
            (r#"q"\"#, r#""q\"\\""#, r#""q\"\\""#),
        ] {
            assert_eq!((quoted(word, true).as_str(), quoted(word, false).as_str()), (command, path), "{word}");
        }
    }

    #[test]
    fn a_unit_names_this_program_and_gives_it_longer_than_it_drains() {
        let text = unit(&example(), Whose::User);
        let start = r#"ExecStart="/opt/to ll/tollgate" "serve" "--config" "/home/me/100%%/$$a \"b\"/tollgate.json5""#;
        for line in [start, "Type=notify", "TimeoutStopSec=615", "NoNewPrivileges=yes", "LimitCORE=0", "UMask=0077"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("ProtectSystem") && text.contains("WantedBy=default.target"), "{text}");
    }

    #[test]
    fn a_closed_unit_may_write_its_own_folders_and_has_no_privilege_unless_it_redirects() {
        let redirecting = Service { transparent: "127.0.0.1:8486".parse().ok(), ..example() };
        for whose in [Whose::UserSandboxed, Whose::Machine] {
            let text = unit(&example(), whose);
            let own = r#"ReadWritePaths="/home/me/.local/share/tollgate/certs" "/home/me/da ta""#;
            for line in [own, "ProtectSystem=strict", "ProtectHome=read-only", "CapabilityBoundingSet="] {
                assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
            }
        }
        assert!(unit(&redirecting, Whose::Machine).contains("CapabilityBoundingSet=CAP_NET_ADMIN\n"));
        assert!(!unit(&redirecting, Whose::UserSandboxed).contains("CAP_NET_ADMIN"));
        assert!(unit(&example(), Whose::Machine).contains("User=tollgate\n"));
    }

    #[test]
    fn sockets_are_those_of_the_configuration() {
        let text = sockets(&example());
        assert!(text.contains("ListenStream=127.0.0.1:8484\nListenStream=[::1]:8485\n"), "{text}");
    }

    #[test]
    fn installing_takes_three_commands() {
        for whose in [Whose::Machine, Whose::User, Whose::UserSandboxed] {
            let steps = steps(&example(), whose, false);
            assert_eq!(steps.len(), 3);
            assert!(
                steps[0].contains("'/home/me/da ta'") && steps[1].contains("'/opt/to ll/tollgate' service"),
                "{steps:?}"
            );
        }
    }
}
