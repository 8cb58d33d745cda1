//! WebSockets: Realtime, Responses and Live, with a scripted conversation that is billed turn by turn.
//!
//! What goes wrong in a turn is asked for by the member `standin` of the event that begins it; see [`Play`].

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::books::{Billed, Seen, Tab};
use super::link::Link;
use super::operation;
use super::script::{Piece, Script};
use super::serve::House;
use super::words;

/// Which conversation a path carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `realtime`.
    Realtime,
    /// `responses`.
    Responses,
    /// `live/sessions`.
    Live,
    /// Anything else: every message comes back.
    Echo,
}

/// How a turn is played.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Play {
    /// Events between the beginning and the end of the turn.
    deltas: usize,
    /// Bytes of each.
    size: usize,
    /// Into so many fragments the events are parted, with a ping between them; 0 is whole.
    fragments: usize,
    /// The connection is reset before the end of the turn.
    cut: bool,
    /// The end of the turn is never told.
    silent: bool,
    /// The end of the turn is told twice.
    twice: bool,
    /// The connection is closed with this code after the turn.
    close: Option<u16>,
    /// How the response ends, where that is not `completed`.
    status: Option<String>,
    /// The end of the turn waits until it is released.
    held: bool,
}

/// Whether a request asks for a WebSocket.
pub fn is_asked(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value == "websocket")
}

/// What waits for the connection to be handed over.
pub fn upgrade<B>(request: &mut Request<B>) -> Option<OnUpgrade> {
    is_asked(request.headers()).then(|| hyper::upgrade::on(request))
}

/// Whether a key was given, in one of the ways of a handshake.
pub fn has_key(headers: &HeaderMap) -> bool {
    let protocols = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    headers.contains_key("authorization")
        || headers.contains_key("api-key")
        || protocols.split(", ").any(|name| name.starts_with("openai-insecure-api-key."))
}

/// The answer to what sets up a call by WebRTC.
pub fn call(seen: &Seen) -> Option<Script> {
    let path = seen.path_and_query.split('?').next();
    (seen.method == Method::POST && path == Some("/v1/realtime/calls")).then(|| {
        let mut script = Script::json(201, &Value::Null);
        script.content_type = "application/sdp";
        script.pieces = vec![Piece::new("v=0\r\n")];
        script
    })
}

/// Switches, and begins the conversation of the path.
pub fn switch(
    house: &Arc<House>,
    link: &Arc<Link>,
    headers: &HeaderMap,
    uri: &Uri,
    upgrade: OnUpgrade,
) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let put = response.headers_mut();
    put.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    put.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let key = headers.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    put.insert(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key).parse().unwrap());
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    if offered.is_some_and(|offered| offered.split(',').any(|name| name.trim() == "realtime")) {
        put.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("realtime"));
    }
    let kind = kind(uri.path());
    let parameters = operation::query(uri);
    let named = parameters.get("model").or_else(|| parameters.get("deployment")).cloned().unwrap_or_default();
    let is_azure = uri.path().starts_with("/openai/");
    let behind = house.options.deployments.iter().find(|(name, _)| is_azure && *name == named);
    let model = behind.map_or(named, |(_, model)| model.clone());
    let (house, link) = (Arc::clone(house), Arc::clone(link));
    tokio::spawn(async move {
        let stream = TokioIo::new(upgrade.await.unwrap());
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let talk = Talk { house, link, kind, model, transcriber: None, socket, said: 0, lasted: 0 };
        talk.run().await;
    });
    response
}

fn kind(path: &str) -> Kind {
    let ends = [("/realtime", Kind::Realtime), ("/responses", Kind::Responses), ("/live/sessions", Kind::Live)];
    ends.into_iter().find(|(end, _)| path.ends_with(end)).map_or(Kind::Echo, |(_, kind)| kind)
}

struct Talk {
    house: Arc<House>,
    link: Arc<Link>,
    kind: Kind,
    model: String,
    transcriber: Option<String>,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    said: u64,
    lasted: u64,
}

impl Talk {
    async fn run(mut self) {
        if self.kind == Kind::Realtime {
            let created = json!({"type": "session.created", "event_id": "event_0", "session": self.session()});
            self.send(&created, 0).await;
        }
        while let Some(Ok(message)) = self.socket.next().await {
            match message {
                Message::Text(text) if self.kind != Kind::Echo => {
                    let Ok(event) = serde_json::from_str::<Value>(&text) else { continue };
                    if !self.event(event).await {
                        return;
                    }
                }
                Message::Text(_) | Message::Binary(_) if self.kind == Kind::Echo => {
                    let _ = self.socket.send(message).await;
                }
                _ => {}
            }
        }
    }

    /// Answers an event; `false` where the connection is gone.
    async fn event(&mut self, event: Value) -> bool {
        let play: Play = serde_json::from_value(event.get("standin").cloned().unwrap_or(json!({}))).unwrap();
        match event["type"].as_str().unwrap_or_default() {
            "session.update" => {
                let inner = &event["session"]["audio"]["input"]["transcription"]["model"];
                if let Some(model) = inner.as_str() {
                    self.transcriber = Some(model.to_owned());
                }
                let updated = json!({"type": "session.updated", "session": self.session()});
                self.send(&updated, 0).await;
                true
            }
            "session.start" => {
                self.model = event["session"]["model"].as_str().unwrap().to_owned();
                let started = json!({"type": "session.started", "session": {"model": self.model}});
                self.send(&started, 0).await;
                true
            }
            "input_audio_buffer.commit" => {
                self.transcribe().await;
                true
            }
            "session.input_audio.append" => {
                self.last(event["seconds"].as_u64().unwrap()).await;
                true
            }
            "session.delegate" => {
                let model = event["model"].as_str().unwrap().to_owned();
                self.turn(&model, &json!({}), &play, true).await
            }
            "response.create" => {
                let asked = event["model"].as_str().map_or_else(|| self.model.clone(), str::to_owned);
                if asked.starts_with("no-such") {
                    let error = json!({"code": "model_not_found", "type": "invalid_request_error", "message": "No."});
                    self.send(&json!({"type": "error", "status": 404, "error": error}), 0).await;
                    return true;
                }
                self.turn(&asked, &event, &play, false).await
            }
            _ => true,
        }
    }

    async fn turn(&mut self, model: &str, event: &Value, play: &Play, delegated: bool) -> bool {
        let number = self.house.books.number_reply();
        let id = format!("resp_standin{number:012}");
        let realtime = self.kind == Kind::Realtime;
        let served = if realtime { model.to_owned() } else { words::snapshot(model) };
        let tier = (!realtime).then(|| words::tier(&event["service_tier"]).to_owned());
        let (input, cached, output) = (100 + 10 * number, 60 + number, 20 + number);
        let billed = Billed {
            model: served.clone(),
            input,
            cached,
            endpoint: match self.kind {
                Kind::Realtime => "/v1/realtime",
                Kind::Responses => "/v1/responses+ws",
                Kind::Live | Kind::Echo => "/v1/live/sessions",
            },
            tier: tier.clone(),
            id: id.clone(),
            ..Billed::default()
        };
        let tab = self.house.books.serve(billed);
        let mut response = json!({"id": id, "status": "in_progress", "output": [], "usage": null});
        if !realtime {
            response["model"] = json!(served);
            response["service_tier"] = json!(tier);
        }
        let wrap = |event: Value| {
            if delegated { json!({"type": "response.event", "delegation_id": "del_1", "event": event}) } else { event }
        };
        self.send(&wrap(json!({"type": "response.created", "response": response})), play.fragments).await;
        for at in 0..play.deltas {
            let delta = "A".repeat(play.size);
            let event = json!({"type": "response.output_audio.delta", "response_id": id, "index": at, "delta": delta});
            self.send(&wrap(event), play.fragments).await;
        }
        tab.charge(output, 0);
        if play.held {
            self.house.books.sluice.pass().await;
        }
        if play.cut {
            self.link.reset();
            return false;
        }
        if play.silent {
            return true;
        }
        let status = play.status.as_deref().unwrap_or("completed");
        response["status"] = json!(status);
        response["usage"] = if realtime { spoken(input, cached, output) } else { written(input, cached, output) };
        let kind = match (realtime, status) {
            (true, _) => "response.done".to_owned(),
            (false, status) => format!("response.{status}"),
        };
        for _ in 0..=usize::from(play.twice) {
            self.send(&wrap(json!({"type": kind, "response": response})), play.fragments).await;
        }
        self.finish(&tab, play).await;
        true
    }

    async fn finish(&mut self, tab: &Tab, play: &Play) {
        tab.complete();
        if let Some(code) = play.close {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "as the script says".into() };
            let _ = self.socket.close(Some(frame)).await;
        }
    }

    async fn transcribe(&mut self) {
        let number = self.house.books.number_reply();
        self.said += 1;
        let item = format!("item_standin{number:012}");
        let model = self.transcriber.clone().unwrap_or_default();
        let by_time = model == "whisper-1";
        let (input, output) = if by_time { (0, 0) } else { (14 + number, 45) };
        let billed = Billed { model, input, endpoint: "/v1/realtime", id: item.clone(), ..Billed::default() };
        let tab = self.house.books.serve(billed);
        tab.charge(output, 0);
        let usage = if by_time {
            json!({"type": "duration", "seconds": 9})
        } else {
            json!({"type": "tokens", "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
                "input_token_details": {"text_tokens": 0, "audio_tokens": input}})
        };
        let event = json!({"type": "conversation.item.input_audio_transcription.completed", "item_id": item,
            "content_index": 0, "transcript": "hello there", "usage": usage});
        self.send(&event, 0).await;
        tab.complete();
    }

    /// So many more seconds have passed.
    async fn last(&mut self, seconds: u64) {
        self.lasted += seconds;
        let event = json!({"type": "session.usage.updated", "usage": {"seconds": self.lasted}});
        self.send(&event, 0).await;
    }

    fn session(&self) -> Value {
        let transcription = self.transcriber.as_ref().map(|model| json!({"model": model}));
        json!({"type": "realtime", "model": self.model, "audio": {"input": {"transcription": transcription}}})
    }

    async fn send(&mut self, event: &Value, fragments: usize) {
        let text = event.to_string();
        if fragments < 2 {
            let _ = self.socket.send(Message::text(text)).await;
            return;
        }
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(text.len().div_ceil(fragments)).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let code = OpCode::Data(if at == 0 { Data::Text } else { Data::Continue });
            let frame = Frame::message(piece.to_vec(), code, at + 1 == pieces.len());
            let _ = self.socket.send(Message::Frame(frame)).await;
            let _ = self.socket.send(Message::Ping(b"between".to_vec().into())).await;
        }
    }
}

/// The usage of a Realtime turn, with sound in both directions.
fn spoken(input: u64, cached: u64, output: u64) -> Value {
    json!({"total_tokens": input + output, "input_tokens": input, "output_tokens": output,
        "input_token_details": {"text_tokens": input - 13, "audio_tokens": 13, "image_tokens": 0,
            "cached_tokens": cached, "cached_tokens_details": {"text_tokens": cached - 5, "audio_tokens": 5, "image_tokens": 0}},
        "output_token_details": {"text_tokens": 5, "audio_tokens": output - 5}})
}

fn written(input: u64, cached: u64, output: u64) -> Value {
    json!({"input_tokens": input, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output})
}
