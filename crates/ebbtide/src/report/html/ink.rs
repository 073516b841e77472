//! Writing markup: text that grows, and names that cannot break out of it.

use std::fmt::{self, Write as _};

use super::super::text::words::plain;

/// Markup that is being written.
#[derive(Debug, Default)]
pub(super) struct Ink(String);

/// Text in markup: cut to its room, with what cannot be printed and what would be markup escaped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Safe<'t>(pub(super) &'t str, pub(super) usize);

impl Ink {
    /// Writes `text`, which is markup.
    pub(super) fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = self.0.write_fmt(text);
    }

    pub(super) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.put(text);
        self.0.push('\n');
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in plain(self.0, self.1).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Writes one line of markup.
macro_rules! ink {
    ($ink:expr, $($text:tt)*) => { $ink.line(format_args!($($text)*)) };
}
pub(super) use ink;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        let hostile = "</title><script>alert('1')</script>&\"\u{202e}\u{0}\n";
        let shown = Safe(hostile, 200).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\u{202e}', '\u{0}']), "{shown}");
        assert!(shown.starts_with("&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)"), "{shown}");
        assert!(shown.contains("&amp;&quot;\\u{202e}\\0\\n"), "{shown}");
        assert_eq!(Safe("0123456789", 5).to_string(), "0123…");
    }
}
