//! An exact duplicate takes the place of api.openai.com for every URL, with its own key.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use tollgate::policy::target::RouteKind;

use crate::bench::client::Client;
use crate::bench::gate::TestGate;
use crate::bench::upstream::{Options, Upstream};

#[tokio::test]
async fn every_url_goes_to_the_duplicate_with_its_key_in_place_of_the_clients() {
    for tls in [false, true] {
        let (origin, mirror) = (Upstream::start(Options::default()), mirror(tls));
        // The upload is longer than what is read whole: it can only have been passed on as it came.
        let gate =
            TestGate::trusting(&origin, &mirror, &format!("{}, limits: {{ bodyBytes: 2048 }}", lines(&mirror, "")));
        let upload = form(&"x".repeat(300_000));
        let asks = [
            (Method::POST, "/v1/chat/completions?a=%2F&b", CHAT.to_owned()),
            (Method::POST, "/v1/files", upload),
            (Method::GET, "/v1/models", String::new()),
            (Method::GET, "/v1/models/gpt-4o", String::new()),
            (Method::GET, "/v1/files/f%2F1/content?after=x", String::new()),
            (Method::DELETE, "/v1/files/f-1", String::new()),
            (Method::POST, "/v1/new_thing", "any body".to_owned()),
            (Method::GET, "/odd//path/?", String::new()),
        ];
        for (number, (method, path, body)) in asks.iter().enumerate() {
            let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "http/1.1").await;
            let request = client.request(method.clone(), path).header("cookie", "a=b");
            let answered = client.send(request.body(Full::from(body.clone())).unwrap()).await;
            assert!(answered.whole && !answered.headers.contains_key("set-cookie"), "{path}");
            assert!(!answered.headers.contains_key("alt-svc"), "{path}");
            assert_eq!(answered.headers["cf-cache-status"], "DYNAMIC");

            let seen = mirror.seen().remove(number);
            assert_eq!((&seen.method, seen.path_and_query.as_str(), &seen.body[..]), (method, *path, body.as_bytes()));
            assert_eq!(seen.headers.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer sk-mirror-key"]);
            assert!(!seen.headers.contains_key("cookie"));
            assert_eq!(seen.host, mirror.address().to_string());
        }
        assert!(origin.seen().is_empty());
        let entries = gate.wait_for_entries(asks.len()).await;
        assert!(entries.iter().all(|entry| {
            entry.route.as_ref().is_some_and(|route| route.kind == RouteKind::Duplicate && &*route.name == "mirror")
        }));
    }
}

#[tokio::test]
async fn a_base_path_stands_before_every_path() {
    let (origin, mirror) = (Upstream::start(Options::default()), mirror(false));
    let gate = TestGate::start(&origin, &lines(&mirror, "/proxy/a%2Fb"));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    client.post("/v1/chat/completions?x=1", CHAT).await;
    client.get("/v1/files?limit=2").await;
    let paths: Vec<String> = mirror.seen().into_iter().map(|seen| seen.path_and_query).collect();
    assert_eq!(paths, ["/proxy/a%2Fb/v1/chat/completions?x=1", "/proxy/a%2Fb/v1/files?limit=2"]);
}

#[tokio::test]
async fn a_redirect_is_the_clients_to_follow() {
    let (origin, mirror, elsewhere) = (Upstream::start(Options::default()), mirror(false), mirror(false));
    let gate = TestGate::start(&origin, &lines(&mirror, ""));
    let mut client = Client::intercepted(gate.proxy(), "api.openai.com", &gate.root_pem(), "h2").await;
    let location = format!("{}/v1/chat/completions?to=here", elsewhere.url());
    for method in [Method::POST, Method::GET] {
        mirror.fault_next(&format!("redirect={location}"));
        let path = if method == Method::POST { "/v1/chat/completions" } else { "/v1/files/f/content" };
        let body = Full::from(if method == Method::POST { Bytes::from(CHAT) } else { Bytes::new() });
        let request = client.request(method, path).body(body).unwrap();
        let answered = client.send(request).await;
        assert_eq!(answered.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answered.headers["location"], location);
    }
    assert_eq!((mirror.seen().len(), elsewhere.seen().len(), origin.seen().len()), (2, 0, 0));
}

fn mirror(tls: bool) -> Upstream {
    Upstream::start(Options { name: "mirror", tls, ..Options::default() })
}

fn lines(mirror: &Upstream, base: &str) -> String {
    let ca = if mirror.url().starts_with("https") { r#"ca: "other.pem","# } else { "" };
    format!(r#"duplicates: [{{ name: "mirror", url: "{}{base}", apiKey: "sk-mirror-key", {ca} }}]"#, mirror.url())
}

fn form(content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{content}\r\n--b--\r\n")
}

const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"one two three"}]}"#;
