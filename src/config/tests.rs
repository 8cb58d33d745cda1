//! The configuration from its text to its values.

mod bad;
mod lines;
mod outer;

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::load::{Loaded, Sources, load};
use crate::config::mistake::{ConfigError, Mistake};
use crate::dialect::endpoint::{Dialect, Endpoint};
use crate::net::host::HostPort;
use crate::policy::budgets::{Per, Side, Then};
use crate::policy::custom::{ModelKey, ModelType};
use crate::policy::pricing::rate::Rate;
use crate::policy::pricing::sale::Sale;
use crate::policy::routing::{AzureVersion, DuplicateKind};
use crate::policy::target::{Credential, Scheme, Target};
use crate::policy::{OnDisconnect, Unpriced};
use crate::units::{Cost, Usage};

/// A folder with `config/tollgate.json5`, and further files.
struct Folder(TempDir);

impl Folder {
    fn with(text: impl AsRef<[u8]>) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put("config/tollgate.json5", text);
        folder
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load_lines(&self, models: &[&str]) -> Result<Loaded, ConfigError> {
        load(&Sources { models: models.iter().map(ToString::to_string).collect(), ..sources(self.path()) })
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        self.load_lines(&[])
    }
}

fn environment(name: &str) -> Option<String> {
    Some(match name {
        "KEY" => " sk-from-env\n".into(),
        "EMPTY" => "".into(),
        "BROKEN" => "sk-hidden\r\nx: y".into(),
        _ => return None,
    })
}

fn sources(folder: &Path) -> Sources<'static> {
    Sources {
        file: None,
        environment: &environment,
        working_directory: folder.into(),
        proxy: None,
        admin: None,
        models: Vec::new(),
    }
}

fn loaded(text: &str) -> Loaded {
    Folder::with(text).load().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn mistakes_of(result: Result<Loaded, ConfigError>) -> Vec<Mistake> {
    match result {
        Err(ConfigError::Mistakes(mistakes)) => mistakes.first,
        other => panic!("{other:?}"),
    }
}

fn mistakes(text: &str) -> Vec<String> {
    mistakes_of(Folder::with(text).load()).iter().map(ToString::to_string).collect()
}

#[test]
fn every_bad_file_is_refused_at_its_line_and_column() {
    let mut missed: Vec<String> = Vec::new();
    for (text, place, message) in bad::BAD {
        let found = mistakes(text);
        let expected = format!("config/tollgate.json5:{place}: {message}");
        if !found.contains(&expected) {
            missed.push(format!("{text}\nexpected {expected}\nfound {found:#?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_text() {
    let text = "{\n workers: 'x',\n listen: {\n  prxy: 1},\n models: [{name: 1}, 5],\n limits: {headers: 0}}";
    let result = Folder::with(text).load_lines(&["{nam: 'x'}", "{name: }"]);
    let found = mistakes_of(result);
    let places: Vec<_> = found.iter().map(|mistake| (&*mistake.file, mistake.line, mistake.column)).collect();
    let file = "config/tollgate.json5";
    assert_eq!(places[..6], [(file, 2, 11), (file, 4, 3), (file, 5, 11), (file, 5, 18), (file, 5, 22), (file, 6, 20)]);
    assert_eq!(places[6..], [("--model #1", 1, 1), ("--model #1", 1, 1), ("--model #2", 1, 8)]);
    assert_eq!(found[1].hint.as_deref(), Some("did you mean `proxy`?"));
    assert_eq!(found[1].path, "listen.prxy");
    assert_eq!(found[6].hint.as_deref(), Some("`nam` is no key; did you mean `name`?"));
}

#[test]
fn the_file_that_is_shipped_equals_the_defaults() {
    let shipped = Folder::with(include_str!("../../config/tollgate.json5"));
    let with_file = shipped.load().unwrap();
    fs::remove_file(shipped.path().join("config/tollgate.json5")).unwrap();
    let without = shipped.load().unwrap();
    assert_eq!(with_file.view, without.view);
    assert_eq!((with_file.warnings.len(), without.warnings.len()), (0, 0));
    assert!(with_file.file.is_some() && without.file.is_none());
}

#[test]
fn the_examples_in_the_shipped_file_are_valid() {
    let text = include_str!("../../config/tollgate.json5");
    let (head, body) = text.split_once("\n{\n").unwrap();
    let uncommented: Vec<String> = body.lines().map(|line| line.replacen("    // ", "    ", 1)).collect();
    let is_example = |line: &&String| !line.trim_start().starts_with(|first: char| first.is_ascii_uppercase());
    let lists: Vec<&str> = uncommented.iter().filter(is_example).map(String::as_str).collect();
    let list = |key: &str| {
        let start = lists.iter().position(|line| line.starts_with(&format!("  {key}: ["))).unwrap();
        let end = lists[start..].iter().position(|line| line.starts_with("  ],")).unwrap();
        lists[start..=start + end].join("\n")
    };
    let secret = "/run/secrets/azure-key";
    let text = format!("{{{}{}}}", list("models"), list("duplicates"))
        .replace("MIRROR_KEY", "KEY")
        .replace("MY_MODEL_KEY", "KEY")
        .replace(secret, "config/key");
    assert!(!head.is_empty() && !text.contains(secret), "{text}");
    let folder = Folder::with(&text);
    folder.put("config/key", "k\n");
    let loaded = folder.load().unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert_eq!((loaded.policy.routing.customs.len(), loaded.policy.routing.duplicates.len()), (2, 2));
}

#[test]
fn the_view_is_itself_a_configuration_with_the_same_effect() {
    let text = "{listen: {proxy: '127.0.0.1:0', admin: '[::1]:9'}, workers: 3, ledger: {keep: null, path: null},
        models: [{name: 'a', endpointUrl: 'http://h.test:8000/v1/chat/completions', maxSequenceLength: 0x800,
                  tokenPricing: {prompt: 0.03, completion: .06}}],
        duplicates: [{name: 'z', url: 'https://z.test/base/', priority: 2, models: ['gpt-4*']}],
        upstream: {resolve: {'API.openai.com:443': '127.0.0.1:9443'}}, limits: {headerBytes: 10000},
        metering: {onDisconnect: 'cancel'}}";
    let first = loaded(text).view;
    let second = loaded(&first.to_string()).view;
    // The folder of each is its own.
    let without_certs = |mut view: Value| {
        view["certs"] = Value::Null;
        view
    };
    assert_eq!(without_certs(first.clone()), without_certs(second));
    assert_eq!(first["models"][0]["tokenPricing"], json!({"prompt": 0.03, "completion": 0.06}));
    assert_eq!(first["limits"]["headerBytes"], "10000B");
}

#[test]
fn the_line_of_the_custom_models_document_is_taken_verbatim() {
    let line = r#"{name:"databricks/dolly-v2-3b", endpointUrl:"http://127.0.0.1/v1/completions"}"#;
    let loaded = Folder::with("{}").load_lines(&[line]).unwrap();
    let model = &loaded.policy.routing.customs["databricks/dolly-v2-3b"];
    assert_eq!(model.destination.at, HostPort::parse("127.0.0.1:80", 0).unwrap());
    assert_eq!((model.destination.scheme, model.path.as_str()), (Scheme::Http, "/v1/completions"));
    assert_eq!(&*model.model_url, "https://huggingface.co/databricks/dolly-v2-3b");
    assert_eq!((model.kind, model.price.is_none(), &model.api_key), (ModelType::Completion, true, &ModelKey::None));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn the_type_of_a_model_is_told_by_its_path_else_assumed_with_a_warning() {
    for (path, kind, warns) in [
        ("/v1/chat/completions", ModelType::ChatCompletion, false),
        ("/chat/completions/", ModelType::ChatCompletion, false),
        ("/openai/deployments/x/chat/completions?api-version=2024-10-21", ModelType::ChatCompletion, false),
        ("/v1/completions", ModelType::Completion, false),
        ("/openai/deployments/x/embeddings?api-version=1", ModelType::TextEmbedding, false),
        ("/generate", ModelType::Completion, true),
    ] {
        let loaded = loaded(&format!("{{models: [{{name: 'm', endpointUrl: 'https://h.test{path}'}}]}}"));
        assert_eq!(loaded.policy.routing.customs["m"].kind, kind, "{path}");
        assert_eq!(loaded.warnings.iter().any(|warning| warning.contains("`completion` is assumed")), warns, "{path}");
    }
}

#[test]
fn price_tables_are_laid_over_each_other_and_counted() {
    let text = "{pricing: {files: ['maps/a.json', 'b.json5'], unknown: 'refuse'}}";
    let folder = Folder::with(text);
    let broken = r#""x": {"input_cost_per_token": -1}"#;
    folder.put(
        "maps/a.json",
        format!(r#"{{"m": {{"input_cost_per_token": 1e-6}}, "n": {{"input_cost_per_token": 2e-6}}, {broken}}}"#),
    );
    folder.put("b.json5", "{n: {input: '3'}, o: {input: '4'}}");
    let loaded = folder.load().unwrap();
    let [warning] = &*loaded.warnings else { panic!("{:?}", loaded.warnings) };
    assert!(warning.contains("1:20: pricing.files[0] names `maps/a.json`, in which `x` has no price"), "{warning}");
    let counts: Vec<(&str, usize)> = loaded.price_files.iter().map(|file| (&*file.name, file.models)).collect();
    assert_eq!(counts, [("maps/a.json", 2), ("b.json5", 2)]);
    assert_eq!(loaded.view["pricing"], json!({"files": ["maps/a.json", "b.json5"], "unknown": "refuse"}));
    assert_eq!(loaded.policy.unpriced, Unpriced::Refuse);
    let usage = Usage { input: Some(1), output: Some(0), ..Usage::default() };
    let at = HostPort::parse("api.openai.com", 443).unwrap();
    let target = Target::origin(Scheme::Https, at, "/v1/embeddings".parse().unwrap());
    for (model, expected) in
        [("m", "a.json:m"), ("n", "b.json5:n"), ("o", "b.json5:o"), ("gpt-4", "litellm-1.109.1:gpt-4")]
    {
        let sale = target.sale(Some(model), &Endpoint::Call(Dialect::Embeddings), Timestamp::UNIX_EPOCH);
        let priced = loaded.policy.prices.cost(&Sale { usage: &usage, ..sale }).unwrap();
        assert_eq!(&*priced.source, expected);
    }
}

#[test]
fn prices_are_exact_and_a_missing_member_is_free_with_a_warning() {
    let loaded = loaded(
        "{models: [{name: 'm', endpointUrl: 'http://h.test/completions', modelUrl: 'https://hub.test/x//',
          tokenPricing: {prompt: 0.0015}}]}",
    );
    let model = &loaded.policy.routing.customs["m"];
    let price = model.price.clone().unwrap();
    assert_eq!((price.input, price.output), (Rate(1_500_000_000), Rate(0)));
    assert_eq!(&*model.model_url, "https://hub.test/x/");
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains(":2:25: models[0].tokenPricing has no `completion`"), "{:?}", loaded.warnings);
}

#[test]
fn of_two_lines_with_one_name_the_last_counts_and_both_places_are_told() {
    let folder =
        Folder::with("{models: [{name: 'm', endpointUrl: 'http://one.test/completions'}], modelsFile: 'm.txt'}");
    folder
        .put("m.txt", "\u{feff}// mine\r\n\r\n /* x */ {name:'m',endpointUrl:'http://two.test/completions'} // y\r\n");
    let loaded = folder.load().unwrap();
    assert_eq!(loaded.policy.routing.customs["m"].destination.at.to_string(), "two.test:80");
    let expected = "m.txt:3:10: model `m` stands at config/tollgate.json5:1:11 too; this one counts";
    assert_eq!(loaded.warnings, [expected]);
    let loaded = folder.load_lines(&["{name:'m',endpointUrl:'http://three.test/completions'}"]).unwrap();
    assert_eq!(loaded.policy.routing.customs["m"].destination.at.to_string(), "three.test:80");
    assert!(loaded.warnings[1].starts_with("--model #1:1:1: model `m` stands at m.txt:3:10 too"));
    assert_eq!(loaded.view["models"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bad_line_of_the_models_file_is_told_with_its_own_place() {
    let folder = Folder::with("{modelsFile: 'config/m.txt'}");
    folder.put("config/m.txt", "# no\n{name:'m',endpointUrl:'http://two.test/completions'},\n/* open\n{nme: 'x'}\n");
    let found: Vec<_> = mistakes_of(folder.load()).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "config/m.txt:1:1: not JSON5: expected value",
            "config/m.txt:2:53: not JSON5: trailing characters",
            "config/m.txt:3:8: the text ends inside a comment",
            "config/m.txt:4:1: the text lacks the key `name`",
            "config/m.txt:4:1: the text lacks the key `endpointUrl`",
        ]
    );
}

#[test]
fn json5_may_be_written_in_all_its_forms() {
    let loaded = loaded(
        "\u{feff}// first\r\n{ 'workers': 0x2, \"limits\": {headers: +7,}, /* {[ */\r\n metering: {injectUsage: false,},\r\n\
         ledger: {path: 'da\\\r\nta/x.\\x64b',}, l\\u0069sten: {proxy: '[::1]:0'},}\r\n",
    );
    assert_eq!((loaded.setup.workers, loaded.setup.limits.headers), (2, 7));
    assert!(!loaded.policy.metering.inject_usage);
    assert!(loaded.setup.journal.unwrap().ends_with("data/x.db"));
    assert!(loaded.setup.proxy.is_ipv6());
}

#[test]
fn deep_large_and_foreign_texts_are_errors_and_not_crashes() {
    for open in ["[", "{a:", "[{a:["] {
        let found = mistakes(&open.repeat(100_000));
        assert!(found[0].ends_with("brackets nest deeper than 128 levels"), "{found:?}");
    }
    let found = mistakes(&format!("{{}}{}", " ".repeat(1 << 20)));
    assert_eq!(found, ["config/tollgate.json5:1:1: more than 1048576 bytes"]);
    let result = Folder::with(b"{a: '\xff'}").load();
    assert!(matches!(&result, Err(ConfigError::Unreadable { source, .. }) if source.to_string().contains("byte 5")));
}

/// Texts that hold the word `hidden` where a secret, or something mistaken for one, stands.
const LEAKY: &[&str] = &[
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: ['sk-hidden']}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: {'sk-hidden': 1}}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: {'sk-hidden': ''}}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: {env: 'sk-hidden'}}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: {file: 'sk-hidden'}}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: {env: ['sk-hidden']}}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: 'sk-hidden\\n!'}]}",
    "{duplicates: [{name: 'a', url: 'https://a.b', apiKey: {env: 'BROKEN'}}]}",
    "{duplicates: [{name: 'a', url: 'https://u:hidden@a.b', apiKey: 'sk-hidden'}]}",
    "{models: [{name: 'a', endpointUrl: 'https://u:hidden@a.b', apiKey: 'sk-hidden', type: 1}]}",
    "{models: [{name: 'a', endpointUrl: 'x://a.b/?key=hidden', apiKey: 'sk-hidden' 1}]}",
];

#[test]
fn no_mistake_shows_a_secret() {
    for text in LEAKY {
        let error = Folder::with(text).load().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hidden"), "{text}\n{error}");
    }
}

#[test]
fn what_was_loaded_shows_no_secret_and_the_view_masks_it() {
    let folder = Folder::with(
        "{models: [{name: 'a', endpointUrl: 'https://h.test/v1/completions?key=hidden&api-version=1', apiKey: 'sk-hidden'}],
          duplicates: [{name: 'd', url: 'https://r.openai.azure.com', apiKey: {file: 'key'}}]}",
    );
    folder.put("key", "sk-hidden\n");
    let loaded = folder.load().unwrap();
    assert!(!loaded.view.to_string().contains("hidden"), "{}", loaded.view);
    assert_eq!(loaded.view["models"][0]["apiKey"], "***");
    assert_eq!(loaded.view["models"][0]["endpointUrl"], "https://h.test/v1/completions?key=***&api-version=1");
    assert_eq!(loaded.view["duplicates"][0]["apiKey"], "***");
    assert!(!format!("{loaded:?}").contains("sk-hidden"));
    let ModelKey::Own(key) = loaded.policy.routing.customs["a"].api_key.clone() else { panic!("no key") };
    assert_eq!(key.reveal(), "sk-hidden");
}

#[test]
fn secrets_come_from_the_text_the_environment_or_a_file_without_white_space() {
    let folder = Folder::with(
        "{duplicates: [
           {name: 'text', url: 'https://a.test', apiKey: ' k1 '},
           {name: 'env', url: 'https://b.test', apiKey: {env: 'KEY'}},
           {name: 'file', url: 'https://c.test', apiKey: {file: 'config/key'}, auth: 'api-key'},
           {name: 'none', url: 'https://d.test/v1/'}]}",
    );
    folder.put("config/key", "\tk3\r\n");
    let loaded = folder.load().unwrap();
    let keys: Vec<_> = loaded.policy.routing.duplicates.iter().map(|duplicate| &duplicate.credential).collect();
    let revealed: Vec<_> = keys.iter().filter_map(|key| Some(key.secret()?.reveal())).collect();
    assert_eq!(revealed, ["k1", "sk-from-env", "k3"]);
    assert!(matches!(keys[0], Credential::Bearer(_)) && matches!(keys[2], Credential::ApiKey(_)));
    assert_eq!((keys[3], &*loaded.policy.routing.duplicates[3].base_path), (&Credential::None, ""));
    let has = |text: &str| loaded.warnings.iter().any(|warning| warning.contains(text));
    assert!(has("duplicates[3] has no `apiKey`") && has("duplicates[3].url ends in `/v1`"), "{:?}", loaded.warnings);
}

#[cfg(unix)]
#[test]
fn a_secrets_file_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with("{duplicates: [{name: 'a', url: 'https://a.test', apiKey: {file: 'key'}}]}");
    folder.put("key", "k");
    for (mode, warns) in [(0o600, false), (0o644, true)] {
        fs::set_permissions(folder.path().join("key"), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(!folder.load().unwrap().warnings.is_empty(), warns, "{mode:o}");
    }
}

#[test]
fn duplicates_are_sorted_by_priority_and_azure_is_told_by_its_host() {
    let loaded = loaded(
        "{duplicates: [
           {name: 'late', url: 'https://api.openai.com', apiKey: 'k', priority: 9},
           {name: 'apim', kind: 'azure', url: 'https://gw.test/eu/openai/v1/', apiKey: 'k', auth: 'bearer', apiVersion: 'preview'},
           {name: 'azure', url: 'https://R.openai.azure.com/openai', apiKey: 'k', apiVersion: '2025-04-01-preview',
            deployments: {'gpt-4o': {deployment: 'prod-4o', model: 'gpt-4o-2024-08-06'}}},
           {name: 'look-alike', url: 'https://xopenai.azure.com.evil.test/base', apiKey: 'k', priority: 0}]}",
    );
    let all = &loaded.policy.routing.duplicates;
    let names: Vec<_> = all.iter().map(|duplicate| (&*duplicate.name, &*duplicate.base_path)).collect();
    assert_eq!(names, [("look-alike", "/base"), ("apim", "/eu"), ("azure", ""), ("late", "")]);
    assert!(matches!(all[0].kind, DuplicateKind::Exact) && matches!(all[3].kind, DuplicateKind::Exact));
    assert!(matches!(&all[1].kind, DuplicateKind::Azure { version: AzureVersion::V1(v), .. } if &**v == "preview"));
    assert!(matches!(all[1].credential, Credential::Bearer(_)) && matches!(all[2].credential, Credential::ApiKey(_)));
    let DuplicateKind::Azure { version, deployments } = &all[2].kind else { panic!("{all:?}") };
    assert_eq!(*version, AzureVersion::Dated("2025-04-01-preview".into()));
    assert_eq!(&*deployments["gpt-4o"].deployment, "prod-4o");
}

#[test]
fn settings_reach_their_places() {
    let loaded = loaded(
        "{ledger: {path: null, keep: '1d', entries: 5}, upstream: {connectTimeout: '250ms',
          resolve: {'api.openai.com:443': '127.0.0.1:9443'}}, limits: {bodyBytes: '1MiB', drainTimeout: '2m'},
          metering: {onDisconnect: 'cancel'}, intercept: ['b.test', 'a.test'], certs: 'keys'}",
    );
    let setup = &loaded.setup;
    assert_eq!((setup.journal.as_deref(), setup.keep), (None, Some(Duration::from_secs(86_400))));
    assert_eq!((setup.limits.entries, setup.limits.body_bytes), (5, 1 << 20));
    assert_eq!(setup.limits.drain_timeout, Duration::from_secs(120));
    assert_eq!(setup.upstream.connect_timeout, Duration::from_millis(250));
    let at = HostPort::parse("api.openai.com:443", 0).unwrap();
    assert_eq!(setup.upstream.resolve[&at], "127.0.0.1:9443".parse().unwrap());
    assert!(setup.certs.is_absolute() && setup.certs.ends_with("keys"));
    assert_eq!(loaded.policy.metering.on_disconnect, OnDisconnect::Cancel);
    assert_eq!(loaded.policy.interception.principal().unwrap().to_string(), "b.test");
}

#[test]
fn further_roots_are_read_from_pem() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let folder = Folder::with(
        "{upstream: {ca: 'roots.pem'}, duplicates: [{name: 'a', url: 'https://a.test', apiKey: 'k', ca: 'roots.pem'}]}",
    );
    folder.put("roots.pem", certificate.pem());
    let loaded = folder.load().unwrap();
    let roots = loaded.setup.upstream.roots.unwrap();
    assert_eq!(roots.certificates, [certificate.der().to_vec()]);
    let duplicate = &loaded.policy.routing.duplicates[0];
    assert_eq!(duplicate.destination.roots.as_deref(), Some(&*roots));
    assert_eq!(loaded.view["upstream"]["ca"], "roots.pem");
    folder.put("roots.pem", certificate.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let found = mistakes_of(folder.load());
    assert_eq!(found.len(), 2);
    assert!(
        found[0].to_string().ends_with("upstream.ca names `roots.pem`, whose certificate 2 cannot be used as a root")
    );
}

#[test]
fn arguments_win_over_the_file_and_are_held_to_the_same_rules() {
    let folder = Folder::with("{listen: {proxy: '127.0.0.1:1'}}");
    let with = |proxy: &str, admin: &str| {
        load(&Sources { proxy: Some(proxy.into()), admin: Some(admin.into()), ..sources(folder.path()) })
    };
    let setup = with("localhost:0", "127.0.0.1:0").unwrap().setup;
    assert_eq!((setup.proxy, setup.admin), ("127.0.0.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()));
    let found: Vec<_> = mistakes_of(with("0.0.0.0:1", "x")).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "--admin: listen.admin must be an address with a port such as `127.0.0.1:8484`, not `x`",
            "--proxy: listen.proxy is reached from other machines, so that it needs `listen.users`",
        ]
    );
}

#[test]
fn the_file_is_found_in_order_and_its_folders_belong_to_it() {
    let folder = Folder::with("{workers: 1}");
    let here = folder.path();
    folder.put("other/config/my.json5", "{workers: 2}");
    folder.put("other/mine.json5", "{workers: 3}");
    folder.put("xdg/tollgate/tollgate.json5", "{workers: 4, modelsFile: 'm.txt'}");
    folder.put("xdg/tollgate/m.txt", "");
    let found = |file: Option<&str>, variable: Option<&str>, start: &str| {
        let environment = |name: &str| match name {
            "TOLLGATE_CONFIG" => variable.map(Into::into),
            "XDG_CONFIG_HOME" => Some(here.join("xdg").display().to_string()),
            "HOME" => Some(here.join("home").display().to_string()),
            _ => None,
        };
        let working_directory = here.join(start);
        let setup = load(&Sources {
            file: file.map(Into::into),
            environment: &environment,
            working_directory,
            ..sources(here)
        });
        let setup = setup.unwrap().setup;
        let below = |path: &Path| path.strip_prefix(here).unwrap().display().to_string();
        (setup.workers, below(&setup.certs), below(&setup.journal.unwrap()))
    };
    let places = |workers, base: &str| (workers, format!("{base}certs"), format!("{base}data/ledger.sqlite"));
    assert_eq!(found(None, None, ""), places(1, ""));
    assert_eq!(found(Some("other/config/my.json5"), Some("none"), ""), places(2, "other/"));
    assert_eq!(found(None, Some("other/mine.json5"), ""), places(3, "other/"));
    assert_eq!(found(None, Some(""), "home"), places(4, "home/.local/share/tollgate/"));
    fs::remove_file(here.join("xdg/tollgate/tollgate.json5")).unwrap();
    let (_, certs, journal) = found(None, None, "home");
    let (_, expected_certs, expected_journal) = places(0, "home/.local/share/tollgate/");
    assert_eq!((certs, journal), (expected_certs, expected_journal));
    fs::create_dir_all(here.join("home/certs")).unwrap();
    assert_eq!(found(None, None, "home").1, "home/certs");
}

#[test]
fn a_file_that_was_asked_for_and_is_missing_is_an_error_that_names_it() {
    let folder = Folder::with("{}");
    let error = load(&Sources { file: Some("no/such.json5".into()), ..sources(folder.path()) }).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the configuration `no/such.json5`");
}

#[test]
fn budgets_are_read_exactly_and_shown_as_they_are_written() {
    let folder = Folder::with(
        "{budgets: [
          {name: 'all', limit: 0.1, per: 'month'},
          {name: 'interns', match: {label: 'intern-*', model: 'gpt-*'}, each: 'label', limit: '2.500000000001', per: '168h', then: 'warn'},
          {name: 'azure', match: {route: 'azure-eu', process: null}, limit: 0, per: '5h'},
        ]}",
    );
    let loaded = folder.load().unwrap();
    let [all, interns, azure] = &*loaded.setup.budgets else { panic!("{:?}", loaded.setup.budgets) };
    assert_eq!((all.limit, all.per, all.then), (Cost(100_000_000_000), Per::Month, Then::Refuse));
    assert_eq!((interns.limit, interns.per, interns.then), (Cost(2_500_000_000_001), Per::Rolling(168), Then::Warn));
    assert_eq!((interns.only.glob(Side::Label), interns.each), (Some("intern-*"), Some(Side::Label)));
    assert_eq!((azure.limit, azure.per), (Cost(0), Per::Rolling(5)));
    assert!(loaded.warnings[0].ends_with(
        "budgets[2].match.route fits no route: they are called `custom/NAME`, `duplicate/NAME` and `origin/HOST`"
    ));
    let written = serde_json::json!([
        {"name": "all", "match": {}, "each": null, "limit": 0.1, "per": "month", "then": "refuse"},
        {"name": "interns", "match": {"label": "intern-*", "model": "gpt-*"}, "each": "label",
         "limit": 2.500_000_000_001, "per": "7d", "then": "warn"},
        {"name": "azure", "match": {"route": "azure-eu"}, "each": null, "limit": 0, "per": "5h", "then": "refuse"},
    ]);
    assert_eq!(loaded.view["budgets"], written);
}
