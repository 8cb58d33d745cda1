//! Chat templates of published models, rendered as Hugging Face's own renderer renders them, byte for byte.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::civil::date;
use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate::dialect::template::{Conversation, Template};

use super::script::{folder, home};

#[test]
#[ignore = "needs the renderer and the templates that setup.sh installs"]
fn templates_render_as_by_their_own_renderer() {
    let kept = home().join("templates");
    let written = render("published", &[kept.join("configs"), kept.join("published"), own()]);
    let (mut names, mut count, mut wrong) = (BTreeSet::new(), 0, Vec::new());
    for line in written.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        count += 1;
        wrong.extend(case.difference());
        names.insert(case.template);
    }
    println!("{count} cases of {} templates: {names:?}", names.len());
    assert!(names.len() >= 80, "{names:?}");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
#[ignore = "needs the renderer that setup.sh installs"]
fn the_table_of_constructs_is_what_python_makes_of_them() {
    let table = fs::read_to_string(own().join("constructs.jsonl")).unwrap();
    let rendered = render("constructs", &[]);
    for (kept, rendered) in table.lines().zip(rendered.lines()) {
        assert_eq!(kept, rendered);
    }
    assert_eq!(table.lines().count(), rendered.lines().count());
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates")
}

/// What the renderer writes.
fn render(what: &str, folders: &[PathBuf]) -> String {
    let output = Command::new(home().join("templates/venv/bin/python"))
        .arg(folder().join("templates/render.py"))
        .arg(what)
        .args(folders)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[derive(Deserialize)]
struct Case {
    template: String,
    about: String,
    source: String,
    specials: Map<String, Value>,
    messages: Vec<Value>,
    tools: Option<Value>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    text: Option<String>,
    error: Option<String>,
}

impl Case {
    fn difference(&self) -> Option<String> {
        let conversation = Conversation {
            messages: &self.messages,
            tools: self.tools.as_ref(),
            variables: None,
            now: date(2024, 7, 4).at(9, 5, 3, 0),
        };
        let ours = Template::compile(&self.source, &self.specials);
        let ours = ours.and_then(|template| template.render_whole(&conversation));
        match (&self.expected.text, ours) {
            (Some(text), Ok(ours)) if ours == *text => None,
            (None, Err(_)) => None,
            (expected, ours) => {
                let (name, about) = (&self.template, &self.about);
                Some(format!("{name}, {about}: {ours:?}\n  instead of {expected:?} {:?}", self.expected.error))
            }
        }
    }
}
