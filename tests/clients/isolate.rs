//! `tollgate run --isolate`: a program that heeds no setting at all is metered, and has no way out but the gate.
//!
//! Each promise is kept for root and, where it says so, for a user without any right.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::books;
use super::gate::{Gate, configuration};
use super::upstream::{Options, Upstream};

/// A gate at ports that are known beforehand, and a listener that only its connections reach.
struct House {
    upstream: Upstream,
    gate: Option<Gate>,
    folder: TempDir,
    /// Reached by the gate alone, as `direct.test`.
    target: TcpListener,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum User {
    Root,
    Nobody,
}

const USERS: [User; 2] = [User::Root, User::Nobody];

impl House {
    fn build() -> Self {
        let (upstream, folder) = (Upstream::start(Options::default()), tempfile::tempdir().unwrap());
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = target.local_addr().unwrap();
        fs::create_dir_all(folder.path().join("config")).unwrap();
        fs::write(folder.path().join("config/standin.pem"), upstream.ca_pem()).unwrap();
        let mut configuration = configuration(&upstream, folder.path());
        configuration["listen"] = json!({"proxy": free(), "admin": free()});
        configuration["upstream"]["resolve"][format!("direct.test:{}", at.port())] = json!(at.to_string());
        for bare in BARE {
            configuration["upstream"]["resolve"][bare] = json!(upstream.address().to_string());
        }
        let gate = Gate::configured(&folder, &configuration);
        // For the user without any right: what everybody may read of the authority.
        for open in [folder.path(), &gate.certs()] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o711)).unwrap();
        }
        for user in USERS {
            let home = folder.path().join(format!("{user:?}"));
            fs::create_dir(&home).unwrap();
            fs::set_permissions(home, fs::Permissions::from_mode(0o777)).unwrap();
        }
        Self { upstream, gate: Some(gate), folder, target }
    }

    fn gate(&self) -> &Gate {
        self.gate.as_ref().unwrap()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config/tollgate.json5")
    }

    fn run(&self, user: User, program: &[&str]) -> Command {
        let mut words = match user {
            User::Root => vec![],
            User::Nobody => vec!["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
        };
        words.push(env!("CARGO_BIN_EXE_tollgate"));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["run", "--isolate", "--label", "team", "--config"]).arg(self.config());
        command.arg("--").args(program).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.folder.path().join(format!("{user:?}")));
        command
    }

    fn output(&self, user: User, program: &[&str]) -> Output {
        self.run(user, program).output().unwrap()
    }

    /// What the program printed; it must succeed.
    fn printed(&self, user: User, program: &[&str]) -> String {
        let output = self.output(user, program);
        assert!(output.status.success(), "{user:?} {program:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn port(&self) -> u16 {
        self.target.local_addr().unwrap().port()
    }

    fn entries(&self) -> Vec<Value> {
        self.gate().ask("/entries?limit=100")["entries"].as_array().unwrap().clone()
    }
}

fn told(output: &Output) -> String {
    format!(
        "{:?} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// An address that nobody listens on at the moment.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

const CALL: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"one two three"}]}"#;
const CHAT: &str = "https://api.openai.com/v1/chat/completions";

/// Without any variable, and told to use no proxy.
fn curl(version: &str) -> [&str; 16] {
    [
        "env",
        "-i",
        "/usr/bin/curl",
        "--noproxy",
        "*",
        "-sS",
        version,
        "-m",
        "30",
        "-H",
        "content-type: application/json",
        "-H",
        "authorization: Bearer sk-client",
        "-d",
        CALL,
        CHAT,
    ]
}

#[test]
#[ignore = "needs root, curl and setpriv"]
fn curl_without_any_setting_is_metered_over_both_protocols() {
    let house = House::build();
    for user in USERS {
        for version in ["-4", "-6"] {
            let reply: Value = serde_json::from_str(&house.printed(user, &curl(version))).unwrap();
            assert_eq!(reply["object"], "chat.completion", "{user:?} {version}: {reply}");
        }
    }
    let bill = house.upstream.bill();
    assert_eq!(bill.len(), 4, "{bill:?}");
    books::assert_equal(house.gate(), &bill);
    for entry in house.entries() {
        assert_eq!(entry["client"]["label"], "team", "{entry}");
        assert_eq!(entry["client"]["process"], "env", "the program and not the relay: {entry}");
        assert_eq!(entry["host"], "api.openai.com", "{entry}");
    }
}

/// A program that resolves names by itself, or has their addresses built in.
#[test]
#[ignore = "needs root, curl and setpriv"]
fn connections_to_bare_addresses_are_metered_by_the_name_that_the_client_asks_for() {
    let house = House::build();
    for user in USERS {
        for bare in BARE {
            let (address, _) = bare.rsplit_once(':').unwrap();
            let resolve = format!("api.openai.com:443:{address}");
            let program = [&curl("-sS")[..], &["--resolve", &resolve]].concat();
            let reply: Value = serde_json::from_str(&house.printed(user, &program)).unwrap();
            assert_eq!(reply["object"], "chat.completion", "{user:?} {bare}: {reply}");
        }
    }
    books::assert_equal(house.gate(), &house.upstream.bill());
    assert_eq!(house.entries().len(), 4);
}

/// Where the stand-in is, for the gate.
const BARE: [&str; 2] = ["192.0.2.7:443", "[2001:db8::7]:443"];

#[test]
#[ignore = "needs root, Python, wget, git, Java and setpriv"]
fn the_trust_of_the_machine_is_enough_for_every_runtime_that_has_no_roots_of_its_own() {
    let house = House::build();
    let java = house.folder.path().join("Call.java");
    fs::write(&java, JAVA).unwrap();
    let python = format!(
        "import urllib.request as r; print(r.urlopen(r.Request({MODELS:?}, headers={{'authorization': {KEY:?}}})).status)"
    );
    let header = format!("--header=authorization: {KEY}");
    for user in USERS {
        for program in [
            &["/usr/bin/python3", "-c", &python][..],
            &["/usr/bin/wget", "-qO-", &header, MODELS],
            &["/usr/bin/java", java.to_str().unwrap(), MODELS, KEY],
        ] {
            let program = [&["env", "-i", "PATH=/usr/bin:/bin"], program].concat();
            let printed = house.printed(user, &program);
            assert!(printed.trim() == "200" || printed.contains("gpt-4o"), "{user:?} {program:?}: {printed}");
        }
    }
    assert_eq!(house.upstream.seen().len(), 6, "every call went through the gate to the stand-in");
}

const KEY: &str = "Bearer sk-client";
const MODELS: &str = "https://api.openai.com/v1/models";
const JAVA: &str = r#"
public class Call {
    public static void main(String[] arguments) throws Exception {
        var connection = (java.net.HttpURLConnection) new java.net.URL(arguments[0]).openConnection();
        connection.setRequestProperty("authorization", arguments[1]);
        System.out.println(connection.getResponseCode());
    }
}
"#;

/// The links that the program has are the proof that there is no other way; and what the gate does not pass on, nobody
/// gets.
#[test]
#[ignore = "needs root, curl and setpriv"]
fn nothing_leaves_but_through_the_gate() {
    let mut house = House::build();
    house.target.set_nonblocking(true).unwrap();
    let port = house.port().to_string();
    let url = format!("http://direct.test:{port}/");
    let dial = ["curl", "-sS", "-m", "5", &url];
    // The machine's own loopback is not the program's.
    let own = format!("http://127.0.0.1:{port}/");
    for user in USERS {
        let links = house.printed(user, &["cat", "/proc/net/dev"]);
        let names: Vec<&str> = links.lines().skip(2).map(|line| line.split(':').next().unwrap().trim()).collect();
        assert!(names.iter().all(|name| ["lo", "tollgate0"].contains(name)), "{user:?}: {links}");
        let output = house.output(user, &["curl", "-sS", "-m", "5", &own]);
        assert_eq!(output.status.code(), Some(7), "{user:?}: refused, {}", told(&output));
        assert!(house.target.accept().is_err(), "{user:?} reached the machine's loopback");
    }
    for user in USERS {
        let mut child = house.run(user, &dial).stderr(Stdio::null()).spawn().unwrap();
        house.target.set_nonblocking(false).unwrap();
        let (mut arrived, _) = house.target.accept().unwrap();
        let mut first = [0; 5];
        arrived.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"GET /", "{user:?}: the gate passes on what is not intercepted");
        drop(arrived);
        child.wait().unwrap();
    }
    // The gate goes in the middle of a run; the program goes on, and has no way out.
    house.target.set_nonblocking(true).unwrap();
    let script = format!("echo ready; read go; {}; echo $?", dial.join(" "));
    let mut child =
        house.run(User::Nobody, &["bash", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    house.gate = None;
    drop(child.stdin.take());
    let code: i32 = lines.next().unwrap().unwrap().parse().unwrap();
    assert!([52, 56].contains(&code), "curl saw {code}: the connection was reset");
    assert!(child.wait().unwrap().success());
    assert!(house.target.accept().is_err(), "something arrived without the gate");
}

#[test]
#[ignore = "needs root, Python and setpriv"]
fn udp_is_refused_at_once_so_that_quic_falls_back() {
    let house = House::build();
    let real = UdpSocket::bind("0.0.0.0:0").unwrap();
    real.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let script = format!(
        r"
import socket, time
for family, address, port in ((socket.AF_INET, '192.0.2.1', 443), (socket.AF_INET6, '2001:db8::1', 443),
                              (socket.AF_INET, '127.0.0.1', {})):
    begun = time.monotonic()
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.settimeout(10)
    one.connect((address, port))
    try:
        one.send(b'x'); one.recv(1)
    except ConnectionRefusedError:
        print('refused', time.monotonic() - begun < 1)
",
        real.local_addr().unwrap().port()
    );
    for user in USERS {
        assert_eq!(house.printed(user, &["/usr/bin/python3", "-c", &script]), "refused True\n".repeat(3), "{user:?}");
    }
    assert!(real.recv(&mut [0; 8]).is_err(), "a datagram left the network");
}

#[test]
#[ignore = "needs root, Python and setpriv"]
fn servers_of_the_program_work_among_themselves_and_names_are_answered_by_the_gate_alone() {
    let house = House::build();
    let script = "
import socket, threading
for family, address in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'), (socket.AF_INET, '198.18.0.1')):
    server = socket.create_server((address, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2])
    server.accept()[0].sendall(b'own')
    print(client.recv(3).decode())
print(socket.getaddrinfo('api.openai.com', 443, socket.AF_INET, socket.SOCK_STREAM)[0][4][0][:6])
print(socket.getaddrinfo('localhost', 443, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
# Whichever server is asked: over UDP and over TCP.
question = bytes.fromhex('000701000001000000000000') + b'\\x03api\\x06openai\\x03com\\0' + bytes.fromhex('00010001')
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(5)
udp.sendto(question, ('192.0.2.53', 53))
answer, sender = udp.recvfrom(512)
print(sender, answer[-4:-2])
tcp = socket.create_connection(('2001:db8::53', 53))
tcp.sendall(len(question).to_bytes(2, 'big') + question)
print(tcp.recv(512)[-4:-2])
";
    for user in USERS {
        let printed = house.printed(user, &["/usr/bin/python3", "-c", script]);
        let expected = "own\nown\nown\n198.18\n127.0.0.1\n('192.0.2.53', 53) b'\\xc6\\x12'\nb'\\xc6\\x12'\n";
        assert_eq!(printed, expected, "{user:?}");
    }
}

#[test]
#[ignore = "needs root and setpriv"]
fn the_program_has_its_user_its_end_and_no_way_back() {
    let house = House::build();
    for user in USERS {
        let own = if user == User::Root { "0:0" } else { "65534:65534" };
        assert_eq!(house.printed(user, &["sh", "-c", "echo $(id -u):$(id -g)"]).trim(), own);
        assert_eq!(house.output(user, &["sh", "-c", "exit 7"]).status.code(), Some(7));
        assert_eq!(house.output(user, &["sh", "-c", "kill -TERM $$"]).status.signal(), Some(15));
        let missing = house.output(user, &["no-such-program-at-all"]);
        assert_eq!(missing.status.code(), Some(127), "{}", told(&missing));
        assert!(told(&missing).contains("error: cannot run `no-such-program-at-all`"), "{}", told(&missing));
        // The rights with which the network was made are gone.
        for forbidden in [
            &["ip", "link", "add", "way", "type", "veth"][..],
            &["nft", "flush", "ruleset"],
            &["nsenter", "-n", "-t", "1", "true"],
        ] {
            let output = house.output(user, forbidden);
            assert!(!output.status.success(), "{user:?} {forbidden:?} {}", told(&output));
        }
        // And so are the settings that would lead to a proxy which is not there.
        let mut command = house.run(user, &["env"]);
        command.env("https_proxy", "http://127.0.0.1:3128").env("ALL_PROXY", "socks5://127.0.0.1:1080");
        let shown = String::from_utf8(command.output().unwrap().stdout).unwrap().to_lowercase();
        assert!(!shown.contains("s_proxy=") && !shown.contains("all_proxy="), "{shown}");
        assert!(shown.contains("ssl_cert_file="), "{shown}");
    }
}

#[test]
#[ignore = "needs root and setpriv"]
fn killed_runs_leave_no_network_and_no_process() {
    let house = House::build();
    for user in USERS {
        // The process that was started is the program itself.
        let (mut child, network) = living(&house, user, "readlink /proc/self/ns/net; exec sleep 1000");
        assert!(inhabitants(&network).contains(&child.id()), "{user:?}");
        let relay = relay_of(child.id()).expect("a relay");
        child.kill().unwrap();
        child.wait().unwrap();
        wait("the network is empty", || inhabitants(&network).is_empty());
        wait("the relay is gone", || !Path::new(&format!("/proc/{relay}")).exists());

        // What it left running keeps its way to the gate until it ends too.
        let (mut child, network) = living(&house, user, "sleep 1000 & readlink /proc/self/ns/net; wait");
        let relay = relay_of(child.id()).expect("a relay");
        child.kill().unwrap();
        child.wait().unwrap();
        wait("the shell is gone", || inhabitants(&network).len() == 1);
        assert!(Path::new(&format!("/proc/{relay}")).exists(), "{user:?}: somebody is still inside");
        let left = inhabitants(&network)[0].to_string();
        assert!(Command::new("kill").args(["-9", &left]).status().unwrap().success());
        wait("the relay is gone", || !Path::new(&format!("/proc/{relay}")).exists());
    }
}

#[test]
#[ignore = "needs root, unshare and sysctl"]
fn a_kernel_that_forbids_it_is_named_with_its_switch() {
    let house = House::build();
    let tollgate = env!("CARGO_BIN_EXE_tollgate");
    for switch in ["user.max_net_namespaces", "user.max_user_namespaces"] {
        let script = format!(
            "sysctl -qw {switch}=0 && exec setpriv --bounding-set -all --inh-caps -all {tollgate} run --isolate --config {} -- echo ran",
            house.config().display()
        );
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c", &script])
            .env("HOME", house.folder.path())
            .output()
            .unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{}", told(&output));
        let told = told(&output);
        assert!(told.contains("error: cannot make a network of its own for the program"), "{told}");
        assert!(told.contains(&format!("hint: `{switch}` is 0")), "{told}");
        assert!(told.contains(&format!("`sudo sysctl -w {switch}=")), "{told}");
    }
}

/// The kernel's refusal is made by strace, which knows at which call the rules would be told.
#[test]
#[ignore = "needs root, curl and strace"]
fn without_nf_tables_the_ports_of_http_still_lead_to_the_gate_and_all_others_nowhere() {
    let house = House::build();
    let log = house.folder.path().join("calls");
    let traced = |inject: &str, program: &[&str]| {
        let run = house.run(User::Root, program);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=socket", "-e", inject, "-o"]).arg(&log).arg(run.get_program());
        command.args(run.get_args()).env("HOME", house.folder.path().join("Root")).stdin(Stdio::null());
        command.output().unwrap()
    };
    assert!(traced("signal=none", &["true"]).status.success());
    let calls = fs::read_to_string(&log).unwrap();
    let rules = calls.lines().find(|line| line.contains("NETLINK_NETFILTER")).unwrap();
    let process = rules.split(' ').next().unwrap();
    let own: Vec<&str> = calls.lines().filter(|line| line.starts_with(process) && line.contains(" socket(")).collect();
    let at = 1 + own.iter().position(|line| *line == rules).unwrap();
    let inject = format!("inject=socket:error=EPROTONOSUPPORT:when={at}");

    let output = traced(&inject, &curl("-6"));
    assert!(told(&output).contains("warning: this kernel has no nf_tables"), "{}", told(&output));
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["object"], "chat.completion", "{reply}");
    books::assert_equal(house.gate(), &house.upstream.bill());
    let url = format!("http://direct.test:{}/", house.port());
    let refused = traced(&inject, &["curl", "-sS", "-m", "5", &url]);
    assert_eq!(refused.status.code(), Some(7), "{}", told(&refused));
}

/// A program that is inside, and its network, which the script tells once it has started all that it starts.
fn living(house: &House, user: User, script: &str) -> (Child, String) {
    let mut child = house.run(user, &["bash", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut network = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut network).unwrap();
    (child, network.trim().to_owned())
}

/// Who is in a network; nobody is in one that does not exist.
fn inhabitants(network: &str) -> Vec<u32> {
    let numbers = processes();
    let here =
        |number: &u32| fs::read_link(format!("/proc/{number}/ns/net")).is_ok_and(|link| link == Path::new(network));
    numbers.filter(here).collect()
}

/// The relay that holds this process: it has a descriptor that names it.
fn relay_of(process: u32) -> Option<u32> {
    let holds = |number: &u32| {
        let folder = format!("/proc/{number}/fdinfo");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let named = format!("Pid:\t{process}\n");
        files.into_iter().any(|file| fs::read_to_string(file.path()).is_ok_and(|text| text.contains(&named)))
    };
    processes().find(holds)
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn wait(what: &str, reached: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !reached() {
        assert!(Instant::now() < patience, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}
