//! The runtimes that are looked for, and how each is made to send one request: a pure table.
//!
//! In arguments `{url}` stands for what is asked for, `{library}` for the library that is to ask, and `{folder}` for a
//! folder of the probe's own, which holds its files. `{unconfined}` is left out unless the user is root.

use clap::ValueEnum;

/// A runtime by the name of its program.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Kind {
    Curl,
    Wget,
    Git,
    Python,
    Node,
    Deno,
    Bun,
    Java,
    Go,
    Dotnet,
    Ruby,
    Php,
    Chromium,
    Firefox,
}

/// How a runtime is found and probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runtime {
    /// Which.
    pub(super) kind: Kind,
    /// Its name for people.
    pub(super) name: &'static str,
    /// The names of its program; the first that is found counts, for Python each of them.
    pub(super) programs: &'static [&'static str],
    /// What makes it say its version.
    pub(super) version: &'static [&'static str],
    /// Which of its libraries are probed.
    pub(super) libraries: Libraries,
    /// What makes it ask; empty where it cannot be seen from outside what became of it.
    pub(super) probe: &'static [&'static str],
    /// What it needs in its folder: name and text.
    pub(super) file: Option<(&'static str, &'static str)>,
    /// Variables beside those of `tollgate run`.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

/// The libraries of a runtime.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Libraries {
    /// It has one way to ask.
    One,
    /// These.
    These(&'static [&'static str]),
    /// The lines after the first of what it says of its version, each a name with or without a version.
    Said,
}

impl Runtime {
    /// Its row.
    pub(super) fn of(kind: Kind) -> Option<&'static Self> {
        RUNTIMES.iter().find(|runtime| runtime.kind == kind)
    }

    /// The arguments of one probe.
    pub(super) fn arguments(&self, url: &str, library: &str, folder: &str, is_root: bool) -> Vec<String> {
        let wanted = self.probe.iter().filter(|argument| is_root || **argument != UNCONFINED);
        let filled = |argument: &&str| match *argument {
            UNCONFINED => "--no-sandbox".to_owned(),
            argument => argument.replace("{url}", url).replace("{library}", library).replace("{folder}", folder),
        };
        wanted.map(filled).collect()
    }
}

const UNCONFINED: &str = "{unconfined}";
const FETCH: &str = "console.log(await (await fetch('{url}')).text())";

const BARE: Runtime = Runtime {
    kind: Kind::Curl,
    name: "curl",
    programs: &["curl"],
    version: &["--version"],
    libraries: Libraries::One,
    probe: &["-sS", "--max-time", "15", "{url}"],
    file: None,
    variables: &[],
};

/// In the order in which they are shown.
pub(super) const RUNTIMES: [Runtime; 14] = [
    BARE,
    Runtime {
        kind: Kind::Wget,
        name: "wget",
        programs: &["wget"],
        probe: &["-nv", "-O", "-", "--tries=1", "--timeout=15", "{url}"],
        ..BARE
    },
    Runtime {
        kind: Kind::Git,
        name: "git",
        programs: &["git"],
        probe: &["ls-remote", "{url}"],
        variables: &[("GIT_TERMINAL_PROMPT", "0")],
        ..BARE
    },
    Runtime {
        kind: Kind::Python,
        name: "Python",
        programs: &["python3", "python"],
        version: &["-c", include_str!("scripts/list.py")],
        libraries: Libraries::Said,
        probe: &["-c", include_str!("scripts/probe.py"), "{library}", "{url}"],
        ..BARE
    },
    Runtime {
        kind: Kind::Node,
        name: "Node",
        programs: &["node", "nodejs"],
        version: &["-e", include_str!("scripts/list.cjs")],
        libraries: Libraries::Said,
        probe: &["-e", include_str!("scripts/probe.cjs"), "{library}", "{url}"],
        ..BARE
    },
    Runtime { kind: Kind::Deno, name: "Deno", programs: &["deno"], probe: &["eval", FETCH], ..BARE },
    Runtime { kind: Kind::Bun, name: "Bun", programs: &["bun"], probe: &["-e", FETCH], ..BARE },
    Runtime {
        kind: Kind::Java,
        name: "Java",
        programs: &["java"],
        version: &["-version"],
        libraries: Libraries::These(&["HttpClient", "HttpURLConnection"]),
        probe: &["-XX:TieredStopAtLevel=1", "{folder}/Probe.java", "{library}", "{url}"],
        file: Some(("Probe.java", include_str!("scripts/Probe.java"))),
        ..BARE
    },
    Runtime {
        kind: Kind::Go,
        name: "Go",
        programs: &["go"],
        version: &["version"],
        probe: &["run", "{folder}/probe.go", "{url}"],
        file: Some(("probe.go", include_str!("scripts/probe.go"))),
        // Nothing is to be fetched, and no settings of a project apply.
        variables: &[("GO111MODULE", "off"), ("GOFLAGS", ""), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")],
        ..BARE
    },
    Runtime {
        kind: Kind::Dotnet,
        name: ".NET",
        programs: &["dotnet"],
        probe: &["fsi", "--quiet", "--exec", "{folder}/probe.fsx", "{url}"],
        file: Some(("probe.fsx", include_str!("scripts/probe.fsx"))),
        variables: &[("DOTNET_CLI_TELEMETRY_OPTOUT", "1"), ("DOTNET_NOLOGO", "1")],
        ..BARE
    },
    Runtime {
        kind: Kind::Ruby,
        name: "Ruby",
        programs: &["ruby"],
        probe: &["-rnet/http", "-e", "puts Net::HTTP.get(URI(ARGV[0]))", "{url}"],
        ..BARE
    },
    Runtime {
        kind: Kind::Php,
        name: "PHP",
        programs: &["php"],
        version: &["-r", include_str!("scripts/list.php")],
        libraries: Libraries::Said,
        probe: &["-r", include_str!("scripts/probe.php"), "--", "{library}", "{url}"],
        ..BARE
    },
    Runtime {
        kind: Kind::Chromium,
        name: "Chromium",
        programs: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"],
        probe: &[
            "--headless=new",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--user-data-dir={folder}/profile",
            UNCONFINED,
            "--dump-dom",
            "{url}",
        ],
        ..BARE
    },
    Runtime { kind: Kind::Firefox, name: "Firefox", programs: &["firefox", "firefox-esr"], probe: &[], ..BARE },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_can_be_named_and_asks_for_the_url_by_the_library_wanted() {
        for kind in Kind::value_variants() {
            let runtime = Runtime::of(*kind).unwrap();
            let arguments = runtime.arguments("https://h/n1", "LIB", "/f", true);
            let all = arguments.join("\n");
            assert_eq!(all.contains("https://h/n1"), *kind != Kind::Firefox, "{}", runtime.name);
            assert_eq!(arguments.contains(&"LIB".to_owned()), runtime.libraries != Libraries::One, "{}", runtime.name);
            for left in ["{url}", "{library}", "{folder}", UNCONFINED] {
                assert!(!all.contains(left), "{}: {left}", runtime.name);
            }
            if let Some((name, text)) = runtime.file {
                assert!(arguments.contains(&format!("/f/{name}")) && !text.is_empty(), "{}", runtime.name);
            }
        }
    }

    #[test]
    fn only_for_root_a_browser_goes_without_its_sandbox() {
        let browser = Runtime::of(Kind::Chromium).unwrap();
        for is_root in [true, false] {
            let arguments = browser.arguments("u", "", "/f", is_root);
            assert_eq!(arguments.contains(&"--no-sandbox".to_owned()), is_root);
            assert!(arguments.contains(&"--user-data-dir=/f/profile".to_owned()), "never the user's own profile");
        }
    }
}
