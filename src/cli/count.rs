//! `tollgate count`: tokens of a text or of a request, by one model or several.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::cli::arguments::ConfigArgs;
use crate::cli::hub::acquired;
use crate::cli::listing::{cell, table};
use crate::cli::problem::Problem;
use crate::cli::sources::loaded;
use crate::dialect::endpoint::Dialect;
use crate::policy::routing::Routing;
use crate::tokens::encoding::Encoding;
use crate::tokens::kit::Kit;
use crate::tokens::prompt::input_tokens;
use crate::tokens::tally::Tally;
use crate::tokens::tokenizer::{Specials, Tokenizer};

/// Count the tokens of a text, or of the input of a request in JSON.
#[derive(Clone, Debug, clap::Args)]
pub struct CountArgs {
    /// A text, or a request with `messages`, `prompt` or `input`; standard input if absent or `-`
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A model of OpenAI's, a custom model, or an encoding such as `o200k_base`; may be repeated
    #[arg(long = "model", value_name = "NAME")]
    pub models: Vec<String>,
    /// A `tokenizer.json`; may be repeated
    #[arg(long = "tokenizer", value_name = "FILE")]
    pub tokenizers: Vec<PathBuf>,
    /// Take the input for plain text even if it is a request
    #[arg(long)]
    pub text: bool,
    /// Configuration file (JSON5)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Counts, and prints a line for each model.
///
/// # Errors
/// A model that is not known, a tokenizer that cannot be used, or a text that cannot be read.
pub fn run(args: &CountArgs) -> Result<(), Problem> {
    let counters = counters(args)?;
    let input = input(args.file.as_deref())?;
    let source = args.file.as_deref().filter(|path| *path != Path::new("-"));
    let source = source.map_or_else(|| "standard input".to_owned(), |path| format!("`{}`", path.display()));
    let text = std::str::from_utf8(&input).with_context(|| format!("{source} is not a text in UTF-8"))?;
    let given = Given::of(text, args.text)?;
    let counts: Vec<Count> = counters.iter().map(|counter| counter.count(&given)).collect();
    let mut out = io::stdout().lock();
    if args.json {
        let rows: Vec<Value> = counts.iter().map(Count::json).collect();
        writeln!(
            out,
            "{:#}",
            json!({ "input": given.name(), "note": given.note(), "bytes": input.len(), "counts": rows })
        )?;
        return Ok(());
    }
    if let Some(note) = given.note() {
        let _ = writeln!(io::stderr(), "warning: {source} {note}");
    }
    let rows: Vec<Vec<String>> = counts.iter().map(|count| count.row(input.len())).collect();
    writeln!(out, "{}", table(&["model", "tokenizer", "exact", "tokens", "bytes"], &rows, 3))?;
    for Count { model, missing, tally, .. } in &counts {
        let model = cell(&model.as_str().into());
        let mut err = io::stderr();
        let _ = match missing {
            Some(missing) => writeln!(err, "warning: `{model}`: {missing}"),
            None if tally.exact => Ok(()),
            None => writeln!(err, "warning: `{model}`: {INEXACT}"),
        };
    }
    Ok(())
}

/// A model, and what it counts with.
struct Counter {
    model: String,
    kit: Kit,
}

/// What a model counted.
struct Count {
    model: String,
    tokenizer: &'static str,
    tally: Tally,
    missing: Option<Arc<str>>,
}

/// What is counted.
enum Given<'a> {
    /// With what was found where a request may have been meant.
    Text(&'a str, Option<String>),
    Request(Dialect, Value),
}

impl<'a> Given<'a> {
    fn of(input: &'a str, as_text: bool) -> Result<Self, Problem> {
        let document = input.trim_start_matches('\u{feff}').trim_start();
        if as_text || !document.starts_with('{') {
            return Ok(Self::Text(input, None));
        }
        let request = match serde_json::from_str::<Value>(document) {
            Ok(request) => request,
            Err(error) => {
                return Ok(Self::Text(
                    input,
                    Some(format!("begins as JSON but is none ({error}): its text is counted")),
                ));
            }
        };
        let has = |(name, _): &(&str, Dialect)| request.get(name).is_some_and(|value: &Value| !value.is_null());
        let Some((name, dialect)) = REQUESTS.into_iter().find(has) else {
            let note =
                "is JSON but no request, having neither `messages` nor `prompt` nor `input`: its text is counted";
            return Ok(Self::Text(input, Some(note.into())));
        };
        let fits = request[name].is_array() || (dialect != Dialect::Chat && request[name].is_string());
        if !fits {
            let form = if dialect == Dialect::Chat { "a list" } else { "a text or a list" };
            let hint = "`--text` counts what is written, whatever it means".to_owned();
            return Err(Problem::usage(anyhow!("the request cannot be counted: `{name}` must be {form}"), Some(hint)));
        }
        Ok(Self::Request(dialect, request))
    }

    /// What should be said about the input.
    fn note(&self) -> Option<&str> {
        match self {
            Self::Text(_, note) => note.as_deref(),
            Self::Request(Dialect::Embeddings, request) if !is_for_embeddings(request) => {
                Some("is counted as the texts of its `input`; a call of /v1/responses has a few tokens more")
            }
            Self::Request(..) => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text(..) => "text",
            Self::Request(Dialect::Chat, _) => "chat request",
            Self::Request(Dialect::Completion, _) => "completion request",
            Self::Request(..) => "embeddings request",
        }
    }
}

impl Counter {
    fn count(&self, given: &Given<'_>) -> Count {
        let tally = match (given, &self.kit.tokenizer) {
            (Given::Text(text, _), Some(tokenizer)) => tokenizer.count(text, Specials::Text),
            (Given::Text(text, _), None) => crate::tokens::tally::estimate(text),
            (Given::Request(dialect, request), _) => {
                // The rules for messages differ from model to model.
                let mut request = request.clone();
                request["model"] = self.model.as_str().into();
                input_tokens(*dialect, request.to_string().as_bytes(), &self.kit)
            }
        };
        let tokenizer = self.kit.tokenizer.as_ref().map_or("none", |tokenizer| tokenizer.name());
        Count { model: self.model.clone(), tokenizer, tally, missing: self.kit.missing.clone() }
    }
}

impl Count {
    fn json(&self) -> Value {
        json!({
            "model": self.model, "tokenizer": self.tokenizer, "tokens": self.tally.tokens, "exact": self.tally.exact,
            "missing": self.missing,
        })
    }

    fn row(&self, bytes: usize) -> Vec<String> {
        let exact = if self.tally.exact { "yes" } else { "no" };
        let model = cell(&self.model.as_str().into());
        vec![model, self.tokenizer.into(), exact.into(), self.tally.tokens.to_string(), bytes.to_string()]
    }
}

/// What counts, in the order of the arguments; the configuration is read only where a name asks for it.
fn counters(args: &CountArgs) -> Result<Vec<Counter>, Problem> {
    if args.models.is_empty() && args.tokenizers.is_empty() {
        let hint = "for example `--model gpt-4o`, or `--tokenizer FILE`".to_owned();
        return Err(Problem::usage(anyhow!("say which model counts"), Some(hint)));
    }
    let mut counters = Vec::new();
    if !args.models.is_empty() {
        let loaded = loaded(&ConfigArgs { config: args.config.clone(), ..ConfigArgs::default() })?;
        for model in &args.models {
            let routing = &loaded.policy.routing;
            let kit = match routing.customs.get(&**model) {
                Some(custom) => acquired(&loaded.setup, custom)?,
                None => kit(routing, model)?,
            };
            counters.push(Counter { model: model.clone(), kit });
        }
    }
    for path in &args.tokenizers {
        let tokenizer = Tokenizer::read(path).map_err(|error| Problem::usage(error, None))?;
        counters.push(Counter { model: path.display().to_string(), kit: only(tokenizer) });
    }
    Ok(counters)
}

/// What a name counts with: a custom model of that name before anything else, as calls are routed.
fn kit(routing: &Routing, name: &str) -> Result<Kit, Problem> {
    let built_in = Tokenizer::built_in(name).or_else(|| Encoding::named(name).map(Tokenizer::from));
    let Some(tokenizer) = built_in.or_else(|| Tokenizer::likely(name)) else {
        return Err(Problem::usage(anyhow!("no tokenizer is known for `{name}`"), hint(routing, name)));
    };
    Ok(only(tokenizer))
}

/// Whether the model that a request names is one that makes embeddings.
fn is_for_embeddings(request: &Value) -> bool {
    request["model"].as_str().is_some_and(|model| model.contains("embedding"))
}

fn only(tokenizer: Tokenizer) -> Kit {
    Kit { tokenizer: Some(Arc::new(tokenizer)), ..Kit::default() }
}

/// The names that look most like it.
fn hint(routing: &Routing, name: &str) -> Option<String> {
    let customs = routing.customs.keys().map(AsRef::as_ref);
    let mut known: Vec<&str> = Encoding::models().chain(Encoding::ALL.map(Encoding::name)).collect();
    known.extend(customs);
    let mut known: Vec<(f64, &str)> =
        known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known)).collect();
    known.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let near: Vec<String> =
        known.iter().filter(|(likeness, _)| *likeness > 0.75).take(3).map(|(_, known)| format!("`{known}`")).collect();
    let names = (!near.is_empty()).then(|| format!("the nearest names are {}; ", near.join(", ")));
    Some(format!("{}a custom model needs a line in the configuration", names.unwrap_or_default()))
}

fn input(file: Option<&Path>) -> Result<Vec<u8>, Problem> {
    let named = |path: &Path| format!("cannot read `{}`", path.display());
    let mut input = Vec::new();
    let read = match file.filter(|path| *path != Path::new("-")) {
        None => {
            if io::stdin().is_terminal() {
                let _ = writeln!(io::stderr(), "reading standard input; Ctrl-D ends it");
            }
            io::stdin().lock().take(MOST_INPUT + 1).read_to_end(&mut input).context("cannot read standard input")
        }
        Some(path) => File::open(path)
            .and_then(|file| file.take(MOST_INPUT + 1).read_to_end(&mut input))
            .with_context(|| named(path)),
    };
    read?;
    if input.len() as u64 > MOST_INPUT {
        return Err(anyhow!("the input has more than {} MiB", MOST_INPUT >> 20).into());
    }
    Ok(input)
}

/// What a request has its input in, and which request that is.
const REQUESTS: [(&str, Dialect); 3] =
    [("messages", Dialect::Chat), ("prompt", Dialect::Completion), ("input", Dialect::Embeddings)];

/// Why a tokenizer that is there does not give an exact count.
const INEXACT: &str =
    "an estimate: its encoding is assumed, or the input is very long or has pictures, files, tools or an unknown form";

/// Nothing that is sent to a model is longer.
const MOST_INPUT: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_text() {
        let name = |text: &str| Given::of(text, false).unwrap().name();
        assert_eq!(name(r#" {"messages":[]}"#), "chat request");
        assert_eq!(name(r#"{"prompt":"a"}"#), "completion request");
        assert_eq!(name(r#"{"input":"a"}"#), "embeddings request");
        for text in [r#"{"messages":null}"#, r#"{"a":1}"#, "{broken", "hello", "", "[1]"] {
            assert_eq!(name(text), "text", "{text}");
        }
        assert_eq!(name("\u{feff}{\"prompt\":[\"a\"]}"), "completion request");
        assert_eq!(Given::of(r#"{"prompt":"a"}"#, true).unwrap().name(), "text");
    }

    #[test]
    fn what_looks_like_a_request_and_is_none_is_told() {
        let note = |text: &'static str| Given::of(text, false).unwrap().note().map(str::to_owned);
        assert_eq!(note("hello"), None);
        assert_eq!(note(r#"{"prompt":"a"}"#), None);
        assert_eq!(note(r#"{"model":"text-embedding-3-small","input":"a"}"#), None);
        assert!(note(r#"{"model":"gpt-4o","input":"a"}"#).unwrap().contains("/v1/responses"));
        assert!(note("{broken").unwrap().starts_with("begins as JSON but is none (key must be a string at line 1"));
        assert!(note(r#"{"a":1}"#).unwrap().starts_with("is JSON but no request"));
        for (text, culprit) in [
            (r#"{"messages":5}"#, "`messages` must be a list"),
            (r#"{"messages":"hi"}"#, "`messages` must be a list"),
            (r#"{"prompt":{}}"#, "`prompt` must be a text or a list"),
        ] {
            let problem = Given::of(text, false).map(|given| given.name()).unwrap_err();
            assert!(problem.to_string().contains(culprit), "{problem}");
            assert_eq!((problem.code, Given::of(text, true).unwrap().note()), (2, None));
        }
    }

    #[test]
    fn an_unknown_model_is_told_the_nearest_names() {
        let problem = kit(&Routing::default(), "gpt4o").unwrap_err().to_string();
        assert!(problem.contains("no tokenizer is known for `gpt4o`") && problem.contains("`gpt-4o`"), "{problem}");
    }

    #[test]
    fn each_model_counts_by_its_own_rules() {
        let request = Given::of(r#"{"model":"x","messages":[{"role":"user","content":"hello"}]}"#, false).unwrap();
        let count = |model: &str| {
            let kit = kit(&Routing::default(), model).unwrap();
            Counter { model: model.into(), kit }.count(&request).tally
        };
        assert_eq!(count("gpt-4o"), Tally { tokens: 8, exact: true });
        assert_eq!(count("gpt-3.5-turbo-0301"), Tally { tokens: 9, exact: true });
        assert!(!count("gpt-6").exact);
    }
}
