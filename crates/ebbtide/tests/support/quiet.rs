//! Panics on purpose, without their noise.

use std::sync::Once;

/// What tasks of the tests panic with.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Keeps panics with [`ON_PURPOSE`] off the terminal; others are shown as ever.
pub(crate) fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&ON_PURPOSE) {
                usual(info);
            }
        }));
    });
}
