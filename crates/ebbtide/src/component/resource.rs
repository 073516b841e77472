//! A resource and its leases: it comes back only when no lease is out.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Something that tasks use and that must outlive them: a connection pool, a client, a file.
///
/// It is not `Clone`: its owner is the one who may close it, by taking it back with [`into_inner`](Self::into_inner), and that works
/// only when no [`Lease`] is out. What it does *not* hold: a client that is itself `Clone` can be cloned out of a lease and used later;
/// wrap such a client so that it cannot.
pub struct Resource<R> {
    shared: Arc<Shared<R>>,
    value: Arc<R>,
}

/// A resource of an application, before it is there: `app.resource(name, open, close)` gives it.
///
/// It is opened when the application starts and closed when nobody uses it any more. Until then it can be promised to pools
/// (`Pool::builder().using(&redis)`) and components; that promise is the edge in the order of the stop. There is no way to use it
/// before it is open, and none to close it by hand:
/// ```compile_fail,E0599
/// # use ebbtide::App;
/// let app = App::builder("counter");
/// let numbers = app.resource("numbers", || std::io::Result::Ok(vec![1]), drop);
/// numbers.len();
/// ```
/// ```compile_fail,E0599
/// # use ebbtide::App;
/// let app = App::builder("counter");
/// let numbers = app.resource("numbers", || std::io::Result::Ok(vec![1]), drop);
/// numbers.into_inner();
/// ```
pub struct Declared<R> {
    shared: Arc<Shared<R>>,
}

/// The counted right to use a resource; derefs to it. Not `Clone`: every lease names its holder.
pub struct Lease<R> {
    shared: Arc<Shared<R>>,
    /// None where it was promised before the resource was open; such a lease only keeps it from being closed.
    value: Option<Arc<R>>,
    key: u64,
}

/// The resource did not come back: somebody still holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillHeld {
    resource: Arc<str>,
    holders: Vec<Arc<str>>,
}

/// Tells resources apart, whatever their names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ResourceId(u64);

/// A resource of an application that somebody uses: the edge in the order of the stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub(crate) id: ResourceId,
    pub(crate) name: Arc<str>,
}

struct Shared<R> {
    id: ResourceId,
    name: Arc<str>,
    book: Mutex<Book<R>>,
}

struct Book<R> {
    /// A declared resource while it is open.
    open: Option<Arc<R>>,
    next: u64,
    holders: BTreeMap<u64, Arc<str>>,
}

impl<R> Shared<R> {
    fn new(name: Arc<str>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ResourceId(NEXT.fetch_add(1, Ordering::Relaxed));
        let book = Book { open: None, next: 0, holders: BTreeMap::new() };
        Arc::new(Self { id, name, book: Mutex::new(book) })
    }

    fn book(&self) -> MutexGuard<'_, Book<R>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(self: &Arc<Self>, value: Option<Arc<R>>, holder: &str) -> Lease<R> {
        let (key, value) = {
            let mut book = self.book();
            book.next += 1;
            let key = book.next;
            book.holders.insert(key, holder.into());
            (key, value.or_else(|| book.open.clone()))
        };
        Lease { shared: Arc::clone(self), value, key }
    }

    fn holders(&self) -> Vec<Arc<str>> {
        self.book().holders.values().cloned().collect()
    }

    fn still_held(&self) -> StillHeld {
        StillHeld { resource: Arc::clone(&self.name), holders: self.holders() }
    }
}

impl<R> Resource<R> {
    /// Makes a resource of a value; the name stands in reports and errors.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, value: R) -> Self {
        Self { shared: Shared::new(name.into()), value: Arc::new(value) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Lends it to a holder, who is named while the lease lives.
    #[must_use]
    pub fn lease(&self, holder: &str) -> Lease<R> {
        self.shared.lease(Some(Arc::clone(&self.value)), holder)
    }

    /// Who holds a lease now.
    #[must_use]
    pub fn holders(&self) -> Vec<Arc<str>> {
        self.shared.holders()
    }

    /// Takes the value back.
    ///
    /// # Errors
    /// The resource itself and [`StillHeld`], while a lease is out.
    pub fn into_inner(self) -> Result<R, (Self, StillHeld)> {
        let Self { shared, value } = self;
        Arc::try_unwrap(value).map_err(|value| {
            let still = shared.still_held();
            (Self { shared, value }, still)
        })
    }
}

impl<R> Declared<R> {
    pub(crate) fn new(name: impl Into<Arc<str>>) -> Self {
        Self { shared: Shared::new(name.into()) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Who holds it, or was promised it.
    #[must_use]
    pub fn holders(&self) -> Vec<Arc<str>> {
        self.shared.holders()
    }

    /// True between its start and its stop.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.book().open.is_some()
    }

    /// Lends it to a holder, who is named while the lease lives; nothing once it is closed or before it is open.
    ///
    /// For what is no pool and no component; the holder is not an edge in the order, but the resource is not closed under it.
    #[must_use]
    pub fn lease(&self, holder: &str) -> Option<Lease<R>> {
        let lease = self.claim(holder);
        lease.value.is_some().then_some(lease)
    }

    /// A lease that needs no value yet.
    pub(crate) fn claim(&self, holder: &str) -> Lease<R> {
        self.shared.lease(None, holder)
    }

    pub(crate) fn id(&self) -> ResourceId {
        self.shared.id
    }

    pub(crate) fn source(&self) -> Source {
        Source { id: self.shared.id, name: Arc::clone(&self.shared.name) }
    }

    pub(crate) fn open(&self, value: R) {
        self.shared.book().open = Some(Arc::new(value));
    }

    /// Takes the value out, to be closed; no lease is given any more. Nothing if it was not open.
    pub(crate) fn close(&self) -> Result<Option<R>, StillHeld> {
        let mut book = self.shared.book();
        let Some(value) = book.open.take() else { return Ok(None) };
        match Arc::try_unwrap(value) {
            Ok(value) => Ok(Some(value)),
            Err(value) => {
                book.open = Some(value);
                drop(book);
                Err(self.shared.still_held())
            }
        }
    }
}

impl<R> Clone for Declared<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<R> Lease<R> {
    /// Another lease of the same resource, for another holder. Has a value if this one has, or the resource has been opened since.
    pub(crate) fn again(&self, holder: &str) -> Self {
        self.shared.lease(self.value.clone(), holder)
    }

    pub(crate) fn has_value(&self) -> bool {
        self.value.is_some()
    }
}

impl<R> Deref for Resource<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.value
    }
}

impl<R> Deref for Lease<R> {
    type Target = R;

    fn deref(&self) -> &R {
        self.value.as_ref().expect("a lease without a value is never lent to user code")
    }
}

impl<R> Drop for Lease<R> {
    fn drop(&mut self) {
        // The value first: when nobody is in the book, nobody has it.
        drop(self.value.take());
        self.shared.book().holders.remove(&self.key);
    }
}

impl<R> fmt::Debug for Resource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("name", &self.name()).field("holders", &self.holders()).finish()
    }
}

impl<R> fmt::Debug for Declared<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Declared").field("name", &self.name()).field("holders", &self.holders()).finish()
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
