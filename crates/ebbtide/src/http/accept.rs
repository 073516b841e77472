//! Accepting connections until the ingress stops, and the backlog after that.

use std::{sync::Arc, time::Duration};

use hyper::{Request, Response, body::Body};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tower_service::Service;

use super::{
    backlog::{self, Traffic},
    body::RequestBody,
    builder::Limits,
    connection::{Connection, peer_of},
    counts::add,
    gate::{Gate, Peer},
    phase::{Phase, reached},
    report::Gap,
    serving::Core,
};
use crate::{clock::Moment, task::error::BoxError};

/// Pause after an accept that failed for want of something that may come back.
const RETRY: Duration = Duration::from_millis(20);

/// Who has connected within that time may be about to do it again.
const RECENT: Duration = Duration::from_secs(1);

/// How and when the listener was closed.
pub(crate) struct Closed {
    pub(crate) gap: Option<Gap>,
    pub(crate) at: Moment,
}

pub(crate) async fn accept<S, B>(
    listener: TcpListener,
    core: Arc<Core>,
    service: S,
    (limits, traffic): (Limits, Option<Traffic>),
) -> Closed
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let room = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut phase = core.phase.subscribe();
    let shared = Arc::clone(&core);
    let serve = move |stream: TcpStream, place: Option<OwnedSemaphorePermit>| {
        let peer = Peer(peer_of(&stream));
        let connection = Connection::new(stream, Arc::clone(&shared.ledger), shared.phase.subscribe());
        let gate = Gate {
            service: service.clone(),
            peer,
            activity: Arc::clone(&connection.activity),
            ledger: Arc::clone(&shared.ledger),
            phase: shared.phase.subscribe(),
        };
        tokio::spawn(async move {
            connection.serve(gate, limits).await;
            drop(place);
        });
    };
    let mut last = Moment::default();
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        tokio::select! {
            biased;
            () = reached(&mut phase, Phase::is_stopping) => break,
            (accepted, place) = next => match accepted {
                Ok((stream, _)) => {
                    last = Moment::now();
                    serve(stream, place);
                }
                Err(error) if backlog::is_of_the_connection(&error) => {}
                Err(_) => {
                    add(&core.ledger.counts.accept_errors);
                    sleep(RETRY).await;
                }
            },
        }
    }
    let Ok(listener) = listener.into_std() else { return Closed { gap: None, at: Moment::now() } };
    // Whoever is in the backlog was accepted by the system: the limit of connections was for others.
    let traffic = traffic.unwrap_or_else(|| seen(&core, last));
    let gap = backlog::close(listener, traffic, move |stream, _| {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        match stream {
            Ok(stream) => {
                core.ledger.waited_in_backlog();
                serve(stream, None);
            }
            Err(_) => add(&core.ledger.counts.accept_errors),
        }
    });
    let gap = gap.await;
    Closed { gap: Some(gap), at: Moment::now() }
}

fn seen(core: &Core, last: Moment) -> Traffic {
    let local = core.ledger.address.ip().is_loopback();
    let quiet = Moment::now().since(last) >= RECENT;
    if local && quiet { Traffic::None } else { Traffic::Likely }
}
