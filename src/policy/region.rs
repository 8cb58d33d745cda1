//! The regions that upstreams serve from, by their hosts and by what they say.

/// The region of one of OpenAI's own hosts: `eu` for `eu.api.openai.com`; `None` is the global service, or no such host.
pub fn of_host(host: &str) -> Option<&str> {
    let label = host.strip_suffix(".api.openai.com")?;
    (label.len() == 2 && label.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(label)
}

/// The region that Azure names in `x-ms-region`, as Azure spells it elsewhere: `swedencentral` for `Sweden Central`.
pub fn told(text: &str) -> Option<String> {
    let name: String =
        text.chars().filter(|letter| !letter.is_whitespace()).map(|letter| letter.to_ascii_lowercase()).collect();
    let plain = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_letters_before_the_global_host_are_a_region() {
        for (host, region) in [
            ("eu.api.openai.com", Some("eu")),
            ("us.api.openai.com", Some("us")),
            ("api.openai.com", None),
            ("mtls.api.openai.com", None),
            ("x.eu.api.openai.com", None),
            ("eu.api.openai.com.example", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(of_host(host), region, "{host}");
        }
    }

    #[test]
    fn azures_regions_are_spelt_in_one_way() {
        assert_eq!(told("North Central US").as_deref(), Some("northcentralus"));
        assert_eq!(told("swedencentral").as_deref(), Some("swedencentral"));
        assert_eq!(told(" "), None);
        assert_eq!(told("a\u{1b}[31m"), None);
        assert_eq!(told(&"x".repeat(41)), None);
    }
}
