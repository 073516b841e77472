//! The isolation itself, as a type, and what its tasks are.

use std::{fmt, marker::PhantomData, sync::Arc};

use bytes::Bytes;

use super::{
    message::{self, Reply, Request},
    process::WorkerProcess,
};
use crate::task::{
    context::Context,
    error::BoxError,
    isolation::{Isolation, Job, Parcel, Shape, sealed::Sealed},
};

/// Worker processes: tasks are requests `Q`, and what comes back is a reply `R`. From [`Pool::processes`](crate::Pool#method.processes).
pub struct Processes<Q, R>(PhantomData<fn(Q) -> R>);

impl<Q: Request, R: Reply> Isolation for Processes<Q, R> {
    type State = WorkerProcess;
}

impl<Q, R> Sealed for Processes<Q, R> {}

impl<Q, R> fmt::Debug for Processes<Q, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Processes")
    }
}

/// A request on its way.
pub(crate) struct Call<Q, R>(pub(crate) Q, PhantomData<fn() -> R>);

impl<Q, R> Call<Q, R> {
    pub(crate) fn new(request: Q) -> Self {
        Self(request, PhantomData)
    }
}

impl<Q: Request, R: Reply> Job<Processes<Q, R>> for Call<Q, R> {
    type Output = R;

    fn run(self, _: &mut WorkerProcess, _: &Context<'_, Processes<Q, R>>) -> Result<R, BoxError> {
        Err("a request runs in a worker process only".into())
    }

    fn content_type(&self) -> Option<Arc<str>> {
        self.0.content_type()
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        self.0.write(into)
    }

    fn in_one_piece(&self) -> Option<Bytes> {
        self.0.in_one_piece()
    }

    fn read(&self, content_type: Option<&str>, reply: Parcel<'_>) -> Result<R, BoxError> {
        message::open(content_type, reply)
    }
}

/// Several requests that are one task: its worker's function is called for each.
pub(crate) struct Chunk<Q, R>(pub(crate) Vec<Q>, PhantomData<fn() -> R>);

impl<Q, R> Chunk<Q, R> {
    pub(crate) fn new(requests: Vec<Q>) -> Self {
        Self(requests, PhantomData)
    }
}

impl<Q: Request, R: Reply> Job<Processes<Q, R>> for Chunk<Q, R>
where
    Vec<Q>: Request,
    Vec<R>: Reply,
{
    type Output = Vec<R>;

    fn run(self, _: &mut WorkerProcess, _: &Context<'_, Processes<Q, R>>) -> Result<Vec<R>, BoxError> {
        Err("a request runs in a worker process only".into())
    }

    fn shape(&self) -> Shape {
        Shape::Each
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        self.0.write(into)
    }

    fn read(&self, content_type: Option<&str>, reply: Parcel<'_>) -> Result<Vec<R>, BoxError> {
        message::open(content_type, reply)
    }
}
