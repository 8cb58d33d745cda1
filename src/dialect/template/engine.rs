//! The engine: Jinja as Hugging Face's renderer sets it up, within bounds.

use std::io::Write;

use jiff::civil::DateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior};

use super::fault::Fault;
use super::{adapt, arguments, builtins, methods, moment, phrase, repr};

/// A compiled template.
#[derive(Debug)]
pub struct Program {
    environment: Environment<'static>,
}

impl Program {
    /// Compiles a source.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn compile(source: &str) -> Result<Self, Fault> {
        if source.len() > MAX_SOURCE {
            return Err(Fault::Unbounded("its source is too long"));
        }
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_recursion_limit(MAX_DEPTH);
        environment.set_unknown_method_callback(methods::call);
        environment.set_formatter(print);
        builtins::install(&mut environment);
        environment.add_function("raise_exception", raise);
        environment.add_template_owned(NAME, adapt::adapt(source)?)?;
        Ok(Self { environment })
    }

    /// Renders it with those variables, which hold `input` bytes.
    ///
    /// # Errors
    /// The template raised, failed, or went over its bounds.
    pub fn run(&self, variables: Vec<(String, Value)>, input: usize) -> Result<String, Fault> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(FUEL + input as u64 / BYTES_A_FUEL));
        let mut page = Page { text: Vec::new(), room: MAX_OUTPUT + input.saturating_mul(4), full: false };
        let outcome = environment.get_template(NAME)?.render_captured_to(Value::from_pairs(variables), &mut page);
        if page.full {
            return Err(Fault::Unbounded("it wrote more than its messages can need"));
        }
        outcome?;
        String::from_utf8(page.text).map_err(|error| Fault::Broken(error.to_string()))
    }
}

/// The function `strftime_now` at that moment.
pub fn clock(now: DateTime) -> Value {
    Value::from_function(move |state: &State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let [format] = arguments::by_name(["format"], args)?;
        let format = format.ok_or_else(|| Error::from(minijinja::ErrorKind::MissingArgument))?;
        let format = format.as_str().ok_or_else(|| Error::from(minijinja::ErrorKind::InvalidOperation))?;
        // What writes nothing is read all the same.
        state.consume_fuel(1 + format.len() as u64 / 8)?;
        Ok::<_, Error>(moment::write(now, format))
    })
}

/// What is written, up to a bound.
struct Page {
    text: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len() + bytes.len() > self.room {
            self.full = true;
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let escapes = !value.is_safe() && !matches!(state.auto_escape(), AutoEscape::None);
    if escapes || value.as_object().is_some() || value.kind() == ValueKind::Number && !value.is_integer() {
        let text = repr::text(state, value)?;
        return out.write_str(&if escapes { phrase::escaped(&text) } else { text }).map_err(Error::from);
    }
    minijinja::escape_formatter(out, state, value)
}

fn raise(message: &Value) -> Result<Value, Error> {
    Err(Fault::Raised(message.to_string()).into_error())
}

/// The name under which the engine keeps the template.
const NAME: &str = "chat_template";
/// The longest source, in bytes.
const MAX_SOURCE: usize = 1 << 20;
/// How deep calls may go; each level takes a few kilobytes of the thread's stack.
const MAX_DEPTH: usize = 100;
/// What any template may do: about a million steps, or 64 MB of texts made.
const FUEL: u64 = 1_000_000;
/// One more for that many bytes of input, which is 16 bytes made for each.
const BYTES_A_FUEL: u64 = 4;
/// What any template may write, in bytes.
const MAX_OUTPUT: usize = 16 << 20;
