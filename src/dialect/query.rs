//! Single parameters of a query.

use super::endpoint::percent_decoded;

/// The value of the first parameter of this name, decoded; `None` where it is absent, empty or no UTF-8.
pub fn value(query: &str, name: &str) -> Option<String> {
    let values = query.split('&').filter_map(|part| part.split_once('='));
    let (_, value) = values.into_iter().find(|(key, _)| *key == name)?;
    percent_decoded(&value.replace('+', " ")).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name_and_decoded() {
        for (query, wanted) in [
            ("model=gpt-realtime", Some("gpt-realtime")),
            ("a=b&model=ft%3Agpt%2Fx&model=second", Some("ft:gpt/x")),
            ("xmodel=a&model", None),
            ("model=", None),
            ("model=%ff", None),
            ("", None),
        ] {
            assert_eq!(value(query, "model").as_deref(), wanted, "{query}");
        }
    }
}
