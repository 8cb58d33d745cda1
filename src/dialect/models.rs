//! The list of models: our own cards, alone or within an upstream's list.

use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{members, text};

/// A model that is not in the upstream's list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModelCard<'a> {
    /// The name that clients ask for.
    pub id: &'a str,
    /// Who serves it.
    pub owned_by: &'a str,
    /// Tokens that prompt and answer may have together, where known.
    pub context_length: Option<u64>,
}

/// Adds the cards whose ids are new at the end of `list`, an answer to `GET /v1/models`; its other bytes stay.
///
/// `None` where `list` is not `{"object":"list","data":[{...},...]}`.
pub fn merge_models(list: &[u8], extra: &[ModelCard<'_>]) -> Option<Vec<u8>> {
    let [object, data] = members(list, &["object", "data"]).ok()?;
    if text(&list[object?.value])? != "list" {
        return None;
    }
    let data = data?.value;
    let mut known: Vec<String> = serde_json::from_slice::<Vec<Listed>>(&list[data.clone()])
        .ok()?
        .into_iter()
        .filter_map(|item| item.id)
        .collect();
    let items = list[data.start + 1..data.end - 1].trim_ascii_end();
    let mut first = items.is_empty();
    let end = data.start + 1 + items.len();

    let mut merged = list[..end].to_vec();
    for model in extra {
        if known.iter().any(|id| id == model.id) {
            continue;
        }
        known.push(model.id.to_owned());
        if !first {
            merged.push(b',');
        }
        first = false;
        merged.extend(one(model));
    }
    merged.extend(&list[end..]);
    Some(merged)
}

/// An answer to `GET /v1/models` with these models alone.
pub fn list(cards: &[ModelCard<'_>]) -> Vec<u8> {
    let data: Vec<Value> = cards.iter().map(card).collect();
    json!({"object": "list", "data": data}).to_string().into_bytes()
}

/// An answer to `GET /v1/models/{id}`.
pub fn one(model: &ModelCard<'_>) -> Vec<u8> {
    card(model).to_string().into_bytes()
}

/// `created` must be a number for typed clients. It is 0 because nobody said when the model was made, and any other
/// moment would be an invention.
fn card(model: &ModelCard<'_>) -> Value {
    let mut card = json!({"id": model.id, "object": "model", "created": 0, "owned_by": model.owned_by});
    if let Some(length) = model.context_length {
        card["context_length"] = length.into();
    }
    card
}

#[derive(Deserialize)]
struct Listed {
    id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ModelCard<'_> = ModelCard { id: "databricks/dolly", owned_by: "tollgate", context_length: None };
    const B: ModelCard<'_> = ModelCard { id: "a\"b", owned_by: "me", context_length: None };
    const CARD: &str = r#"{"id":"databricks/dolly","object":"model","created":0,"owned_by":"tollgate"}"#;

    fn merged(list: &str, extra: &[ModelCard<'_>]) -> Option<String> {
        merge_models(list.as_bytes(), extra).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn cards_are_added_after_the_last_model_and_nothing_else_changes() {
        let list =
            "{ \"data\" : [ {\"id\":\"gpt-4o\",\"created\":1.0} ,{\"x\":1}\n ],\"object\":\"list\", \"more\":1e2 }\n";
        let wanted = list.replace("{\"x\":1}", &format!("{{\"x\":1}},{CARD}"));
        assert_eq!(merged(list, &[A]), Some(wanted));
        let empty = r#"{"object":"list","data":[ ]}"#;
        assert_eq!(merged(empty, &[A]), Some(format!("{{\"object\":\"list\",\"data\":[{CARD} ]}}")));
        assert_eq!(merged(list, &[]).as_deref(), Some(list));
    }

    #[test]
    fn an_id_is_listed_once() {
        let list = r#"{"object":"list","data":[{"id":"databricks\/dolly"}]}"#;
        assert_eq!(merged(list, &[A]).as_deref(), Some(list));
        let both: Value = serde_json::from_str(&merged(list, &[B, A, B]).unwrap()).unwrap();
        let ids: Vec<_> = both["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["databricks/dolly", "a\"b"]);
    }

    #[test]
    fn what_is_no_list_of_models_is_left_alone() {
        for doc in [
            "",
            "[]",
            "{}",
            r#"{"object":"list"}"#,
            r#"{"data":[]}"#,
            r#"{"object":"model","data":[]}"#,
            r#"{"object":"list","data":{}}"#,
            r#"{"object":"list","data":null}"#,
            r#"{"object":"list","data":["a"]}"#,
            r#"{"object":"list","data":[],"data":[]}"#,
            r#"{"object":"list","data":[]"#,
            r#"{"error":{"message":"no"}}"#,
        ] {
            assert_eq!(merged(doc, &[A]), None, "{doc}");
        }
    }

    #[test]
    fn our_own_answers_have_the_form_that_clients_expect() {
        assert_eq!(String::from_utf8(one(&A)).unwrap(), CARD);
        assert_eq!(String::from_utf8(list(&[A])).unwrap(), format!("{{\"object\":\"list\",\"data\":[{CARD}]}}"));
        let long = one(&ModelCard { context_length: Some(2048), ..A });
        let wanted = CARD.replace("\"tollgate\"}", "\"tollgate\",\"context_length\":2048}");
        assert_eq!(String::from_utf8(long).unwrap(), wanted);
        assert_eq!(list(&[]), br#"{"object":"list","data":[]}"#);
    }
}
