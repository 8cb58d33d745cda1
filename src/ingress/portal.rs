//! `http://tollgate.internal/`: the certificate authority, for whoever uses the gate as a proxy.

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::ca::authority::Authority;
use crate::exchange::answer::Answer;

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

fn page(authority: &Authority) -> String {
    format!(
        "This is Tollgate.\n\n\
         It opens connections to these hosts only: {}\n\
         To let it, trust its certificate authority:\n\n\
         http://{HOST}/ca.pem   (PEM)\n\
         http://{HOST}/ca.crt   (DER)\n\n\
         SHA-256 {}\n\
         The authority is constrained to those names; its root key was destroyed when it was made.\n",
        authority.permitted().join(", "),
        authority.fingerprint(),
    )
}
