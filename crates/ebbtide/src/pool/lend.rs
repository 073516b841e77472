//! Pools whose workers use resources: each worker holds leases as its state, and the pool holds one from its building to its
//! end, so that nothing is closed under it.

use std::{any::Any, fmt, sync::Arc};

use super::{builder::PoolBuilder, phase::Phase, pools::Pool};
use crate::{
    component::{Declared, Lease, Resource, Source, StillHeld},
    sync::Mutex,
    task::isolation::{Isolation, Stateless, Threads},
};

/// Resources that a pool can use: one, or a tuple of up to four. Sealed.
pub trait Using: sealed::Sealed {
    /// What each worker gets as its state.
    type Leased: Send + 'static;

    #[doc(hidden)]
    fn lease(&self, holder: &str) -> Self::Leased;
    #[doc(hidden)]
    fn again(leased: &Self::Leased, holder: &str) -> Self::Leased;
    /// Which of an application's resources these are.
    #[doc(hidden)]
    fn sources(&self) -> Vec<Source>;
    /// Whether they can be used: not before an application has opened them.
    #[doc(hidden)]
    fn are_open(leased: &Self::Leased) -> bool;
}

mod sealed {
    #[expect(unnameable_types, reason = "sealed: leases are made here only")]
    pub trait Sealed {}
}

/// Puts the pool's name on its leases.
pub(crate) type TakeOver = Box<dyn FnOnce(&str)>;

/// What a pool keeps until it has terminated.
pub(crate) type Held = Box<dyn Any + Send>;

/// A pool, given back because its resource cannot leave it yet.
pub struct IntoResourceError<I: Isolation> {
    pool: Pool<I>,
    still: StillHeld,
}

impl<I: Isolation> IntoResourceError<I> {
    /// Who holds the resource.
    #[must_use]
    pub fn still_held(&self) -> &StillHeld {
        &self.still
    }

    /// The pool, to be shut down first.
    #[must_use]
    pub fn into_pool(self) -> Pool<I> {
        self.pool
    }
}

impl<I: Isolation> fmt::Debug for IntoResourceError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoResourceError").field("still", &self.still).finish_non_exhaustive()
    }
}

impl<I: Isolation> fmt::Display for IntoResourceError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.still.fmt(f)
    }
}

impl<I: Isolation> std::error::Error for IntoResourceError<I> {}

impl<R: Send + Sync + 'static> sealed::Sealed for &Resource<R> {}

impl<R: Send + Sync + 'static> Using for &Resource<R> {
    type Leased = Lease<R>;

    fn lease(&self, holder: &str) -> Lease<R> {
        Resource::lease(self, holder)
    }

    fn again(leased: &Lease<R>, holder: &str) -> Lease<R> {
        leased.again(holder)
    }

    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    fn are_open(leased: &Lease<R>) -> bool {
        leased.has_value()
    }
}

impl<R: Send + Sync + 'static> sealed::Sealed for &Declared<R> {}

impl<R: Send + Sync + 'static> Using for &Declared<R> {
    type Leased = Lease<R>;

    fn lease(&self, holder: &str) -> Lease<R> {
        self.claim(holder)
    }

    fn again(leased: &Lease<R>, holder: &str) -> Lease<R> {
        leased.again(holder)
    }

    fn sources(&self) -> Vec<Source> {
        vec![self.source()]
    }

    fn are_open(leased: &Lease<R>) -> bool {
        leased.has_value()
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+);)*) => {$(
        impl<$($name: Using),+> sealed::Sealed for ($($name,)+) {}

        impl<$($name: Using),+> Using for ($($name,)+) {
            type Leased = ($($name::Leased,)+);

            fn lease(&self, holder: &str) -> Self::Leased {
                ($(self.$index.lease(holder),)+)
            }

            fn again(leased: &Self::Leased, holder: &str) -> Self::Leased {
                ($($name::again(&leased.$index, holder),)+)
            }

            fn sources(&self) -> Vec<Source> {
                [$(self.$index.sources()),+].concat()
            }

            fn are_open(leased: &Self::Leased) -> bool {
                $($name::are_open(&leased.$index))&&+
            }
        }
    )*};
}

tuples! {
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
}

impl PoolBuilder<Stateless> {
    /// Lets the tasks use a resource (or a tuple of up to four): each worker's state is a lease of its own.
    ///
    /// The pool holds a lease from here until it has terminated, so the resource cannot be taken back before.
    ///
    /// ```
    /// use ebbtide::{Pool, Resource, Shutdown};
    ///
    /// let redis = Resource::new("redis", String::from("a connection"));
    /// let pool = Pool::builder().name("increments").using(&redis).build()?;
    /// assert_eq!(pool.submit(|redis, _| redis.len())?.wait()?, 12);
    ///
    /// let (redis, still) = redis.into_inner().unwrap_err();
    /// assert!(still.to_string().contains("increments"));
    /// pool.shutdown(Shutdown::drain()).wait()?;
    /// assert_eq!(redis.into_inner().unwrap(), "a connection");
    /// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// A task cannot keep what it was lent:
    /// ```compile_fail
    /// # use ebbtide::{Pool, Resource};
    /// # let redis = Resource::new("redis", String::new());
    /// # let pool = Pool::builder().using(&redis).build().unwrap();
    /// let kept = pool.submit(|redis, _| -> &str { redis }).unwrap();
    /// ```
    pub fn using<U: Using>(self, resources: U) -> PoolBuilder<Threads<U::Leased>> {
        let master = Arc::new(Mutex::new(Some(resources.lease("a pool that is being built"))));
        let (lender, named) = (Arc::clone(&master), Arc::clone(&master));
        let sources = resources.sources();
        let mut builder = self.try_state(move |worker| {
            let leased = lender.lock().as_ref().map(|master| U::again(master, &worker.name));
            let leased = leased.ok_or("the pool has given its resources back")?;
            if U::are_open(&leased) { Ok(leased) } else { Err("the resource is not open") }
        });
        builder.depend(sources);
        let take_over = move |pool: &str| {
            let mut named = named.lock();
            *named = named.as_ref().map(|first| U::again(first, pool));
        };
        builder.hold(Box::new(take_over), Box::new(move || drop(master.lock().take())));
        builder
    }

    /// Moves a resource into the pool: its tasks use it, and it comes back with [`Pool::into_resource`] when the pool has terminated.
    ///
    /// ```
    /// use ebbtide::{Pool, Shutdown};
    ///
    /// let pool = Pool::builder().owning("log", vec![1, 2, 3]).build()?;
    /// let pool = pool.into_resource().unwrap_err().into_pool();
    /// pool.shutdown(Shutdown::drain()).wait()?;
    /// assert_eq!(pool.into_resource().unwrap(), [1, 2, 3]);
    /// # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    ///
    /// It is gone from its former owner, and comes back once:
    /// ```compile_fail,E0382
    /// # use ebbtide::{Pool, Shutdown};
    /// let log = vec![1];
    /// let pool = Pool::builder().owning("log", log).build().unwrap();
    /// drop(log);
    /// ```
    /// ```compile_fail,E0382
    /// # use ebbtide::{Pool, Shutdown};
    /// # let pool = Pool::builder().owning("log", vec![1]).build().unwrap();
    /// let first = pool.into_resource();
    /// let second = pool.into_resource();
    /// ```
    pub fn owning<R: Send + Sync + 'static>(
        self,
        name: impl Into<Arc<str>>,
        resource: R,
    ) -> PoolBuilder<Threads<Lease<R>>> {
        let resource = Resource::new(name, resource);
        let mut builder = self.using(&resource);
        builder.own(Box::new(resource));
        builder
    }
}

impl<R: Send + Sync + 'static> Pool<Threads<Lease<R>>> {
    /// Takes back the resource that was moved in with `owning`, once, after a completed shutdown.
    ///
    /// # Errors
    /// [`IntoResourceError`] gives the pool back and says who holds the resource: the pool, while it has not terminated; the abandoned
    /// worker that still uses it; or its real owner, where the pool was built with `using`.
    pub fn into_resource(self) -> Result<R, IntoResourceError<Threads<Lease<R>>>> {
        let core = self.core();
        let refuse = |pool: Self, still| Err(IntoResourceError { pool, still });
        if core.phase() != Phase::Terminated {
            let still = StillHeld::by("the pool's", Arc::clone(&core.config.name));
            return refuse(self, still);
        }
        let owned = core.owned.lock().take().and_then(|owned| owned.downcast::<Resource<R>>().ok());
        let Some(resource) = owned else {
            return refuse(self, StillHeld::by("the pool's", "its owner: the pool only leases it"));
        };
        match resource.into_inner() {
            Ok(resource) => Ok(resource),
            Err((resource, still)) => {
                *self.core().owned.lock() = Some(Box::new(resource));
                refuse(self, still)
            }
        }
    }
}
