//! Forms as clients write them, and as attackers would.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn model<'b>(body: &'b [u8], boundary: &[u8]) -> Option<&'b [u8]> {
    let [found] = fields(body, boundary, &["model"]).unwrap();
    found.map(|range| &body[range])
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

const FILE: &str = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n\
     RIFF\r\n\r\n--bname=\"model\"\r\n--\r\n--b-\r\n--b--x\r\n";

#[test]
fn a_boundary_is_read_quoted_or_not() {
    for (header, wanted) in [
        ("multipart/form-data; boundary=abc", Some("abc")),
        ("Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b;c\\\"d\"", Some("a b;c\"d")),
        ("multipart/form-data; boundary=----WebKitFormBoundaryX ; x=y", Some("----WebKitFormBoundaryX")),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=a; boundary=b", None),
        ("multipart/form-data; x=\"; boundary=a\"", None),
        ("multipart/mixed; boundary=a", None),
        ("application/json", None),
    ] {
        assert_eq!(boundary(header), wanted.map(|text| text.as_bytes().to_vec()), "{header}");
    }
}

#[test]
fn the_field_is_found_before_and_after_the_file() {
    let field = part("model", "whisper-1");
    for body in [
        format!("{field}{FILE}--b--\r\n"),
        format!("{FILE}{field}--b--"),
        format!("{}{FILE}{field}--b--\r\nepilogue\r\n--b\r\nnot a part", part("prompt", "model")),
        format!("preamble\r\n{field}--b--"),
        format!("--bx\r\n\r\n{field}--b  \t\r\n\r\nno headers\r\n--b--"),
    ] {
        assert_eq!(model(body.as_bytes(), b"b"), Some(b"whisper-1".as_slice()), "{body}");
    }
}

#[test]
fn names_are_read_as_clients_write_them() {
    for disposition in [
        "content-disposition:form-data;name=model",
        "Content-Type: text/plain\r\nCONTENT-DISPOSITION: form-data; NAME = \"model\"",
        "Content-Disposition: form-data; x=\"a\\\"; name=b\"; name=\"model\"\r\nContent-Length: 1",
    ] {
        let body = format!("--b\r\n{disposition}\r\n\r\nm\r\n--b--");
        assert_eq!(model(body.as_bytes(), b"b"), Some(b"m".as_slice()), "{disposition}");
    }
    for disposition in [
        "Content-Disposition: form-data; name=\"models\"",
        "Content-Disposition: form-data; name=\"model\"; filename=\"m\"",
        "Content-Disposition: form-data; filename=\"; name=model\"",
        "X: form-data; name=\"model\"",
        "Content-Disposition: form-data; name=a; name=model",
    ] {
        let body = format!("--b\r\n{disposition}\r\n\r\nm\r\n--b--");
        assert_eq!(model(body.as_bytes(), b"b"), None, "{disposition}");
    }
}

#[test]
fn empty_and_many_lined_values_keep_their_exact_span() {
    for value in ["", "\r\n", "a\r\nb", "-- --b", "\r\n--", "x\r"] {
        let body = format!("{}--b--", part("model", value));
        assert_eq!(model(body.as_bytes(), b"b"), Some(value.as_bytes()));
    }
}

#[test]
fn a_field_that_is_given_twice_is_named() {
    let body = format!("{}{FILE}{}--b--", part("model", "a"), part("model", "b"));
    assert_eq!(fields(body.as_bytes(), b"b", &["stream", "model"]), Err(Repeated("model")));
}

#[test]
fn a_cut_off_form_gives_only_complete_fields() {
    let body = format!("{}{}", part("stream", "true"), part("model", "a"));
    let [stream, model] = fields(body.as_bytes(), b"b", &["stream", "model"]).unwrap();
    assert_eq!((stream.is_some(), model), (true, None));
}

#[test]
fn hostile_forms_take_linear_time() {
    let dashes = vec![b'-'; 70];
    let almost = [b"\r\n--".as_slice(), &dashes, b" \t".repeat(20).as_slice()].concat();
    let bodies = [
        vec![b'-'; 4 << 20],
        b"\r\n".repeat(2 << 20),
        b"\r\n-".repeat(1 << 20),
        almost.repeat(40_000),
        [b"\r\n--".as_slice(), &dashes, b"\r\n"].concat().repeat(50_000),
        [b"--".as_slice(), &dashes, b"\r\nContent-Disposition: x", &b"; name".repeat(600_000), b"\r\n\r\n"].concat(),
    ];
    for (index, body) in bodies.iter().enumerate() {
        let begin = Instant::now();
        assert_eq!(model(body, &dashes), None);
        assert!(begin.elapsed() < Duration::from_secs(5), "body {index} took {:?}", begin.elapsed());
    }
}

proptest! {
    #[test]
    fn a_generated_form_is_read_back(
        boundary in "[0-9A-Za-z'()+_,./:=?-]{1,70}",
        parts in proptest::collection::vec(("[a-l]{1,4}", "[ -~\r\n]{0,40}"), 0..6),
        value in "[ -~]{0,30}",
        at in any::<proptest::sample::Index>(),
    ) {
        let mut parts = parts;
        parts.insert(at.index(parts.len() + 1), ("model".to_owned(), value.clone()));
        prop_assume!(parts.iter().all(|(_, text)| !format!("\r\n{text}").contains(&format!("\r\n--{boundary}"))));
        let mut body = String::new();
        for (name, text) in &parts {
            body += &format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        }
        body += &format!("--{boundary}--\r\n");
        prop_assert_eq!(model(body.as_bytes(), boundary.as_bytes()), Some(value.as_bytes()));
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(body in "(\r\n|--|b|:|;|=|\"|name|model|content-disposition| ){0,60}") {
        let _ = fields(body.as_bytes(), b"b", &["model"]);
        let _ = boundary(&body);
    }
}
