//! What a request asks for that costs tokens which neither it nor the reply shows.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What in a request keeps its count from being exact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hidden {
    /// Something costs that cannot be seen.
    pub doubtful: bool,
    /// How often the reply repeats the prompt.
    pub echoes: u64,
}

impl Hidden {
    /// Looks through a body; one that cannot be read hides everything.
    pub fn of(body: &[u8]) -> Self {
        let Ok(asked) = serde_json::from_slice::<Asked<'_>>(body) else {
            return Self { doubtful: true, ..Self::default() };
        };
        let echoes = if asked.echo == Some(true) { asked.n.unwrap_or(1).max(1) } else { 0 };
        Self { doubtful: echoes > 0 || asked.hides(), echoes }
    }
}

/// The members that decide; a null is as good as absent.
#[derive(Deserialize)]
struct Asked<'a> {
    /// The form that tools are told in is known for a few models only, and that of their calls for none.
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    functions: Option<&'a RawValue>,
    /// The model writes the stop string, and the reply does not have it.
    #[serde(borrow, default)]
    stop: Option<&'a RawValue>,
    /// Candidates are paid that are not returned.
    #[serde(borrow, default)]
    best_of: Option<&'a RawValue>,
    /// Predicted tokens are paid also where they were wrong.
    #[serde(borrow, default)]
    prediction: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    web_search_options: Option<&'a RawValue>,
    /// What was said before is kept by the server.
    #[serde(borrow, default)]
    previous_response_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    conversation: Option<&'a RawValue>,
    #[serde(default)]
    echo: Option<bool>,
    #[serde(default)]
    n: Option<u64>,
}

impl Asked<'_> {
    fn hides(&self) -> bool {
        let members = [
            self.tools,
            self.functions,
            self.stop,
            self.best_of,
            self.prediction,
            self.audio,
            self.web_search_options,
            self.previous_response_id,
            self.conversation,
        ];
        members.into_iter().flatten().any(|raw| !NOTHING.contains(&raw.get()))
    }
}

const NOTHING: [&str; 3] = ["null", "[]", "\"\""];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_unseen_is_known() {
        let plain =
            r#"{"messages":[{"role":"user","content":"tools"}],"tools":[],"stop":null,"n":2,"temperature":0.5}"#;
        assert_eq!(Hidden::of(plain.as_bytes()), Hidden::default());
        for member in [
            r#""tools":[{}]"#,
            r#""functions":[{}]"#,
            r#""stop":"\n""#,
            r#""best_of":2"#,
            r#""prediction":{}"#,
            r#""audio":{}"#,
            r#""web_search_options":{}"#,
            r#""previous_response_id":"resp_1""#,
            r#""conversation":"conv_1""#,
        ] {
            assert!(Hidden::of(format!("{{{member}}}").as_bytes()).doubtful, "{member}");
        }
        assert_eq!(Hidden::of(br#"{"echo":true,"n":3}"#), Hidden { doubtful: true, echoes: 3 });
        assert!(Hidden::of(b"--form").doubtful);
    }
}
