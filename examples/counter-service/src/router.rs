//! What is served: plain axum.

use std::{sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ebbtide::{Lease, Pool, Threads};

use crate::{counter::Counter, table::Cache};

/// The pool that increments.
pub type Increments = Pool<Threads<Lease<Counter>>>;

/// What handlers use.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Who increments.
    pub increments: Arc<Increments>,
    /// What is cached.
    pub cache: Cache,
    /// What an increment takes besides the store.
    pub work: Duration,
}

/// The routes.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .route("/incr", post(increment))
        .route("/count", get(count))
        .route("/cached", get(cached))
        .with_state(shared)
}

/// 202: it will be counted. 503: it will not.
async fn increment(State(Shared { increments, work, .. }): State<Shared>) -> Response {
    // Waits for room, which is how a full queue slows clients down.
    let submitted = increments.submit_fallible_async(move |counter, _| {
        #[expect(
            clippy::disallowed_methods,
            reason = "it stands for work that does not look whether it is cancelled"
        )]
        thread::sleep(work);
        counter.increment().map(drop)
    });
    match submitted.await {
        // The handle is dropped: the task goes on.
        Ok(_) => StatusCode::ACCEPTED.into_response(),
        Err(rejected) => (StatusCode::SERVICE_UNAVAILABLE, format!("{rejected}\n")).into_response(),
    }
}

async fn count(State(Shared { increments, .. }): State<Shared>) -> Response {
    let asked = increments.submit_fallible_async(|counter, _| counter.value());
    match asked.await {
        Err(rejected) => (StatusCode::SERVICE_UNAVAILABLE, format!("{rejected}\n")).into_response(),
        Ok(handle) => match handle.await {
            Ok(value) => format!("{value}\n").into_response(),
            Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response(),
        },
    }
}

async fn cached(State(Shared { cache, .. }): State<Shared>) -> Response {
    let loaded = cache.get();
    axum::Json(serde_json::json!({ "loads": loaded.loads, "rows": loaded.rows })).into_response()
}
