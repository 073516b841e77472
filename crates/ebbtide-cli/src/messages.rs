//! What we say ourselves: to the standard error, a line at a time, around the progress bar where there is one.

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;

static BAR: OnceLock<ProgressBar> = OnceLock::new();
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on messages and outputs go around this bar.
pub(crate) fn show_around(bar: ProgressBar) {
    // There is one bar per process; a second one would be a mistake without consequence.
    let _ = BAR.set(bar);
}

/// Does `write` while the bar is away.
pub(crate) fn beside_the_bar<T>(write: impl FnOnce() -> T) -> T {
    match BAR.get() {
        Some(bar) if !bar.is_finished() => bar.suspend(write),
        _ => write(),
    }
}

/// From now on nothing is said but errors.
pub(crate) fn hush() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Says something that is good to know; not with --quiet.
pub(crate) fn note(text: impl std::fmt::Display) {
    if !QUIET.load(Ordering::Relaxed) {
        say(text);
    }
}

/// Says something that went wrong; nobody may be listening, which is no error of the run.
pub(crate) fn say(text: impl std::fmt::Display) {
    let text = format!("ebbtide: {}\n", harmless(&text.to_string()));
    beside_the_bar(|| drop(std::io::stderr().lock().write_all(text.as_bytes())));
}

/// Texts of workers and names from the input are in our messages: nothing that moves a cursor or does more, and no line that begins as ours do.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            shown.push('\n');
        }
        if index > 0 && !line.starts_with("  ") {
            shown.push_str("  ");
        }
        shown.extend(line.chars().map(tame));
    }
    shown
}

/// A character that does nothing but stand there.
pub(crate) fn tame(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

/// A piece of input or a command for a message: short, one line, nothing that moves a cursor.
pub(crate) fn short(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST)]);
    let mut shown: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() || bytes.len() > 4 * MOST {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_others_passes_for_ours() {
        assert_eq!(harmless("a\x1b[2J\r\nebbtide: b\rc\n  d\n"), "a\u{fffd}[2J\n  ebbtide: b\u{fffd}c\n  d");
        assert_eq!(harmless("\x1b]0;pwn\x07\u{9b}"), "\u{fffd}]0;pwn\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(short(b"a b"), "a b");
        assert_eq!(short(b"a\x1b[2J\n"), "a\u{fffd}[2J\u{fffd}");
        assert_eq!(short(&[b'x'; 10_000]).chars().count(), 61);
    }
}
