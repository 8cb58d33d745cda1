//! Which connections are opened, decided by destination alone.

use crate::dialect::azure::is_azure_host;
use crate::net::host::{Host, HostPattern};

/// The hosts whose connections are opened; every other host is a tunnel.
#[derive(Clone, Debug, Default)]
pub struct Interception {
    hosts: Vec<HostPattern>,
}

impl Interception {
    /// Opens connections to these names and what lies below them.
    pub fn new(hosts: Vec<HostPattern>) -> Self {
        Self { hosts }
    }

    /// Whether a connection to `host` is opened.
    pub fn opens(&self, host: &Host) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host)) && !wants_client_certificate(host)
    }

    /// The host that a base URL stands for: the first of the list.
    pub fn principal(&self) -> Option<Host> {
        self.hosts.first().map(|pattern| Host::Name(pattern.name().into()))
    }

    /// The list as configured.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }
}

/// Whether `host` is known to serve models, so that a tunnel to it is a gap in the books.
pub fn serves_models(host: &Host) -> bool {
    let Some(name) = host.name() else { return false };
    let below = |domain: &&str| name.strip_suffix(*domain).is_some_and(|left| left.is_empty() || left.ends_with('.'));
    is_azure_host(name) || MODEL_HOSTS.iter().any(below)
}

/// Whether `host` is one where OpenAI knows a client by its certificate, whose key the gate has not.
///
/// `mtls.api.openai.com` and `mtls-eu.api.openai.com`, as in OpenAI's own Python library.
pub fn wants_client_certificate(host: &Host) -> bool {
    let below = host.name().and_then(|name| name.strip_suffix(".api.openai.com"));
    below.is_some_and(|label| label == "mtls" || label.starts_with("mtls-"))
}

/// Domains that serve models over an API; Azure's own are known to its dialect.
const MODEL_HOSTS: [&str; 14] = [
    "api.anthropic.com",
    "api.cohere.ai",
    "api.cohere.com",
    "api.deepseek.com",
    "api.fireworks.ai",
    "api.groq.com",
    "api.mistral.ai",
    "api.openai.com",
    "api.together.xyz",
    "api.x.ai",
    "chatgpt.com",
    "generativelanguage.googleapis.com",
    "openrouter.ai",
    "router.huggingface.co",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_opened_without_the_clients_own_key_is_not_opened() {
        let interception = Interception::new(vec!["api.openai.com".parse().unwrap()]);
        for (name, opened) in [
            ("api.openai.com", true),
            ("eu.api.openai.com", true),
            ("mtls.api.openai.com", false),
            ("mtls-eu.api.openai.com", false),
            ("mtlsx.api.openai.com", true),
        ] {
            assert_eq!(interception.opens(&name.parse().unwrap()), opened, "{name}");
        }
    }

    #[test]
    fn tunnels_to_model_hosts_are_told_from_others() {
        let host = |name: &str| name.parse::<Host>().unwrap();
        for name in ["api.openai.com", "eu.api.openai.com", "res.openai.azure.com", "api.anthropic.com"] {
            assert!(serves_models(&host(name)), "{name}");
        }
        for name in ["openai.com", "evilapi.openai.com.example", "notapi.openai.co", "127.0.0.1", "azure.com"] {
            assert!(!serves_models(&host(name)), "{name}");
        }
    }
}
