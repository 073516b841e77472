//! COMMAND as a template: `{}` replaced by the line, and the command as a person (or the job log) reads it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

const HOLE: &[u8] = b"{}";

/// COMMAND and its arguments, cut at every `{}`.
#[derive(Debug)]
pub(crate) struct Template {
    /// Each argument as the pieces around its holes: one piece means no hole.
    arguments: Vec<Vec<Vec<u8>>>,
}

impl Template {
    /// `command` must not be empty. Without a `{}` anywhere the line becomes the last argument.
    pub(crate) fn new(command: &[OsString]) -> Template {
        let mut arguments: Vec<_> = command.iter().map(|argument| cut(argument.as_bytes())).collect();
        if arguments.iter().all(|pieces| pieces.len() == 1) {
            arguments.push(vec![Vec::new(), Vec::new()]);
        }
        Template { arguments }
    }

    /// What worker processes are given is the line alone: `words` only say whose work it is, and nothing in them is replaced.
    pub(crate) fn of_requests(words: &[OsString]) -> Template {
        let mut arguments: Vec<_> = words.iter().map(|word| vec![word.as_bytes().to_vec()]).collect();
        arguments.push(vec![Vec::new(), Vec::new()]);
        Template { arguments }
    }

    /// The program, when it does not depend on the line.
    pub(crate) fn program(&self) -> Option<&OsStr> {
        match self.arguments.first().map(Vec::as_slice) {
            Some([whole]) => Some(OsStr::from_bytes(whole)),
            _ => None,
        }
    }

    /// The argument vector for one line.
    pub(crate) fn fill(&self, line: &[u8]) -> Vec<OsString> {
        self.arguments.iter().map(|pieces| OsString::from_vec(pieces.join(line))).collect()
    }
}

/// The command as it could be typed into a shell.
pub(crate) fn quoted(argv: &[OsString]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, argument) in argv.iter().enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        quote(argument.as_bytes(), &mut text);
    }
    text
}

fn cut(argument: &[u8]) -> Vec<Vec<u8>> {
    let (mut pieces, mut begin) = (Vec::new(), 0);
    for hole in memchr::memmem::find_iter(argument, HOLE) {
        pieces.push(argument[begin..hole].to_vec());
        begin = hole + HOLE.len();
    }
    pieces.push(argument[begin..].to_vec());
    pieces
}

fn quote(argument: &[u8], text: &mut Vec<u8>) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=+,@%".contains(byte) || *byte >= 0x80;
    if !argument.is_empty() && argument.iter().all(plain) {
        text.extend_from_slice(argument);
        return;
    }
    text.push(b'\'');
    for byte in argument {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            other => text.push(*other),
        }
    }
    text.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(command: &[&str], line: &str) -> Vec<String> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let argv = Template::new(&command).fill(line.as_bytes());
        argv.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn holes_are_filled_wherever_they_are() {
        assert_eq!(fill(&["cp", "{}", "{}.bak{}"], "a b"), ["cp", "a b", "a b.baka b"]);
        assert_eq!(fill(&["{}/run", "x"], "bin"), ["bin/run", "x"]);
        assert_eq!(fill(&["echo", "{{}}"], "x"), ["echo", "{x}"]);
    }

    #[test]
    fn without_a_hole_the_line_is_the_last_argument() {
        assert_eq!(fill(&["wc", "-l"], "a;b"), ["wc", "-l", "a;b"]);
        assert_eq!(fill(&["echo", "{", "}"], "x"), ["echo", "{", "}", "x"]);
    }

    #[test]
    fn the_words_of_requests_have_no_holes() {
        let template = Template::of_requests(&["node:{}.js".into(), "{}".into()]);
        assert_eq!(template.fill(b"[1]"), ["node:{}.js", "{}", "[1]"]);
    }

    #[test]
    fn a_line_that_holds_braces_is_not_filled_again() {
        assert_eq!(fill(&["echo", "{}"], "{}"), ["echo", "{}"]);
    }

    #[test]
    fn bytes_that_are_not_text_pass() {
        let argv = Template::new(&[OsString::from("echo")]).fill(b"\xff\xfe");
        assert_eq!(argv[1].as_bytes(), b"\xff\xfe");
    }

    #[test]
    fn the_program_is_known_only_without_a_hole() {
        assert_eq!(Template::new(&["wc".into()]).program(), Some(OsStr::new("wc")));
        assert_eq!(Template::new(&["{}".into()]).program(), None);
    }

    #[test]
    fn quoting_survives_a_shell() {
        let argv: Vec<OsString> =
            ["printf", "%s", "it's", "", "a b\n$x"].iter().map(OsString::from).collect();
        assert_eq!(quoted(&argv), b"printf %s 'it'\\''s' '' 'a b\n$x'");
    }
}
