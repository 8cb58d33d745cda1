//! `tollgate ca trust` and `ca untrust`: the certificate in the trust stores of this machine and this user.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};

use crate::ca::authority::Authority;
use crate::cli::problem::Problem;
use crate::config::load::Loaded;
use crate::system::changes::{Change, Changes, Record};
use crate::system::commands::Machine;
use crate::system::roots::read_pem;
use crate::system::trust::certificate::Certificate;
use crate::system::trust::hands::{Hands, Trouble};
use crate::system::trust::search::{Places, java, nss, system};
use crate::system::trust::{Outcome, Store};

/// Which stores, and how.
#[derive(Args, Clone, Debug)]
pub struct TrustArgs {
    /// Only the store of the operating system, and others that are named too
    #[arg(long)]
    pub system: bool,
    /// Only the databases of Chromium and Firefox, and others that are named too
    #[arg(long)]
    pub nss: bool,
    /// Only the roots of each Java, and others that are named too
    #[arg(long)]
    pub java: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where the system begins
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// `tollgate ca untrust`.
#[derive(Args, Clone, Debug)]
pub struct UntrustArgs {
    /// Which stores, and how.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Of which certificate, by its SHA-256, such as that of an earlier authority; else of every one that `ca trust` was
    /// used for
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: Option<String>,
}

/// Lets every store that is found trust the authority's certificate.
///
/// # Errors
/// A store that does not, after the others were done.
pub fn trust(args: &TrustArgs, authority: &Authority, loaded: &Loaded) -> Result<(), Problem> {
    let hands = hands(args);
    let certificate = Certificate::of(authority.root_der());
    let stores = stores(args, loaded, &hands)?;
    let changes = Changes::at(&loaded.setup.state);
    let is_known = recorded(&changes)?.iter().any(|(_, other)| *other == certificate);
    let noted = if is_known || args.dry_run { None } else { Some(note(&changes, authority)?) };
    let file = authority.root_path();
    let file = file.canonicalize().with_context(|| format!("cannot find `{}`", file.display()))?;
    let rows = stores.iter().map(|store| {
        let outcome = store.trust(&certificate, &file.display().to_string(), &hands);
        Row::new(&certificate, store, outcome)
    });
    let rows: Vec<Row> = rows.collect();
    if let Some(record) = noted.filter(|_| rows.iter().all(|row| row.trouble().is_some())) {
        changes.forget(&record)?;
    }
    show(&rows, args.json)?;
    verdict(&rows)
}

/// Takes our certificates out of every store that is found.
///
/// # Errors
/// A store that still has one, after the others were done.
pub fn untrust(args: &UntrustArgs, loaded: &Loaded) -> Result<(), Problem> {
    let changes = Changes::at(&loaded.setup.state);
    let recorded = recorded(&changes)?;
    let mut wanted: Vec<Certificate> = recorded.iter().map(|(_, certificate)| certificate.clone()).collect();
    // The folder of the authority may be gone; no new one is made for this.
    let current = read_pem(&loaded.setup.certs.join("ca.pem")).unwrap_or_default();
    wanted.extend(current.iter().map(|der| Certificate::of(der)));
    if let Some(text) = &args.fingerprint {
        let asked = Certificate::by_fingerprint(text).ok_or_else(|| {
            let error = anyhow!("`{}` is no SHA-256 fingerprint", text.escape_debug());
            Problem::usage(error, ["`tollgate ca show` prints that of the present authority".into()])
        })?;
        let known = wanted.iter().find(|certificate| certificate.fingerprint() == asked.fingerprint()).cloned();
        wanted = vec![known.unwrap_or(asked)];
    }
    wanted.sort_by_key(Certificate::fingerprint);
    wanted.dedup();
    if wanted.is_empty() {
        let error = anyhow!("no certificate of this configuration is known");
        let hint = "name the fingerprint of the one to be removed: `tollgate ca untrust --fingerprint SHA256`";
        return Err(Problem::failed(error, [hint.into()]));
    }
    let hands = hands(&args.trust);
    let stores = stores(&args.trust, loaded, &hands)?;
    let mut rows = Vec::new();
    for certificate in &wanted {
        let before = rows.len();
        rows.extend(stores.iter().map(|store| Row::new(certificate, store, store.untrust(certificate, &hands))));
        let is_gone = rows[before..].iter().all(|row| row.trouble().is_none());
        if is_gone && args.trust.takes_all() && !args.trust.dry_run {
            for (record, _) in recorded.iter().filter(|(_, other)| other == certificate) {
                changes.forget(record).context("cannot write what was changed on this machine")?;
            }
        }
    }
    show(&rows, args.trust.json)?;
    verdict(&rows)
}

impl TrustArgs {
    fn takes_all(&self) -> bool {
        !(self.system || self.nss || self.java)
    }
}

/// A store and a certificate.
struct Row {
    fingerprint: String,
    kind: &'static str,
    place: String,
    outcome: Outcome,
}

impl Row {
    fn new(certificate: &Certificate, store: &Store, outcome: Outcome) -> Self {
        let place = store.place().display().to_string();
        Self { fingerprint: certificate.fingerprint(), kind: store.kind(), place, outcome }
    }

    fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Trusted => "trusted",
            Outcome::Already => "already",
            Outcome::Untrusted => "removed",
            Outcome::Absent => "absent",
            Outcome::Planned(_) => "would",
            Outcome::Failed(_) => "failed",
        }
    }

    fn trouble(&self) -> Option<&Trouble> {
        match &self.outcome {
            Outcome::Failed(trouble) => Some(trouble),
            _ => None,
        }
    }

    fn commands(&self) -> &[String] {
        match &self.outcome {
            Outcome::Planned(commands) => commands,
            _ => &[],
        }
    }
}

fn show(rows: &[Row], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let shown: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "fingerprint": row.fingerprint, "store": row.kind, "place": row.place, "outcome": row.word(),
                    "commands": row.commands(), "why": row.trouble().map(|trouble| &trouble.why),
                    "remedy": row.trouble().and_then(|trouble| trouble.remedy.as_ref()),
                })
            })
            .collect();
        return writeln!(out, "{:#}", json!({ "stores": shown }));
    }
    let several = rows.iter().any(|row| row.fingerprint != rows[0].fingerprint);
    for row in rows {
        let which =
            if several { format!("  {}", row.fingerprint.chars().take(11).collect::<String>()) } else { String::new() };
        let why = row.trouble().map(|trouble| format!(": {}", trouble.why)).unwrap_or_default();
        writeln!(out, "{:8} {:9} {}{which}{why}", row.word(), row.kind, row.place)?;
        for command in row.commands() {
            writeln!(out, "           {command}")?;
        }
    }
    let browsers = ["Chromium", "Firefox"];
    let changed =
        |row: &Row| browsers.contains(&row.kind) && matches!(row.outcome, Outcome::Trusted | Outcome::Untrusted);
    if rows.iter().any(changed) {
        writeln!(out, "\nBrowsers that run must be started again.")?;
    }
    Ok(())
}

fn verdict(rows: &[Row]) -> Result<(), Problem> {
    let failed = rows.iter().filter_map(Row::trouble).count();
    if failed == 0 {
        return Ok(());
    }
    let mut remedies: Vec<&String> = rows.iter().filter_map(|row| row.trouble()?.remedy.as_ref()).collect();
    remedies.dedup();
    let hints: Vec<String> = match remedies.as_slice() {
        [] => Vec::new(),
        remedies => remedies
            .iter()
            .map(|remedy| format!("type `{remedy}`"))
            .chain(["then run this command again".into()])
            .collect(),
    };
    Err(Problem::failed(anyhow!("{failed} of {} stores are as they were", rows.len()), hints))
}

fn stores(args: &TrustArgs, loaded: &Loaded, hands: &Hands<'_>) -> Result<Vec<Store>, Problem> {
    let hosts = loaded.policy.interception.hosts();
    let places = Places {
        os: env::consts::OS,
        root: args.root.clone(),
        home: env::var_os("HOME").map(PathBuf::from).unwrap_or_default(),
        java: env::var_os("JAVA_HOME").map(PathBuf::from).filter(|_| args.root == Path::new("/")),
        host: Some(hosts).filter(|hosts| hosts.len() == 1).and_then(|hosts| Some(hosts.first()?.name().to_owned())),
    };
    let mut stores = Vec::new();
    if args.system || args.takes_all() {
        stores.extend(system(&places, hands));
    }
    if args.nss || args.takes_all() {
        stores.extend(nss(&places, hands));
    }
    // Debian's command also fills the file of its Java, which comes later for this reason.
    if args.java || args.takes_all() {
        stores.extend(java(&places, &Machine));
    }
    if stores.is_empty() {
        let error = anyhow!("no trust store was found");
        let hint = "programs can be told to trust `ca.pem` one by one: `tollgate run -- PROGRAM` does so";
        return Err(Problem::failed(error, [hint.into()]));
    }
    Ok(stores)
}

fn hands(args: &TrustArgs) -> Hands<'static> {
    let has_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    Hands::new(&Machine, has_terminal, args.dry_run)
}

/// Keeps the certificate, so that it can be taken out again also when the authority is gone.
fn note(changes: &Changes, authority: &Authority) -> Result<Record, Problem> {
    let data = json!({ "fingerprint": authority.fingerprint(), "certificate": authority.root_pem() });
    let what = format!("trust in the certificate {}", authority.fingerprint());
    let noted = changes.note(Change { kind: KIND, what, gate: None, data });
    let failed = |error| {
        let folder = changes.state().display();
        anyhow::Error::from(error).context(format!("cannot keep in `{folder}` what is trusted, so nothing was changed"))
    };
    Ok(noted.map_err(failed)?)
}

/// The certificates that `ca trust` was used for.
fn recorded(changes: &Changes) -> Result<Vec<(Record, Certificate)>, Problem> {
    let records = changes.found().context("cannot read what was changed on this machine")?.records;
    let ours = records.into_iter().filter(|record| record.kind == KIND);
    let known = |record: Record| {
        let certificate = Certificate::by_fingerprint(record.data["fingerprint"].as_str()?)?;
        Some((record, certificate))
    };
    Ok(ours.filter_map(known).collect())
}

/// The certificate that is in use, before another takes its place.
pub fn current(certs: &Path) -> Option<String> {
    let der = read_pem(&certs.join("ca.pem")).ok()?;
    Some(Certificate::of(der.first()?).fingerprint())
}

/// What its records are called.
const KIND: &str = "trust";
