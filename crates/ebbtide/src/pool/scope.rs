//! Tasks that borrow: none of them outlives the scope it was submitted in.
//!
//! Invariants: 1. [`Guarded`] drops the body (and everything it borrows) before its guard. 2. `scope` returns, or unwinds,
//! only after every guard is gone. So a body's borrows are valid as long as the body exists, wherever it went: into a queue, onto a
//! worker, or back out of a queue that was returned.
#![expect(
    unsafe_code,
    reason = "a body's lifetime is hidden from the queue; the scope waits out what it hides"
)]

use std::{
    fmt,
    marker::PhantomData,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use super::{core::Core, pools::Pool};
use crate::{
    clock::Moment,
    error::{RejectReason, SubmitError, WaitError},
    sync::Mutex,
    task::{
        cancel::CancelToken,
        context::Context,
        error::{BoxError, TaskError},
        gate::{self, Home},
        handle::{Handle, next_key},
        id::TaskId,
        isolation::{Isolation, Job, Stateless, Threads},
        outcome::{CancelReason, Outcome},
        wait::{self, Wakers},
    },
    timer::Alarm,
};

/// Where tasks that borrow are submitted. From [`Pool::scope`](crate::Pool::scope).
pub struct Scope<'scope, 'env: 'scope, I: Isolation> {
    pool: &'scope Pool<I>,
    bodies: Arc<Bodies>,
    token: CancelToken,
    alarm: Mutex<Option<Alarm>>,
    hope: Hope,
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// The owner's end of a task that borrows; lives in its scope.
#[must_use = "the scope waits for the task anyway; the handle is for its value"]
pub struct ScopedHandle<'scope, T> {
    handle: Handle<()>,
    value: Arc<Mutex<Option<T>>>,
    _scope: PhantomData<&'scope ()>,
}

/// How many bodies there are, run or not.
struct Bodies {
    inner: Mutex<(usize, Wakers)>,
}

/// Counts one body for as long as it lives.
struct Guard(Arc<Bodies>);

/// Waits out the bodies when it is dropped, however the scope is left: soundness hangs on it.
struct WaitOut<'w, I: Isolation> {
    bodies: &'w Bodies,
    /// The pool, where the scope was opened on one of its workers, which waits from the beginning to the end.
    home: Option<&'w Core<I>>,
}

/// Whether waiting for this scope's tasks can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hope {
    Some,
    /// The scope was opened on the last worker of its own pool: nobody would run them.
    None,
}

type Body<'b, S, I> = Box<dyn FnOnce(&mut S, &Context<'_, I>) -> Result<(), BoxError> + Send + 'b>;

/// A body and its guard; the order of the fields is the order in which they are dropped.
struct Guarded<I: Isolation> {
    body: Body<'static, I::State, I>,
    guard: Guard,
}

impl<I: Isolation> Job<I> for Guarded<I> {
    type Output = ();

    fn run(self, state: &mut I::State, context: &Context<'_, I>) -> Result<(), BoxError> {
        let Self { body, guard } = self;
        // The call consumes the body and what it borrows, also when it unwinds; the guard goes after it.
        let result = body(state, context);
        drop(guard);
        result
    }
}

impl Bodies {
    fn enter(self: &Arc<Self>) -> Guard {
        self.inner.lock().0 += 1;
        Guard(Arc::clone(self))
    }

    fn wait(&self) {
        let key = next_key();
        wait::block_until(None, |waker| {
            let _replaced;
            let mut inner = self.inner.lock();
            _replaced = inner.1.register(key, waker);
            (inner.0 == 0).then_some(())
        });
    }
}

impl<I: Isolation> Drop for WaitOut<'_, I> {
    fn drop(&mut self) {
        self.bodies.wait();
        if let Some(home) = self.home {
            home.end_wait();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let wakers = {
            let mut inner = self.0.inner.lock();
            inner.0 -= 1;
            if inner.0 == 0 { inner.1.take() } else { Vec::new() }
        };
        wait::wake_all(wakers);
    }
}

impl<'scope, I: Isolation> Scope<'scope, '_, I> {
    /// Asks every task of this scope to cancel; those that wait end at once.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Asks every task of this scope to cancel when so much time has passed from now. A later call replaces an earlier one.
    pub fn cancel_after(&self, timeout: Duration) {
        let token = self.token.clone();
        let alarm = Alarm::at(Moment::now().plus(timeout), move || {
            token.cancel_because(CancelReason::Deadline);
        });
        let old = self.alarm.lock().replace(alarm);
        drop(old);
    }

    fn submit_body<T, F, C>(&'scope self, task: F, call: C) -> Result<ScopedHandle<'scope, T>, SubmitError<F>>
    where
        T: Send + 'scope,
        F: Send + 'scope,
        C: FnOnce(F, &mut I::State, &Context<'_, I>) -> Result<T, BoxError> + Send + 'scope,
    {
        if self.hope == Hope::None {
            return Err(SubmitError::new(task, RejectReason::WouldDeadlock));
        }
        let value = Arc::new(Mutex::new(None));
        let (place, kept) = (Arc::clone(&value), Arc::new(Mutex::new(Some(task))));
        let held = Arc::clone(&kept);
        let body: Body<'scope, I::State, I> = Box::new(move |state, context| {
            let task = held.lock().take().ok_or("a scoped body runs once")?;
            let result = call(task, state, context)?;
            *place.lock() = Some(result);
            Ok(())
        });
        // SAFETY: only the lifetime changes. By invariants 1 and 2 the body is gone before `scope` returns, and so
        // before anything it borrows is.
        let body = unsafe { mem::transmute::<Body<'scope, I::State, I>, Body<'static, I::State, I>>(body) };
        let job = Guarded { body, guard: self.bodies.enter() };
        let submitted = self.pool.plain().scoped().cancelled_by(&self.token).submit_job(job);
        match submitted {
            Ok(handle) => Ok(ScopedHandle { handle, value, _scope: PhantomData }),
            Err((job, reason)) => {
                drop(job);
                let task = kept.lock().take().expect("a refused task was not run");
                Err(SubmitError::new(task, reason))
            }
        }
    }
}

impl<T> ScopedHandle<'_, T> {
    /// The task's number in its pool.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.handle.outcome()
    }

    /// Asks the task to cancel.
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// Blocks until the task has ended and gives its value.
    ///
    /// # Errors
    /// As [`Handle::wait`](crate::Handle::wait).
    pub fn wait(self) -> Result<T, WaitError> {
        self.handle.wait()?;
        let value = self.value.lock().take();
        value.ok_or_else(|| WaitError::Task(TaskError::taken()))
    }
}

impl<I: Isolation> Pool<I> {
    /// Lets tasks borrow from the caller: every task submitted in the scope has ended (or, unstarted, been dropped) when this
    /// returns. Waits for their bodies even if they were abandoned; a panic in `f` asks them to cancel first.
    ///
    /// On a worker of the same pool where waiting would leave nobody to run them, submits in the scope are rejected as
    /// [`WouldDeadlock`](RejectReason::WouldDeadlock).
    ///
    /// ```
    /// use ebbtide::Pool;
    ///
    /// let (pool, words) = (Pool::new(2), vec!["ebb", "tide"]);
    /// let letters = pool.scope(|scope| {
    ///     let counts: Vec<_> = words.iter().map(|word| scope.submit(|_| word.len())).collect();
    ///     counts.into_iter().filter_map(|count| count.ok()?.wait().ok()).sum::<usize>()
    /// });
    /// assert_eq!(letters, 7);
    /// ```
    ///
    /// A task cannot keep what it borrowed:
    /// ```compile_fail,E0597
    /// let pool = ebbtide::Pool::new(1);
    /// pool.scope(|scope| {
    ///     let local = String::new();
    ///     let _ = scope.submit(|_| local.len()); // `local` does not live as long as the scope
    /// });
    /// ```
    #[doc(alias = "StructuredTaskScope")]
    pub fn scope<'env, R>(&'env self, f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env, I>) -> R) -> R {
        let here = gate::is_worker_here(self.core().home);
        let waits = here && self.core().begin_wait();
        let hope = if here && !waits { Hope::None } else { Hope::Some };
        let scope = Scope {
            pool: self,
            bodies: Arc::new(Bodies { inner: Mutex::new((0, Wakers::default())) }),
            token: CancelToken::new(),
            alarm: Mutex::new(None),
            hope,
            _scope: PhantomData,
            _env: PhantomData,
        };
        let wait_out = WaitOut { bodies: &scope.bodies, home: waits.then(|| &**self.core()) };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        if result.is_err() {
            scope.token.cancel();
        }
        drop(wait_out);
        match result {
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl<'scope, 'env> Scope<'scope, 'env, Stateless> {
    /// Submits a task that may borrow from outside the scope. Waits for room where the pool's policy is to wait.
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back.
    pub fn submit<T, F>(&'scope self, task: F) -> Result<ScopedHandle<'scope, T>, SubmitError<F>>
    where
        F: FnOnce(&Context<'_, Stateless>) -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.submit_body(task, |task, (), context| Ok(task(context)))
    }

    /// The same for a task that says itself whether it failed.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_fallible<T, E, F>(&'scope self, task: F) -> Result<ScopedHandle<'scope, T>, SubmitError<F>>
    where
        F: FnOnce(&Context<'_, Stateless>) -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
        E: Into<BoxError> + 'scope,
    {
        self.submit_body(task, |task, (), context| task(context).map_err(Into::into))
    }
}

impl<'scope, 'env, S: 'static> Scope<'scope, 'env, Threads<S>> {
    /// Submits a task that may borrow from outside the scope. Waits for room where the pool's policy is to wait.
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back.
    pub fn submit<T, F>(&'scope self, task: F) -> Result<ScopedHandle<'scope, T>, SubmitError<F>>
    where
        F: FnOnce(&mut S, &Context<'_, Threads<S>>) -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.submit_body(task, |task, state, context| Ok(task(state, context)))
    }

    /// The same for a task that says itself whether it failed.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_fallible<T, E, F>(&'scope self, task: F) -> Result<ScopedHandle<'scope, T>, SubmitError<F>>
    where
        F: FnOnce(&mut S, &Context<'_, Threads<S>>) -> Result<T, E> + Send + 'scope,
        T: Send + 'scope,
        E: Into<BoxError> + 'scope,
    {
        self.submit_body(task, |task, state, context| task(state, context).map_err(Into::into))
    }
}

impl<I: Isolation> fmt::Debug for Scope<'_, '_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("bodies", &self.bodies.inner.lock().0).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ScopedHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedHandle").field(&self.handle).finish()
    }
}
