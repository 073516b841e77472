//! JSON as bytes that pass through: looked at whether they are JSON, put on one line, never decoded.

use serde::de::IgnoredAny;

/// Why bytes are not one JSON value.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) if text.trim().is_empty() => Err(format!("nothing but white space ({error})")),
        Err(_) if text.starts_with('\u{feff}') => {
            Err("it begins with a byte order mark; sed '1s/^\\xEF\\xBB\\xBF//' removes that".to_owned())
        }
        Err(error) if error.column() == 1 && !error.is_eof() => {
            Err("expected a value at column 1; jq -R . makes JSON of lines of text".to_owned())
        }
        Err(error) => {
            // "line 1" of a line would be taken for the first of the input.
            let what = error.to_string().replace(" at line 1 column ", " at column ");
            let remedy = "; each line is one value: jq -c . makes that of values over several lines";
            Err(if error.is_eof() { what + remedy } else { what })
        }
    }
}

/// The same value without the white space that would make more than one line of it. `bytes` must be JSON.
pub(super) fn one_line(bytes: &[u8]) -> Vec<u8> {
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !bytes.iter().any(breaks) {
        return bytes.trim_ascii().to_vec();
    }
    let (mut line, mut inside, mut escaped) = (Vec::with_capacity(bytes.len()), false, false);
    for byte in bytes {
        if inside || !byte.is_ascii_whitespace() {
            line.push(*byte);
        }
        match (inside, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => inside = !inside,
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_json_is_taken_and_what_is_not_says_where() {
        for right in ["1", " null ", "{\"a\":[1,2]}\r", "\"\u{e9}\"", "1e999"] {
            assert_eq!(check(right.as_bytes()), Ok(()), "{right}");
        }
        // Deeper than a parser that recurses would go.
        assert_eq!(check(&[vec![b'['; 10_000], vec![b']'; 10_000]].concat()), Ok(()));
        for (wrong, why) in [
            (&b"{'a':1}"[..], "column 2"),
            (b"a.txt", "column 1; jq -R ."),
            (b"\xef\xbb\xbf1", "byte order mark"),
            (b"12x", "trailing characters at column 3"),
            (b"1 2", "trailing"),
            (b"{\"a\":", "EOF"),
            (b"{", "jq -c ."),
            (b"  ", "white space"),
            (b"\"\xff\"", "not UTF-8 from byte 2"),
            (b"NaN", "column 1"),
        ] {
            let error = check(wrong).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_value_of_many_lines_becomes_one_and_strings_stay() {
        assert_eq!(one_line(b" [1, 2] "), b"[1, 2]");
        assert_eq!(
            one_line(b"{\n  \"a b\": \"x \\\" y\",\r\n  \"c\": [ 1 ]\n}\n"),
            b"{\"a b\":\"x \\\" y\",\"c\":[1]}"
        );
        assert_eq!(one_line(b"\"\\\\\"\n"), b"\"\\\\\"");
    }
}
