//! What a redirection is to do, and whether this gate can do it without being led to itself.

use anyhow::anyhow;

use crate::cli::problem::Problem;
use crate::cli::redirect::OnArgs;
use crate::cli::redirect::command::{uid_of, user_behind_sudo};
use crate::cli::redirect::target::{Target, addresses};
use crate::cli::redirect::words::{failed, told, usage};
use crate::config::load::Loaded;
use crate::net::own_traffic::OWN_TRAFFIC;
use crate::system::redirect::capture::{Addresses, Capture, Families, Forwarded, HTTPS, Spared, Who};
use crate::system::redirect::kernel::KernelError;
use crate::system::redirect::listener::{Listener, has_interface};
use crate::system::redirect::record::Added;
use crate::system::redirect::routes;
use crate::system::redirect::tools::Tools;

/// What was asked for, before anything is known of the machine.
pub(super) struct Wanted {
    /// Programs of this machine.
    own: Option<Who>,
    /// The interface, and whether by TPROXY.
    forwarded: Option<(Option<Box<str>>, bool)>,
    /// By the hosts file.
    pub(super) hosts: bool,
}

impl Wanted {
    /// Reads the arguments.
    ///
    /// # Errors
    /// A user or an interface that there is not, or nothing of either.
    pub(super) fn read(args: &OnArgs) -> Result<Self, Problem> {
        let own = match &args.for_uid {
            Some(user) => {
                let uid = uid_of(user).ok_or_else(|| {
                    usage(anyhow!("there is no user `{user}`"), "give a number or a name of /etc/passwd")
                })?;
                Some(Who::User(uid))
            }
            None if args.for_all => Some(Who::All),
            None => None,
        };
        let interface = args.for_interface.as_deref();
        if let Some(name) = interface.filter(|name| !has_interface(name)) {
            return Err(usage(anyhow!("there is no network interface `{name}`"), "`ip link` lists them"));
        }
        let forwarded = (args.tproxy || interface.is_some()).then(|| (interface.map(Box::from), args.tproxy));
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

    /// The rules that are needed; none where the hosts file alone does it.
    ///
    /// # Errors
    /// What the gate or the machine lacks for it.
    pub(super) fn capture(&self, added: &Added, target: &Target, loaded: &Loaded) -> Result<Option<Capture>, Problem> {
        let Target { listener, port, .. } = target;
        if self.hosts && *port == HTTPS {
            return Ok(None);
        }
        let forwarded = match &self.forwarded {
            None => None,
            Some((interface, tproxy)) => Some(forwarded(interface.clone(), *tproxy, target)?),
        };
        let own = if self.hosts { Some(Who::All) } else { self.own };
        let hosts = if self.hosts {
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
}

/// How the gate's own connections are kept out; only traffic of this machine needs it.
fn spared(own: Option<Who>, listener: &Listener) -> Result<Spared, Problem> {
    let mark = listener.marks.then_some(OWN_TRAFFIC);
    let uid = match own {
        // Whoever marks is told apart from other programs of the same user, which are captured too.
        Some(Who::All) if mark.is_none() => Some(listener.uid),
        Some(Who::User(user)) if user == listener.uid && mark.is_none() => {
            let what = format!(
                "the gate runs as the same user ({user}) and cannot mark its connections, so it would be led to itself"
            );
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
    match routes::free(ip, TPROXIED).map_err(|error| told(error.into()))? {
        Some(tproxy) => Ok(Forwarded { interface, tproxy: Some(tproxy) }),
        None => Err(failed(anyhow!("every routing table that could be used is in use"), "`ip rule` lists them")),
    }
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

/// The mark of packets that TPROXY took; "tolp".
const TPROXIED: u32 = 0x746f_6c70;

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the rules keep the gate out: by its mark, by its user, or since its user is not asked for.
    fn keeps_out(own: Who, spared: Spared, gate: &Listener) -> bool {
        let marked = gate.marks && spared.mark == Some(OWN_TRAFFIC);
        marked || spared.uid == Some(gate.uid) || matches!(own, Who::User(user) if user != gate.uid)
    }

    #[test]
    fn the_gate_is_never_led_to_itself() {
        for marks in [false, true] {
            for (own, refused) in
                [(Who::All, false), (Who::User(1000), !marks), (Who::User(7), false), (Who::User(0), false)]
            {
                let gate = Listener { addresses: Vec::new(), uid: 1000, process: None, marks };
                match spared(Some(own), &gate) {
                    Ok(spared) => assert!(!refused && keeps_out(own, spared, &gate), "{own:?} {marks} {spared:?}"),
                    Err(problem) => assert!(refused && problem.to_string().contains("setcap"), "{own:?} {marks}"),
                }
            }
        }
    }

    #[test]
    fn a_gate_that_marks_leaves_other_programs_of_its_user_captured() {
        let gate = Listener { addresses: Vec::new(), uid: 0, process: None, marks: true };
        for own in [Who::All, Who::User(0)] {
            assert_eq!(spared(Some(own), &gate).unwrap(), Spared { mark: Some(OWN_TRAFFIC), uid: None });
        }
    }
}
