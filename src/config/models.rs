//! Custom models: the lines of the file, of `modelsFile` and of `--model`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::config::address::Address;
use crate::config::amount::rate;
use crate::config::document::Node;
use crate::config::field::{Field, Fields, shown};
use crate::config::files::{Trust, read_text};
use crate::config::load::Sources;
use crate::config::review::{Review, Source};
use crate::config::secrets::secret;
use crate::policy::custom::{CustomModel, KindFrom, ModelKey, ModelType};
use crate::policy::pricing::{Price, Rate};
use crate::policy::target::Destination;

/// A custom model and where it was defined.
#[derive(Debug)]
pub(super) struct Listed {
    /// The model.
    pub(super) model: Arc<CustomModel>,
    /// `ca` as written.
    pub(super) ca: Option<String>,
    place: String,
}

/// All custom models, each name once: the last line of a name wins.
pub(super) fn read<'a>(
    top: &Fields<'a>,
    review: &'a Review<'a>,
    sources: &Sources<'_>,
    own: &[SocketAddr],
) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    let lines = Lines { review, own };
    if let Some(field) = top.find("models") {
        listed.extend(field.items().iter().filter_map(|line| model(line, own)));
    }
    if let Some(field) = top.given("modelsFile") {
        listed.extend(lines.of_file(&field).unwrap_or_default());
    }
    for (index, line) in sources.models.iter().enumerate() {
        let file = format!("--model #{}", index + 1);
        let source = Source { file: &file, folder: &sources.working_directory };
        listed.extend(lines.line(source, line, 1));
    }
    last_of_each_name(listed, review)
}

/// Reads lines, each a JSON5 object of its own.
struct Lines<'a> {
    review: &'a Review<'a>,
    own: &'a [SocketAddr],
}

impl Lines<'_> {
    /// The lines of a text file; blank lines and lines of comments count for nothing.
    fn of_file(&self, field: &Field<'_>) -> Option<Vec<Listed>> {
        let name = field.filled_text()?;
        let path = field.resolve(name);
        let text = match read_text(&path, LARGEST) {
            Ok(text) => text,
            Err(error) => {
                field.wrong(format!("names `{}`, which cannot be read: {error}", shown(name)));
                return None;
            }
        };
        let source = Source { file: name, folder: path.parent().unwrap_or(Path::new("")) };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.lines().enumerate().filter(|(_, line)| !Node::is_blank(line));
        Some(lines.filter_map(|(index, line)| self.line(source, line, index + 1)).collect())
    }

    /// One line; `number` is the line's in its file.
    fn line(&self, source: Source<'_>, line: &str, number: usize) -> Option<Listed> {
        match Node::parse(source.file, line, number) {
            Ok(node) => model(&Field::root(self.review, source, &node), self.own),
            Err(mut mistake) => {
                if line.trim_end().ends_with(',') {
                    mistake.hint = Some("a line is one object, without a comma behind it".into());
                }
                self.review.note(mistake);
                None
            }
        }
    }
}

fn model(field: &Field<'_>, own: &[SocketAddr]) -> Option<Listed> {
    let fields = field.fields(&KEYS)?;
    let name = fields.required("name").and_then(|field| field.filled_text());
    let url = fields.required("endpointUrl");
    let address = url.as_ref().and_then(|field| Address::read(field, own));
    let price = fields.given("tokenPricing").and_then(|field| price(&field));
    let max_sequence_length = fields.given("maxSequenceLength").and_then(|field| field.whole(1..=1 << 40));
    let api_key = fields.given("apiKey").and_then(|field| secret(&field));
    let given_type = fields.given("type").map(|field| field.one_of(&TYPES));
    let ca = Trust::read(&fields);
    let model_url = fields.given("modelUrl").map(|field| model_url(&field));

    let (Some(name), Some(url), Some(Address { scheme, at, path })) = (name, url, address) else { return None };
    let (kind, kind_from) = match given_type {
        Some(given) => (given?, KindFrom::Line),
        None => inferred_type(path.path()).map_or_else(
            || {
                url.warn("does not tell the model's type by its path; `completion` is assumed, `type` would say");
                (ModelType::Completion, KindFrom::Assumed)
            },
            |kind| (kind, KindFrom::Path),
        ),
    };
    let destination = Destination { scheme, at, roots: ca.as_ref().map(|ca| Arc::clone(&ca.roots)) };
    let bare = CustomModel::new(name, destination, path);
    let model_url_given = model_url.is_some();
    let model = CustomModel {
        api_key: api_key.map_or(ModelKey::None, ModelKey::Own),
        kind,
        kind_from,
        price,
        model_url: model_url.map_or(Some(bare.model_url.clone()), |given| given.map(Into::into))?,
        model_url_given,
        max_sequence_length,
        ..bare
    };
    Some(Listed { model: Arc::new(model), ca: ca.map(|ca| ca.path), place: field.place() })
}

/// `{prompt, completion}` in US dollars for 1000 tokens.
fn price(field: &Field<'_>) -> Option<Price> {
    let fields = field.fields(&["prompt", "completion"])?;
    let member = |key: &str| match fields.given(key) {
        Some(field) => rate(&field),
        None => {
            field.warn(&format!("has no `{key}`; such tokens cost nothing"));
            Some(Rate(0))
        }
    };
    let (input, output) = (member("prompt"), member("completion"));
    Some(Price { input: input?, output: output?, ..Price::default() })
}

/// Where tokenizer and configuration come from, without one final slash.
fn model_url(field: &Field<'_>) -> Option<String> {
    let text = field.filled_text()?;
    match Address::parse(text) {
        Ok(_) => Some(text.strip_suffix('/').unwrap_or(text).into()),
        Err(predicate) => {
            field.wrong(predicate);
            None
        }
    }
}

/// What the last segments of an endpoint's path say, with or without `/v1` or a deployment before them.
fn inferred_type(path: &str) -> Option<ModelType> {
    let path = path.strip_suffix('/').unwrap_or(path);
    [ModelType::ChatCompletion, ModelType::Completion, ModelType::TextEmbedding]
        .into_iter()
        .find(|kind| path.ends_with(kind.dialect().path()))
}

fn last_of_each_name(listed: Vec<Listed>, review: &Review<'_>) -> Vec<Listed> {
    let mut kept: Vec<Listed> = Vec::with_capacity(listed.len());
    let mut places = std::collections::HashMap::new();
    for line in listed {
        match places.get(&line.model.name) {
            None => {
                places.insert(Arc::clone(&line.model.name), kept.len());
                kept.push(line);
            }
            Some(&index) => {
                let (name, before, now) = (shown(&line.model.name), &kept[index].place, &line.place);
                review.warn(format!("{now}: model `{name}` stands at {before} too; this one counts"));
                kept[index] = line;
            }
        }
    }
    kept
}

const KEYS: [&str; 8] =
    ["name", "endpointUrl", "modelUrl", "tokenPricing", "maxSequenceLength", "apiKey", "type", "ca"];

const TYPES: [(&str, ModelType); 3] = [
    ("completion", ModelType::Completion),
    ("chat-completion", ModelType::ChatCompletion),
    ("text-embedding", ModelType::TextEmbedding),
];

/// Bytes of `modelsFile`.
const LARGEST: u64 = 16 << 20;
