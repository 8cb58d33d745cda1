//! Chat templates: messages become a prompt as Hugging Face's own renderer would write it.

pub mod adapt;
pub mod arguments;
pub mod builtins;
pub mod choose;
pub mod engine;
pub mod fault;
pub mod filters;
pub mod generators;
pub mod lazy;
pub mod lexer;
pub mod methods;
pub mod moment;
pub mod number;
pub mod percent;
pub mod phrase;
pub mod plain;
pub mod reasoning;
pub mod repr;
pub mod stops;
pub mod text;
pub mod tojson;

#[cfg(test)]
mod tests;

use jiff::civil::DateTime;
use minijinja::value::{Serde, Value as Item};
use serde_json::{Map, Value, json};

use engine::Program;
use fault::Fault;

/// A chat template, compiled.
#[derive(Debug)]
pub struct Template {
    form: Form,
    stops: Vec<Box<str>>,
}

/// What a template renders.
#[derive(Clone, Copy, Debug)]
pub struct Conversation<'a> {
    /// The messages.
    pub messages: &'a [Value],
    /// Tools, where the call has some.
    pub tools: Option<&'a Value>,
    /// Further variables, such as `enable_thinking`.
    pub variables: Option<&'a Map<String, Value>>,
    /// The moment that `strftime_now` tells, in local time.
    pub now: DateTime,
}

#[derive(Debug)]
enum Form {
    Plain,
    Jinja {
        program: Box<Program>,
        specials: Vec<(String, String)>,
        /// Whether the tokenizer puts the begin token before a prompt.
        begins: bool,
    },
}

impl Template {
    /// Compiles a template; `specials` are the tokenizer's special tokens by name (`bos_token`, `eos_token`, ...), each a
    /// text or an object with the text as its `content`; `add_bos_token: false` says that the tokenizer puts no begin
    /// token before a prompt. Other values are passed over.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn compile(source: &str, specials: &Map<String, Value>) -> Result<Self, TemplateError> {
        let program = Box::new(Program::compile(source)?);
        let text = |value: &Value| value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned);
        let begins = specials.get("add_bos_token") != Some(&Value::Bool(false));
        let specials = specials.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
        let mut template = Self { form: Form::Jinja { program, specials, begins }, stops: Vec::new() };
        let probe = template.probe();
        template.stops = stops::find(source, template.special("eos_token"), probe.as_deref());
        Ok(template)
    }

    /// The form for models that have no template; see [`plain`].
    pub fn plain() -> Self {
        Self { form: Form::Plain, stops: plain::stops() }
    }

    /// The prompt, with the opening of the assistant's answer at its end, and without the one leading begin token that
    /// a server adds again.
    ///
    /// # Errors
    /// The template refused the messages, or did not come to an end within its bounds.
    pub fn render(&self, conversation: &Conversation<'_>) -> Result<String, TemplateError> {
        let mut prompt = self.render_whole(conversation)?;
        let begins = matches!(self.form, Form::Jinja { begins: true, .. });
        if let Some(begin) = self.special("bos_token").filter(|begin| begins && prompt.starts_with(*begin)) {
            prompt.drain(..begin.len());
        }
        Ok(prompt)
    }

    /// The same with the begin token where the template writes one: what the model reads, to be counted.
    ///
    /// # Errors
    /// As for [`Self::render`].
    pub fn render_whole(&self, conversation: &Conversation<'_>) -> Result<String, TemplateError> {
        let Form::Jinja { program, specials, .. } = &self.form else { return Ok(plain::write(conversation.messages)) };
        let input = conversation.messages.iter().map(size).sum::<usize>() + conversation.tools.map_or(0, size);
        let input = input + conversation.variables.into_iter().flatten().map(|(_, value)| size(value)).sum::<usize>();
        let messages: Vec<_> = conversation.messages.iter().map(reasoning::alias).collect();
        let mut variables: Vec<(String, Item)> =
            specials.iter().map(|(name, text)| (name.clone(), Item::from(text.as_str()))).collect();
        variables.push(("strftime_now".to_owned(), engine::clock(conversation.now)));
        variables.push(("documents".to_owned(), Item::from(())));
        variables.push(("add_generation_prompt".to_owned(), Item::from(true)));
        for (name, value) in conversation.variables.into_iter().flatten() {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), Item::from(Serde(value))));
        }
        variables.push(("messages".to_owned(), Item::from(Serde(&messages))));
        variables.push(("tools".to_owned(), Item::from(Serde(&conversation.tools))));
        Ok(program.run(variables, input)?)
    }

    /// Texts that end the assistant's answer: the tokenizer's `eos_token`, what the template writes behind an answer, and
    /// the well-known markers that stand in its source.
    pub fn stops(&self) -> &[Box<str>] {
        &self.stops
    }

    /// Whether white space at the beginning of the answer belongs to the form.
    pub fn trims_start(&self) -> bool {
        matches!(self.form, Form::Plain)
    }

    fn special(&self, name: &str) -> Option<&str> {
        let Form::Jinja { specials, .. } = &self.form else { return None };
        let found = specials.iter().find(|(known, _)| known == name)?;
        Some(&*found.1).filter(|text| !text.is_empty())
    }

    /// A short conversation, rendered to see how an answer ends.
    fn probe(&self) -> Option<String> {
        let messages = [
            json!({"role": "user", "content": "a"}),
            json!({"role": "assistant", "content": stops::PROBE}),
            json!({"role": "user", "content": "b"}),
        ];
        let now = DateTime::constant(2024, 1, 1, 0, 0, 0, 0);
        self.render_whole(&Conversation { messages: &messages, tools: None, variables: None, now }).ok()
    }
}

/// Why there is no prompt.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// `raise_exception`: the template does not take these messages.
    #[error("the model's chat template refuses these messages: {0}")]
    Raised(String),
    /// It ran or grew without bound.
    #[error("the model's chat template was stopped: {0}")]
    Unbounded(&'static str),
    /// It cannot be compiled, or fails on these messages.
    #[error("the model's chat template is broken: {0}")]
    Broken(String),
}

impl From<Fault> for TemplateError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Raised(message) => Self::Raised(message),
            Fault::Unbounded(bound) => Self::Unbounded(bound),
            Fault::Broken(message) => Self::Broken(message),
        }
    }
}

/// About how many bytes of text a value holds; each value counts for some more, for the steps that it takes.
fn size(value: &Value) -> usize {
    VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + size(value)).sum(),
            _ => 0,
        }
}

/// What a value adds to the size of the input, in bytes.
const VALUE: usize = 64;
