//! The names under which a message carries its reasoning.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The message with its reasoning under `reasoning_content` and `thinking`, which are the names that templates read.
pub fn alias(message: &Value) -> Cow<'_, Value> {
    let Value::Object(given) = message else { return Cow::Borrowed(message) };
    let present = |name: &&str| given.get(*name).filter(|value| !value.is_null());
    let Some(reasoning) = NAMES.iter().find_map(present) else { return Cow::Borrowed(message) };
    let mut whole = Map::new();
    whole.insert("thinking".to_owned(), reasoning.clone());
    whole.extend(given.clone());
    whole.insert("reasoning_content".to_owned(), reasoning.clone());
    Cow::Owned(Value::Object(whole))
}

/// Where reasoning may stand; the first one present counts.
const NAMES: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::alias;

    #[test]
    fn reasoning_is_found_under_each_name() {
        let given = json!({"role": "assistant", "reasoning": "r"});
        let whole = json!({"thinking": "r", "role": "assistant", "reasoning": "r", "reasoning_content": "r"});
        assert_eq!(*alias(&given), whole);
        let none = json!({"role": "assistant", "reasoning": null});
        assert_eq!(*alias(&none), none);
    }
}
