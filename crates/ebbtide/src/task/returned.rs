//! A task that was accepted, never started, and came back: the closure itself.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    context::Context,
    entry::{Body, Entry},
    error::BoxError,
    id::TaskId,
    isolation::{Isolation, Job, Parcel, Shape},
    panics,
};

/// An unstarted task that a stop, an abort, a restart or a broken pool gave back. From `take_returned`.
///
/// Its handle has already resolved `Returned`. `resubmit` makes a new task of it, with a new number and a handle
/// without a value: who wants the value keeps what is needed to build the closure again. Dropping it drops the
/// closure unrun.
pub struct Returned<I: Isolation> {
    /// There until it is run or dropped. Nothing else is here, so that a whole queue becomes a list of these without being moved.
    entry: Option<Entry<I>>,
}

impl<I: Isolation> Returned<I> {
    pub(crate) fn new(entry: Entry<I>) -> Self {
        Self { entry: Some(entry) }
    }

    /// The number it had in the pool that returned it.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.entry.as_ref().map_or(TaskId(0), |entry| entry.id)
    }

    /// The name it was submitted under.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.entry.as_ref()?.body {
            Body::Inline(_) => None,
            Body::Cell(cell) => cell.header().name().map(|name| &**name),
        }
    }

    fn looks(&self) -> (Shape, Option<Arc<str>>) {
        match self.entry.as_ref().map(|entry| &entry.body) {
            Some(Body::Cell(cell)) => cell.looks(),
            _ => (Shape::One, None),
        }
    }

    /// The caller's key it was submitted with.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match &self.entry.as_ref()?.body {
            Body::Inline(_) => None,
            Body::Cell(cell) => cell.header().extras()?.key.as_deref(),
        }
    }
}

impl<I: Isolation> Job<I> for Returned<I> {
    type Output = ();

    fn run(mut self, state: &mut I::State, context: &Context<'_, I>) -> Result<(), BoxError> {
        match self.entry.take().map(|entry| entry.body) {
            Some(Body::Inline(task)) => task.run(state, context),
            Some(Body::Cell(cell)) => cell.run_returned(state, context),
            None => Ok(()),
        }
    }

    fn shape(&self) -> Shape {
        self.looks().0
    }

    fn content_type(&self) -> Option<Arc<str>> {
        self.looks().1
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        match self.entry.as_ref().map(|entry| &entry.body) {
            Some(Body::Cell(cell)) => cell.write(into),
            _ => Err("a closure cannot leave its process".into()),
        }
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        match &self.entry.as_ref()?.body {
            Body::Cell(cell) => cell.in_one_piece(),
            Body::Inline(_) => None,
        }
    }

    fn read(&self, _content_type: Option<&str>, _reply: Parcel<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<I: Isolation> Drop for Returned<I> {
    fn drop(&mut self) {
        match self.entry.take().map(|entry| entry.body) {
            Some(Body::Inline(task)) => panics::drop_quietly(task),
            Some(Body::Cell(cell)) => cell.drop_returned(),
            None => {}
        }
    }
}

impl<I: Isolation> fmt::Debug for Returned<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
