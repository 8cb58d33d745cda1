//! The admin surface: the books and the state of the gate over HTTP.

pub(crate) mod answer;
mod books;
mod budgets;
mod change;
mod desk;
mod guard;
mod live;
mod metrics;
pub mod parameters;
mod state;
pub mod surface;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::middleware;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::desk::Desk;
use self::guard::{Guard, Reached};
use self::surface::Surface;
use crate::policy::pac;

/// Serves the surface on `listener` until `shutdown` ends, then finishes open requests.
///
/// A change needs the surface's token, and so does whoever does not come over loopback; where there is one, so does every
/// reading but those that say nothing private.
///
/// # Errors
/// The listener has no address.
pub async fn serve<F>(listener: TcpListener, surface: Surface, shutdown: F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let guard = Guard::new(listener.local_addr()?, surface.token.as_ref());
    let (stop, stopped) = watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        // Those who listen would stay for ever.
        let _ = stop.send(true);
    };
    let router = router(surface, guard, Desk::new(stopped)).into_make_service_with_connect_info::<Reached>();
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

fn router(surface: Surface, guard: Guard, desk: Desk) -> Router {
    Router::new()
        .route("/", get(state::index))
        .route("/budgets", get(budgets::budgets))
        .route("/ca.crt", get(state::root_der))
        .route("/ca.pem", get(state::root_pem))
        .route("/config", get(state::config))
        .route("/config/models", post(change::models))
        .route("/entries", get(books::entries))
        .route("/healthz", get(state::health))
        .route("/metrics", get(metrics::metrics))
        .route("/models", get(state::models))
        .route(pac::PATH, get(state::pac))
        .route("/readyz", get(state::readiness))
        .route("/reload", post(change::reload))
        .route("/stats", get(books::stats))
        .route("/stats/live", get(live::stats))
        .fallback(state::unknown)
        .with_state(Arc::new(surface))
        .layer(Extension(desk))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check))
}
