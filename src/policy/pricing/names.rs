//! The forms in which a model's name is looked up.

use std::borrow::Cow;

/// In which form a name is looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// As it is.
    Exact,
    /// Without the date of a snapshot.
    Undated,
    /// A fine-tuned model's base.
    FineTuned,
    /// As OpenAI spells what Azure spells without a point.
    Spelt,
}

impl Form {
    /// In the order in which they are tried.
    pub(crate) const ALL: [Self; 4] = [Self::Exact, Self::Undated, Self::FineTuned, Self::Spelt];

    /// The name in this form, and then without its date.
    pub(crate) fn of(self, name: &str) -> [Option<Cow<'_, str>>; 2] {
        let dated_and_not = |name: &str| without_date(name).map(|name| Cow::Owned(name.to_owned()));
        match self {
            Self::Exact => [Some(name.into()), None],
            Self::Undated => [without_date(name).map(Into::into), None],
            Self::FineTuned => match fine_tuned_base(name) {
                None => [None, None],
                Some(base) => [Some(base.into()), dated_and_not(base)],
            },
            Self::Spelt => match name.strip_prefix("gpt-35-turbo") {
                None => [None, None],
                Some(rest) => {
                    let spelt = format!("gpt-3.5-turbo{rest}");
                    let undated = dated_and_not(&spelt);
                    [Some(spelt.into()), undated]
                }
            },
        }
    }
}

/// `gpt-4o-2024-08-06` and `gpt-3.5-turbo-0125` without their dates.
fn without_date(name: &str) -> Option<&str> {
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, last) = name.rsplit_once('-')?;
    if digits(last, 4) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

/// `ft:gpt-4o-2024-08-06:org::id` up to its base; `None` for a name that is no fine-tuned one.
fn fine_tuned_base(name: &str) -> Option<&str> {
    let base = name.strip_prefix("ft:")?.split(':').next()?;
    name.get(.."ft:".len() + base.len())
}
