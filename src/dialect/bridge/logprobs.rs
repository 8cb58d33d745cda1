//! Log probabilities in the form of completions and in that of chat completions.

use serde_json::{Map, Value, json};

/// `{tokens, token_logprobs, top_logprobs, text_offset}` as `{content: [...], refusal: null}`; null where it is none.
///
/// Of the alternatives to a token the likeliest few stay, as many as the client asked for: completions tell the chosen
/// token beside them. A token whose log probability is null, as that of an echoed prompt's first, is left out. Some
/// servers use the form of chat completions at either endpoint.
pub fn to_chat(completion: &Value, most: usize) -> Value {
    let mut chat = completion.clone();
    if let Some(content) = chat.get_mut("content").and_then(Value::as_array_mut) {
        for alternatives in content.iter_mut().filter_map(|entry| entry.get_mut("top_logprobs")?.as_array_mut()) {
            alternatives.truncate(most);
        }
        return chat;
    }
    let (Some(tokens), Some(logprobs)) = (completion["tokens"].as_array(), completion["token_logprobs"].as_array())
    else {
        return Value::Null;
    };
    let content: Vec<Value> = tokens
        .iter()
        .zip(logprobs)
        .enumerate()
        .filter(|(_, (_, logprob))| logprob.is_number())
        .filter_map(|(at, (token, logprob))| {
            let mut entry = entry(token.as_str()?, logprob);
            entry["top_logprobs"] = alternatives(&completion["top_logprobs"][at], most);
            Some(entry)
        })
        .collect();
    json!({"content": content, "refusal": null})
}

/// `{content: [...]}` as the four arrays; `offset` is where the text begins, in characters. Null where it is none.
///
/// Where no token has alternatives, `top_logprobs` is null. A form that has the four arrays already stays.
pub fn to_completion(chat: &Value, offset: usize) -> Value {
    if chat["tokens"].is_array() {
        return chat.clone();
    }
    let Some(content) = chat["content"].as_array() else { return Value::Null };
    let (mut tokens, mut logprobs, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut at = offset;
    for entry in content {
        let Some(token) = entry["token"].as_str() else { continue };
        offsets.push(Value::from(at));
        at += token.chars().count();
        tokens.push(Value::from(token));
        logprobs.push(entry["logprob"].clone());
        tops.push(by_token(&entry["top_logprobs"]));
    }
    let none = tops.iter().all(|top| top.as_object().is_none_or(Map::is_empty));
    let tops = if none { Value::Null } else { Value::Array(tops) };
    json!({"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets})
}

/// A token with its bytes, which are those of its text.
fn entry(token: &str, logprob: &Value) -> Value {
    json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()})
}

/// `{token: logprob}` as a list of the likeliest few, the likeliest first.
fn alternatives(top: &Value, most: usize) -> Value {
    let Some(top) = top.as_object() else { return json!([]) };
    let mut listed: Vec<_> = top.iter().filter(|(_, logprob)| logprob.is_number()).collect();
    listed.sort_by(|(_, one), (_, other)| {
        let (one, other) = (one.as_f64().unwrap_or(f64::MIN), other.as_f64().unwrap_or(f64::MIN));
        other.total_cmp(&one)
    });
    listed.into_iter().take(most).map(|(token, logprob)| entry(token, logprob)).collect()
}

fn by_token(top: &Value) -> Value {
    let mut map = Map::new();
    for entry in top.as_array().into_iter().flatten() {
        if let Some(token) = entry["token"].as_str() {
            map.entry(token).or_insert_with(|| entry["logprob"].clone());
        }
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_arrays_become_a_list_with_bytes_and_the_likeliest_first() {
        let completion = json!({"tokens": [" é", "!"], "token_logprobs": [-0.5, -1.25],
            "top_logprobs": [{" e": -2.5, " é": -0.5}, null], "text_offset": [0, 2]});
        let expected = json!({"content": [
            {"token": " é", "logprob": -0.5, "bytes": [32, 195, 169], "top_logprobs": [
                {"token": " é", "logprob": -0.5, "bytes": [32, 195, 169]},
                {"token": " e", "logprob": -2.5, "bytes": [32, 101]}]},
            {"token": "!", "logprob": -1.25, "bytes": [33], "top_logprobs": []}], "refusal": null});
        assert_eq!(to_chat(&completion, 5), expected);
    }

    #[test]
    fn no_more_alternatives_are_shown_than_were_asked_for() {
        let completion =
            json!({"tokens": ["a"], "token_logprobs": [-3], "top_logprobs": [{"b": -2, "a": -3, "c": -1}]});
        for (most, shown) in [(0, vec![]), (1, vec!["c"]), (2, vec!["c", "b"]), (9, vec!["c", "b", "a"])] {
            let chat = to_chat(&completion, most);
            let told = |chat: &Value| {
                let entries = chat["content"][0]["top_logprobs"].as_array().unwrap().clone();
                entries.iter().map(|entry| entry["token"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(
                (told(&chat), &chat["content"][0]["logprob"]),
                (shown.iter().map(|s| s.to_string()).collect(), &json!(-3))
            );
            assert_eq!(told(&to_chat(&to_chat(&completion, 9), most)).len(), shown.len(), "in either form");
        }
    }

    #[test]
    fn the_first_token_of_an_echo_has_no_probability_and_is_left_out() {
        let completion = json!({"tokens": ["a", "b"], "token_logprobs": [null, -1], "top_logprobs": null});
        let chat = to_chat(&completion, 5);
        assert_eq!(chat["content"].as_array().unwrap().len(), 1);
        assert_eq!(chat["content"][0]["token"], "b");
    }

    #[test]
    fn a_list_becomes_four_arrays_with_offsets_in_characters() {
        let chat = json!({"content": [
            {"token": "né", "logprob": -0.5, "bytes": null, "top_logprobs": [{"token": "né", "logprob": -0.5}]},
            {"token": "🙂", "logprob": -1, "top_logprobs": []},
            {"token": "!", "logprob": -2, "top_logprobs": []}]});
        let expected = json!({"tokens": ["né", "🙂", "!"], "token_logprobs": [-0.5, -1, -2],
            "top_logprobs": [{"né": -0.5}, {}, {}], "text_offset": [7, 9, 10]});
        assert_eq!(to_completion(&chat, 7), expected);
    }

    #[test]
    fn what_is_no_log_probabilities_is_null() {
        for none in [json!(null), json!({}), json!({"content": null}), json!("x"), json!({"tokens": null})] {
            assert_eq!(to_chat(&none, 5), Value::Null, "{none}");
            assert_eq!(to_completion(&none, 0), Value::Null, "{none}");
        }
    }

    #[test]
    fn a_form_that_is_right_already_stays() {
        let chat = json!({"content": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]});
        let completion = json!({"tokens": ["a"], "token_logprobs": [-1], "text_offset": [0], "top_logprobs": null});
        assert_eq!(to_chat(&chat, 5), chat);
        assert_eq!(to_completion(&completion, 3), completion);
    }

    #[test]
    fn there_and_back_gives_the_same() {
        let completion = json!({"tokens": ["a", "ß"], "token_logprobs": [-1.5, -0.25],
            "top_logprobs": [{"a": -1.5, "b": -2}, {"ß": -0.25}], "text_offset": [0, 1]});
        assert_eq!(to_completion(&to_chat(&completion, 5), 0), completion);
    }
}
