//! `tollgate run`: one program through the running gate.

pub mod isolate;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, anyhow};

use crate::cli::arguments::{ConfigArgs, RunArgs};
use crate::cli::ask::ask;
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::config::load::Loaded;
use crate::net::host::{Host, HostPattern};

/// Becomes the program, with an environment in which its calls go through the gate; so its exit status, its signals
/// and its terminal are its own.
///
/// # Errors
/// No gate runs as the configuration says, or the program cannot be started.
pub fn run(args: &RunArgs) -> Result<(), Problem> {
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    find_gate(&loaded)?;
    let Some((program, rest)) = args.command.split_first() else { return Err(anyhow!("no program is named").into()) };
    let mut command = Command::new(program);
    command.args(rest);
    let environment = Environment { loaded: &loaded, label: args.label.as_deref() };
    for (name, value) in environment.variables(&|name| env::var_os(name)) {
        command.env(name, value);
    }
    for warning in environment.warnings(&|name| env::var_os(name)) {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    if args.isolate {
        isolate::enter(&loaded, args.label.as_deref())?;
        isolate::PROXIES.iter().for_each(|name| {
            command.env_remove(name);
        });
    }
    // Returns only where it failed.
    let cause = command.exec();
    // As shells have it.
    let code = if cause.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let named = program.to_string_lossy();
    let mut problem: Problem =
        anyhow::Error::from(cause).context(format!("cannot run `{}`", named.escape_debug())).into();
    problem.code = code;
    Err(problem)
}

/// The label as an argument: what survives the way through a URL and a header.
///
/// # Errors
/// In words for the user.
pub fn label(text: &str) -> Result<String, String> {
    if text.is_empty() || text.trim() != text {
        return Err("a label must not be empty or begin or end with a space".into());
    }
    if text.len() > LONGEST || text.contains(|letter: char| letter == ':' || letter.is_control()) {
        return Err(format!("a label has at most {LONGEST} bytes, and no `:` or control character"));
    }
    Ok(text.into())
}

/// Makes sure that the gate of this configuration runs, and that it is the one whose certificates programs will trust.
fn find_gate(loaded: &Loaded) -> Result<(), Problem> {
    let setup = &loaded.setup;
    if setup.proxy.port() == 0 || setup.admin.port() == 0 {
        let error = anyhow!("the configuration lets the gate listen on any free port, so that it cannot be found");
        return Err(Problem::usage(error, ["give `listen.proxy` and `listen.admin` a port".into()]));
    }
    let root = ask(&setup.admin.to_string(), "/ca.pem", None).map_err(|error| {
        let hint = "start one with `tollgate serve` and the same configuration; it runs beside the program";
        Problem::failed(error, [hint.into()])
    })?;
    for name in [ROOT, BUNDLE] {
        let path = setup.certs.join(name);
        let text = std::fs::read(&path)
            .with_context(|| format!("cannot read `{}`, which programs are to trust", path.display()))?;
        if name == ROOT && text.trim_ascii() != root.trim_ascii() {
            let error = anyhow!("the gate at `{}` has another certificate than `{}`", setup.admin, path.display());
            let hint = "use the configuration that the gate runs with, or restart the gate";
            return Err(Problem::failed(error, [hint.into()]));
        }
    }
    Ok(())
}

/// What a program's environment is made of.
struct Environment<'a> {
    loaded: &'a Loaded,
    label: Option<&'a str>,
}

impl Environment<'_> {
    /// What is set, over what is there already.
    fn variables(&self, now: &dyn Fn(&str) -> Option<OsString>) -> Vec<(&'static str, OsString)> {
        let certs = &self.loaded.setup.certs;
        let proxy = self.proxy();
        let spared = self.spared(now).into();
        let (bundle, root) = (certs.join(BUNDLE).into_os_string(), certs.join(ROOT).into_os_string());
        let all = |names: &[&'static str], value: &OsString| -> Vec<_> {
            names.iter().map(|name| (*name, value.clone())).collect()
        };
        [
            all(&["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"], &proxy.into()),
            all(&["NO_PROXY", "no_proxy"], &spared),
            all(&BUNDLED, &bundle),
            all(&ADDED, &root),
            // Node looks at the proxy variables only if it is told to.
            all(&["NODE_USE_ENV_PROXY"], &"1".into()),
        ]
        .concat()
    }

    /// The proxy's URL, the label its user. Some clients send no user without a password, so there is one that says
    /// nothing.
    fn proxy(&self) -> String {
        let at = self.loaded.setup.proxy;
        match self.label {
            None => format!("http://{at}"),
            Some(label) => format!("http://{}:x@{at}", in_url(label)),
        }
    }

    /// The hosts that go past the gate: what the user has spared already, but for what is intercepted, and this machine.
    fn spared(&self, now: &dyn Fn(&str) -> Option<OsString>) -> String {
        let given = now("no_proxy").or_else(|| now("NO_PROXY")).unwrap_or_default();
        let given = given.to_string_lossy();
        let intercepted = self.loaded.policy.interception.hosts();
        let kept = given.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty() && !hides(host, intercepted));
        let mut hosts: Vec<&str> = kept.collect();
        hosts.extend(OWN.iter().filter(|own| !given.split([',', ' ']).any(|host| host.trim() == **own)));
        hosts.join(",")
    }

    fn warnings(&self, now: &dyn Fn(&str) -> Option<OsString>) -> Vec<String> {
        let certs = &self.loaded.setup.certs;
        let others =
            |name: &&str| now(name).is_some_and(|path| !path.is_empty() && !Path::new(&path).starts_with(certs));
        let names: Vec<&str> = BUNDLED.iter().chain(&ADDED).copied().filter(others).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let bundle = certs.join(BUNDLE);
        vec![format!(
            "{} named certificates of your own; the program trusts `{}`, which holds them only if the gate was started \
             with the same variables",
            names.join(", "),
            bundle.display()
        )]
    }
}

/// Whether an entry of `NO_PROXY` would lead calls past the gate.
fn hides(entry: &str, intercepted: &[HostPattern]) -> bool {
    let name =
        entry.rsplit_once(':').map_or(entry, |(name, port)| if port.parse::<u16>().is_ok() { name } else { entry });
    let name = name.trim_start_matches('*').trim_start_matches('.');
    if name.is_empty() {
        return true;
    }
    let Ok(host) = name.parse::<Host>() else { return false };
    // Either lies below the other.
    let above = |pattern: &HostPattern| {
        let spared = name.parse::<HostPattern>();
        let inner = pattern.name().parse::<Host>();
        spared.is_ok_and(|spared| inner.is_ok_and(|inner| spared.matches(&inner)))
    };
    intercepted.iter().any(|pattern| pattern.matches(&host) || above(pattern))
}

/// A text as the user of a URL.
fn in_url(text: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// Of the files beside the authority: its certificate, and that with all that the machine trusts.
const ROOT: &str = "ca.pem";
const BUNDLE: &str = "bundle.pem";
/// Variables that replace the machine's certificates.
const BUNDLED: [&str; 5] = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE"];
/// Variables that add to them.
const ADDED: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];
/// This machine's own names, which have nothing to do with the gate.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Bytes of a label that the books take.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_calls_past_the_gate_is_no_longer_spared() {
        let intercepted: Vec<HostPattern> =
            ["api.openai.com", "openai.azure.com"].map(|name| name.parse().unwrap()).into();
        for entry in
            ["*", "openai.com", ".openai.com", "*.openai.com", "API.openai.com", "eu.api.openai.com:443", "com"]
        {
            assert!(hides(entry, &intercepted), "{entry}");
        }
        for entry in
            ["example.com", "localhost", "127.0.0.1", "10.0.0.0/8", "::1", "notopenai.com", "platform.openai.com"]
        {
            assert!(!hides(entry, &intercepted), "{entry}");
        }
    }

    #[test]
    fn labels_survive_the_url_of_a_proxy_or_are_refused() {
        assert_eq!(in_url("tëam a/b@c"), "t%C3%ABam%20a%2Fb%40c");
        for bad in ["", " a", "a:b", "a\nb", &"x".repeat(129)] {
            assert!(label(bad).is_err(), "{bad:?}");
        }
        assert_eq!(label("team a").as_deref(), Ok("team a"));
    }
}
