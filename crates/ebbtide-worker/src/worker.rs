//! What a worker is put together from: a state, functions, a snapshot.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::function::{self, Function};
use crate::run::{self, Parts};
use crate::startup::Startup;
use crate::task::Task;

/// Serves one function, without a state. The whole of a worker's `main`: does not return, see [`Worker::serve`].
///
/// ```no_run
/// # use ebbtide_worker::{Task, serve};
/// serve(|text: String, _task: &Task| text.parse::<u64>())
/// ```
pub fn serve<Q, R, E>(mut code: impl FnMut(Q, &Task) -> Result<R, E> + 'static) -> !
where
    Q: DeserializeOwned,
    R: Serialize,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Worker::new().handle("default", move |(), request, task| code(request, task)).serve()
}

/// A worker being put together; it lives from [`serve`](Self::serve) on.
///
/// A task that names no function gets the pool's default export; where the pool has none, the function `default`; and else the only one
/// there is. One that names a function which is not there is an error of that task, and says which there are.
pub struct Worker<S = ()> {
    parts: Parts<S>,
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parts.functions.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Worker").field("functions", &names).finish_non_exhaustive()
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

impl Worker {
    /// One without state, without functions.
    #[must_use]
    pub fn new() -> Self {
        let build = Box::new(|_: &Startup| Ok(()));
        Self { parts: Parts { build, functions: Vec::new(), snapshot: None } }
    }

    /// Gives it a state, which is built once, after the pool knows that the worker is alive and before it sends tasks.
    ///
    /// An error or a panic of `build` is told to the pool, and the process ends with exit code 1.
    /// Functions that were added before are kept; they have no state.
    pub fn state<S: 'static, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        self,
        build: impl FnOnce(&Startup) -> Result<S, E> + 'static,
    ) -> Worker<S> {
        let stateless = self.parts.functions.into_iter().map(|(name, mut code)| {
            let code: Function<S> =
                Box::new(move |_, request, task, answer| code(&mut (), request, task, answer));
            (name, code)
        });
        let build = Box::new(|start: &Startup| build(start).map_err(crate::failure::describe));
        Worker { parts: Parts { build, functions: stateless.collect(), snapshot: None } }
    }
}

impl<S: 'static> Worker<S> {
    /// Adds a function that takes and gives what is JSON on the wire.
    ///
    /// A request that is not the type it takes, a reply that cannot be JSON, and a request of another content type are errors of the task.
    /// A name that was added before is replaced.
    #[must_use]
    pub fn handle<Q, R, E>(
        self,
        name: impl Into<String>,
        code: impl FnMut(&mut S, Q, &Task) -> Result<R, E> + 'static,
    ) -> Self
    where
        Q: DeserializeOwned,
        R: Serialize,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.with(name.into(), function::typed(code))
    }

    /// Adds a function that is given the request's bytes, whatever they are ([`Task::content_type`] says), and answers with bytes:
    /// a `Vec<u8>`, which is `application/octet-stream`, or a [`Reply`](crate::Reply).
    #[must_use]
    pub fn handle_raw<R, E>(
        self,
        name: impl Into<String>,
        code: impl FnMut(&mut S, &[u8], &Task) -> Result<R, E> + 'static,
    ) -> Self
    where
        R: Into<crate::Reply>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.with(name.into(), function::raw(code))
    }

    /// How the state is given to the worker that replaces this one; asked between two tasks. `take` gives bytes, or
    /// an option of them: `None` = it has none to give, which is also the default.
    /// One that panics has none to give either, and the pool's log says so.
    #[must_use]
    pub fn snapshot<B: Into<Option<Vec<u8>>>>(mut self, mut take: impl FnMut(&mut S) -> B + 'static) -> Self {
        self.parts.snapshot = Some(Box::new(move |state| take(state).into()));
        self
    }

    /// Serves the pool until it says stop, and ends the process.
    ///
    /// Exit code 0 after a stop, with everything written and the state dropped, and when the pool is gone, with nothing dropped; 1 if the
    /// start failed or this process was not started by a pool, 70 if the pool sent what is no frame. Then standard error says why.
    ///
    /// Standard input is the null device from here on. Destructors of the caller do not run.
    pub fn serve(self) -> ! {
        run::serve(self.parts)
    }

    fn with(mut self, name: String, code: Function<S>) -> Self {
        self.parts.functions.retain(|(known, _)| *known != name);
        self.parts.functions.push((name, code));
        self
    }
}
