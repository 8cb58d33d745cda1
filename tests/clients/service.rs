//! What the gate prints for systemd, bash and man, read by those programs themselves.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn tollgate(home: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.args(arguments).current_dir(home).env_clear().env("HOME", home).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output.stdout
}

fn ran(program: &str, arguments: &[&str], folder: &Path) -> Output {
    Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_finds_nothing_wrong_with_any_unit() {
    let folder = TempDir::new().unwrap();
    for flags in [&[][..], &["--sandbox"], &["--system"]] {
        let unit = tollgate(folder.path(), &[&["service"], flags].concat());
        std::fs::write(folder.path().join("tollgate.service"), unit).unwrap();
        std::fs::write(folder.path().join("tollgate.socket"), tollgate(folder.path(), &["service", "--socket"]))
            .unwrap();
        let units = ["verify", "--man=no", "./tollgate.service", "./tollgate.socket"];
        let output = ran("systemd-analyze", &units, folder.path());
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && told.is_empty(), "{flags:?}: {}", String::from_utf8_lossy(&told));
        // 10 is an open door; a service without any of these lines has 9.6.
        let most = if flags.is_empty() { "65" } else { "25" };
        let threshold = format!("--threshold={most}");
        let output =
            ran("systemd-analyze", &["security", "--offline=true", &threshold, "./tollgate.service"], folder.path());
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
#[ignore = "needs bash and man"]
fn bash_reads_the_completions_and_man_every_page() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("completions"), tollgate(folder.path(), &["completions", "bash"])).unwrap();
    let words = ". ./completions; COMP_WORDS=(tollgate ser); COMP_CWORD=1; _tollgate tollgate ser tollgate; echo ${COMPREPLY[@]}";
    let output = ran("bash", &["-ec", words], folder.path());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "serve service\n", "{output:?}");
    tollgate(folder.path(), &["man", "--dir", "pages"]);
    for page in std::fs::read_dir(folder.path().join("pages")).unwrap() {
        let page = page.unwrap().path();
        let output = ran("man", &["--warnings", "-l", page.to_str().unwrap()], folder.path());
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("SYNOPSIS") && output.stderr.is_empty(),
            "{page:?}: {output:?}"
        );
    }
}
