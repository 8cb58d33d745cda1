//! What goes on after its call is booked once, by whatever reply shows its usage first, and never by a later one.

use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use tollgate::ledger::entry::{Entry, Outcome};
use tollgate::units::Basis;

use crate::bench::admin::ask;
use crate::bench::client::{Answered, Client};
use crate::endpoints::{Scene, assert_same};

const WORDS: &str = "so many words to weigh";

fn id(answered: &Answered) -> String {
    answered.json()["id"].as_str().unwrap().to_owned()
}

/// Entries that have usage.
fn with_usage(entries: &[Entry]) -> Vec<&Entry> {
    entries.iter().filter(|entry| entry.usage.is_some()).collect()
}

async fn unpriced(scene: &Scene) -> Value {
    ask(scene.gate.admin(), "/stats").await.json()["totals"]["unpricedRequests"].clone()
}

#[tokio::test]
async fn a_background_response_is_booked_once_by_the_first_reply_that_shows_its_usage() {
    for query in ["", "?stream=true"] {
        let mut scene = Scene::start().await;
        let body = json!({"model": "gpt-4o", "input": WORDS, "background": true});
        let made = id(&scene.post("/v1/responses", &body, "").await);
        let path = format!("/v1/responses/{made}{query}");
        scene.get(&path, "under-way").await;
        for _ in 0..3 {
            scene.get(&path, "gzip").await;
        }
        scene.post(&format!("/v1/responses/{made}/cancel"), &json!({}), "").await;
        let entries = scene.gate.wait_for_entries(6).await;
        assert!(entries[0].deferred && entries[0].usage.is_none(), "{:?}", entries[0]);
        assert_eq!(entries[0].upstream_id.as_deref(), Some(&*made));
        let booked = with_usage(&entries);
        assert_eq!(booked.len(), 1, "{query}: {entries:#?}");
        assert_eq!(booked[0].id, entries[2].id, "the first that shows it");
        assert_eq!(booked[0].endpoint.name(), "/v1/responses/{id}");
        assert_eq!(booked[0].stream, !query.is_empty());
        assert_eq!((booked[0].basis, booked[0].upstream_id.as_deref()), (Basis::Reported, Some(&*made)));
        assert_same(booked[0], &scene.upstream.bill()[0]);
        assert!(booked[0].cost.is_some());
        assert_eq!(unpriced(&scene).await, 0);
        assert_eq!(scene.upstream.bill().len(), 1);
    }
}

#[tokio::test]
async fn a_response_that_its_own_call_told_is_never_booked_again() {
    let mut scene = Scene::start().await;
    for stream in [false, true] {
        let body = json!({"model": "gpt-4o", "input": WORDS, "stream": stream});
        let answered = scene.post("/v1/responses", &body, "").await;
        let text = answered.text();
        let made = &text[text.find("resp_standin").unwrap()..][.."resp_standin000000000000".len()];
        for query in ["", "?stream=true", "?include[]=x"] {
            scene.get(&format!("/v1/responses/{made}{query}"), "").await;
        }
    }
    let entries = scene.gate.wait_for_entries(8).await;
    let booked = with_usage(&entries);
    assert_eq!(booked.iter().map(|entry| entry.endpoint.name()).collect::<Vec<_>>(), ["/v1/responses"; 2]);
    for (entry, line) in booked.into_iter().zip(scene.upstream.bill()) {
        assert_same(entry, &line);
    }
    assert_eq!(unpriced(&scene).await, 0);
}

#[tokio::test]
async fn a_background_stream_that_broke_off_is_settled_by_a_later_get() {
    let mut scene = Scene::start().await;
    let body = json!({"model": "gpt-4o", "input": WORDS, "background": true, "stream": true});
    let request = scene.client.request(Method::POST, "/v1/responses").header("x-standin-fault", "reset-stream=3");
    let answered = scene.client.send(request.body(Full::from(body.to_string())).unwrap()).await;
    assert!(!answered.whole);
    let cut = scene.gate.wait_for_entries(1).await.swap_remove(0);
    assert_eq!((cut.outcome, cut.deferred), (Outcome::UpstreamCut, true));
    let made = cut.upstream_id.unwrap();
    for _ in 0..2 {
        scene.get(&format!("/v1/responses/{made}?stream=true"), "").await;
    }
    let entries = scene.gate.wait_for_entries(3).await;
    let booked = with_usage(&entries);
    assert_eq!(booked.len(), 1, "{entries:#?}");
    assert_same(booked[0], &scene.upstream.bill()[0]);
    assert_eq!(unpriced(&scene).await, 0);
}

#[tokio::test]
async fn a_stream_that_broke_off_is_booked_once_by_its_estimate_or_by_a_later_get() {
    let mut scene = Scene::start().await;
    let body = json!({"model": "gpt-4o", "input": WORDS, "stream": true});
    let request = scene.client.request(Method::POST, "/v1/responses").header("x-standin-fault", "reset-stream=1");
    let answered = scene.client.send(request.body(Full::from(body.to_string())).unwrap()).await;
    assert!(!answered.whole);
    let cut = scene.gate.wait_for_entries(1).await.swap_remove(0);
    assert_eq!(cut.outcome, Outcome::UpstreamCut);
    let path = format!("/v1/responses/{}", cut.upstream_id.unwrap());
    let told = scene.get(&path, "").await.json()["usage"].clone();
    scene.get(&path, "").await;
    let entries = scene.gate.wait_for_entries(3).await;
    let booked = with_usage(&entries);
    assert_eq!(booked.len(), 1, "{entries:#?}");
    match booked[0].basis {
        Basis::Estimated => assert_eq!(booked[0].id, cut.id),
        // Nobody counted, so that the first GET tells.
        _ => {
            let raw = booked[0].raw_usage.as_ref().unwrap().get();
            assert_eq!(serde_json::from_str::<Value>(raw).unwrap(), told);
        }
    }
}

#[tokio::test]
async fn parallel_gets_of_one_object_book_it_once() {
    let mut scene = Scene::start().await;
    let body = json!({"model": "gpt-4o", "input": WORDS, "background": true});
    let made = id(&scene.post("/v1/responses", &body, "").await);
    let (proxy, root) = (scene.gate.proxy(), scene.gate.root_pem());
    let tasks: Vec<_> = (0..12)
        .map(|_| {
            let (root, path) = (root.clone(), format!("/v1/responses/{made}"));
            tokio::spawn(async move {
                Client::intercepted(proxy, "api.openai.com", &root, "http/1.1").await.get(&path).await
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().whole);
    }
    assert_eq!(with_usage(&scene.gate.wait_for_entries(13).await).len(), 1);
}

#[tokio::test]
async fn a_response_that_somebody_else_made_is_booked_only_where_it_ran_in_the_background() {
    let mut scene = Scene::start().await;
    // Made without the gate.
    let mut direct = Client::direct(scene.upstream.address(), "api.openai.com", scene.upstream.ca_pem(), "h2").await;
    let mut made = Vec::new();
    for background in [false, true] {
        let body = json!({"model": "gpt-4o", "input": WORDS, "background": background});
        made.push(id(&direct.post("/v1/responses", body.to_string()).await));
    }
    for made in made.iter().chain(&made) {
        scene.get(&format!("/v1/responses/{made}"), "").await;
    }
    let entries = scene.gate.wait_for_entries(4).await;
    let booked = with_usage(&entries);
    assert_eq!(booked.len(), 1);
    assert_eq!(booked[0].upstream_id.as_deref(), Some(&*made[1]));
}

#[tokio::test]
async fn each_batch_is_booked_once_when_its_object_shows_its_usage() {
    let mut scene = Scene::start().await;
    let body = json!({"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(id(&scene.post("/v1/batches", &body, "").await));
    }
    // While it runs the object shows zeros.
    scene.get(&format!("/v1/batches/{}", made[0]), "under-way").await;
    scene.get("/v1/batches?limit=100", "under-way").await;
    assert!(with_usage(&scene.gate.wait_for_entries(5).await).is_empty());
    // One by itself, all three in a list, and each of them again.
    scene.get(&format!("/v1/batches/{}", made[0]), "br").await;
    scene.get("/v1/batches", "").await;
    scene.get("/v1/batches", "").await;
    for made in &made {
        scene.get(&format!("/v1/batches/{made}"), "").await;
        scene.post(&format!("/v1/batches/{made}/cancel"), &json!({}), "").await;
    }
    let entries = scene.gate.wait_for_entries(5 + 3 + 2 + 6).await;
    let mut booked = with_usage(&entries);
    assert_eq!(booked.len(), 3, "{entries:#?}");
    booked.sort_by_key(|entry| entry.upstream_id.clone());
    for (entry, line) in booked.iter().zip(scene.upstream.bill()) {
        assert_eq!((entry.upstream_id.as_deref(), entry.endpoint.name()), (Some(&*line.id), "/v1/batches"));
        assert_same(entry, &line);
        assert_eq!(entry.model.served.as_deref(), Some(&*line.model));
    }
    // Two are parts of the list, which is an entry itself.
    let parts: Vec<_> = booked.iter().filter_map(|entry| entry.session.clone()).collect();
    assert_eq!(parts.len(), 2);
    assert!(entries.iter().any(|entry| entry.id == parts[0] && entry.usage.is_none()));
    let mut ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), entries.len(), "every entry has an id of its own");
}

#[tokio::test]
async fn a_training_is_booked_once_when_it_has_succeeded() {
    let mut scene = Scene::start().await;
    let body = json!({"model": "gpt-4o-mini", "training_file": "file-1"});
    let made = id(&scene.post("/v1/fine_tuning/jobs", &body, "").await);
    scene.get(&format!("/v1/fine_tuning/jobs/{made}"), "under-way").await;
    for _ in 0..2 {
        scene.get(&format!("/v1/fine_tuning/jobs/{made}"), "").await;
        scene.get("/v1/fine_tuning/jobs", "").await;
    }
    let entries = scene.gate.wait_for_entries(6).await;
    assert!(entries[0].deferred);
    let booked = with_usage(&entries);
    assert_eq!(booked.len(), 1, "{entries:#?}");
    assert_same(booked[0], &scene.upstream.bill()[0]);
    assert_eq!(booked[0].model.served.as_deref(), Some("gpt-4o-mini-2024-07-18"));
}

#[tokio::test]
async fn a_run_is_booked_once_whether_it_is_polled_or_streamed() {
    let mut scene = Scene::start().await;
    let body = json!({"assistant_id": "asst_1"});
    let made = id(&scene.post("/v1/threads/thread_1/runs", &body, "").await);
    scene.get(&format!("/v1/threads/thread_1/runs/{made}"), "under-way").await;
    scene.get(&format!("/v1/threads/thread_1/runs/{made}"), "").await;
    scene.get("/v1/threads/thread_1/runs", "").await;
    // Steps and messages of a stream have ids and usage of their own, which are parts of the run's.
    let streamed = json!({"assistant_id": "asst_1", "stream": true});
    scene.post("/v1/threads/runs", &streamed, "").await;
    let outputs = json!({"tool_outputs": [], "stream": true});
    scene.post("/v1/threads/thread_1/runs/run_x/submit_tool_outputs", &outputs, "crlf").await;
    scene.get("/v1/threads/thread_1/runs", "").await;
    let entries = scene.gate.wait_for_entries(7).await;
    let booked = with_usage(&entries);
    assert_eq!(booked.len(), 3, "{entries:#?}");
    for (entry, line) in booked.into_iter().zip(scene.upstream.bill()) {
        assert_eq!(entry.upstream_id.as_deref(), Some(&*line.id));
        assert_same(entry, &line);
        assert!(entry.cost.is_some());
    }
    assert_eq!(unpriced(&scene).await, 0);
}

#[tokio::test]
async fn a_video_is_booked_by_the_reply_that_tells_its_seconds() {
    let mut scene = Scene::start().await;
    let body = json!({"model": "sora-2", "prompt": "x", "seconds": "8"});
    let told = id(&scene.post("/v1/videos", &body, "").await);
    let untold = id(&scene.post("/v1/videos", &body, "no-usage").await);
    for _ in 0..2 {
        scene.get(&format!("/v1/videos/{told}"), "").await;
        scene.get(&format!("/v1/videos/{untold}"), "").await;
        scene.get("/v1/videos", "").await;
    }
    let entries = scene.gate.wait_for_entries(8).await;
    assert!(entries[1].deferred && !entries[0].deferred);
    let booked = with_usage(&entries);
    assert_eq!(booked.len(), 2, "{entries:#?}");
    for (entry, line) in booked.iter().zip(scene.upstream.bill()) {
        assert_same(entry, &line);
        assert_eq!(entry.media.size.as_deref(), Some("720x1280"));
    }
    assert_eq!(booked[1].endpoint.name(), "/v1/videos/{id}");
}

#[tokio::test]
async fn a_stored_completion_is_never_booked_again() {
    let mut scene = Scene::start().await;
    let body = json!({"model": "gpt-4o", "store": true, "messages": [{"role": "user", "content": WORDS}]});
    let made = id(&scene.post("/v1/chat/completions", &body, "").await);
    assert!(scene.get(&format!("/v1/chat/completions/{made}"), "").await.text().contains("\"usage\""));
    assert!(scene.get("/v1/chat/completions", "").await.text().contains("\"usage\""));
    let entries = scene.gate.wait_for_entries(3).await;
    assert_eq!(with_usage(&entries).len(), 1);
    assert_same(&entries[0], &scene.upstream.bill()[0]);
    assert_eq!(unpriced(&scene).await, 0);
}
