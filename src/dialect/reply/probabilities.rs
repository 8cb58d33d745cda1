//! Log probabilities of tokens, as far as the text that they belong to is shown.

use std::collections::VecDeque;

use serde_json::{Map, Value};

/// Log probabilities in the form of either dialect, token by token, that wait for their text to go out.
///
/// In both forms the tokens are elements of lists that run side by side: `content`, or `tokens` and its companions.
#[derive(Debug, Default)]
pub(super) struct Probabilities {
    /// The form around the tokens, its lists empty.
    shell: Map<String, Value>,
    tokens: VecDeque<Token>,
    /// Bytes of text that have gone out and that no token that has gone out stands for.
    ahead: usize,
}

#[derive(Debug)]
struct Token {
    bytes: usize,
    /// Its element in each list.
    elements: Map<String, Value>,
}

impl Probabilities {
    /// Those of one piece of text, put behind the ones that wait; what has no tokens is given back.
    pub(super) fn push(&mut self, came: Value) -> Value {
        let Value::Object(mut lists) = came else { return came };
        let texts: Vec<usize> = match (&lists.get("content"), &lists.get("tokens")) {
            (Some(Value::Array(content)), _) => content.iter().map(|entry| bytes(&entry["token"])).collect(),
            (_, Some(Value::Array(tokens))) => tokens.iter().map(bytes).collect(),
            _ => return Value::Object(lists),
        };
        let mut tokens: Vec<Token> = texts.into_iter().map(|bytes| Token { bytes, elements: Map::new() }).collect();
        for (name, list) in lists.iter_mut().filter(|(_, list)| list.is_array()) {
            let Value::Array(elements) = list.take() else { continue };
            for (token, element) in tokens.iter_mut().zip(elements) {
                token.elements.insert(name.clone(), element);
            }
            *list = Value::Array(Vec::new());
        }
        self.shell = lists;
        self.tokens.extend(tokens);
        // Those of no text wait for ever; nobody shows so many at once.
        let beyond = self.tokens.len().saturating_sub(MOST_WAITING);
        self.tokens.drain(..beyond);
        Value::Null
    }

    /// Those of the next so many bytes of text, for which no more than these have been shown.
    pub(super) fn within(&mut self, bytes: usize) -> Value {
        self.ahead += bytes;
        let mut count = 0;
        for token in &self.tokens {
            let Some(rest) = self.ahead.checked_sub(token.bytes) else { break };
            self.ahead = rest;
            count += 1;
        }
        self.first(count)
    }

    /// None yet, though so many bytes of text are behind: they go out with the next ones.
    pub(super) fn later(&mut self, bytes: usize) -> Value {
        self.ahead += bytes;
        Value::Null
    }

    /// All that wait: their text is shown whole.
    pub(super) fn all(&mut self) -> Value {
        self.ahead = 0;
        self.first(self.tokens.len())
    }

    /// Whether none wait.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn first(&mut self, count: usize) -> Value {
        if count == 0 {
            return Value::Null;
        }
        let mut lists = self.shell.clone();
        for token in self.tokens.drain(..count) {
            for (name, element) in token.elements {
                if let Some(list) = lists.get_mut(&name).and_then(Value::as_array_mut) {
                    list.push(element);
                }
            }
        }
        Value::Object(lists)
    }
}

fn bytes(token: &Value) -> usize {
    token.as_str().map_or(0, str::len)
}

/// Tokens whose log probabilities are kept until their text is shown.
const MOST_WAITING: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_go_out_with_their_text_in_either_form() {
        let mut lists = Probabilities::default();
        lists.push(
            json!({"tokens": ["ab", "c"], "token_logprobs": [-1, -2], "top_logprobs": null, "text_offset": [0, 2]}),
        );
        assert_eq!(lists.within(1), Value::Null, "half a token is none");
        lists.push(json!({"tokens": ["de"], "token_logprobs": [-3], "top_logprobs": null, "text_offset": [3]}));
        let expected =
            json!({"tokens": ["ab", "c"], "token_logprobs": [-1, -2], "top_logprobs": null, "text_offset": [0, 2]});
        assert_eq!(lists.within(2), expected);
        assert!(!lists.is_empty());
        assert_eq!(lists.within(1), Value::Null);
        assert_eq!(lists.all()["text_offset"], json!([3]));
        assert!(lists.is_empty());
        lists.push(json!({"tokens": ["fg"], "token_logprobs": [-4]}));
        assert_eq!(lists.within(1), Value::Null, "what went before went with its own");
        assert_eq!(lists.later(1), Value::Null);
        assert_eq!(lists.within(0)["tokens"], json!(["fg"]));

        let mut content = Probabilities::default();
        assert_eq!(content.all(), Value::Null);
        content.push(json!({"content": [{"token": "é", "logprob": -1}, {"token": "x"}], "refusal": null}));
        assert_eq!(content.within(2), json!({"content": [{"token": "é", "logprob": -1}], "refusal": null}));
        for none in [json!("no log probabilities"), Value::Null, json!({"content": null})] {
            assert_eq!(content.push(none.clone()), none);
        }
        assert_eq!(content.within(7)["content"], json!([{"token": "x"}]));
    }
}
