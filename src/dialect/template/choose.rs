//! The right one of several templates.

use serde_json::Value;

/// The template that a `chat_template` value holds for a call with or without tools: the value itself where it is a text;
/// of a list of `{name, template}`, the one named `tool_use` for a call with tools, else `default`.
pub fn choose(value: &Value, has_tools: bool) -> Option<&str> {
    let list = match value {
        Value::String(template) => return Some(template),
        Value::Array(list) => list,
        _ => return None,
    };
    let named =
        |name: &str| list.iter().find(|entry| entry["name"] == name).and_then(|entry| entry["template"].as_str());
    has_tools.then(|| named("tool_use")).flatten().or_else(|| named("default"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::choose;

    #[test]
    fn tools_take_their_own_template_where_there_is_one() {
        let both = json!([{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]);
        assert_eq!((choose(&both, true), choose(&both, false)), (Some("t"), Some("d")));
        let one = json!([{"name": "default", "template": "d"}]);
        assert_eq!(choose(&one, true), Some("d"));
        assert_eq!(choose(&json!([{"name": "rag", "template": "r"}, 7]), false), None);
        assert_eq!(choose(&json!("text"), true), Some("text"));
        assert_eq!(choose(&json!(7), true), None);
    }
}
