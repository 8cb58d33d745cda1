//! The paths of api.openai.com in Azure's two URL forms.

use super::endpoint::Dialect;

/// The dated form: `/v1/X` becomes `/openai/deployments/D/X?api-version=V` where the operation belongs to a deployment
/// and one is named, else `/openai/X?api-version=V`.
///
/// The other parameters of the query stay as they are; an `api-version` in it gives way. A path that is not below
/// `/v1` keeps its path.
pub fn dated(path_and_query: &str, dialect: Option<Dialect>, deployment: Option<&str>, api_version: &str) -> String {
    let (path, query) = split(path_and_query);
    let deployment = deployment.filter(|name| !name.is_empty() && dialect.is_some_and(is_deployment_path));
    let path = match (path.strip_prefix("/v1/"), deployment) {
        (None, _) => path.to_owned(),
        (Some(below), None) => format!("/openai/{below}"),
        (Some(below), Some(name)) => format!("/openai/deployments/{}/{below}", percent_encoded(name)),
    };
    joined(path, query, Some(api_version))
}

/// The v1 form: `/v1/X` becomes `/openai/v1/X`, with an `api-version` only where one is given.
///
/// The other parameters of the query stay as they are; an `api-version` in it is dropped. A path that is not below
/// `/v1` keeps its path.
pub fn v1(path_and_query: &str, api_version: Option<&str>) -> String {
    let (path, query) = split(path_and_query);
    let path = if path.starts_with("/v1/") { format!("/openai{path}") } else { path.to_owned() };
    joined(path, query, api_version)
}

/// The path of a WebSocket of the Realtime API: the dated form (`dated`) names the deployment in `deployment`, the v1
/// form in `model`.
pub fn realtime(path_and_query: &str, deployment: Option<&str>, api_version: Option<&str>, dated: bool) -> String {
    let (path, query) = split(path_and_query);
    let kept: Vec<&str> = query.split('&').filter(|part| !names_model(part, deployment.is_some())).collect();
    let named = deployment.map(|name| {
        let key = if dated { "deployment" } else { "model" };
        format!("{key}={}", percent_encoded(name))
    });
    let query: Vec<&str> = kept.into_iter().chain(named.as_deref()).filter(|part| !part.is_empty()).collect();
    let asked = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
    match api_version {
        Some(version) if dated => self::dated(&asked, None, None, version),
        version => v1(&asked, version),
    }
}

/// Whether a parameter names the model, which another name stands for.
fn names_model(parameter: &str, replaced: bool) -> bool {
    replaced && matches!(parameter.split('=').next(), Some("model" | "deployment"))
}

/// Whether `model` in the body or form must be the deployment's name; where not, the path names the deployment and
/// what the body says is ignored.
///
/// `dated` tells the dated form from the v1 form.
pub fn body_names_deployment(dated: bool, dialect: Option<Dialect>) -> bool {
    !dated || !dialect.is_some_and(is_deployment_path)
}

/// Whether Azure serves OpenAI's API at this host: a name below one of its domains.
pub fn is_azure_host(name: &str) -> bool {
    DOMAINS.iter().any(|domain| name.strip_suffix(domain).is_some_and(|left| left.ends_with('.')))
}

/// Whether `stream_options.include_usage` is known to this `api-version`; older ones answer it with 400.
pub fn takes_include_usage(api_version: &str) -> bool {
    // Dates compare as text, and `v1`, `preview` and `latest` come after all of them.
    api_version >= FIRST_WITH_USAGE
}

/// The `api-version` of a query that the owner wrote.
pub fn api_version(query: &str) -> Option<&str> {
    let parameter = query.split('&').find(|parameter| is_api_version(parameter))?;
    Some(parameter.split_once('=').map_or("", |(_, version)| version))
}

/// Whether the dated form has this operation below `/openai/deployments/D`.
fn is_deployment_path(dialect: Dialect) -> bool {
    match dialect {
        Dialect::Chat
        | Dialect::Completion
        | Dialect::Embeddings
        | Dialect::ImageEdit
        | Dialect::ImageGeneration
        | Dialect::Speech
        | Dialect::Transcription
        | Dialect::Translation => true,
        Dialect::Compaction
        | Dialect::Decision
        | Dialect::ImageVariation
        | Dialect::InputTokens
        | Dialect::Moderation
        | Dialect::Responses
        | Dialect::Video
        | Dialect::VideoExtension => false,
    }
}

fn split(path_and_query: &str) -> (&str, &str) {
    path_and_query.split_once('?').unwrap_or((path_and_query, ""))
}

fn joined(mut url: String, query: &str, api_version: Option<&str>) -> String {
    let mut mark = '?';
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty() && !is_api_version(parameter)) {
        url.push(mark);
        url.push_str(parameter);
        mark = '&';
    }
    if let Some(version) = api_version {
        url.push(mark);
        url.push_str("api-version=");
        url.push_str(&percent_encoded(version));
    }
    url
}

fn is_api_version(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    // The hyphen is the only one of these characters that clients are seen to escape.
    name.replace("%2D", "-").replace("%2d", "-").eq_ignore_ascii_case("api-version")
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                encoded.push(char::from(HEX[usize::from(byte >> 4)]));
                encoded.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

/// Domains below which Azure serves OpenAI's API.
const DOMAINS: [&str; 6] = [
    "openai.azure.com",
    "openai.azure.us",
    "openai.azure.cn",
    "cognitiveservices.azure.com",
    "services.ai.azure.com",
    "api.cognitive.microsoft.com",
];
const FIRST_WITH_USAGE: &str = "2024-09-01";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dated_form_puts_the_deployment_into_the_path_of_its_operations() {
        for dialect in Dialect::ALL {
            let path = format!("/v1{}", dialect.path());
            // The whole list of Azure's own library.
            let moved = [
                "/completions",
                "/chat/completions",
                "/embeddings",
                "/audio/transcriptions",
                "/audio/translations",
                "/audio/speech",
                "/images/generations",
                "/images/edits",
            ];
            let below = if moved.contains(&dialect.path()) { "/deployments/prod-4o" } else { "" };
            let wanted = format!("/openai{below}{}?api-version=2024-10-21", dialect.path());
            assert_eq!(dated(&path, Some(dialect), Some("prod-4o"), "2024-10-21"), wanted);
            let bare = format!("/openai{}?api-version=2024-10-21", dialect.path());
            assert_eq!(dated(&path, Some(dialect), None, "2024-10-21"), bare);
        }
        assert_eq!(dated("/v1/files/f-1?a=b", None, Some("d"), "V"), "/openai/files/f-1?a=b&api-version=V");
        assert_eq!(dated("/v1/models", None, None, "V"), "/openai/models?api-version=V");
        for job in ["/batches/b", "/fine_tuning/jobs", "/responses/resp_1", "/threads/t/runs/r", "/videos/v"] {
            assert_eq!(dated(&format!("/v1{job}"), None, None, "V"), format!("/openai{job}?api-version=V"));
        }
    }

    #[test]
    fn queries_are_kept_and_the_clients_version_gives_way() {
        for (query, wanted) in [
            ("?", "?api-version=V"),
            ("?a=%2F&b", "?a=%2F&b&api-version=V"),
            ("?api-version=old", "?api-version=V"),
            ("?a=1&API-Version=x&b=2&api%2Dversion=y", "?a=1&b=2&api-version=V"),
            ("?my-api-version=1", "?my-api-version=1&api-version=V"),
        ] {
            let path = format!("/v1/files{query}");
            assert_eq!(dated(&path, None, None, "V"), format!("/openai/files{wanted}"));
            assert_eq!(v1(&path, Some("V")), format!("/openai/v1/files{wanted}"));
        }
    }

    #[test]
    fn the_v1_form_keeps_the_path_and_sends_a_version_only_where_one_is_given() {
        assert_eq!(v1("/v1/chat/completions", None), "/openai/v1/chat/completions");
        assert_eq!(v1("/v1/chat/completions", Some("preview")), "/openai/v1/chat/completions?api-version=preview");
        assert_eq!(v1("/v1/responses?x=1&api-version=2024", None), "/openai/v1/responses?x=1");
        assert_eq!(v1("/healthz", None), "/healthz");
    }

    #[test]
    fn a_websocket_names_the_deployment_in_its_query() {
        for (path, deployment, dated, wanted) in [
            ("/v1/realtime?model=gpt-x", Some("d/1"), true, "/openai/realtime?deployment=d%2F1&api-version=V"),
            ("/v1/realtime?a=b&model=gpt-x", Some("d"), false, "/openai/v1/realtime?a=b&model=d&api-version=V"),
            ("/v1/realtime?intent=transcription", None, true, "/openai/realtime?intent=transcription&api-version=V"),
            ("/v1/realtime", None, false, "/openai/v1/realtime?api-version=V"),
        ] {
            assert_eq!(realtime(path, deployment, Some("V"), dated), wanted, "{path}");
        }
        assert_eq!(realtime("/v1/realtime?model=m", Some("m"), None, false), "/openai/v1/realtime?model=m");
    }

    #[test]
    fn a_deployment_cannot_leave_its_segment() {
        let of = |name| dated("/v1/embeddings", Some(Dialect::Embeddings), Some(name), "a b&c");
        assert_eq!(of("a/../b?c#d"), "/openai/deployments/a%2F..%2Fb%3Fc%23d/embeddings?api-version=a%20b%26c");
        assert_eq!(of("é%"), "/openai/deployments/%C3%A9%25/embeddings?api-version=a%20b%26c");
        assert_eq!(of(""), "/openai/embeddings?api-version=a%20b%26c");
    }

    #[test]
    fn the_body_names_the_deployment_unless_the_path_does() {
        assert!(body_names_deployment(false, Some(Dialect::Chat)));
        assert!(!body_names_deployment(true, Some(Dialect::Chat)));
        assert!(body_names_deployment(true, Some(Dialect::Responses)));
        assert!(body_names_deployment(true, None));
    }
}
