//! How an error of a function becomes an ERROR of its task.

use std::any::type_name;
use std::error::Error;
use std::fmt;

use crate::cancel::Cancelled;
use crate::frame::meta::ErrorMeta;

/// Any error a function may return: an own type, a text, a boxed one, or one of the usual crates for errors.
pub(crate) type Boxed = Box<dyn Error + Send + Sync>;

/// An error that says more about itself than its type does: a name of its own, and whether another attempt may succeed.
///
/// ```
/// use ebbtide_worker::Failure;
///
/// fn fetch(_: String, _: &ebbtide_worker::Task) -> Result<String, Failure> {
///     Err(Failure::new("Unavailable", "the shop does not answer").retryable())
/// }
/// # let _ = fetch;
/// ```
///
/// It is recognised in the chain of sources too, so it may be wrapped.
#[derive(Debug)]
pub struct Failure {
    name: String,
    message: String,
    retryable: Retryable,
    source: Option<Boxed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retryable {
    Yes,
    No,
}

impl Failure {
    /// One with that name (its class, for who decides by it) and that message (for who reads it). Not retryable.
    #[must_use]
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), retryable: Retryable::No, source: None }
    }

    /// One with the name and message of `error`, which becomes its source. Not retryable.
    #[must_use]
    pub fn of<E: Into<Boxed>>(error: E) -> Self {
        let source = error.into();
        Self {
            name: name_of::<E>(),
            message: source.to_string(),
            retryable: Retryable::No,
            source: Some(source),
        }
    }

    /// Says that another attempt may succeed. Whether there is one is for the pool's policy.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = Retryable::Yes;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What the pool is told of an error of type `E`.
pub(crate) fn describe<E: Into<Boxed>>(error: E) -> ErrorMeta<'static> {
    let boxed = error.into();
    let mut meta = ErrorMeta {
        name: name_of::<E>().into(),
        message: message_of(&*boxed).into(),
        ..ErrorMeta::default()
    };
    let mut next: Option<&(dyn Error + 'static)> = Some(&*boxed);
    let mut depth = 0;
    while let (Some(error), true) = (next, depth < CHAIN_MAX) {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            meta.retryable |= failure.retryable == Retryable::Yes;
            if depth == 0 {
                meta.name = failure.name.clone().into();
            }
        }
        meta.cancelled |= error.is::<Cancelled>();
        (next, depth) = (error.source(), depth + 1);
    }
    meta
}

/// Chains of sources are short; one that goes round is cut.
const CHAIN_MAX: usize = 32;

/// The message of an error and of what is behind it, without what the error already says itself.
fn message_of(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut next = error.source();
    for _ in 1..CHAIN_MAX {
        let Some(source) = next else { break };
        let text = source.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        next = source.source();
    }
    message
}

/// The name of an error's type; those that are no class of error are called `Error`.
fn name_of<E>() -> String {
    let name = type_name::<E>();
    let is_any = name.contains("dyn ") || ["&str", "alloc::string::String"].contains(&name);
    if is_any { "Error" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_type_and_its_sources() {
        let broken = std::io::Error::other("the disk");
        let meta = describe(Failure::of(broken));
        assert_eq!((&*meta.name, &*meta.message), ("std::io::error::Error", "the disk"));
        assert!(!meta.retryable && !meta.cancelled && meta.stack.is_empty());
        let outer = Failure { source: Some("inner".into()), ..Failure::new("Outer", "outer") };
        assert_eq!(describe(outer).message, "outer: inner");
        assert_eq!(describe("text").name, "Error");
        assert_eq!(describe(String::from("text")).name, "Error");
        assert_eq!(describe(Boxed::from("text")).name, "Error");
    }

    #[test]
    fn what_it_says_of_itself_is_found_in_its_sources() {
        let retryable = Failure::new("Busy", "busy").retryable();
        let wrapped = std::io::Error::other(Failure::of(retryable));
        let meta = describe(wrapped);
        assert!(meta.retryable && !meta.cancelled);
        assert_eq!((&*meta.name, &*meta.message), ("std::io::error::Error", "busy"));
        let meta = describe(Boxed::from(Failure::of(Cancelled::new("no longer wanted"))));
        assert!(meta.cancelled && !meta.retryable);
        assert_eq!(meta.message, "cancelled: no longer wanted");
    }
}
