//! Whether a call fits into the length of its model, and how much is left for the answer.

use crate::tokens::tally::Tally;

/// The bounds of a model.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Room {
    /// The most tokens that input and answer may have together; `None` where nobody knows.
    pub length: Option<u64>,
    /// The most tokens that one call may ask for, by the owner's choice.
    pub most_output: Option<u64>,
}

/// The input of a call, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its tokens.
    pub tally: Tally,
    /// No tokenizer makes fewer of it.
    pub least: u64,
}

impl Room {
    /// How many tokens the answer may have where the client asked for `asked`, or set no limit.
    ///
    /// Only a count that is certain refuses a call; where the count is a guess, the guess is taken with a margin and
    /// the server has the last word.
    ///
    /// # Errors
    /// The call cannot fit.
    pub fn grant(&self, taken: Taken, asked: Option<u64>) -> Result<u64, Overlong> {
        let within = |tokens: u64| tokens.min(self.most_output.unwrap_or(u64::MAX)).max(1);
        let Some(length) = self.length else { return Ok(within(asked.or(self.most_output).unwrap_or(UNKNOWN))) };
        let Taken { tally, least } = taken;
        let certain = if tally.exact { tally.tokens } else { least };
        let wanted = asked.map_or(1, within);
        if certain.saturating_add(wanted) > length {
            return Err(Overlong { length, input: certain, output: asked.map(within) });
        }
        let margin = if tally.exact { 0 } else { tally.tokens / 4 + 16 };
        let left = length.saturating_sub(tally.tokens.saturating_add(margin));
        Ok(within(asked.unwrap_or(left)))
    }
}

/// A call that cannot fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overlong {
    /// What the model can take.
    pub length: u64,
    /// Tokens of the input, at least.
    pub input: u64,
    /// Tokens that were asked for as the answer.
    pub output: Option<u64>,
}

impl Overlong {
    /// OpenAI's own words for it; `part` is `messages` or `prompt`.
    pub fn message(&self, part: &str) -> String {
        let Self { length, input, output } = *self;
        let head = format!("This model's maximum context length is {length} tokens.");
        match output.filter(|_| input <= length) {
            Some(output) => format!(
                "{head} However, you requested {} tokens ({input} in the {part}, {output} in the completion). \
                 Please reduce the length of the {part} or completion.",
                input.saturating_add(output)
            ),
            None => format!(
                "{head} However, your {part} resulted in {input} tokens. Please reduce the length of the {part}."
            ),
        }
    }
}

/// What an answer may have where neither the client, nor the line, nor the model's configuration says anything: the
/// servers' own default for completions, 16, is too little for any chat.
const UNKNOWN: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(tokens: u64) -> Taken {
        Taken { tally: Tally { tokens, exact: true }, least: 0 }
    }

    fn guess(tokens: u64, least: u64) -> Taken {
        Taken { tally: Tally { tokens, exact: false }, least }
    }

    #[test]
    fn what_is_left_goes_to_the_answer_and_what_cannot_fit_is_refused() {
        let room = Room { length: Some(100), most_output: None };
        assert_eq!(room.grant(exact(40), None), Ok(60));
        assert_eq!(room.grant(exact(40), Some(60)), Ok(60));
        assert_eq!(room.grant(exact(99), None), Ok(1));
        assert_eq!(room.grant(exact(40), Some(61)), Err(Overlong { length: 100, input: 40, output: Some(61) }));
        assert_eq!(room.grant(exact(100), None), Err(Overlong { length: 100, input: 100, output: None }));
    }

    #[test]
    fn a_guess_refuses_nothing_that_might_fit() {
        let room = Room { length: Some(100), most_output: None };
        assert_eq!(room.grant(guess(300, 50), Some(50)), Ok(50));
        assert_eq!(room.grant(guess(300, 50), None), Ok(1));
        assert_eq!(room.grant(guess(40, 10), None), Ok(100 - 40 - 10 - 16));
        assert!(room.grant(guess(300, 100), None).is_err());
    }

    #[test]
    fn the_owners_bound_on_the_answer_holds_whatever_was_asked_for() {
        let room = Room { length: Some(100), most_output: Some(20) };
        assert_eq!(room.grant(exact(40), None), Ok(20));
        assert_eq!(room.grant(exact(40), Some(5)), Ok(5));
        assert_eq!(room.grant(exact(40), Some(500)), Ok(20));
        assert_eq!(Room { length: None, most_output: Some(20) }.grant(exact(40), None), Ok(20));
        assert_eq!(Room::default().grant(exact(40), None), Ok(UNKNOWN));
        assert_eq!(Room::default().grant(exact(40), Some(7)), Ok(7));
    }

    #[test]
    fn the_message_has_openais_form() {
        let overlong = Overlong { length: 100, input: 40, output: Some(61) };
        assert_eq!(
            overlong.message("messages"),
            "This model's maximum context length is 100 tokens. However, you requested 101 tokens (40 in the messages, \
             61 in the completion). Please reduce the length of the messages or completion."
        );
        let overlong = Overlong { length: 100, input: 140, output: None };
        assert!(
            overlong
                .message("prompt")
                .ends_with("your prompt resulted in 140 tokens. Please reduce the length of the prompt.")
        );
    }
}
