//! Where questions to the books wait their turn: their answers may be on disk, and one thread serves everybody.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::admin::answer::refusal;

/// A bounded number of questions at a time, and of listeners.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    questions: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Desk {
    /// A desk that closes when `stopped` becomes true.
    pub(crate) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self {
            questions: Arc::new(Semaphore::new(MOST_QUESTIONS)),
            listeners: Arc::new(Semaphore::new(MOST_LISTENERS)),
            stopped,
        }
    }

    /// Answers on a thread that may wait.
    pub(crate) async fn ask<T: Send + 'static>(&self, answer: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _turn = self.questions.acquire().await.ok()?;
        tokio::task::spawn_blocking(answer).await.ok()
    }

    /// A place for somebody who stays; `None` where all are taken.
    pub(crate) fn listener(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.listeners).try_acquire_owned().ok()
    }

    /// Waits for some time; whether the surface still serves then.
    pub(crate) async fn stays_open_for(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        let over = tokio::time::timeout(time, stopped.wait_for(|stopped| *stopped)).await;
        over.is_err()
    }
}

/// A question that found no answer.
pub(crate) fn unanswered() -> Response {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "the books could not be read")
}

/// Too many listen already.
pub(crate) fn crowded() -> Response {
    let message = format!("{MOST_LISTENERS} programs listen already; close one of them");
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, &message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Each may hold a thread and read from a disk.
const MOST_QUESTIONS: usize = 4;

/// Each is asked for every second.
pub(crate) const MOST_LISTENERS: usize = 16;
