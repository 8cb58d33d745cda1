//! Model lists that show custom models and deployments beside the upstream's own.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::dialect::coding::{Coding, decode};
use crate::dialect::models::{self, ModelCard};
use crate::exchange::answer::Answer;
use crate::exchange::headers;
use crate::policy::custom::CustomModel;
use crate::policy::routing::{DuplicateKind, Routing};

/// The models that the owner's configuration adds, each once, by name; `length` tells how many tokens a custom model
/// takes, where that is known.
pub fn cards(routing: &Routing, length: impl Fn(&Arc<CustomModel>) -> Option<u64>) -> Vec<ModelCard<'_>> {
    let customs = routing.customs.values().map(|model| ModelCard {
        id: &model.name,
        owned_by: "custom",
        context_length: length(model),
    });
    let card = |id, owned_by| ModelCard { id, owned_by, context_length: None };
    // A pattern is no name that a program could ask for; what an unlimited duplicate has is in its own list.
    let served = routing.duplicates.iter().flat_map(|duplicate| duplicate.models.iter().flatten());
    let served = served.filter(|glob| !glob.contains('*'));
    let deployments = routing.duplicates.iter().filter_map(|duplicate| match &duplicate.kind {
        DuplicateKind::Azure { deployments, .. } => {
            Some(deployments.keys().filter(|name| duplicate.serves(Some(name))))
        }
        DuplicateKind::Exact => None,
    });
    let mut cards: Vec<ModelCard<'_>> = customs
        .chain(deployments.flatten().map(|name| card(name, "azure")))
        .chain(served.map(|name| card(name, "duplicate")))
        .collect();
    cards.sort_by(|a, b| a.id.cmp(b.id));
    cards.dedup_by(|a, b| a.id == b.id);
    cards
}

/// The upstream's list with the cards added; the cards alone where it gave none.
pub async fn merged(response: Response<Answer>, cards: &[ModelCard<'_>]) -> Response<Answer> {
    let (mut head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return list(cards);
    }
    let Ok(body) = Limited::new(body, MAX_LIST).collect().await else { return list(cards) };
    let coding = Coding::parse(head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()));
    let body = body.to_bytes();
    // Asked for plain text, some servers compress all the same.
    let decoded = if coding == Coding::Identity { Ok(body) } else { decode(coding, &body, MAX_LIST).map(Bytes::from) };
    let merged = decoded.ok().and_then(|list| models::merge_models(&list, cards));
    let Some(merged) = merged else { return list(cards) };
    headers::body_changes(&mut head.headers);
    Response::from_parts(head, Answer::full(Bytes::from(merged)))
}

/// The cards alone, as a list.
pub fn list(cards: &[ModelCard<'_>]) -> Response<Answer> {
    json(models::list(cards))
}

/// One model.
pub fn one(card: &ModelCard<'_>) -> Response<Answer> {
    json(models::one(card))
}

fn json(body: Vec<u8>) -> Response<Answer> {
    let mut response = Response::new(Answer::full(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

const MAX_LIST: usize = 16 << 20;
