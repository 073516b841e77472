//! HTTP ingress: a server whose stop refuses nobody it accepted, and a health port that outlives it.
//!
//! [`Ingress`] serves an axum router, or any tower service, on HTTP/1 and HTTP/2. [`Health`] answers probes from a thread of its own.
//!
//! # The stop
//!
//! | what is open when [`Ingress::stop`] is called | what becomes of it |
//! |---|---|
//! | handshakes under way, connections in the backlog | are accepted and served; only then is the listener closed |
//! | a request that is being served | is finished; HTTP/1 answers say `Connection: close`, HTTP/2 gets GOAWAY and its streams finish |
//! | a keep-alive connection without a request | is closed at once; one whose next request has already arrived is served first |
//! | a connection that has sent nothing, or half of a head | has [`Caps::heads`] to send it, then is cut |
//! | a request body that comes slowly | has [`Caps::bodies`] to end, then the handler's read of it fails |
//! | an answer of unknown length (server-sent events) | is told through [`StopNotice`], and cut after [`Caps::streams`] |
//! | an upgraded connection (WebSocket) | the same; to close with 1001 is the handler's part, which alone speaks the protocol |
//! | whatever is left after [`Caps::requests`] | is cut |
//!
//! # How the listener is closed
//!
//! Closing a listener resets the connections that wait in its backlog, and accepting until it is empty leaves a gap before the close.
//! On Linux the gap is shut: a filter on the socket drops requests for new connections (and nothing else), handshakes under way are
//! waited for, the backlog is accepted to its end, and then the listener is closed. Who tries to connect in that moment is not reset: its
//! system asks again a second later and is refused, or reaches whoever listens on the port by then. Elsewhere, and where the filter
//! is refused, the backlog is accepted until it is empty and then closed; the report says which it was.
//!
//! # What it does not do
//!
//! It does not speak TLS (put a proxy in front, as most do), and sets no limit on the size of a body (axum has one). A client
//! that reuses an idle HTTP/1 connection at the very moment it is closed sees it closed without an answer: that is HTTP/1, and clients repeat
//! such a request or must be able to. [`Ingress::leave`] makes it rare.

mod accept;
mod backlog;
mod body;
mod builder;
mod connection;
mod counts;
mod gate;
mod health;
mod part;
mod phase;
mod report;
mod serving;
mod socket;
mod verdict;

pub use body::{RequestBody, RequestBodyError};
pub use builder::{IngressBuilder, Limits, StartIngressError, bind};
pub use counts::IngressStats;
pub use gate::Peer;
pub use health::{Health, HealthState};
pub(crate) use part::{HealthPart, HttpPart};
pub use phase::{Caps, StopNotice};
pub use report::{Gap, IngressReport, LastRequest, StoppedConnections};
pub use serving::{Ingress, IngressStop};
