//! What the pool tells a worker when it starts it.

use std::env;
use std::os::fd::AsFd;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::frame::MAX_FRAME;
use crate::link::Link;
use crate::task::Level;

/// Whether this process was started as a worker: the name of the worker to be (`EBBTIDE_TARGET`, empty where the pool gave none), or
/// `None` for any other start. For a program that is its own worker:
///
/// ```no_run
/// # use std::convert::Infallible;
/// # use ebbtide_worker::{Task, is_worker, serve};
/// match is_worker().as_deref() {
///     Some("doubler") => serve(|n: u64, _: &Task| Ok::<_, Infallible>(2 * n)),
///     Some(other) => panic!("this program has no worker {other:?}"),
///     None => { /* the program itself */ }
/// }
/// ```
///
/// It looks for the pool's nonce **and** its socket: a program that a worker starts inherits the one and not the other, and is none.
/// Ask before anything else reads standard input. Changes nothing.
#[must_use]
pub fn is_worker() -> Option<String> {
    env::var_os("EBBTIDE_NONCE")?;
    let elsewhere = ["EBBTIDE_FD", "EBBTIDE_SOCKET"].into_iter().any(|name| env::var_os(name).is_some());
    // Only a socket has a type of socket.
    let here = || rustix::net::sockopt::socket_type(std::io::stdin().as_fd()).is_ok();
    (elsewhere || here()).then(|| text("EBBTIDE_TARGET").unwrap_or_default())
}

/// What the state of a worker is built from.
#[derive(Debug)]
pub struct Startup {
    link: Arc<Link>,
    restored: Option<Vec<u8>>,
    given: Given,
}

/// The environment, read once.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) nonce: String,
    pub(crate) export: Option<String>,
    pub(crate) restore: Restore,
    pub(crate) most: u32,
    target: Option<String>,
    data: Option<String>,
    number: u64,
    name: Option<String>,
    generation: u64,
}

/// Whether a predecessor's state comes before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restore {
    Comes,
    Not,
}

impl Startup {
    pub(crate) fn new(link: Arc<Link>, given: Given, restored: Option<Vec<u8>>) -> Self {
        Self { link, restored, given }
    }

    /// The state of the worker that this one replaces, as its [`snapshot`](crate::Worker::snapshot) gave it. `None` = start afresh.
    #[must_use]
    pub fn restored(&self) -> Option<&[u8]> {
        self.restored.as_deref()
    }

    /// The worker data the pool was built with. `None` = there is none.
    ///
    /// # Errors
    /// It is not JSON, or not of that type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.given.data.as_deref().map(serde_json::from_str).transpose()
    }

    /// What to run, for an executable with several workers. `None` = the pool named nothing.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.given.target.as_deref()
    }

    /// The worker's number in its pool; 0 where the pool says none.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.given.number
    }

    /// The worker's name in its pool.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.given.name.as_deref()
    }

    /// How often the pool had been restarted when it started this worker; 0 where the pool says nothing.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.given.generation
    }

    /// Sends a line to the pool's log, of the worker and no task. At most 64 KiB, cut at a character.
    pub fn log(&self, level: Level, text: impl AsRef<str>) {
        self.link.log(0, level, text.as_ref());
    }
}

impl Given {
    pub(crate) fn read() -> Self {
        Self {
            nonce: text("EBBTIDE_NONCE").unwrap_or_default(),
            export: text("EBBTIDE_EXPORT").filter(|name| !name.is_empty()),
            restore: if text("EBBTIDE_RESTORE").as_deref() == Some("1") {
                Restore::Comes
            } else {
                Restore::Not
            },
            most: number("EBBTIDE_MAX_FRAME").unwrap_or(MAX_FRAME),
            target: text("EBBTIDE_TARGET"),
            data: text("EBBTIDE_DATA").filter(|data| !data.is_empty()),
            number: number("EBBTIDE_WORKER").unwrap_or_default(),
            name: text("EBBTIDE_WORKER_NAME"),
            generation: number("EBBTIDE_GENERATION").unwrap_or_default(),
        }
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    text(name)?.parse().ok()
}
