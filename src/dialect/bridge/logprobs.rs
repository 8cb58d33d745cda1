//! Log probabilities in the form of completions and in that of chat completions.

use serde_json::Value;

/// `{tokens, token_logprobs, top_logprobs, text_offset}` as `{content: [...], refusal: null}`; null where it is none.
pub fn to_chat(completion: &Value) -> Value {
    let _ = completion;
    Value::Null
}

/// `{content: [...]}` as the four arrays; `offset` is where the text begins, in characters. Null where it is none.
pub fn to_completion(chat: &Value, offset: usize) -> Value {
    let _ = (chat, offset);
    Value::Null
}
