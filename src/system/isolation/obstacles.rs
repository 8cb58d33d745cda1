//! Which switch of the system forbids networks of one's own, and how it is turned.

use std::fs;
use std::path::Path;

/// What stands in the way, each with its remedy; reads the kernel's switches below `proc` (`/proc`).
pub fn obstacles(proc: &Path) -> Vec<String> {
    let read = |name: &str| fs::read_to_string(proc.join(name)).ok().map(|text| text.trim().to_owned());
    let mut found = Vec::new();
    for (switch, forbids, remedy, why) in SWITCHES {
        if read(&format!("sys/{}", switch.replace('.', "/"))).as_deref() == Some(forbids) {
            found.push(format!("`{switch}` is {forbids}: {why}; change it with `sudo sysctl -w {switch}={remedy}`"));
        }
    }
    // 2 is a filter, as containers have it.
    let is_filtered = read("self/status")
        .is_some_and(|status| status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])));
    if found.is_empty() && is_filtered {
        found.push(CONTAINER.into());
    }
    if found.is_empty() && !proc.join("self/ns/user").exists() {
        found.push("this kernel was built without user namespaces; run it as root".into());
    }
    found
}

/// Switch, the value that forbids, one that allows, and what it is.
const SWITCHES: [(&str, &str, &str, &str); 4] = [
    ("kernel.unprivileged_userns_clone", "0", "1", "only root may make user namespaces"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "0",
        "AppArmor takes the rights in user namespaces from programs without a profile (Ubuntu)",
    ),
    ("user.max_user_namespaces", "0", "15000", "no user namespace may be made"),
    ("user.max_net_namespaces", "0", "15000", "no network namespace may be made"),
];

const CONTAINER: &str = "a filter of system calls is in force, as containers have it; for Docker and Podman, start the \
                         container with `--security-opt seccomp=unconfined` or `--cap-add SYS_ADMIN`";

#[cfg(test)]
mod tests {
    use super::*;

    fn proc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().unwrap();
        for (name, text) in [("self/ns/user", "")].iter().chain(files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn the_very_switch_is_named_with_the_command_that_turns_it() {
        for (file, text, named, command) in [
            (
                "sys/kernel/unprivileged_userns_clone",
                "0\n",
                "kernel.unprivileged_userns_clone",
                "sudo sysctl -w kernel.unprivileged_userns_clone=1",
            ),
            (
                "sys/kernel/apparmor_restrict_unprivileged_userns",
                "1\n",
                "AppArmor",
                "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            ),
            (
                "sys/user/max_net_namespaces",
                "0\n",
                "user.max_net_namespaces",
                "sysctl -w user.max_net_namespaces=15000",
            ),
            ("self/status", "Name:\tx\nSeccomp:\t2\n", "filter", "--cap-add SYS_ADMIN"),
        ] {
            let found = obstacles(proc(&[(file, text)]).path());
            assert_eq!(found.len(), 1, "{file}: {found:?}");
            assert!(found[0].contains(named) && found[0].contains(command), "{found:?}");
        }
    }

    #[test]
    fn a_system_that_allows_it_is_not_accused() {
        let found = obstacles(
            proc(&[
                ("sys/kernel/unprivileged_userns_clone", "1\n"),
                ("sys/kernel/apparmor_restrict_unprivileged_userns", "0\n"),
                ("sys/user/max_user_namespaces", "96365\n"),
                ("self/status", "Seccomp:\t0\n"),
            ])
            .path(),
        );
        assert_eq!(found, Vec::<String>::new());
    }
}
