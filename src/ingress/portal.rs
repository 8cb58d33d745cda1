//! `http://tollgate.internal/`: the certificate authority and the PAC, for whoever uses the gate as a proxy.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};

use crate::ca::authority::Authority;
use crate::exchange::answer::Answer;
use crate::exchange::fault::Fault;
use crate::policy::pac;

/// The name under which the gate answers through itself.
pub const HOST: &str = "tollgate.internal";

/// A page that explains, and the certificate in both forms.
pub fn answer(path: &str, authority: &Authority) -> Response<Answer> {
    let (kind, body) = match path {
        "/" => ("text/plain; charset=utf-8", Bytes::from(page(authority))),
        "/ca.pem" => ("application/x-pem-file", Bytes::from(authority.root_pem().to_owned())),
        "/ca.crt" => ("application/x-x509-ca-cert", Bytes::from(authority.root_der().to_vec())),
        _ => {
            let mut response = Response::new(Answer::full(Bytes::from_static(b"not found\n")));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
    };
    let mut response = Response::new(Answer::full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if path != "/" {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    response
}

/// The script by which browsers find their proxy.
pub fn script(script: String) -> Response<Answer> {
    let mut response = Response::new(Answer::full(Bytes::from(script)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(pac::TYPE));
    // The hosts may change while the gate runs.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What is said to who asks for the script under a name that is not the gate's.
pub fn foreign_pac(reached: Option<SocketAddr>) -> Response<Answer> {
    let remedy = reached.map_or_else(String::new, |at| format!("; ask for `http://{at}{}`", pac::PATH));
    let message =
        format!("the gate gives its PAC under its own address only, and the request names another host{remedy}");
    Fault::client(StatusCode::MISDIRECTED_REQUEST, Some("misdirected_request"), message).answer()
}

fn page(authority: &Authority) -> String {
    format!(
        "This is Tollgate.\n\n\
         It opens connections to these hosts only: {}\n\
         To let it, trust its certificate authority:\n\n\
         http://{HOST}/ca.pem   (PEM)\n\
         http://{HOST}/ca.crt   (DER)\n\n\
         A browser that is to send only calls to those hosts through the gate takes its proxy from\n\n\
         http://{HOST}{}   (PAC)\n\n\
         SHA-256 {}\n\
         The authority is constrained to those names; its root key was destroyed when it was made.\n",
        authority.permitted().join(", "),
        pac::PATH,
        authority.fingerprint(),
    )
}
