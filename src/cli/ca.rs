//! `tollgate ca`: the certificate authority.

pub mod trust;

use std::fs;
use std::io::{self, Write};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;

use crate::ca::authority::Authority;
use crate::ca::bundle::write_bundle;
use crate::cli::arguments::{CaArgs, CaCommand, ConfigArgs};
use crate::cli::problem::Problem;
use crate::cli::sources::{inherited, loaded};
use crate::system::roots::machine_roots;

/// Shows, exports or renews the certificate authority of this configuration, or tells the machine whether to trust it.
///
/// # Errors
/// Files that cannot be read or written.
pub fn run(args: &CaArgs) -> Result<(), Problem> {
    let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
    let hosts = loaded.policy.interception.hosts();
    let permitted: Vec<String> = hosts.iter().map(|pattern| pattern.name().to_owned()).collect();
    let dir = &loaded.setup.certs;
    match &args.what {
        CaCommand::Trust(args) => return trust::trust(args, &Authority::open(dir, &permitted)?, &loaded),
        CaCommand::Untrust(args) => return trust::untrust(args, &loaded),
        CaCommand::Show { .. } | CaCommand::Export { .. } | CaCommand::Renew => {}
    }
    let mut out = io::stdout().lock();
    match &args.what {
        CaCommand::Show { json } => show(&Authority::open(dir, &permitted)?, *json, &mut out)?,
        CaCommand::Export { to, der } => {
            let authority = Authority::open(dir, &permitted)?;
            let bytes = if *der { authority.root_der() } else { authority.root_pem().as_bytes() };
            match to {
                None => out.write_all(bytes)?,
                Some(path) => fs::write(path, bytes)
                    .with_context(|| format!("cannot write the certificate to `{}`", path.display()))?,
            }
        }
        CaCommand::Trust(_) | CaCommand::Untrust(_) => {}
        CaCommand::Renew => {
            let old = trust::current(dir);
            let authority = Authority::renew(dir, &permitted)?;
            write_bundle(&authority, &machine_roots().certificates, &inherited())?;
            show(&authority, false, &mut out)?;
            writeln!(out, "\nThe authority is new: restart the gate, and let every client trust the new ca.pem.")?;
            if let Some(old) = old {
                writeln!(out, "Where stores trust the old one: tollgate ca untrust --fingerprint {old}")?;
            }
        }
    }
    Ok(())
}

fn show(authority: &Authority, as_json: bool, out: &mut dyn Write) -> Result<(), Problem> {
    let until = Timestamp::try_from(authority.not_after()).context("the end of the authority is no time")?;
    let file = authority.root_path();
    if as_json {
        let shown = json!({
            "file": file, "fingerprint": authority.fingerprint(), "permitted": authority.permitted(), "notAfter": until,
        });
        writeln!(out, "{shown:#}")?;
        return Ok(());
    }
    writeln!(out, "certificate  {}", file.display())?;
    writeln!(out, "sha-256      {}", authority.fingerprint())?;
    writeln!(out, "may sign     {} (and below), no address", authority.permitted().join(", "))?;
    writeln!(out, "until        {until}")?;
    writeln!(out, "root key     destroyed when it was made")?;
    Ok(())
}
