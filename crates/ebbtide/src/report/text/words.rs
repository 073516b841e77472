//! Durations, numbers and names as people read them, and how wide they are on a screen.

use std::time::Duration;

use super::super::value::Mode;

/// No line of a report is wider.
pub(in crate::report) const WIDTH: usize = 100;

/// Room for a reason, before it is wrapped.
pub(in crate::report) const REASON: usize = 400;

/// What a pool is asked to do.
pub(in crate::report) const fn verb(mode: Mode) -> &'static str {
    match mode {
        Mode::Drain => "drain",
        Mode::Stop => "stop",
        Mode::Abort => "abort",
    }
}

/// `840 µs`, `12.3 ms`, `0.61 s`, `22.0 s`, `2 min 05 s`; whole ones without decimals: `30 s`.
///
/// Cut, never rounded up: what is said to have taken "at least" so long has, and nothing reads `60.0 s`.
pub(in crate::report) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..100_000_000 => format!("{} ms", decimals(nanos, 1_000_000)),
        100_000_000..60_000_000_000 => format!("{} s", decimals(nanos, 1_000_000_000)),
        _ => long(duration.as_secs()),
    }
}

/// `1_204`: readable in any log, and Rust reads it as well.
pub(in crate::report) fn number(number: u128) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 task`, `1_204 tasks`.
pub(in crate::report) fn counted(count: u128, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", number(count))
}

/// A name in quotes, at most `room` columns with them; what cannot be printed, quotes and backslashes
/// are escaped.
pub(in crate::report) fn quoted(name: &str, room: usize) -> String {
    format!("\"{}\"", printable(name, &['\''], room.saturating_sub(2)))
}

/// Text without quotes, at most `room` columns; what cannot be printed is escaped.
pub(in crate::report) fn plain(text: &str, room: usize) -> String {
    printable(text, &['\'', '"', '\\'], room)
}

/// How many columns `text` takes, at most.
pub(in crate::report) fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

/// `text` with spaces after it up to `width` columns.
pub(in crate::report) fn padded(text: &str, width: usize) -> String {
    let spaces = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// A printable line, at most `room` columns; what is cut off shows as `…`.
pub(in crate::report) fn cut(line: &str, room: usize) -> String {
    if columns(line) <= room {
        return line.to_owned();
    }
    format!("{}…", &line[..fitting(line, room.saturating_sub(1))])
}

/// Printable text in at most `lines` lines, broken at spaces, all after the first begun with `indent` columns.
pub(in crate::report) fn wrapped(text: &str, indent: usize, lines: usize) -> Vec<String> {
    let mut wrapped = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() && wrapped.len() < lines {
        let indent = if wrapped.is_empty() { 0 } else { indent };
        let room = WIDTH - indent;
        if columns(rest) <= room || wrapped.len() + 1 == lines {
            wrapped.push(format!("{:indent$}{}", "", cut(rest, room)));
            break;
        }
        let fits = fitting(rest, room);
        let spot = match rest.as_bytes().get(fits) {
            Some(b' ') => fits,
            // A word that is longer than half a line is broken rather than moved.
            _ => rest[..fits].rfind(' ').filter(|spot| *spot > fits / 2).unwrap_or(fits),
        };
        wrapped.push(format!("{:indent$}{}", "", rest[..spot].trim_end()));
        rest = rest[spot..].trim_start();
    }
    wrapped
}

/// Three digits for what is below 100 units, and none of them for what is whole.
fn decimals(nanos: u128, unit: u128) -> String {
    let (whole, part) = (nanos / unit, nanos % unit);
    match whole {
        _ if part == 0 => format!("{whole}"),
        0..10 => format!("{whole}.{:02}", part * 100 / unit),
        _ => format!("{whole}.{}", part * 10 / unit),
    }
}

/// A minute and more, in the two largest units.
fn long(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        _ if days > 0 => format!("{} d {:02} h", number(days.into()), hours % 24),
        _ if hours > 0 => format!("{hours} h {:02} min", minutes % 60),
        _ if seconds.is_multiple_of(60) => format!("{minutes} min"),
        _ => format!("{minutes} min {:02} s", seconds % 60),
    }
}

/// Reads no more of `text` than is shown: a name may be megabytes long.
fn printable(text: &str, kept: &[char], room: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    // Where the text would have to end for the `…` to fit behind it.
    let mut end = 0;
    for (index, character) in text.chars().enumerate() {
        let piece = if kept.contains(&character) { character.to_string() } else { escaped(character, index) };
        used += columns(&piece);
        if used > room {
            shown.truncate(end);
            shown.push('…');
            return shown;
        }
        shown.push_str(&piece);
        if used < room {
            end = shown.len();
        }
    }
    shown
}

/// Control, format (direction marks among them) and unassigned characters as `\u{…}`. An accent that stands
/// alone is escaped too; one that belongs to the letter before it is kept.
fn escaped(character: char, index: usize) -> String {
    if index == 0 || character.is_ascii() {
        return character.escape_debug().collect();
    }
    // The standard library keeps accents inside a string only.
    format!("x{character}").escape_debug().skip(1).collect()
}

/// Bytes of the longest beginning of `text` that takes at most `room` columns.
fn fitting(text: &str, room: usize) -> usize {
    let mut used = 0;
    for (index, character) in text.char_indices() {
        used += column(character);
        if used > room {
            return index;
        }
    }
    text.len()
}

/// An upper bound without a table: everything that some terminal shows wide counts as wide. Only columns of odd
/// characters may be off by it, and no line gets too long.
fn column(character: char) -> usize {
    match character {
        // What the report itself draws with.
        '█' | '▌' | '▐' | '░' => 1,
        '\u{1100}'..='\u{115f}' | '\u{2300}'..='\u{2bff}' | '\u{2e80}'.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_for_people() {
        let cases = [
            (0, "0 s"),
            (1, "1 ns"),
            (999, "999 ns"),
            (840_000, "840 µs"),
            (999_999, "999 µs"),
            (1_000_000, "1 ms"),
            (1_234_000, "1.23 ms"),
            (12_345_000, "12.3 ms"),
            (99_999_999, "99.9 ms"),
            (100_000_000, "0.10 s"),
            (610_000_000, "0.61 s"),
            (1_239_999_999, "1.23 s"),
            (22_000_000_001, "22.0 s"),
            (30_000_000_000, "30 s"),
            (59_999_999_999, "59.9 s"),
            (60_000_000_000, "1 min"),
            (125_900_000_000, "2 min 05 s"),
            (3_600_000_000_000, "1 h 00 min"),
            (11_220_000_000_000, "3 h 07 min"),
            (273_600_000_000_000, "3 d 04 h"),
        ];
        for (nanos, text) in cases {
            assert_eq!(duration(Duration::from_nanos(nanos)), text, "{nanos} ns");
        }
        assert_eq!(duration(Duration::MAX), "213_503_982_334_601 d 07 h");
    }

    #[test]
    fn numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1_000"), (1_204, "1_204"), (1_000_000, "1_000_000")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(u64::MAX.into()), "18_446_744_073_709_551_615");
        assert_eq!(counted(1, "task"), "1 task");
        assert_eq!(counted(1_204, "task"), "1_204 tasks");
    }

    #[test]
    fn names_cannot_forge_lines() {
        assert_eq!(quoted("render", 24), r#""render""#);
        assert_eq!(quoted("it's", 24), r#""it's""#);
        assert_eq!(quoted("a\nb\tc\u{1b}[2J\"\\", 40), r#""a\nb\tc\u{1b}[2J\"\\""#);
        assert_eq!(quoted("a\u{202e}b\u{200b}\u{2028}", 40), r#""a\u{202e}b\u{200b}\u{2028}""#);
        assert_eq!(quoted("zażółć e\u{301}", 24), "\"zażółć e\u{301}\"");
        assert_eq!(quoted("\u{301}e", 24), r#""\u{301}e""#);
        assert_eq!(plain(r#"no "C:\x", it's gone"#, 40), r#"no "C:\x", it's gone"#);
    }

    #[test]
    fn names_are_cut_to_their_room() {
        assert_eq!(quoted("12345678", 10), r#""12345678""#);
        assert_eq!(quoted("123456789", 10), r#""1234567…""#);
        // An escape is never cut in two, and a wide character takes two columns.
        assert_eq!(quoted("123456\u{1b}", 10), r#""123456…""#);
        assert_eq!(quoted("日本語の仕事", 10), "\"日本語…\"");
        assert_eq!(plain(&"x".repeat(10_000_000), 5), "xxxx…");
        for room in 3..40 {
            let name = quoted("ab\u{0}日\u{1F389}\u{301}é\"\\ long enough to be cut anywhere", room);
            assert!(columns(&name) <= room, "{name} in {room}");
        }
    }

    #[test]
    fn long_texts_are_wrapped_at_spaces() {
        assert_eq!(wrapped("", 4, 3), Vec::<String>::new());
        assert_eq!(wrapped("short", 4, 3), ["short"]);
        let words = "worker ".repeat(30);
        let lines = wrapped(words.trim_end(), 4, 3);
        assert_eq!(lines[0], "worker ".repeat(14).trim_end());
        assert_eq!(lines[1], format!("    {}", "worker ".repeat(13).trim_end()));
        assert_eq!(lines[2], format!("    {}", "worker ".repeat(3).trim_end()));
        let one = wrapped(&"y".repeat(250), 4, 2);
        assert_eq!(one, ["y".repeat(100), format!("    {}…", "y".repeat(95))]);
    }
}
