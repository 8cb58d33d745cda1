//! Completions of several prompts as one.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Completions of several prompts as one: choices in order, usage summed. `None` where one is no such document.
pub fn join(parts: &[Bytes]) -> Option<Bytes> {
    let mut documents = parts.iter().map(|part| serde_json::from_slice::<Map<String, Value>>(part).ok());
    let mut all = documents.next()??;
    for document in documents {
        let mut document = document?;
        let more = document.get_mut("choices").and_then(Value::as_array_mut).map(std::mem::take)?;
        all.get_mut("choices").and_then(Value::as_array_mut)?.extend(more);
        let sum = all.get("usage").zip(document.get("usage")).and_then(|(a, b)| sum(a, b));
        match sum {
            Some(sum) => all.insert("usage".into(), sum),
            None => all.remove("usage"),
        };
    }
    Some(Value::Object(all).to_string().into())
}

fn sum(a: &Value, b: &Value) -> Option<Value> {
    let plus = |name: &str| a[name].as_u64()?.checked_add(b[name].as_u64()?);
    let (input, output, total) = (plus("prompt_tokens")?, plus("completion_tokens")?, plus("total_tokens")?);
    Some(json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": total }))
}
