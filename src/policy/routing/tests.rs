use super::*;
use crate::dialect::endpoint::Dialect;
use crate::net::host::HostPort;
use crate::net::secret::Secret;
use crate::policy::custom::{ModelKey, ModelType};
use crate::policy::pricing::rate::{Price, Rate};
use crate::policy::target::Scheme;

fn at(host: &str) -> Destination {
    Destination { scheme: Scheme::Https, at: HostPort::parse(host, 443).unwrap(), dialled: None, roots: None }
}

fn custom(name: &str, url: (&str, &str), key: Option<&str>, kind: ModelType) -> Arc<CustomModel> {
    Arc::new(CustomModel {
        api_key: key.map_or(ModelKey::None, |key| ModelKey::Own(Secret::new(key))),
        kind,
        price: Some(Price::new(Rate(3), Rate(0))),
        ..CustomModel::new(name, at(url.0), PathAndQuery::try_from(url.1).unwrap())
    })
}

fn chat_model(name: &str) -> Arc<CustomModel> {
    custom(name, ("models.test:8000", "/api/chat/completions?a=%2F"), Some("sk-own"), ModelType::ChatCompletion)
}

fn exact(name: &str, models: Option<&[&str]>) -> Duplicate {
    Duplicate {
        name: name.into(),
        destination: at(&format!("{name}.test")),
        base_path: String::new(),
        kind: DuplicateKind::Exact,
        credential: Credential::Bearer(Secret::new("sk-mirror")),
        models: models.map(|globs| globs.iter().map(|glob| (*glob).into()).collect()),
        priority: 1,
        weight: 1,
    }
}

fn azure_host(version: AzureVersion) -> Duplicate {
    let deployment = Deployment { deployment: "prod-4o".into(), model: Some("gpt-4o-2024-08-06".into()) };
    let same = Deployment { deployment: "gpt-4.1".into(), model: None };
    let deployments = [("gpt-4o".into(), deployment), ("gpt-4.1".into(), same)].into();
    Duplicate {
        kind: DuplicateKind::Azure { version, deployments },
        credential: Credential::ApiKey(Secret::new("azure-key")),
        ..exact("azure", None)
    }
}

fn routing(customs: &[Arc<CustomModel>], duplicates: Vec<Duplicate>) -> Routing {
    Routing {
        customs: customs.iter().map(|model| (Arc::clone(&model.name), Arc::clone(model))).collect(),
        duplicates: duplicates.into_iter().map(Arc::new).collect(),
    }
}

fn asked(routing: &Routing, endpoint: &Endpoint, model: Option<&str>, path: &str) -> Result<Vec<Target>, Refusal> {
    drawn(routing, (endpoint, model, path), 0)
}

fn drawn(routing: &Routing, of: (&Endpoint, Option<&str>, &str), draw: u64) -> Result<Vec<Target>, Refusal> {
    let (endpoint, model, path) = of;
    let path = PathAndQuery::try_from(path).unwrap();
    let origin = Target::origin(Scheme::Https, HostPort::parse("api.openai.com", 443).unwrap(), path.clone());
    routing.plan(&Ask { endpoint, model, path: &path, origin: &origin, draw })
}

fn chat(routing: &Routing, model: Option<&str>) -> Vec<Target> {
    asked(routing, &CHAT, model, "/v1/chat/completions").unwrap()
}

fn names(targets: &[Target]) -> Vec<&str> {
    targets.iter().map(|target| &*target.route.name).collect()
}

#[test]
fn a_custom_model_comes_before_duplicates_and_these_before_the_origin() {
    let limited = routing(&[chat_model("mine")], vec![exact("mirror", Some(&["gpt-4*"]))]);
    assert_eq!(names(&chat(&limited, Some("mine"))), ["mine"]);
    assert_eq!(names(&chat(&limited, Some("gpt-4o"))), ["mirror"]);
    for other in ["Mine", "mine ", "o3", "xgpt-4", ""] {
        assert_eq!(names(&chat(&limited, Some(other))), ["api.openai.com"], "{other:?}");
    }
    assert_eq!(names(&chat(&Routing::default(), Some("gpt-4o"))), ["api.openai.com"]);
}

#[test]
fn what_names_no_model_goes_where_every_model_goes() {
    let limited = || exact("limited", Some(&["*"]));
    let open = routing(&[chat_model("mine")], vec![limited(), exact("open", None)]);
    for endpoint in [&Endpoint::Other, &Endpoint::Models, &CHAT] {
        assert_eq!(names(&asked(&open, endpoint, None, "/v1/files?x=1").unwrap()), ["open"]);
        let only = routing(&[], vec![limited()]);
        let targets = asked(&only, endpoint, None, "/v1/files?x=1").unwrap();
        assert_eq!(names(&targets), ["api.openai.com"]);
        assert_eq!(targets[0].path, "/v1/files?x=1");
        assert_eq!(targets[0].credential, Credential::Clients);
    }
    // A path that names no call does not reach a custom model, whatever stands in it.
    assert_eq!(names(&asked(&open, &Endpoint::Other, Some("mine"), "/v1/x").unwrap()), ["limited", "open"]);
}

#[test]
fn a_custom_model_is_asked_at_its_own_address_with_its_own_key_and_price() {
    let open = routing(&[chat_model("org/mine")], vec![]);
    let target = &chat(&open, Some("org/mine"))[0];
    assert_eq!(target.url(), "https://models.test:8000/api/chat/completions?a=***");
    assert_eq!(target.credential, Credential::Bearer(Secret::new("sk-own")));
    assert_eq!((&target.model, target.route.kind), (&None, RouteKind::Custom));
    assert_eq!(target.own_price.as_ref().map(|price| price.input), Some(Rate(3)));
    let bare = custom("bare", ("models.test", "/v1/completions"), None, ModelType::Completion);
    let targets =
        asked(&routing(&[bare], vec![]), &Endpoint::Call(Dialect::Completion), Some("bare"), "/v1/completions");
    assert_eq!(targets.unwrap()[0].credential, Credential::None);
}

#[test]
fn a_custom_model_on_azure_gets_its_key_as_azure_wants_it() {
    for host in ["res.openai.azure.com", "res.cognitiveservices.azure.com", "res.services.ai.azure.com"] {
        for (query, takes) in [
            ("?api-version=2024-08-01-preview", false),
            ("?a=1&api-version=2024-06-01", false),
            ("?api-version=2024-10-21", true),
            ("?api-version=preview", true),
            ("", true),
        ] {
            let path = format!("/openai/deployments/d/chat/completions{query}");
            let model = custom("mine", (host, &path), Some("azure-key"), ModelType::ChatCompletion);
            let target = &chat(&routing(&[model], vec![]), Some("mine"))[0];
            assert_eq!(target.credential, Credential::ApiKey(Secret::new("azure-key")), "{host}");
            assert_eq!((target.path.as_str(), target.takes_include_usage), (&*path, takes));
            assert!(target.drops_empty_chunks);
        }
    }
    for host in ["openai.azure.com", "res.openai.azure.com.test", "evilopenai.azure.com", "127.0.0.1"] {
        let model = custom("mine", (host, "/chat/completions?api-version=2023"), Some("k"), ModelType::ChatCompletion);
        let target = &chat(&routing(&[model], vec![]), Some("mine"))[0];
        assert_eq!(target.credential, Credential::Bearer(Secret::new("k")), "{host}");
        assert!(target.takes_include_usage && !target.drops_empty_chunks);
    }
}

#[test]
fn a_call_that_the_custom_model_does_not_answer_is_refused_with_both_names() {
    let open = routing(&[chat_model("mine")], vec![exact("mirror", None)]);
    let translated = [Dialect::Chat, Dialect::Completion];
    for dialect in Dialect::ALL.into_iter().filter(|dialect| !translated.contains(dialect)) {
        let refusal = asked(&open, &Endpoint::Call(dialect), Some("mine"), "/v1/x").unwrap_err();
        let asked = Endpoint::Call(dialect).name();
        assert_eq!(refusal, Refusal::Type { model: "mine".into(), has: "chat-completion", asked });
        assert!(refusal.to_string().contains("`mine`") && refusal.to_string().contains(asked), "{refusal}");
    }
}

#[test]
fn priorities_are_kept_whatever_is_drawn() {
    let ranked = |name: &str, priority| Duplicate { priority, ..exact(name, None) };
    let open = routing(&[], vec![ranked("a", 0), ranked("b", 5), ranked("c", 5), ranked("d", 9)]);
    let mut orders = std::collections::HashSet::new();
    for draw in 0..64 {
        let targets = drawn(&open, (&CHAT, Some("m"), "/v1/chat/completions"), draw).unwrap();
        let order = names(&targets);
        assert_eq!((order.len(), order[0], order[3]), (4, "a", "d"));
        orders.insert(order[1].to_owned());
    }
    assert_eq!(orders.len(), 2, "both of one priority come first at times");
}

#[test]
fn a_draw_decides_and_every_weight_gets_its_share() {
    let weighed = |name: &str, weight| Duplicate { weight, ..exact(name, None) };
    let open = routing(&[], vec![weighed("a", 1), weighed("b", 7), weighed("c", 2)]);
    let first = |draw| {
        let targets = drawn(&open, (&CHAT, Some("m"), "/v1/chat/completions"), draw).unwrap();
        assert_eq!(names(&targets).len(), 3);
        targets[0].route.name.to_string()
    };
    let mut counts = [0; 3];
    for draw in 0..1000 {
        let name = first(draw);
        assert_eq!(name, first(draw), "the same draw gives the same order");
        counts[usize::from(name.as_bytes()[0] - b'a')] += 1;
    }
    assert_eq!(counts, [100, 700, 200]);
    assert_eq!(first(u64::MAX).len(), 1);
}

#[test]
fn a_star_stands_for_any_text() {
    for (glob, text, fits) in [
        ("gpt-4o", "gpt-4o", true),
        ("gpt-4o", "gpt-4o-mini", false),
        ("gpt-4*", "gpt-4", true),
        ("gpt-4*", "gpt-4o-mini", true),
        ("gpt-4*", "xgpt-4", false),
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("*mini", "gpt-4o-mini", true),
        ("*mini", "minimal", false),
        ("gpt*mini*", "gpt-4o-mini-2024", true),
        ("a*b*c", "abc", true),
        ("a*b*c", "acb", false),
        ("ab*ba", "aba", false),
        ("a**b", "ab", true),
        ("*o*", "gpt-4o", true),
        ("ft:*:org::*", "ft:gpt-4o:org::x", true),
        ("gpt-4?", "gpt-4o", false),
        ("*é", "caf\u{e9}", true),
    ] {
        assert_eq!(glob_matches(glob, text), fits, "{glob} {text}");
    }
}

#[test]
fn an_exact_duplicate_changes_host_key_and_base_path_alone() {
    let mirror = Duplicate { base_path: "/proxy/a".into(), ..exact("mirror", None) };
    let open = routing(&[], vec![mirror]);
    for path in ["/v1/chat/completions?a=%2F&b", "/v1/files/f%2F1/content", "/odd//path?"] {
        let target = &asked(&open, &Endpoint::Other, None, path).unwrap()[0];
        assert_eq!(target.path.as_str(), format!("/proxy/a{path}"));
        assert_eq!((&target.model, &target.base_model, target.takes_include_usage), (&None, &None, true));
        assert_eq!(target.destination.at.to_string(), "mirror.test:443");
        assert_eq!(target.credential, Credential::Bearer(Secret::new("sk-mirror")));
    }
}

#[test]
fn azures_dated_form_names_the_deployment_in_the_path() {
    let open = routing(&[], vec![azure_host(AzureVersion::Dated("2024-10-21".into()))]);
    for (model, path) in [
        (Some("gpt-4o"), "/openai/deployments/prod-4o/chat/completions?api-version=2024-10-21"),
        (Some("o3"), "/openai/deployments/o3/chat/completions?api-version=2024-10-21"),
        (Some("a/b"), "/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21"),
        (None, "/openai/chat/completions?api-version=2024-10-21"),
    ] {
        let target = &chat(&open, model)[0];
        assert_eq!((target.path.as_str(), &target.model), (path, &None));
        assert!(target.drops_empty_chunks);
    }
    let responses = Endpoint::Call(Dialect::Responses);
    let target = &asked(&open, &responses, Some("gpt-4o"), "/v1/responses").unwrap()[0];
    assert_eq!(target.path, "/openai/responses?api-version=2024-10-21");
    assert_eq!((target.model.as_deref(), target.base_model.as_deref()), (Some("prod-4o"), Some("gpt-4o-2024-08-06")));
}

#[test]
fn azures_v1_form_names_the_deployment_in_the_body() {
    let open = routing(&[], vec![azure_host(AzureVersion::V1("v1".into()))]);
    let target = &chat(&open, Some("gpt-4o"))[0];
    assert_eq!(target.path, "/openai/v1/chat/completions");
    assert_eq!((target.model.as_deref(), target.base_model.as_deref()), (Some("prod-4o"), Some("gpt-4o-2024-08-06")));
    assert_eq!(target.credential, Credential::ApiKey(Secret::new("azure-key")));
    for unchanged in [Some("gpt-4.1"), Some("o3"), None] {
        assert_eq!(chat(&open, unchanged)[0].model, None, "{unchanged:?}");
    }
    let preview = routing(&[], vec![azure_host(AzureVersion::V1("preview".into()))]);
    assert_eq!(chat(&preview, Some("o3"))[0].path, "/openai/v1/chat/completions?api-version=preview");
}

#[test]
fn usage_is_asked_for_only_where_azures_version_knows_it() {
    for (version, takes) in [
        ("2023-05-15", false),
        ("2024-06-01", false),
        ("2024-08-01-preview", false),
        ("2024-09-01-preview", true),
        ("2024-10-21", true),
        ("2025-04-01-preview", true),
    ] {
        let open = routing(&[], vec![azure_host(AzureVersion::Dated(version.into()))]);
        assert_eq!(chat(&open, Some("gpt-4o"))[0].takes_include_usage, takes, "{version}");
    }
    let open = routing(&[], vec![azure_host(AzureVersion::V1("preview".into()))]);
    assert!(chat(&open, Some("gpt-4o"))[0].takes_include_usage);
}

const CHAT: Endpoint = Endpoint::Call(Dialect::Chat);
