//! The files that an isolated program sees differently: who answers for names, and whom it trusts.
//!
//! They lie in memory and are laid over the machine's own in a view of the files that no other program has.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::system::isolation::addresses::GATE_V4;
use crate::system::isolation::texts::{hosts, switch};

/// What programs are to trust.
#[derive(Clone, Copy, Debug)]
pub struct Cover<'a> {
    /// All certificates to trust, as PEM, in place of the machine's bundles.
    pub bundle: &'a [u8],
    /// The gate's own, as PEM, beside the machine's in folders.
    pub root: &'a [u8],
    /// The name under which OpenSSL looks for it in a folder, without the dot and the number.
    pub hash: Option<&'a str>,
    /// As `bundle`, as a store of Java's.
    pub java: Option<&'a [u8]>,
}

/// What was laid over.
#[derive(Debug)]
pub struct Covered {
    /// Whether programs will ask the gate for names by `resolv.conf`.
    pub resolver: bool,
    /// What could not be covered, in words.
    pub warnings: Vec<String>,
}

/// Lays the files over the machine's own; this process must be in its own mount namespace.
///
/// # Errors
/// No file system in memory to be had.
pub fn cover(what: &Cover<'_>) -> io::Result<Covered> {
    const NONE: Option<&str> = None;
    // What is mounted here is seen nowhere else.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
    let stage = STAGES.iter().map(Path::new).find(|path| path.is_dir());
    let stage = stage.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no `/tmp` folder"))?;
    let targets = Targets::find(stage);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (hosts, switch) = (hosts(&read("/etc/hosts"), read("/proc/sys/kernel/hostname").trim()), switch(&read(SWITCH)));
    mount(Some("tmpfs"), stage, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))?;
    let mut cover = Covering { stage, count: 0, warnings: Vec::new() };
    let covered = cover.all(what, &targets, &hosts, &switch);
    // What is laid over stays; the stage itself is what it was.
    umount2(stage, MntFlags::MNT_DETACH)?;
    let resolver = covered?;
    Ok(Covered { resolver, warnings: cover.warnings })
}

/// What there is to be covered, links followed.
#[derive(Debug)]
struct Targets {
    resolver: Option<PathBuf>,
    hosts: Option<PathBuf>,
    switch: Option<PathBuf>,
    /// Sockets of programs that answer for names.
    services: BTreeSet<PathBuf>,
    /// Bundles of certificates outside of the folders.
    bundles: BTreeSet<PathBuf>,
    /// Folders of certificates.
    folders: BTreeSet<PathBuf>,
    /// Java's stores.
    java: BTreeSet<PathBuf>,
}

impl Targets {
    fn find(stage: &Path) -> Self {
        let find = |path: &str| fs::canonicalize(path).ok().filter(|path| !path.starts_with(stage));
        let folders: BTreeSet<PathBuf> =
            FOLDERS.iter().filter_map(|path| find(path)).filter(|path| path.is_dir()).collect();
        let inside = |path: &PathBuf| path.parent().is_some_and(|parent| folders.contains(parent));
        let bundles = BUNDLES.iter().filter_map(|path| find(path)).filter(|path| !inside(path)).collect();
        Self {
            resolver: find("/etc/resolv.conf"),
            hosts: find("/etc/hosts"),
            switch: find(SWITCH),
            services: SERVICES.iter().filter_map(|path| find(path)).collect(),
            bundles,
            folders,
            java: JAVA.iter().filter_map(|path| find(path)).collect(),
        }
    }
}

/// Files on the stage, on their way to their places.
struct Covering<'a> {
    stage: &'a Path,
    count: usize,
    warnings: Vec<String>,
}

impl Covering<'_> {
    /// Says whether `resolv.conf` is covered.
    fn all(&mut self, what: &Cover<'_>, targets: &Targets, hosts: &str, switch: &str) -> io::Result<bool> {
        let resolver = format!("# The gate answers.\nnameserver {GATE_V4}\n");
        let resolver = self.file(resolver.as_bytes(), targets.resolver.as_deref())?;
        self.file(hosts.as_bytes(), targets.hosts.as_deref())?;
        self.file(switch.as_bytes(), targets.switch.as_deref())?;
        for service in &targets.services {
            self.file(b"", Some(service))?;
        }
        for folder in &targets.folders {
            let source = self.next();
            copy(folder, &source, what)?;
            self.lay(&source, folder);
        }
        for bundle in &targets.bundles {
            self.file(what.bundle, Some(bundle))?;
        }
        if let Some(java) = what.java {
            for store in &targets.java {
                self.file(java, Some(store))?;
            }
        }
        Ok(resolver)
    }

    fn next(&mut self) -> PathBuf {
        self.count += 1;
        self.stage.join(self.count.to_string())
    }

    fn file(&mut self, bytes: &[u8], over: Option<&Path>) -> io::Result<bool> {
        let Some(over) = over else { return Ok(false) };
        let source = self.next();
        write(&source, bytes)?;
        Ok(self.lay(&source, over))
    }

    fn lay(&mut self, source: &Path, over: &Path) -> bool {
        let laid = bind(source, over);
        if let Err(cause) = &laid {
            self.warnings.push(format!("the program sees the machine's own `{}`: {cause}", over.display()));
        }
        laid.is_ok()
    }
}

fn bind(source: &Path, over: &Path) -> io::Result<()> {
    const NONE: Option<&str> = None;
    Ok(mount(Some(source), over, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    // Whatever this user's mask is, the program may become another user.
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

/// A folder of certificates as it is, but for the bundles in it, and with the gate's own beside them.
fn copy(from: &Path, to: &Path, what: &Cover<'_>) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let copy = to.join(&name);
        if NAMES.iter().any(|bundle| name == *bundle) {
            write(&copy, what.bundle)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, copy)?;
        } else if kind.is_dir() {
            fs::create_dir(&copy)?;
            bind(&entry.path(), &copy)?;
        } else if kind.is_file() {
            // What this user may not read, the program may not either.
            let _ = fs::copy(entry.path(), copy);
        }
    }
    write(&to.join(OWN), what.root)?;
    let Some(hash) = what.hash else { return Ok(()) };
    let free = (0..100).map(|number| to.join(format!("{hash}.{number}"))).find(|path| path.symlink_metadata().is_err());
    free.map_or(Ok(()), |path| symlink(OWN, path))
}

/// Where the files may be prepared: folders that are everywhere, covered only meanwhile.
const STAGES: [&str; 4] = ["/tmp", "/var/tmp", "/mnt", "/run"];
const SWITCH: &str = "/etc/nsswitch.conf";
const SERVICES: [&str; 3] = ["/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket", "/run/avahi-daemon/socket"];
/// Debian, Alpine and Arch; Fedora; SUSE; BSD's path, which some programs try.
const BUNDLES: [&str; 7] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
];
const FOLDERS: [&str; 3] = ["/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash"];
/// Debian; Fedora and SUSE.
const JAVA: [&str; 3] = [
    "/etc/ssl/certs/java/cacerts",
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/var/lib/ca-certificates/java-cacerts",
];
/// What bundles are called.
const NAMES: [&str; 5] = ["ca-certificates.crt", "ca-bundle.crt", "ca-bundle.pem", "tls-ca-bundle.pem", "cert.pem"];
const OWN: &str = "tollgate.pem";
