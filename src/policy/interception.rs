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
        self.hosts.iter().any(|pattern| pattern.matches(host))
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
