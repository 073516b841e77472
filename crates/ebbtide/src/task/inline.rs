//! A task without a handle: its closure lies in the queue's own slot, so that none is allocated.
//!
//! Closures of up to three words lie inline; larger or over-aligned ones are boxed, the box lying inline. The
//! bytes are initialised from `new` until `run` or drop, whichever comes; both consume the task.
#![expect(
    unsafe_code,
    reason = "a closure of unknown type lies in fixed bytes; its own functions travel beside it"
)]

use std::{
    marker::PhantomData,
    mem::{self, ManuallyDrop, MaybeUninit},
    ptr,
};

use super::{
    context::Context,
    error::BoxError,
    isolation::{Isolation, Job},
};

const WORDS: usize = 3;
type Bytes = [MaybeUninit<usize>; WORDS];

pub(crate) struct InlineTask<I: Isolation> {
    table: &'static Table<I>,
    bytes: Bytes,
    /// Not Sync: the closure need only be Send.
    _task: PhantomData<Box<dyn FnOnce() + Send>>,
}

struct Table<I: Isolation> {
    run: Run<I>,
    drop: unsafe fn(*mut Bytes),
}

type Run<I> = unsafe fn(*mut Bytes, &mut <I as Isolation>::State, &Context<'_, I>) -> Result<(), BoxError>;

/// The functions for one type of job; `Stored` is what lies in the bytes.
struct Functions<I, J>(PhantomData<(I, J)>);

// SAFETY: it owns a `J: Send` (by `Job`), erased; the table is 'static data.
unsafe impl<I: Isolation> Send for InlineTask<I> {}

impl<I: Isolation> InlineTask<I> {
    pub(crate) fn new<J: Job<I>>(job: J) -> Self {
        let mut bytes: Bytes = [MaybeUninit::uninit(); WORDS];
        if fits::<J>() {
            // SAFETY: a `J` fits the bytes in size and alignment, and they are ours.
            unsafe { ptr::write(bytes.as_mut_ptr().cast::<J>(), job) };
            Self { table: &Functions::<I, J>::INLINE, bytes, _task: PhantomData }
        } else {
            // SAFETY: a box is one word.
            unsafe { ptr::write(bytes.as_mut_ptr().cast::<Box<J>>(), Box::new(job)) };
            Self { table: &Functions::<I, J>::BOXED, bytes, _task: PhantomData }
        }
    }

    pub(crate) fn run(self, state: &mut I::State, context: &Context<'_, I>) -> Result<(), BoxError> {
        let mut task = ManuallyDrop::new(self);
        // SAFETY: the bytes are initialised and, `self` being consumed and not dropped, are read out only here.
        unsafe { (task.table.run)(&raw mut task.bytes, state, context) }
    }
}

impl<I: Isolation> Drop for InlineTask<I> {
    fn drop(&mut self) {
        // SAFETY: `run` consumes without dropping, so the bytes are still initialised here.
        unsafe { (self.table.drop)(&raw mut self.bytes) };
    }
}

const fn fits<J>() -> bool {
    mem::size_of::<J>() <= mem::size_of::<Bytes>() && mem::align_of::<J>() <= mem::align_of::<Bytes>()
}

impl<I: Isolation, J: Job<I>> Functions<I, J> {
    const INLINE: Table<I> = Table { run: Self::run_inline, drop: Self::drop_inline };
    const BOXED: Table<I> = Table { run: Self::run_boxed, drop: Self::drop_boxed };

    unsafe fn run_inline(
        bytes: *mut Bytes,
        state: &mut I::State,
        context: &Context<'_, I>,
    ) -> Result<(), BoxError> {
        // SAFETY: the caller passes bytes that hold a `J` and never touches them again.
        let job = unsafe { ptr::read(bytes.cast::<J>()) };
        job.run(state, context).map(drop)
    }

    unsafe fn drop_inline(bytes: *mut Bytes) {
        // SAFETY: as above.
        unsafe { ptr::drop_in_place(bytes.cast::<J>()) };
    }

    unsafe fn run_boxed(
        bytes: *mut Bytes,
        state: &mut I::State,
        context: &Context<'_, I>,
    ) -> Result<(), BoxError> {
        // SAFETY: the caller passes bytes that hold a `Box<J>` and never touches them again.
        let job = unsafe { ptr::read(bytes.cast::<Box<J>>()) };
        job.run(state, context).map(drop)
    }

    unsafe fn drop_boxed(bytes: *mut Bytes) {
        // SAFETY: as above.
        unsafe { ptr::drop_in_place(bytes.cast::<Box<J>>()) };
    }
}
