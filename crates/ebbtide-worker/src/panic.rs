//! Panics of the user's code, caught with where they were.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use crate::frame::meta::ErrorMeta;

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on the place of a panic is kept. The hook there was still runs: by default it prints, which the pool keeps as well.
pub(crate) fn keep_places() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        let place = info.location().map(|at| format!("at {}:{}:{}", at.file(), at.line(), at.column()));
        // A panic while the thread ends has nowhere to leave its place.
        let _ = PLACE.try_with(|kept| kept.replace(place));
        before(info);
    }));
}

/// Runs the user's code. What it may leave half done is its own state, which is documented.
pub(crate) fn catch<T>(code: impl FnOnce() -> T) -> Result<T, ErrorMeta<'static>> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let message = text(&*payload).to_owned();
        // Dropping what was thrown may panic too, and that would be outside of everything.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        let stack = PLACE.take().unwrap_or_default();
        ErrorMeta {
            name: "panic".into(),
            message: message.into(),
            stack: stack.into(),
            ..ErrorMeta::default()
        }
    })
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(|text| &**text)).unwrap_or("a panic without a text")
}
