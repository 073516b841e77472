//! A resource and its leases: it comes back only when no lease is out.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Something that tasks use and that must outlive them: a connection pool, a client, a file.
///
/// It is not `Clone`: its owner is the one who may close it, by taking it back with [`into_inner`](Self::into_inner), and that works
/// only when no [`Lease`] is out. What it does *not* hold: a client that is itself `Clone` can be cloned out of a lease and used later;
/// wrap such a client so that it cannot.
pub struct Resource<R> {
    shared: Arc<Shared<R>>,
}

/// The counted right to use a resource; derefs to it. Not `Clone`: every lease names its holder.
pub struct Lease<R> {
    shared: Arc<Shared<R>>,
    key: u64,
}

/// The resource did not come back: somebody still holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillHeld {
    resource: Arc<str>,
    holders: Vec<Arc<str>>,
}

struct Shared<R> {
    name: Arc<str>,
    value: R,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    next: u64,
    holders: BTreeMap<u64, Arc<str>>,
}

impl<R> Shared<R> {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(self: &Arc<Self>, holder: &str) -> Lease<R> {
        let key = {
            let mut book = self.book();
            book.next += 1;
            let key = book.next;
            book.holders.insert(key, holder.into());
            key
        };
        Lease { shared: Arc::clone(self), key }
    }
}

impl<R> Resource<R> {
    /// Makes a resource of a value; the name stands in reports and errors.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, value: R) -> Self {
        Self { shared: Arc::new(Shared { name: name.into(), value, book: Mutex::default() }) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Lends it to a holder, who is named while the lease lives.
    #[must_use]
    pub fn lease(&self, holder: &str) -> Lease<R> {
        self.shared.lease(holder)
    }

    /// Who holds a lease now.
    #[must_use]
    pub fn holders(&self) -> Vec<Arc<str>> {
        self.shared.book().holders.values().cloned().collect()
    }

    /// Takes the value back.
    ///
    /// # Errors
    /// The resource itself and [`StillHeld`], while a lease is out.
    pub fn into_inner(self) -> Result<R, (Self, StillHeld)> {
        let name = Arc::clone(&self.shared.name);
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => Ok(shared.value),
            Err(shared) => {
                let resource = Self { shared };
                let still = StillHeld { resource: name, holders: resource.holders() };
                Err((resource, still))
            }
        }
    }
}

impl<R> Lease<R> {
    /// Another lease of the same resource, for another holder.
    pub(crate) fn again(&self, holder: &str) -> Self {
        self.shared.lease(holder)
    }
}

impl<R> Deref for Resource<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.shared.value
    }
}

impl<R> Deref for Lease<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.shared.value
    }
}

impl<R> Drop for Lease<R> {
    fn drop(&mut self) {
        self.shared.book().holders.remove(&self.key);
    }
}

impl<R> fmt::Debug for Resource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("name", &self.name()).field("holders", &self.holders()).finish()
    }
}

impl<R> fmt::Debug for Lease<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("resource", &self.shared.name).finish_non_exhaustive()
    }
}

impl StillHeld {
    /// The resource's name.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Who holds it.
    #[must_use]
    pub fn holders(&self) -> &[Arc<str>] {
        &self.holders
    }

    pub(crate) fn by(resource: &str, holder: impl Into<Arc<str>>) -> Self {
        Self { resource: resource.into(), holders: vec![holder.into()] }
    }
}

impl fmt::Display for StillHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the resource \"{}\" is still held by {}", self.resource, self.holders.join(", "))
    }
}

impl Error for StillHeld {}
