//! The lines of custom models: every key, the forms that other programs write, and what posted lines may not do.

use std::fs;
use std::time::Duration;

use super::{Folder, loaded, mistakes, mistakes_of};
use crate::config::load::Loaded;
use crate::config::mistake::{ConfigError, Mistakes};
use crate::config::revise::{Rejected, Revised};
use crate::policy::custom::{CustomModel, KindFrom, ModelKey, ModelType};
use crate::policy::pricing::rate::Rate;
use crate::policy::target::Credential;

/// A model whose line has `more` behind name and endpoint; warnings too.
fn line(more: &str) -> (std::sync::Arc<CustomModel>, Vec<String>) {
    let loaded = loaded(&format!("{{models: [{{name: 'm', endpointUrl: 'http://h.test/v1/completions', {more}}}]}}"));
    (loaded.policy.routing.customs["m"].clone(), loaded.warnings)
}

/// The one mistake of such a line, without file and line.
fn mistake(more: &str) -> String {
    let found = mistakes(&format!("{{models: [{{name: 'm', endpointUrl: 'http://h.test/v1/completions',\n{more}}}]}}"));
    assert_eq!(found.len(), 1, "{more}: {found:?}");
    found[0].strip_prefix("config/tollgate.json5:2:").unwrap_or_else(|| panic!("{}", found[0])).to_owned()
}

#[test]
fn a_length_is_a_number_of_tokens_in_any_form_and_false_values_are_none() {
    for (written, length) in [
        ("2048", Some(2048)),
        ("0x800", Some(2048)),
        ("2048.0", Some(2048)),
        ("2e3", Some(2000)),
        ("+4", Some(4)),
        ("'2048'", Some(2048)),
        ("' 2048 '", Some(2048)),
        ("0", None),
        ("-0", None),
        ("0.0", None),
        ("NaN", None),
        ("''", None),
        ("null", None),
        ("false", None),
    ] {
        for key in ["maxSequenceLength", "maxOutputTokens"] {
            let (model, warnings) = line(&format!("{key}: {written}"));
            let read = if key == "maxOutputTokens" { model.max_output_tokens } else { model.max_sequence_length };
            assert_eq!((read, warnings.len()), (length, 0), "{key}: {written}");
        }
    }
    let range = "maxSequenceLength must be a whole number of tokens from 1 to 1099511627776";
    let kind = |kind: &str| format!("maxSequenceLength must be a whole number of tokens such as `4096`, not {kind}");
    for (written, told) in [
        ("-1", range.to_owned()),
        ("1e30", range.to_owned()),
        ("0.5", range.to_owned()),
        ("'1e3'", range.to_owned()),
        ("' '", range.to_owned()),
        ("123456789012345678901234567890", range.to_owned()),
        ("Infinity", kind("Infinity")),
        ("-Infinity", kind("Infinity")),
        ("true", kind("true or false")),
        ("[1]", kind("a list")),
        ("{}", kind("an object")),
    ] {
        assert_eq!(mistake(&format!("maxSequenceLength: {written}")), format!("20: models[0].{told}"), "{written}");
    }
}

#[test]
fn a_price_is_exact_in_any_form() {
    for (written, rate) in [
        ("0.03", 30_000_000_000),
        (".03", 30_000_000_000),
        ("3e-2", 30_000_000_000),
        ("0", 0),
        ("-0", 0),
        ("0x1", 1_000_000_000_000),
        ("'0.03'", 30_000_000_000),
        ("null", 0),
    ] {
        let (model, _) = line(&format!("tokenPricing: {{prompt: {written}, completion: 1}}"));
        assert_eq!(model.price.as_ref().unwrap().input, Rate(rate), "{written}");
    }
    for none in ["0", "null", "false", "''"] {
        assert!(line(&format!("tokenPricing: {none}")).0.price.is_none(), "{none}");
    }
    for (written, told) in [
        ("Infinity", "a number of US dollars for 1000 tokens, not Infinity"),
        ("NaN", "a number of US dollars for 1000 tokens, not NaN"),
        ("true", "a number of US dollars for 1000 tokens, not true or false"),
        ("[]", "a number of US dollars for 1000 tokens, not a list"),
        ("-1", "US dollars for 1000 tokens: not negative, at most 9 million, at most 12 decimals"),
        ("1e30", "US dollars for 1000 tokens: not negative, at most 9 million, at most 12 decimals"),
        ("'$3'", "US dollars for 1000 tokens: not negative, at most 9 million, at most 12 decimals"),
    ] {
        let found = mistake(&format!("tokenPricing: {{completion: 0, prompt: {written}}}"));
        assert_eq!(found, format!("39: models[0].tokenPricing.prompt must be {told}"), "{written}");
    }
    assert_eq!(mistake("tokenPricing: 5"), "15: models[0].tokenPricing must be an object, not a number");
    let (_, warnings) = line("tokenPricing: {prompt: 1, completion: 1, prmpt: 2}");
    assert!(warnings[0].ends_with("unknown key `prmpt` in models[0].tokenPricing is ignored; did you mean `prompt`?"));
}

#[test]
fn each_other_key_is_read_and_each_bad_value_is_told_at_its_place() {
    assert_eq!(line("timeout: '120s'").0.timeout, Some(Duration::from_secs(120)));
    assert_eq!(line("stop: 'a'").0.stop, [Box::from("a")]);
    assert_eq!(line("stop: ['a', '\\n']").0.stop, [Box::from("a"), Box::from("\n")]);
    assert_eq!(line("modelUrl: ' file:///models/x/ '").0.model_url.as_ref(), "file:///models/x");
    assert_eq!(line("chatTemplate: '{{ 1 }}'").0.chat_template.as_deref(), Some("{{ 1 }}"));
    assert_eq!(line("headers: {'X-A': 'b'}").0.headers[0].0, "x-a");
    assert!(!line("normalize: false").0.normalize && line("normalize: null").0.normalize);
    assert_eq!(line("apiKey: ' <OPENAI> '").0.api_key, ModelKey::Clients);
    assert_eq!(
        (line("type: 'chat-completion'").0.kind, line("type: ''").0.kind_from),
        (ModelType::ChatCompletion, KindFrom::Path)
    );
    for absent in ["modelUrl", "apiKey", "type", "stop", "chatTemplate", "headers", "timeout", "ca"] {
        let (model, warnings) = line(&format!("{absent}: null"));
        assert_eq!((&model.api_key, model.kind_from, model.stop.len()), (&ModelKey::None, KindFrom::Path, 0));
        assert!(model.timeout.is_none() && model.chat_template.is_none() && model.headers.is_empty());
        assert!(!model.model_url_given && warnings.is_empty(), "{absent}");
    }
    for (written, told) in [
        ("timeout: 120", "10: models[0].timeout must be a duration such as `10s`, not a number"),
        ("timeout: Infinity", "10: models[0].timeout must be a duration such as `10s`, not Infinity"),
        (
            "timeout: '120'",
            "10: models[0].timeout must be a duration such as `250ms`, `10s`, `5m`, `12h` or `400d`, not `120`",
        ),
        ("stop: 5", "7: models[0].stop must be a text or a list of texts, not a number"),
        ("stop: ['a', '']", "13: models[0].stop[1] must have from 1 to 4096 bytes"),
        ("modelUrl: 'org/name'", "11: models[0].modelUrl must be an http, https or file URL"),
        ("modelUrl: 5", "11: models[0].modelUrl must be a text, not a number"),
        (
            "modelUrl: 'file://models/x'",
            "11: models[0].modelUrl must be a folder's whole path behind `file://`, such as `file:///models/mine`",
        ),
        ("chatTemplate: 5", "15: models[0].chatTemplate must be a text or `{file: \"PATH\"}`, not a number"),
        (
            "chatTemplate: {file: 'no'}",
            "15: models[0].chatTemplate names `no`, which cannot be read: No such file or directory (os error 2)",
        ),
        ("headers: []", "10: models[0].headers must be an object, not a list"),
        ("headers: {authorization: 'x'}", "26: models[0].headers[\"authorization\"] is a header that cannot be set"),
        ("headers: {'a b': 'x'}", "18: models[0].headers[\"a b\"] must have the name of a header as its key"),
        (
            "headers: {a: '1', A: '2'}",
            "22: models[0].headers[\"A\"] stands twice: upper and lower case are one in the name of a header",
        ),
        ("normalize: 0", "12: models[0].normalize must be true or false, not a number"),
        ("apiKey: '***'", "9: models[0].apiKey is what is shown in the place of a secret"),
        ("apiKey: 5", "9: models[0].apiKey must be a text, `{env: \"NAME\"}` or `{file: \"PATH\"}`, not a number"),
        ("type: 'Chat'", "7: models[0].type must be `completion` or `chat-completion` or `text-embedding`, not `Chat`"),
        ("ca: 5", "5: models[0].ca must be a text, not a number"),
    ] {
        assert_eq!(mistake(written), told);
    }
    assert!(mistake("chatTemplate: '{% if %}'").starts_with("15: models[0].chatTemplate cannot be used: "));
    let unnamed = mistakes("{models: [{name: Infinity, endpointUrl: 5}]}");
    let expected =
        ["models[0].name must be a text, not Infinity", "models[0].endpointUrl must be a text, not a number"];
    assert!(unnamed.iter().zip(expected).all(|(told, expected)| told.ends_with(expected)), "{unnamed:?}");
}

#[test]
fn a_file_of_the_documents_program_is_taken_as_it_is() {
    let folder = Folder::with("{modelsFile: 'm.txt'}");
    folder.put(
        "m.txt",
        "\u{feff}\r\n{name: 'single/quotes', endpointUrl: 'http://127.0.0.1:1/v1/completions',}\r\n\
         \t {  \"name\" :\"double\"  ,\"endpointUrl\":\"https://h.test/v1/chat/completions\" } \r\n\r\n\
         // a line of its own\r\n\
         {name:\"inside\", /* here */ endpointUrl:\"http://h.test/completions\"} // and behind\r\n\
         {name:'spare', endpointUrl:' http://h.test/v1/completions ', shortLabel:'S', maxSequenceLength: 0, apiKey: '',\
          tokenPricing: {prompt: .5, completion: +1,},}\r\n\
         {name:' trimmed ', endpointUrl:'http://h.test/v1/completions', 'ty\\u0070e': 'text-embedding'}",
    );
    let loaded = folder.load().unwrap_or_else(|error| panic!("{error}"));
    let mut names: Vec<&str> = loaded.policy.routing.customs.keys().map(AsRef::as_ref).collect();
    names.sort_unstable();
    assert_eq!(names, ["double", "inside", "single/quotes", "spare", "trimmed"]);
    assert_eq!(loaded.policy.routing.customs["trimmed"].kind, ModelType::TextEmbedding);
    assert_eq!(loaded.policy.routing.customs["spare"].api_key, ModelKey::None);
    assert_eq!(loaded.warnings, ["m.txt:7:62: unknown key `shortLabel` is ignored"]);
}

#[test]
fn the_path_tells_the_type_before_the_query_and_what_is_assumed_is_told() {
    let by_path = [
        ("/v1/completions/?next=/v1/chat/completions", ModelType::Completion),
        ("/completions", ModelType::Completion),
        ("/proxy/v1/completions/generate", ModelType::Completion),
        ("/openai/v1/chat/completions?x=/v1/embeddings", ModelType::ChatCompletion),
        ("/embeddings/", ModelType::TextEmbedding),
    ];
    for (path, kind) in by_path {
        let loaded = loaded(&format!("{{models: [{{name: 'm', endpointUrl: 'https://h.test{path}'}}]}}"));
        let model = &loaded.policy.routing.customs["m"];
        assert_eq!((model.kind, model.kind_from, loaded.warnings.len()), (kind, KindFrom::Path, 0), "{path}");
    }
    let assumed = [
        ("/generate", ModelType::Completion, "`completion` is assumed, `type` would say"),
        ("/", ModelType::Completion, "`completion` is assumed, `type` would say"),
        (
            "/?https://far.test/v1/chat/completions",
            ModelType::ChatCompletion,
            "`chat-completion` is assumed because of its query, `type` would say",
        ),
    ];
    for (path, kind, told) in assumed {
        let loaded = loaded(&format!("{{models: [{{name: 'm', endpointUrl: 'https://h.test{path}'}}]}}"));
        let model = &loaded.policy.routing.customs["m"];
        assert_eq!((model.kind, model.kind_from, loaded.warnings.len()), (kind, KindFrom::Assumed, 1), "{path}");
        assert!(loaded.warnings[0].ends_with(told), "{:?}", loaded.warnings);
    }
}

#[test]
fn an_endpoint_on_azure_gets_its_key_as_azure_wants_it() {
    let credential = |host: &str, key: &str| {
        let text = format!("{{models: [{{name: 'm', endpointUrl: 'https://{host}/v1/chat/completions', {key}}}]}}");
        let model = loaded(&text).policy.routing.customs["m"].clone();
        model.target(crate::dialect::endpoint::Dialect::Chat).unwrap().credential
    };
    let azure = "r.openai.azure.com";
    assert!(matches!(credential(azure, "apiKey: 'k'"), Credential::ApiKey(_)));
    assert_eq!(credential(azure, "apiKey: '<OPENAI>'"), Credential::ClientsApiKey);
    assert_eq!(credential(azure, ""), Credential::None);
    assert!(matches!(credential("azure.h.test", "apiKey: 'k'"), Credential::Bearer(_)));
    assert_eq!(credential("h.test", "apiKey: '<OPENAI>'"), Credential::ClientsBearer);
    assert_eq!(credential("api.openai.com", ""), Credential::ClientsBearer);
    assert_eq!(credential("api.openai.com.h.test", ""), Credential::None);
    assert_eq!(credential("api.openai.com:8443", ""), Credential::None);
}

#[test]
fn of_many_mistakes_the_first_are_told_and_the_others_counted() {
    let folder = Folder::with("{modelsFile: 'm.txt'}");
    folder.put("m.txt", "{nam: 1}\n".repeat(20_000));
    let Err(ConfigError::Mistakes(Mistakes { first, more })) = folder.load() else { panic!("no mistakes") };
    let lines: Vec<usize> = first.iter().map(|mistake| mistake.line).collect();
    let expected: Vec<usize> = (1..=10).flat_map(|line| [line, line]).collect();
    assert_eq!((lines, more), (expected, 39_980));

    // The order of the text, not that of the reading, says which are first.
    let listed = "5, ".repeat(1000);
    let text = format!("{{models: [{listed}], workers: 'x',\nlisten: 5}}");
    let error = Folder::with(&text).load().unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("config/tollgate.json5:1:11: models[0] must be an object"), "{told}");
    assert!(told.ends_with("models[19] must be an object, not a number\nand 982 more"), "{told}");
}

#[test]
fn of_many_warnings_the_first_are_told_and_the_others_counted() {
    let folder = Folder::with("{modelsFile: 'm.txt'}");
    folder.put("m.txt", "{name:'m', endpointUrl:'http://h.test/v1/completions'}\n".repeat(10_000));
    let warnings = folder.load().unwrap().warnings;
    assert_eq!(warnings.len(), 21);
    assert_eq!(warnings[0], "m.txt:2:1: model `m` stands at m.txt:1:1 too; this one counts");
    assert_eq!(warnings[20], "and 9979 more");
}

#[test]
fn a_message_that_quotes_the_text_stays_short() {
    let long = "x".repeat(100_000);
    let found = mistakes(&format!(
        "{{models: [{{name: 'm', endpointUrl: 'http://h.test/v1/completions', chatTemplate: '{{% {long} %}}'}}]}}"
    ));
    assert!(found[0].contains("chatTemplate cannot be used") && found[0].len() < 1000, "{}", found[0].len());
}

/// A folder whose models file is `text`, and what it was loaded to.
fn with_file(text: &str) -> (Folder, Loaded) {
    let folder = Folder::with("{modelsFile: 'm.txt'}");
    folder.put("m.txt", text);
    folder.put("key", "sk-canary");
    let loaded = folder.load().unwrap_or_else(|error| panic!("{error}"));
    (folder, loaded)
}

fn refused(outcome: Result<Revised, Rejected>) -> Vec<String> {
    match outcome {
        Err(Rejected::Mistakes(mistakes)) => mistakes.first.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_that_are_sent_cannot_make_the_gate_read_its_machine() {
    let (folder, loaded) = with_file("// none\n");
    for (more, column) in [
        ("apiKey: {file: 'key'}", 69),
        ("apiKey: {file: '/no/such/file'}", 69),
        ("apiKey: {env: 'PATH'}", 69),
        ("headers: {a: {env: 'PATH'}}", 74),
        ("chatTemplate: {file: 'key'}", 75),
        ("ca: 'key'", 65),
    ] {
        let line = format!("{{name:'m', endpointUrl:'http://h.test/v1/chat/completions', {more}}}\n");
        let told = refused(loaded.lines.revise(&line));
        let told = told[0].strip_prefix(&format!("m.txt:1:{column}: ")).unwrap_or_else(|| panic!("{told:?}"));
        assert!(told.ends_with("would have to read, which lines that are sent must not do"), "{told}");
        assert_eq!(fs::read_to_string(folder.path().join("m.txt")).unwrap(), "// none\n");
    }
    let template = "{name:'m', endpointUrl:'http://h.test/v1/completions', chatTemplate:'{{ 1 }}', apiKey:'k'}\n";
    assert_eq!(loaded.lines.revise(template).unwrap().customs.len(), 1);
}

#[test]
fn a_line_that_stands_in_the_file_may_be_sent_again() {
    let kept = "{name:'m', endpointUrl:'http://h.test/v1/completions', apiKey: {file: 'key'}}";
    let (folder, loaded) = with_file(&format!("\u{feff}  {kept}\r\n"));
    let more = "{name:'n', endpointUrl:'http://h.test/v1/completions'}";
    let revised = loaded.lines.revise(&format!("{more}\n{kept}\n")).unwrap();
    assert_eq!(revised.customs["m"].api_key, ModelKey::Own(crate::net::secret::Secret::new("sk-canary")));
    // The file that was written is now the one that counts, and the owner may have changed it since.
    for (other, line) in [(kept.replace("h.test", "evil.test"), 1), (kept.replace("'key'", "'m.txt'"), 1)] {
        let told = refused(loaded.lines.revise(&other));
        assert!(told[0].starts_with(&format!("m.txt:{line}:")), "{told:?}");
    }
    let by_hand = kept.replace("'m'", "'by-hand'");
    fs::write(folder.path().join("m.txt"), &by_hand).unwrap();
    assert!(loaded.lines.revise(&by_hand).unwrap().customs.contains_key("by-hand"));
    assert!(!refused(loaded.lines.revise(kept)).is_empty());
}

#[test]
fn two_lines_of_one_name_are_told_wherever_they_stand() {
    let folder =
        Folder::with("{models: [{name: 'm', endpointUrl: 'http://1.test/v1/completions'}], modelsFile: 'm.txt'}");
    folder.put("m.txt", "");
    let argued = "{name:'m', endpointUrl:'http://3.test/v1/completions'}";
    let loaded = folder.load_lines(&[argued]).unwrap();
    assert_eq!(
        loaded.warnings,
        ["--model #1:1:1: model `m` stands at config/tollgate.json5:1:11 too; this one counts"]
    );
    let posted = " {name:'m', endpointUrl:'http://2.test/v1/completions'}\n{name:'m', endpointUrl:'http://4.test/v1/completions'}";
    let revised = loaded.lines.revise(posted).unwrap();
    assert_eq!(
        revised.warnings,
        [
            "m.txt:1:2: model `m` stands at config/tollgate.json5:1:11 too; this one counts",
            "m.txt:2:1: model `m` stands at m.txt:1:2 too; this one counts",
            "--model #1:1:1: model `m` stands at m.txt:2:1 too; this one counts",
        ]
    );
    assert_eq!(revised.customs["m"].destination.at.to_string(), "3.test:80");
    let again = mistakes_of(folder.load_lines(&["{name:'m'}"]));
    assert_eq!(again[0].to_string(), "--model #1:1:1: the text lacks the key `endpointUrl`");
}
