//! Attributes in the messages of OTLP.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Attributes while they are collected; what is not known is left out.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Adds a text.
    pub(crate) fn text(&mut self, name: &str, value: impl Into<String>) {
        self.push(name, Value::StringValue(value.into()));
    }

    /// Adds a text where there is one.
    pub(crate) fn some_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Adds a number; one beyond what the messages can hold is left out rather than told wrong.
    pub(crate) fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
            self.push(name, Value::IntValue(value));
        }
    }

    /// Adds a number that need not be whole.
    pub(crate) fn seconds(&mut self, name: &str, millis: Option<u64>) {
        if let Some(millis) = millis {
            self.push(name, Value::DoubleValue(millis as f64 / 1000.0));
        }
    }

    /// Adds yes or no.
    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.push(name, Value::BoolValue(value));
    }

    /// All of them.
    pub(crate) fn done(self) -> Vec<KeyValue> {
        self.0
    }

    fn push(&mut self, name: &str, value: Value) {
        self.0.push(KeyValue { key: name.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() });
    }
}

/// Who sends.
pub(crate) fn resource(service: &str, instance: &str) -> Resource {
    let mut attributes = Attributes::default();
    attributes.text("service.name", service);
    attributes.text("service.version", env!("CARGO_PKG_VERSION"));
    attributes.text("service.instance.id", instance);
    Resource { attributes: attributes.done(), ..Resource::default() }
}

/// What made the numbers and spans.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "tollgate".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    }
}

/// Which version of the conventions the names are of.
pub(crate) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.42.0";
