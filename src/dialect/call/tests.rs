//! Reading and editing bodies, by table and by generated documents.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const USAGE: Edits<'_> = Edits { model: None, include_usage: true };

fn read(dialect: Dialect, body: &str) -> Call {
    Call::read(dialect, Bytes::copy_from_slice(body.as_bytes()), Some("application/json"), None, 1 << 20).unwrap()
}

fn chat(body: &str) -> Call {
    read(Dialect::Chat, body)
}

fn bytes(outgoing: &Outgoing) -> Vec<u8> {
    let all = outgoing.pieces.concat();
    assert_eq!(all.len() as u64, outgoing.length);
    assert!(outgoing.pieces.iter().all(|piece| !piece.is_empty()));
    all
}

fn sent(call: &Call, edits: &Edits<'_>) -> String {
    String::from_utf8(bytes(&call.body(edits))).unwrap()
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap().into()
}

#[test]
fn what_a_body_names_is_read() {
    let call = chat(
        r#"{"messages":[{"model":"no"}],"stream":true,"stream_options":{"include_usage":true},"service_tier":"flex","model":"ft:gpt-4o\u003aa\/b"}"#,
    );
    assert_eq!(call.model.as_deref(), Some("ft:gpt-4o:a/b"));
    assert_eq!((call.stream, call.asks_usage, call.tier.as_deref()), (true, true, Some("flex")));
    let call = chat(r#"{"model":"m","stream":false,"service_tier":null}"#);
    assert_eq!((call.stream, call.asks_usage, call.tier), (false, false, None));
}

#[test]
fn a_body_without_a_model_is_sent_on_untouched() {
    for body in ["", "[]", "{", "model=a", r#"{"model":null}"#, r#"{"model":5}"#, r#"{"input":"x"}"#] {
        let call = read(Dialect::Responses, body);
        assert_eq!(call.model, None, "{body}");
        let outgoing = call.body(&Edits { model: Some("x"), include_usage: true });
        assert_eq!((bytes(&outgoing), outgoing.edited), (body.as_bytes().to_vec(), false));
    }
    let body = Bytes::from_static(br#"{"model":"a"}"#);
    let call = Call::read(Dialect::Chat, body.clone(), None, Some("gzip, br"), 9).unwrap();
    assert_eq!(call.model, None);
    assert_eq!(call.body(&USAGE).pieces, [body]);
}

#[test]
fn a_call_that_can_be_read_two_ways_is_refused() {
    for (body, key) in [
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"model":"a","mod\u0065l":"a"}"#, "model"),
        (r#"{"stream":true,"stream":false}"#, "stream"),
        (r#"{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}"#, "include_usage"),
    ] {
        let call = Call::read(Dialect::Chat, Bytes::from_static(body.as_bytes()), None, None, 99);
        assert_eq!(call.unwrap_err(), CallError::Duplicate { key }, "{body}");
    }
    let form = "--b\r\nContent-Disposition: form-data; name=model\r\n\r\na\r\n".repeat(2) + "--b--";
    let call = Call::read(Dialect::Transcription, form.into(), Some("multipart/form-data; boundary=b"), None, 99);
    assert_eq!(call.unwrap_err(), CallError::Duplicate { key: "model" });
}

#[test]
fn usage_is_asked_for_without_touching_anything_else() {
    for (body, wanted) in [
        (
            r#"{"stream" : true , "model":"m"}"#,
            r#"{"stream" : true,"stream_options":{"include_usage":true} , "model":"m"}"#,
        ),
        (r#"{"stream":true,"stream_options": null}"#, r#"{"stream":true,"stream_options": {"include_usage":true}}"#),
        (r#"{"stream_options":{},"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (r#"{"stream_options":{ },"stream":true}"#, r#"{"stream_options":{"include_usage":true },"stream":true}"#),
        (
            r#"{"stream_options":{ "include_obfuscation" :false},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true, "include_obfuscation" :false},"stream":true}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"a":[1,{}],"include_usage": false }}"#,
            r#"{"stream":true,"stream_options":{"a":[1,{}],"include_usage": true }}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":null}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
    ] {
        for dialect in [Dialect::Chat, Dialect::Completion] {
            let call = read(dialect, body);
            let outgoing = call.body(&USAGE);
            assert_eq!(String::from_utf8(bytes(&outgoing)).unwrap(), wanted);
            assert!(outgoing.edited && outgoing.adds_usage && !call.asks_usage);
            assert_eq!(sent(&call, &Edits::default()), body);
        }
    }
}

#[test]
fn usage_is_not_asked_for_where_it_is_not_ours_to_ask() {
    for body in [
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"stream":true,"stream_options":"x"}"#,
        r#"{"stream":true,"stream_options":[]}"#,
        r#"{"stream":true,"stream_options":{"include_usage":1}}"#,
        r#"{"stream":false}"#,
        r#"{"stream":"true"}"#,
        r#"{"model":"m"}"#,
        r#"{"stream":null,"stream_options":{}}"#,
    ] {
        let outgoing = chat(body).body(&USAGE);
        assert_eq!((bytes(&outgoing), outgoing.edited, outgoing.adds_usage), (body.as_bytes().to_vec(), false, false));
    }
    for dialect in Dialect::ALL {
        if !matches!(dialect, Dialect::Chat | Dialect::Completion) {
            assert!(!read(dialect, r#"{"stream":true}"#).body(&USAGE).edited, "{dialect:?}");
        }
    }
}

#[test]
fn a_model_is_renamed_in_place_and_escaped() {
    let call = chat("{ \"x\":1e2,\t\"model\" : \"gpt-4o\" , \"y\": 0.10 }\n");
    let edits = |model| Edits { model: Some(model), include_usage: true };
    assert_eq!(sent(&call, &edits("prod")), "{ \"x\":1e2,\t\"model\" : \"prod\" , \"y\": 0.10 }\n");
    assert_eq!(sent(&call, &edits("a\"\\\n{")), "{ \"x\":1e2,\t\"model\" : \"a\\\"\\\\\\n{\" , \"y\": 0.10 }\n");
    let same = call.body(&edits("gpt-4o"));
    assert!(!same.edited);
    assert_eq!(same.pieces[0].as_ptr(), call.received.as_ptr());
}

#[test]
fn both_edits_apply_in_either_order() {
    let edits = Edits { model: Some("p"), include_usage: true };
    let options = r#""stream_options":{"include_usage":true}"#;
    assert_eq!(
        sent(&chat(r#"{"model":"m","stream":true}"#), &edits),
        format!(r#"{{"model":"p","stream":true,{options}}}"#)
    );
    assert_eq!(
        sent(&chat(r#"{"stream":true,"model":"m"}"#), &edits),
        format!(r#"{{"stream":true,{options},"model":"p"}}"#)
    );
}

#[test]
fn twenty_megabytes_before_the_model_are_shared_and_not_copied() {
    let image = "QUJD".repeat(5 << 20);
    let text = format!(r#"{{"stream":true,"messages":[{{"url":"data:image/png;base64,{image}"}}],"model":"gpt-4o"}}"#);
    let body = Bytes::from(text.clone());
    let call = Call::read(Dialect::Chat, body.clone(), Some("application/json"), None, 1024).unwrap();
    let outgoing = call.body(&Edits { model: Some("prod"), include_usage: true });

    let options = r#","stream_options":{"include_usage":true}"#;
    let wanted =
        text.replace(r#""model":"gpt-4o""#, r#""model":"prod""#).replacen("true", &format!("true{options}"), 1);
    assert!(bytes(&outgoing) == wanted.as_bytes());
    let whole = body.as_ptr_range();
    let copied: usize = outgoing.pieces.iter().filter(|piece| !whole.contains(&piece.as_ptr())).map(Bytes::len).sum();
    assert_eq!(copied, options.len() + r#""prod""#.len());
    let untouched = call.body(&Edits::default());
    assert_eq!((untouched.pieces.len(), untouched.pieces[0].as_ptr()), (1, body.as_ptr()));
}

#[test]
fn a_prompt_does_not_get_into_a_log() {
    let call = chat(r#"{"model":"m","stream":true,"prompt":"secret"}"#);
    assert!(!format!("{call:?} {:?}", call.body(&USAGE)).contains("secret"));
}

#[test]
fn a_form_field_is_renamed_in_place() {
    let form = |model: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n\u{1}\r\n\r\n--x\r\n\
             --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--b--\r\n"
        )
    };
    let read = |content_type| {
        Call::read(Dialect::Transcription, form("whisper-1").into(), Some(content_type), None, 99).unwrap()
    };
    let call = read("Multipart/Form-Data; boundary=\"b\"");
    assert_eq!((call.model.as_deref(), call.stream), (Some("whisper-1"), true));
    assert_eq!(sent(&call, &Edits { model: Some("dep \"x\""), include_usage: true }), form("dep \"x\""));
    assert!(!call.body(&Edits { model: Some("a\r\n--b--"), include_usage: false }).edited);
    assert_eq!(read("multipart/form-data").model, None);
}

#[test]
fn a_compressed_body_is_decoded_only_if_it_is_edited() {
    let text = br#"{"model":"m","input":"x"}"#;
    let body = gzip(text);
    let call = Call::read(Dialect::Embeddings, body.clone(), None, Some("gzip"), 99).unwrap();
    assert_eq!(call.model.as_deref(), Some("m"));
    assert_eq!(call.text().as_ref(), text);
    let same = call.body(&Edits { model: Some("m"), include_usage: true });
    assert_eq!((same.decoded, same.edited, same.pieces), (false, false, vec![body]));
    let other = call.body(&Edits { model: Some("n"), include_usage: false });
    assert_eq!((other.decoded, bytes(&other)), (true, br#"{"model":"n","input":"x"}"#.to_vec()));
}

#[test]
fn bombs_and_broken_codings_are_refused() {
    let read = |body: Bytes| Call::read(Dialect::Chat, body, None, Some("gzip"), 1000).unwrap_err();
    assert_eq!(read(gzip(&vec![b' '; 1 << 24])), CallError::Coding(CodingError::TooLarge { limit: 1000 }));
    assert_eq!(read(Bytes::from_static(b"{}")), CallError::Coding(CodingError::Corrupt(Coding::Gzip)));
}

proptest! {
    #[test]
    fn an_edited_body_means_the_same_but_for_the_edits(
        before in any::<String>(), after in any::<String>(), name in any::<String>(), new in any::<String>(),
        options in prop_oneof![
            Just(None), Just(Some(json!(null))), Just(Some(json!({}))), Just(Some(json!({"include_usage": false}))),
            Just(Some(json!({"include_obfuscation": true, "include_usage": true})))
        ],
        stream in any::<bool>(), order in Just([0, 1, 2, 3, 4]).prop_shuffle(), pretty in any::<bool>(),
    ) {
        let all = [("a", Some(json!(before))), ("z", Some(json!({"model": after}))), ("model", Some(json!(name))),
            ("stream", Some(json!(stream))), ("stream_options", options)];
        let mut doc = Value::Object(serde_json::Map::new());
        for (key, value) in order.into_iter().map(|index: usize| all[index].clone()) {
            if let Some(value) = value { doc[key] = value; }
        }
        let text = if pretty { serde_json::to_string_pretty(&doc) } else { serde_json::to_string(&doc) }.unwrap();
        let call = chat(&text);
        prop_assert_eq!(call.model.as_deref(), Some(name.as_str()));
        let edited = sent(&call, &Edits { model: Some(&new), include_usage: true });
        doc["model"] = json!(new);
        if stream {
            if !doc["stream_options"].is_object() { doc["stream_options"] = json!({}); }
            doc["stream_options"]["include_usage"] = json!(true);
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), doc);
        prop_assert_eq!(sent(&call, &Edits::default()), text);
    }
}
