//! Three network namespaces in a row: a client, the machine of the gate, and the stand-in upstream.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::net::own_traffic::OWN_TRAFFIC;

use crate::upstream::{Options, Upstream};

/// Where the stand-in is.
pub const HOST4: &str = "10.9.0.2";
/// The same, in the other protocol.
pub const HOST6: &str = "fd09::2";
/// A table of somebody else in the gate's namespace.
pub const FOREIGN: &str = "table inet foreign";

/// The namespaces, the upstream and the gate; all of it ends when it is dropped.
pub struct World {
    /// The namespace of the gate, between the two others.
    pub gate: String,
    /// The namespace behind the gate's machine.
    pub client: String,
    /// The namespace of the upstream.
    pub upstream_side: String,
    folder: TempDir,
    upstream: Option<Upstream>,
    child: RefCell<Option<Child>>,
}

static WORLDS: AtomicU32 = AtomicU32::new(0);

impl World {
    /// Makes the namespaces, with rules of somebody else in that of the gate, and starts the upstream.
    pub fn make() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "network namespaces are made by root");
        let own = format!("tollgate-{}-{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let mut world = Self {
            gate: format!("{own}-gate"),
            client: format!("{own}-client"),
            upstream_side: format!("{own}-upstream"),
            folder: tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap(),
            upstream: None,
            child: RefCell::new(None),
        };
        world.connect();
        world.count();
        let at: SocketAddr = "[::]:443".parse().unwrap();
        let upstream =
            inside(&world.upstream_side, move || Upstream::start(Options { at: Some(at), ..Options::default() }));
        world.write("config/standin.pem", upstream.ca_pem());
        world.upstream = Some(upstream);
        let folder = world.folder.path();
        let configuration = json!({
            "listen": {"proxy": "127.0.0.1:8484", "admin": "127.0.0.1:8485", "transparent": "127.0.0.1:8486"},
            "ledger": {"path": null},
            "upstream": {
                "ca": folder.join("config/standin.pem"),
                // By the hosts file it would find itself.
                "resolve": {"api.openai.com:443": format!("{HOST4}:443")},
            },
        });
        world.write("config/tollgate.json5", &configuration.to_string());
        world
    }

    /// The stand-in.
    pub fn upstream(&self) -> &Upstream {
        self.upstream.as_ref().unwrap()
    }

    /// The hosts file of the gate's namespace, which is mounted over the machine's.
    pub fn hosts(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.gate).join("hosts")
    }

    /// Starts the gate, as root, and waits until it listens.
    pub fn start(&mut self) {
        self.start_by(&[]);
    }

    /// Starts it as another user, who has no rights.
    pub fn start_as(&mut self, user: &str) {
        for path in [".", "config", "config/standin.pem", "config/tollgate.json5"] {
            let id = nix::unistd::User::from_name(user).unwrap().unwrap();
            nix::unistd::chown(&self.folder.path().join(path), Some(id.uid), Some(id.gid)).unwrap();
        }
        self.start_by(&["setpriv", "--reuid", user, "--clear-groups", "--inh-caps=-all"]);
    }

    /// Starts a second gate that takes over, and waits until the first has ended.
    pub fn take_over(&mut self) {
        let mut first = self.child.take().unwrap();
        self.launch(&[], &["--take-over"]);
        assert!(first.wait().unwrap().success());
    }

    fn start_by(&mut self, before: &[&str]) {
        self.launch(before, &[]);
    }

    fn launch(&mut self, before: &[&str], after: &[&str]) {
        let log = File::create(self.folder.path().join("gate.log")).unwrap();
        let mut words = before.to_vec();
        let config = self.config();
        words.extend([env!("CARGO_BIN_EXE_tollgate"), "serve", "--config", &config]);
        words.extend(after);
        let mut child = self.command(&self.gate, words[0], &words[1..]);
        let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line.contains("tollgate stats")));
        assert!(ready, "the gate did not start:\n{}", self.log());
        thread::spawn(move || lines.for_each(drop));
        *self.child.borrow_mut() = Some(child);
    }

    /// Ends the gate without a word.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lets the gate stop in order.
    pub fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Runs `tollgate redirect` beside the gate; it must succeed.
    pub fn redirect(&self, arguments: &[&str]) -> String {
        self.redirect_without(arguments, &[])
    }

    /// The same where these programs are not installed.
    pub fn redirect_without(&self, arguments: &[&str], missing: &[&str]) -> String {
        let output = self.tollgate(&[], arguments, missing);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it where it must fail, with 1 or 2, and gives what it said.
    pub fn redirect_fails(&self, arguments: &[&str]) -> String {
        failure(self.tollgate(&[], arguments, &[]))
    }

    /// The same as a user who may change nothing.
    pub fn redirect_fails_without_rights(&self, arguments: &[&str]) -> String {
        failure(self.tollgate(&["setpriv", "--bounding-set=-all", "--inh-caps=-all"], arguments, &[]))
    }

    /// The same where these programs are not installed.
    pub fn redirect_fails_without_tools(&self, arguments: &[&str], missing: &[&str]) -> String {
        failure(self.tollgate(&[], arguments, missing))
    }

    /// What `redirect status --json` says.
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.redirect(&["status", "--json"])).unwrap()
    }

    fn tollgate(&self, before: &[&str], arguments: &[&str], missing: &[&str]) -> Output {
        let config = self.config();
        let mut words = before.to_vec();
        words.extend([env!("CARGO_BIN_EXE_tollgate"), "redirect"]);
        words.extend(arguments);
        words.extend(["--config", &config]);
        // Each program of the namespace has mounts of its own, so that nobody else misses these.
        let hidden = missing.iter().map(|name| format!("mount --bind /dev/null $(readlink -f /usr/sbin/{name}); "));
        let script = format!("{}exec \"$@\"", hidden.collect::<String>());
        let all = [&["-c", script.as_str(), "sh"][..], &words].concat();
        self.command(&self.gate, "sh", &all).stdin(Stdio::null()).output().unwrap()
    }

    /// The status of a call from that namespace by curl, which knows no proxy; `000` where none came back.
    pub fn call(&self, namespace: &str, address: &str) -> String {
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        self.curl(namespace, &["--resolve", &format!("api.openai.com:443:{address}")])
    }

    /// The same of a program beside the gate, which finds the host by its name.
    pub fn call_by_name(&self, family: &str) -> String {
        self.curl(&self.gate, &[family])
    }

    fn curl(&self, namespace: &str, arguments: &[&str]) -> String {
        let trusted = self.folder.path().join("certs/ca.pem").display().to_string();
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
        let fixed = [
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--max-time",
            "20",
            "--cacert",
            &trusted,
            "-d",
            body,
            "-H",
            "content-type: application/json",
            "-H",
            "authorization: Bearer sk-client",
            "https://api.openai.com/v1/chat/completions",
        ];
        let output = self.command(namespace, "curl", &[&fixed[..], arguments].concat()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a datagram to port 443 there is refused instead of being lost.
    pub fn udp_is_refused(&self, namespace: &str, address: &str) -> bool {
        let at = SocketAddr::new(address.parse().unwrap(), 443);
        inside(namespace, move || {
            let own: SocketAddr = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
            let socket = UdpSocket::bind(own).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.connect(at).unwrap();
            let outcome = socket.send(&[1]).and_then(|_| socket.recv(&mut [0; 9]));
            // The kernel of this machine tells its own programs before the packet is sent.
            outcome
                .is_err_and(|error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied))
        })
    }

    /// The books have so many calls, all of which the system led to the gate, and the upstream charges the same.
    pub fn assert_booked(&self, calls: usize) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let entries = self.says(&self.gate, "curl", &["-s", "http://127.0.0.1:8485/entries?limit=100"]);
            let entries: Value = serde_json::from_str(&entries).unwrap();
            let entries = entries["entries"].as_array().unwrap();
            if entries.len() == calls || std::time::Instant::now() > deadline {
                assert_eq!(entries.len(), calls, "{entries:#?}");
                for entry in entries {
                    assert_eq!(
                        (&entry["ingress"], &entry["outcome"]),
                        (&json!("transparent"), &json!("ok")),
                        "{entry:#}"
                    );
                }
                assert_eq!(self.upstream().bill().len(), calls);
                return;
            }
            // What was served is booked by another thread.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What that program says in the gate's namespace; it must succeed.
    pub fn gate_says(&self, program: &str, arguments: &[&str]) -> String {
        self.says(&self.gate, program, arguments)
    }

    /// Gives that program this to read.
    pub fn gate_reads(&self, program: &str, arguments: &[&str], input: &str) {
        self.reads(&self.gate, program, arguments, input);
    }

    /// What `iptables-save` says, without the moment and the counts.
    pub fn rules_saved(&self, save: &str) -> String {
        let saved = self.gate_says(save, &[]);
        let lines = saved.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(" [").next().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// Packets of a counter that the test itself set up.
    pub fn counted(&self, namespace: &str, counter: &str) -> u64 {
        let listing = self.says(namespace, "nft", &["list", "counter", "inet", "foreign", counter]);
        let packets = listing.split("packets ").nth(1).unwrap().split(' ').next().unwrap();
        packets.parse().unwrap()
    }

    fn count(&self) {
        let gate = format!(
            "{FOREIGN} {{\n\tcounter unmarked {{ }}\n\tchain leaving {{\n\t\ttype filter hook postrouting priority 300;\n\
             \t\tmeta mark != {OWN_TRAFFIC:#x} tcp dport 443 ip daddr {HOST4} counter name unmarked\n\
             \t\tmeta mark != {OWN_TRAFFIC:#x} tcp dport 443 ip6 daddr {HOST6} counter name unmarked\n\t}}\n}}\n"
        );
        self.reads(&self.gate, "nft", &["-f", "-"], &gate);
        let upstream = format!(
            "{FOREIGN} {{\n\tcounter connections {{ }}\n\tcounter quic {{ }}\n\tchain arriving {{\n\t\ttype filter hook input priority 0;\n\
             \t\ttcp dport 443 tcp flags & (fin | syn | rst | ack) == syn counter name connections\n\t\tudp dport 443 counter name quic\n\t}}\n}}\n"
        );
        self.reads(&self.upstream_side, "nft", &["-f", "-"], &upstream);
    }

    fn connect(&self) {
        let (gate, client, upstream) = (&*self.gate, &*self.client, &*self.upstream_side);
        for namespace in [gate, client, upstream] {
            run(Command::new("ip").args(["netns", "add", namespace]));
            run(Command::new("ip").args(["-n", namespace, "link", "set", "lo", "up"]));
        }
        let link = |own: &str, (other, theirs): (&str, &str)| {
            run(Command::new("ip")
                .args(["link", "add", own, "netns", gate, "type", "veth", "peer", "name", theirs, "netns", other]));
        };
        link("gu", (upstream, "ug"));
        link("gc", (client, "cg"));
        for (namespace, name, v4, v6) in [
            (gate, "gu", "10.9.0.1/24", "fd09::1/64"),
            (gate, "gc", "10.8.0.1/24", "fd08::1/64"),
            (upstream, "ug", "10.9.0.2/24", "fd09::2/64"),
            (client, "cg", "10.8.0.2/24", "fd08::2/64"),
        ] {
            run(Command::new("ip").args(["-n", namespace, "addr", "add", v4, "dev", name]));
            run(Command::new("ip").args(["-n", namespace, "addr", "add", v6, "dev", name, "nodad"]));
            // Addresses that the kernel makes itself come some time later, and would differ between two looks.
            run(Command::new("ip").args(["-n", namespace, "link", "set", name, "addrgenmode", "none", "up"]));
        }
        for (namespace, v4, v6) in [(client, "10.8.0.1", "fd08::1"), (upstream, "10.9.0.1", "fd09::1")] {
            run(Command::new("ip").args(["-n", namespace, "-4", "route", "add", "default", "via", v4]));
            run(Command::new("ip").args(["-n", namespace, "-6", "route", "add", "default", "via", v6]));
        }
        let forwarding = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
        self.says(gate, "sh", &["-c", forwarding]);
        fs::create_dir_all(self.hosts().parent().unwrap()).unwrap();
        fs::write(self.hosts(), format!("127.0.0.1 localhost\n{HOST4} api.openai.com\n{HOST6} api.openai.com\n"))
            .unwrap();
    }

    fn says(&self, namespace: &str, program: &str, arguments: &[&str]) -> String {
        let output = self.command(namespace, program, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn reads(&self, namespace: &str, program: &str, arguments: &[&str], input: &str) {
        let mut child = self.command(namespace, program, arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{program} {arguments:?}");
    }

    fn command(&self, namespace: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]).args(arguments);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path()).env("HF_HUB_OFFLINE", "1");
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SUDO_UID", "TOLLGATE_ADMIN"] {
            command.env_remove(name);
        }
        command
    }

    fn config(&self) -> String {
        self.folder.path().join("config/tollgate.json5").display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("gate.log")).unwrap_or_default()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the gate's log:\n{}", self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.upstream = None;
        for namespace in [&self.gate, &self.client, &self.upstream_side] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
        let _ = fs::remove_dir_all(self.hosts().parent().unwrap());
    }
}

/// Does this in that namespace, on a thread of its own; threads that it starts stay there.
fn inside<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(Path::new("/run/netns").join(namespace)).unwrap();
    let thread = thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    });
    thread.join().unwrap()
}

fn failure(output: Output) -> String {
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
