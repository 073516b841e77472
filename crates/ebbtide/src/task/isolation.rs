//! What kind of workers a pool has, as a type: it decides what a task is given and what `submit` takes.

use std::{marker::PhantomData, sync::Arc};

use bytes::Bytes;

use super::{
    context::Context,
    error::{BoxError, TaskError},
};

/// How a pool's workers are kept apart, and what a task is lent there. Sealed; see the implementors.
pub trait Isolation: sealed::Sealed + Send + Sync + 'static {
    /// What each worker builds for itself and lends to its tasks. It never leaves its worker, so it need not be `Send`.
    type State: 'static;
}

/// Thread workers without state: tasks are `FnOnce(&Context)`.
#[derive(Debug)]
pub struct Stateless;

/// Thread workers that each own an `S`: tasks are `FnOnce(&mut S, &Context)`.
#[derive(Debug)]
pub struct Threads<S>(PhantomData<fn(S)>);

impl Isolation for Stateless {
    type State = ();
}

impl<S: 'static> Isolation for Threads<S> {
    type State = S;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "sealed: nobody else decides what a worker is")]
    pub trait Sealed {}
    impl Sealed for super::Stateless {}
    impl<S> Sealed for super::Threads<S> {}
}

/// What a request is to its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Each,
}

/// What came back from another process.
pub(crate) enum Parcel<'b> {
    /// It lies where the next one will.
    Short(&'b [u8]),
    /// In memory of its own.
    Long(Bytes),
}

/// What can be run once on a worker: a user's closure with the adapter that its kind of submit needs.
pub(crate) trait Job<I: Isolation>: Send + 'static {
    type Output: Send + 'static;

    fn run(self, state: &mut I::State, context: &Context<'_, I>) -> Result<Self::Output, BoxError>;

    /// Whether its process is to call the function once, or for each item of the request.
    fn shape(&self) -> Shape {
        Shape::One
    }

    /// What it is written as for another process, unless that is JSON.
    fn content_type(&self) -> Option<Arc<str>> {
        None
    }

    /// It is about to be written for another process, or how it ends because it must not begin.
    fn set_out(&self) -> Result<(), TaskError> {
        Ok(())
    }

    /// What was written has not begun there, and waits again.
    fn came_back(&self) {}

    /// Writes it down for another process.
    fn write(&self, _into: &mut Vec<u8>) -> Result<(), BoxError> {
        Err("a closure cannot leave its process".into())
    }

    /// What would be written, if it is there in one piece already.
    fn in_one_piece(&self) -> Option<Bytes> {
        None
    }

    /// Reads what another process made of it; without a content type it is JSON.
    fn read(&self, _content_type: Option<&str>, _reply: Parcel<'_>) -> Result<Self::Output, BoxError> {
        Err("a closure cannot come back from another process".into())
    }
}

/// A closure whose value is its result.
pub(crate) struct Plain<F, T>(pub(crate) F, pub(crate) PhantomData<fn() -> T>);

/// A closure that says itself whether it failed.
pub(crate) struct Fallible<F, T, E>(pub(crate) F, pub(crate) PhantomData<fn() -> (T, E)>);

impl<F, T> Plain<F, T> {
    pub(crate) fn new(task: F) -> Self {
        Self(task, PhantomData)
    }
}

impl<F, T, E> Fallible<F, T, E> {
    pub(crate) fn new(task: F) -> Self {
        Self(task, PhantomData)
    }
}

impl<F, T> Job<Stateless> for Plain<F, T>
where
    F: FnOnce(&Context<'_, Stateless>) -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn run(self, (): &mut (), context: &Context<'_, Stateless>) -> Result<T, BoxError> {
        Ok((self.0)(context))
    }
}

impl<S, F, T> Job<Threads<S>> for Plain<F, T>
where
    S: 'static,
    F: FnOnce(&mut S, &Context<'_, Threads<S>>) -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn run(self, state: &mut S, context: &Context<'_, Threads<S>>) -> Result<T, BoxError> {
        Ok((self.0)(state, context))
    }
}

impl<F, T, E> Job<Stateless> for Fallible<F, T, E>
where
    F: FnOnce(&Context<'_, Stateless>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Into<BoxError> + 'static,
{
    type Output = T;

    fn run(self, (): &mut (), context: &Context<'_, Stateless>) -> Result<T, BoxError> {
        (self.0)(context).map_err(Into::into)
    }
}

impl<S, F, T, E> Job<Threads<S>> for Fallible<F, T, E>
where
    S: 'static,
    F: FnOnce(&mut S, &Context<'_, Threads<S>>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Into<BoxError> + 'static,
{
    type Output = T;

    fn run(self, state: &mut S, context: &Context<'_, Threads<S>>) -> Result<T, BoxError> {
        (self.0)(state, context).map_err(Into::into)
    }
}
