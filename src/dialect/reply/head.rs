//! What all chunks of a stream have in common.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::plan::ReplyPlan;
use super::words::{object_name, prefix};

/// What all chunks of a reply have in common.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// `id`, as the client sees it.
    pub(super) id: String,
    created: Value,
    model: Value,
}

impl Head {
    /// Before the server has said anything.
    pub(super) fn of(plan: &ReplyPlan) -> Self {
        let id = format!("{}{}", prefix(plan.asked), plan.id);
        Self { id, created: plan.created.into(), model: (*plan.model).into() }
    }

    /// Takes over what the server's first chunk says.
    pub(super) fn take(&mut self, chunk: &Map<String, Value>, plan: &ReplyPlan) {
        let text = |name: &str| chunk.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(id) = text("id") {
            self.id = match plan.translates() {
                true => format!("{}{}", prefix(plan.asked), id.strip_prefix(prefix(plan.served)).unwrap_or(id)),
                false => id.to_owned(),
            };
        }
        if let Some(model) = text("model") {
            self.model = model.into();
        }
        if let Some(created) = chunk.get("created").filter(|created| created.is_u64() && created.as_u64() != Some(0)) {
            self.created = created.clone();
        }
    }

    /// Writes it into a chunk.
    pub(super) fn put(&self, chunk: &mut Map<String, Value>, plan: &ReplyPlan) {
        chunk.insert("id".into(), self.id.as_str().into());
        chunk.insert("object".into(), object_name(plan.asked, true).into());
        chunk.insert("created".into(), self.created.clone());
        chunk.insert("model".into(), self.model.clone());
    }
}

/// The chunk that tells the usage and nothing else.
pub(super) fn usage_chunk(plan: &ReplyPlan, head: &Head, usage: Value) -> Map<String, Value> {
    let mut chunk = Map::new();
    head.put(&mut chunk, plan);
    chunk.insert("choices".into(), Value::Array(Vec::new()));
    chunk.insert("usage".into(), usage);
    chunk
}

/// A chunk as an event.
pub(super) fn event(chunk: &Map<String, Value>) -> Bytes {
    let mut bytes = b"data: ".to_vec();
    // A map of JSON values can always be written.
    let _ = serde_json::to_writer(&mut bytes, chunk);
    bytes.extend(b"\n\n");
    bytes.into()
}
