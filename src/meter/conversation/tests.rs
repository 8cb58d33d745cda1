//! The events of conversations, and what is read from them.

use serde_json::{Value, json};

use super::*;
use crate::units::{Basis, Usage};

fn heard(conversation: &mut Conversation, event: &Value) -> Option<Told> {
    conversation.heard(event.to_string().as_bytes())
}

fn ended(told: Option<Told>) -> (Reading, bool) {
    match told {
        Some(Told::Ended { reading, failed }) => (*reading, failed),
        other => panic!("no end of a turn: {other:?}"),
    }
}

#[test]
fn a_turn_has_the_model_of_its_session_and_every_count() {
    let mut conversation = Conversation::new(Socket::Realtime);
    let session = json!({"type": "realtime", "model": "gpt-realtime",
        "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}});
    assert!(
        heard(&mut conversation, &json!({"type": "session.created", "event_id": "e1", "session": session})).is_none()
    );
    let begun =
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "usage": null}});
    assert!(matches!(heard(&mut conversation, &begun), Some(Told::Begun(Some(id))) if &*id == "resp_1"));
    let delta = json!({"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "AAAA"});
    assert!(heard(&mut conversation, &delta).is_none());
    let usage = json!({"total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
        "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64},
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91}});
    let done = json!({"type": "response.done", "response": {"id": "resp_1", "object": "realtime.response",
        "status": "completed", "output": [{"id": "item_1", "type": "message"}], "usage": usage}});
    let (reading, failed) = ended(heard(&mut conversation, &done));
    assert!(!failed);
    assert_eq!(
        (reading.served_model.as_deref(), reading.upstream_id.as_deref()),
        (Some("gpt-realtime"), Some("resp_1"))
    );
    let counts = reading.usage.unwrap();
    let wanted = (Some(132), Some(64), Some(13), Some(121), Some(91));
    assert_eq!((counts.input, counts.cached_input, counts.audio_input, counts.output, counts.audio_output), wanted);
    assert_eq!(reading.raw_usage.unwrap().get(), usage.to_string());
}

#[test]
fn what_the_client_said_is_written_down_by_another_model() {
    for (settings, model) in [
        (json!({"audio": {"input": {"transcription": {"model": "whisper-1"}}}}), Some("whisper-1")),
        (json!({"input_audio_transcription": {"model": "whisper-1"}}), Some("whisper-1")),
        (json!({"audio": {"input": {"transcription": null}}}), None),
    ] {
        let mut conversation = Conversation::new(Socket::Realtime);
        let update = json!({"type": "session.update", "session": settings});
        conversation.said(update.to_string().as_bytes());
        let event = json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_1",
            "content_index": 1, "transcript": "hello", "usage": {"type": "duration", "seconds": 9}});
        let Some(Told::Transcribed(reading)) = heard(&mut conversation, &event) else { panic!("not told") };
        assert_eq!(reading.served_model.as_deref(), model, "{settings}");
        assert_eq!(reading.upstream_id.as_deref(), Some("item_1:1"));
        assert_eq!(reading.usage, Some(Usage { seconds: Some(9), ..Usage::default() }));
    }
}

#[test]
fn cumulative_seconds_are_never_summed() {
    let mut conversation = Conversation::new(Socket::Live);
    assert!(conversation.lasted().is_none());
    let start = json!({"type": "session.start", "session": {"model": "gpt-live-1"}});
    conversation.said(start.to_string().as_bytes());
    for seconds in [1.0, 7.0, 12.0] {
        let event = json!({"type": "session.usage.updated", "usage": {"seconds": seconds}});
        assert!(matches!(heard(&mut conversation, &event), Some(Told::Lasted)));
    }
    let reading = conversation.lasted().unwrap();
    assert_eq!((reading.usage.unwrap().seconds, reading.basis), (Some(12), Basis::Reported));
    assert_eq!(reading.served_model.as_deref(), Some("gpt-live-1"));
}

#[test]
fn a_delegated_response_is_a_turn_of_its_own_model() {
    let mut conversation = Conversation::new(Socket::Live);
    let response = json!({"id": "resp_d", "model": "gpt-5-2025-08-07", "service_tier": "default", "status": "completed",
        "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}});
    let inner = json!({"type": "response.completed", "response": response});
    let event = json!({"type": "response.event", "delegation_id": "d", "event": inner});
    let (reading, _) = ended(heard(&mut conversation, &event));
    assert_eq!(reading.served_model.as_deref(), Some("gpt-5-2025-08-07"));
    assert_eq!(reading.usage.map(|usage| usage.total()), Some(8));
    let nested_twice = json!({"type": "response.event", "event": event});
    assert!(heard(&mut conversation, &nested_twice).is_none());
}

#[test]
fn a_request_over_responses_says_what_is_asked_for() {
    let mut conversation = Conversation::new(Socket::Responses);
    conversation
        .said(json!({"type": "response.create", "model": "gpt-5", "service_tier": "flex"}).to_string().as_bytes());
    let asked = conversation.asked().clone();
    assert_eq!((asked.model.as_deref(), asked.tier.as_deref()), (Some("gpt-5"), Some("flex")));
    conversation.said(json!({"type": "response.create", "response": {"model": "gpt-4o"}}).to_string().as_bytes());
    assert_eq!((conversation.asked().model.as_deref(), conversation.asked().tier.as_deref()), (Some("gpt-4o"), None));
    let error = json!({"type": "error", "error": {"code": "rate_limit_exceeded", "message": "secret words"}});
    let Some(Told::Failed(reading)) = heard(&mut conversation, &error) else { panic!("not told") };
    assert_eq!(reading.error.as_deref(), Some("rate_limit_exceeded"));
}

#[test]
fn a_failed_turn_says_so_in_both_apis() {
    for (socket, kind, status, wanted) in [
        (Socket::Realtime, "response.done", "failed", true),
        (Socket::Realtime, "response.done", "cancelled", false),
        (Socket::Responses, "response.failed", "failed", true),
        (Socket::Responses, "response.incomplete", "incomplete", false),
    ] {
        let mut conversation = Conversation::new(socket);
        let event = json!({"type": kind, "response": {"id": "r", "status": status, "usage": null}});
        let (reading, failed) = ended(heard(&mut conversation, &event));
        assert_eq!((failed, reading.error.is_some(), reading.usage), (wanted, wanted, None), "{kind} {status}");
    }
}

#[test]
fn what_is_no_event_says_nothing() {
    for text in
        ["", "null", "[\"response\"]", "{\"response\":{}}", "{\"type\":\"response\"}", "{\"type\":1,\"usage\":{}}"]
    {
        for socket in Socket::ALL {
            let mut conversation = Conversation::new(socket);
            conversation.said(text.as_bytes());
            assert!(conversation.heard(text.as_bytes()).is_none(), "{text}");
        }
    }
}
