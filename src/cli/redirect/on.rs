//! `tollgate redirect on`: writes down what will be added, adds it, and leaves nothing behind where that fails.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};

use crate::cli::problem::Problem;
use crate::cli::redirect::command::{loaded, typed, uid_of, user_behind_sudo, with_sudo};
use crate::cli::redirect::target::{Target, addresses, names};
use crate::cli::redirect::{OnArgs, recorded};
use crate::config::load::Loaded;
use crate::net::own_traffic::OWN_TRAFFIC;
use crate::system::changes::undo::{Undo, Undone};
use crate::system::changes::{Change, Changes, Record};
use crate::system::redirect::capture::{Addresses, Capture, Families, Forwarded, HTTPS, Spared, Tproxy, Who};
use crate::system::redirect::hosts::{with_block, without_blocks};
use crate::system::redirect::hosts_file::{self, HostsError};
use crate::system::redirect::kernel::{Existing, Kernel, KernelError};
use crate::system::redirect::listener::{Listener, has_interface, may_change_rules};
use crate::system::redirect::record::{Added, Place, Rules, Tool};
use crate::system::redirect::tools::Tools;
use crate::system::redirect::undo::{KIND, Redirects};
use crate::system::redirect::{iptables, nft, routes};

/// Redirects connections to the running gate.
///
/// # Errors
/// Whatever stands in the way; then nothing was added.
pub(super) fn run(args: &OnArgs, config: Option<&PathBuf>) -> Result<(), Problem> {
    let wanted = Wanted::read(args)?;
    let loaded = loaded(config)?;
    let names = names(&loaded, &args.host)?;
    if !args.dry_run {
        check_privilege(config)?;
    }
    let changes = Changes::at(&loaded.setup.state);
    let target = Target::find(&loaded.setup, &changes)?;
    // Nobody else may write rules of ours between the look at what is there and our own.
    let _alone = if args.dry_run { None } else { Some(changes.claim().context("cannot write the journal of changes")?) };
    let kernel = Kernel::new(Tools::find());
    if !args.dry_run {
        refuse_existing(&changes, kernel.as_ref(), config)?;
    }
    let mut added = Added {
        id: id()?.into(),
        place: Place::here().context("cannot tell this network namespace")?,
        names,
        command: with_sudo("off", config).into(),
        rules: None,
        hosts: None,
    };
    if wanted.hosts {
        added.hosts = Some(args.hosts_file.clone());
        refuse_block(&args.hosts_file)?;
    }
    if let Some(capture) = capture(&wanted, &added, &target, &loaded)? {
        let tool = kernel.as_ref().map_or(Tool::Nft, Kernel::tool);
        added.rules = Some(Rules { tool, capture });
    }
    if args.dry_run {
        return Ok(show(&added)?);
    }
    let warning = added.rules.as_ref().and_then(|rules| gap(&rules.capture));
    add(&changes, &target, kernel, &added)?;
    Ok(greet(&added, warning.as_deref(), config)?)
}

/// Puts the addresses of now in place of those in force.
///
/// # Errors
/// Nothing is on, or a name or the rules do not do what they should; then what was in force still is.
pub(super) fn refresh(args: &OnArgs, config: Option<&PathBuf>) -> Result<(), Problem> {
    let loaded = loaded(config)?;
    let changes = Changes::at(&loaded.setup.state);
    let Some((record, mut added)) = recorded(&changes)? else {
        return Err(failed(anyhow!("nothing is redirected"), "`tollgate redirect on` does that"));
    };
    if added.hosts.is_some() {
        return Err(failed(anyhow!("the hosts file leads names to the gate, which has no addresses to refresh"), "nothing is to be done"));
    }
    let hosts = addresses(&added.names, &loaded.setup)?;
    let Some(rules) = &mut added.rules else { return Ok(()) };
    if args.dry_run {
        return Ok(io::stdout().lock().write_all(nft::refresh(&hosts).as_bytes())?);
    }
    check_privilege(config)?;
    let _alone = changes.claim().context("cannot write the journal of changes")?;
    let kernel = Kernel::of(Tools::find(), rules.tool);
    if kernel.existing().map_err(told)? != Existing::Ours(added.id.clone()) {
        let hint = format!("`{}` clears the record, and `on` adds them again", with_sudo("off", config));
        return Err(failed(anyhow!("the rules that were added are no longer there"), &hint));
    }
    kernel.refresh(&rules.capture, &hosts).map_err(told)?;
    rules.capture.hosts = hosts;
    let shown = listed(&rules.capture.hosts);
    let data = serde_json::to_value(&added).context("the record cannot be written")?;
    changes.write(&Record { data, ..record }).context("cannot write the journal of changes")?;
    Ok(writeln!(io::stdout().lock(), "addresses  {shown}")?)
}

/// What was asked for, before anything is known of the machine.
struct Wanted {
    own: Option<Who>,
    /// The interface, and whether by TPROXY.
    forwarded: Option<(Option<Box<str>>, bool)>,
    hosts: bool,
}

impl Wanted {
    fn read(args: &OnArgs) -> Result<Self, Problem> {
        let own = match &args.for_uid {
            Some(user) => {
                let uid = uid_of(user).ok_or_else(|| usage(anyhow!("there is no user `{user}`"), "give a number or a name of /etc/passwd"))?;
                Some(Who::User(uid))
            }
            None if args.for_all => Some(Who::All),
            None => None,
        };
        let interface = args.for_interface.as_deref();
        if let Some(name) = interface.filter(|name| !has_interface(name)) {
            return Err(usage(anyhow!("there is no network interface `{name}`"), "`ip link` lists them"));
        }
        let forwarded =
            (args.tproxy || interface.is_some()).then(|| (interface.map(Box::from), args.tproxy));
        if args.hosts || own.is_some() || forwarded.is_some() {
            return Ok(Self { own, forwarded, hosts: args.hosts });
        }
        match user_behind_sudo() {
            Some(uid) => Ok(Self { own: Some(Who::User(uid)), forwarded, hosts: false }),
            None => Err(usage(
                anyhow!("whose connections are to be redirected?"),
                "say `--for-uid USER`, `--for-all`, `--for-interface NAME` or `--hosts`",
            )),
        }
    }
}

/// The rules that are needed; none where the hosts file alone does it.
fn capture(wanted: &Wanted, added: &Added, target: &Target, loaded: &Loaded) -> Result<Option<Capture>, Problem> {
    let Target { listener, port, .. } = target;
    if wanted.hosts && *port == HTTPS {
        return Ok(None);
    }
    let forwarded = match &wanted.forwarded {
        None => None,
        Some((interface, tproxy)) => Some(forwarded(interface.clone(), *tproxy, target)?),
    };
    let own = if wanted.hosts { Some(Who::All) } else { wanted.own };
    let hosts = if wanted.hosts {
        refuse_other_listener()?;
        Addresses::loopback()
    } else {
        addresses(&added.names, &loaded.setup)?
    };
    let listens = listener.on_loopback();
    if listens == Families::default() {
        let hint = "set `listen.transparent` to `127.0.0.1:PORT`, and start the gate anew";
        return Err(failed(anyhow!("the gate does not listen on loopback for redirected connections"), hint));
    }
    let spared = spared(own, listener)?;
    Ok(Some(Capture {
        id: added.id.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        port: *port,
        hosts,
        listens,
        spared,
        own,
        forwarded,
    }))
}

/// How the gate's own connections are kept out; only traffic of this machine needs it.
fn spared(own: Option<Who>, listener: &Listener) -> Result<Spared, Problem> {
    let mark = listener.marks.then_some(OWN_TRAFFIC);
    let uid = match own {
        // Whoever marks is told apart from other programs of the same user, which are captured too.
        Some(Who::All) if mark.is_none() => Some(listener.uid),
        Some(Who::User(user)) if user == listener.uid && mark.is_none() => {
            let what = format!("the gate runs as the same user ({user}) and cannot mark its connections, so it would be led to itself");
            let hint = "start the gate as another user, or with the right to mark: `sudo setcap cap_net_admin+ep` on the program, or `AmbientCapabilities=CAP_NET_ADMIN` in its unit";
            return Err(failed(anyhow!(what), hint));
        }
        Some(Who::User(user)) if user != listener.uid => Some(listener.uid),
        _ => None,
    };
    Ok(Spared { mark, uid })
}

fn forwarded(interface: Option<Box<str>>, tproxy: bool, target: &Target) -> Result<Forwarded, Problem> {
    if !tproxy {
        if target.listener.on_every_address() == Families::default() {
            let what = "the gate listens on loopback only, where connections of an interface do not arrive by REDIRECT";
            return Err(failed(anyhow!(what), "add `--tproxy`"));
        }
        return Ok(Forwarded { interface, tproxy: None });
    }
    if !target.listener.marks {
        let what = "the gate may not take connections to other addresses (CAP_NET_ADMIN), which TPROXY needs";
        let hint = "start it as root, with `sudo setcap cap_net_admin+ep` on the program, or `AmbientCapabilities=CAP_NET_ADMIN` in its unit";
        return Err(failed(anyhow!(what), hint));
    }
    let tools = Tools::find();
    let Some(ip) = &tools.ip else { return Err(told(KernelError::Missing("ip (package iproute2)"))) };
    let free = routes::free(ip, TPROXIED).map_err(|error| told(error.into()))?;
    let tproxy: Option<Tproxy> = free;
    match tproxy {
        Some(tproxy) => Ok(Forwarded { interface, tproxy: Some(tproxy) }),
        None => Err(failed(anyhow!("every routing table that could be used is in use"), "`ip rule` lists them")),
    }
}

/// Adds what is written down; where that fails, takes it back.
fn add(changes: &Changes, target: &Target, kernel: Result<Kernel, KernelError>, added: &Added) -> Result<(), Problem> {
    let kernel = match (&added.rules, kernel) {
        (None, _) => None,
        (Some(_), kernel) => Some(kernel.map_err(told)?),
    };
    let data = serde_json::to_value(added).context("the record cannot be written")?;
    let what = match (&added.rules, &added.hosts) {
        (_, Some(file)) => format!("the block in `{}`", file.display()),
        _ => "the redirect rules of the kernel".into(),
    };
    let change = Change { kind: KIND, what, gate: Some(target.gate.clone()), data };
    let record = changes.note(change).context("cannot write the journal of changes; nothing was changed")?;
    let outcome = put(kernel.as_ref(), added);
    if outcome.is_err() && !matches!(Redirects.undo(&record.data), Undone::Blocked { .. }) {
        changes.forget(&record).context("cannot clear the journal of changes")?;
    }
    outcome
}

fn put(kernel: Option<&Kernel>, added: &Added) -> Result<(), Problem> {
    if let (Some(kernel), Some(rules)) = (kernel, &added.rules) {
        kernel.add(&rules.capture).map_err(told)?;
    }
    if let Some(file) = &added.hosts {
        let text = hosts_file::read(file).map_err(hosts_problem)?;
        hosts_file::write(file, &with_block(&text, &added.id, &added.names)).map_err(hosts_problem)?;
    }
    Ok(())
}

fn refuse_existing(changes: &Changes, kernel: Result<&Kernel, &KernelError>, config: Option<&PathBuf>) -> Result<(), Problem> {
    let (off, refresh) = (with_sudo("off", config), with_sudo("on --refresh", config));
    let here = Place::here().context("cannot tell this network namespace")?;
    if let Some((record, added)) = recorded(changes)? {
        if added.place == here || added.hosts.is_some() {
            let hints = [format!("`{refresh}` looks the addresses up again"), format!("`{off}` removes it first")];
            return Err(Problem::failed(anyhow!("a redirection is already on, since {}", record.at), hints));
        }
        // That of an earlier boot, or of a namespace that has gone.
        if matches!(Redirects.undo(&record.data), Undone::Blocked { .. }) {
            let what = format!("a redirection of this configuration is on in another network namespace, {}", added.place.namespace);
            return Err(failed(anyhow!(what), "remove it there with `tollgate redirect off`"));
        }
        changes.forget(&record).context("cannot clear the journal of changes")?;
    }
    let Ok(kernel) = kernel else { return Ok(()) };
    let (what, look, remove) = match kernel.tool() {
        Tool::Nft => ("table `inet tollgate`", "nft list table inet tollgate", "nft delete table inet tollgate"),
        Tool::Iptables => ("chains `TOLLGATE_...`", "iptables-save", "iptables -D, -F and -X"),
    };
    match kernel.existing().map_err(told)? {
        Existing::None => Ok(()),
        Existing::Foreign => {
            let hint = format!("look at it with `{look}`; if nobody needs it, remove it with `{remove}`");
            Err(failed(anyhow!("{what} exists already, and is not from this program; it was left as it is"), &hint))
        }
        Existing::Ours(id) => {
            let hint = format!("another configuration's gate may have added it, whose `tollgate redirect off --config FILE` removes it; look at it with `{look}`; if nobody needs it, remove it with `{remove}`");
            Err(failed(anyhow!("{what} exists already, with an id ({id}) that this configuration did not give; it was left as it is"), &hint))
        }
    }
}

fn refuse_block(file: &std::path::Path) -> Result<(), Problem> {
    let text = hosts_file::read(file).map_err(hosts_problem)?;
    if without_blocks(&text).ids.is_empty() {
        return Ok(());
    }
    let what = format!("`{}` has a block of tollgate already", file.display());
    Err(failed(anyhow!(what), "`tollgate redirect off` removes it"))
}

/// By the hosts file, programs come to port 443 of this machine; somebody else's server there would be cut off.
fn refuse_other_listener() -> Result<(), Problem> {
    let found = Listener::find(HTTPS).ok().flatten();
    if found.is_none() {
        return Ok(());
    }
    let what = "something else listens on port 443 of this machine, where the hosts file would lead programs";
    Err(failed(anyhow!(what), "stop it, or redirect by addresses (without --hosts)"))
}

fn check_privilege(config: Option<&PathBuf>) -> Result<(), Problem> {
    if may_change_rules().context("cannot tell what this process may do")? {
        return Ok(());
    }
    let hint = format!("type `{}`", with_sudo(&typed(), config));
    Err(failed(anyhow!("changing the kernel's rules needs root (CAP_NET_ADMIN)"), &hint))
}

/// What is captured less than it seems.
fn gap(capture: &Capture) -> Option<String> {
    match (capture.own, capture.spared) {
        (Some(Who::All), Spared { mark: None, uid: Some(uid) }) => Some(format!(
            "programs of the user that the gate runs as ({uid}) are not captured, since it cannot mark its connections; start it with CAP_NET_ADMIN to capture them too"
        )),
        _ => None,
    }
}

/// What would be added.
fn show(added: &Added) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if let Some(Rules { tool, capture }) = &added.rules {
        if let Some(tproxy) = capture.forwarded.as_ref().and_then(|forwarded| forwarded.tproxy) {
            routes::shown(tproxy).iter().try_for_each(|line| writeln!(out, "# {line}"))?;
        }
        match tool {
            Tool::Nft => write!(out, "{}", nft::table(capture))?,
            Tool::Iptables => {
                use crate::system::redirect::capture::Family;
                write!(out, "# iptables-restore --noflush\n{}", iptables::add(capture, Family::V4))?;
                write!(out, "# ip6tables-restore --noflush\n{}", iptables::add(capture, Family::V6))?;
            }
        }
    }
    if added.hosts.is_some() {
        write!(out, "{}", with_block("", &added.id, &added.names))?;
    }
    out.flush()
}

fn greet(added: &Added, warning: Option<&str>, config: Option<&PathBuf>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "redirected {}", added.names.join(", "))?;
    if let Some(rules) = &added.rules {
        writeln!(out, "addresses  {}", listed(&rules.capture.hosts))?;
        writeln!(out, "to         port {}", rules.capture.port)?;
    }
    if let Some(file) = &added.hosts {
        writeln!(out, "by         {}", file.display())?;
    }
    writeln!(out, "\nSubdomains are not captured: they cannot be listed. `--host NAME` adds one.")?;
    if added.hosts.is_none() {
        writeln!(out, "Addresses are those of now: `{}` looks them up again.", with_sudo("on --refresh", config))?;
        writeln!(out, "Connections that are open already go on as they are.")?;
    }
    writeln!(out, "`{}` removes exactly what was added.", with_sudo("off", config))?;
    if let Some(warning) = warning {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    out.flush()
}

/// Addresses on one line.
pub(super) fn listed(hosts: &Addresses) -> String {
    hosts.iter().map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}

/// A failure of the kernel's tools.
pub(super) fn told(error: KernelError) -> Problem {
    let hint = match &error {
        KernelError::NoTool => Some("install the package nftables (or iptables)".to_owned()),
        KernelError::Missing(_) => Some("install it".to_owned()),
        KernelError::Tool(_) => None,
    };
    Problem::failed(error, hint)
}

fn hosts_problem(error: HostsError) -> Problem {
    let hint = error.hint();
    Problem::failed(error, [hint])
}

fn failed(error: anyhow::Error, hint: &str) -> Problem {
    Problem::failed(error, [hint.to_owned()])
}

fn usage(error: anyhow::Error, hint: &str) -> Problem {
    Problem::usage(error, [hint.to_owned()])
}

/// 16 hexadecimal digits that nobody has drawn before.
fn id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random numbers"))?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// The mark of packets that TPROXY took; "tolp".
const TPROXIED: u32 = 0x746f_6c70;
