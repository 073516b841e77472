//! What is said after `--worker`: which language, and what it is to load.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ebbtide::WorkerCommand;

/// A worker as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerSpec {
    text: OsString,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Node { file: OsString, export: Option<String> },
    Python(String),
    Program(OsString),
}

impl WorkerSpec {
    /// `node:FILE[#EXPORT]`, `python:MODULE:FUNCTION`, `program:PATH`.
    pub(crate) fn parse(text: &OsStr) -> Result<WorkerSpec, String> {
        const FORMS: &str = "write node:FILE, node:FILE#EXPORT, python:MODULE:FUNCTION, or program:PATH";
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':').ok_or(FORMS)?;
        let (kind, rest) = (&bytes[..colon], OsStr::from_bytes(&bytes[colon + 1..]));
        if rest.is_empty() {
            return Err(format!("nothing after the colon; {FORMS}"));
        }
        let kind = match kind {
            b"node" => node(rest)?,
            b"python" => {
                let function = rest.to_str().ok_or("a Python module has a name in UTF-8")?;
                let named = function
                    .rsplit_once(':')
                    .is_some_and(|(module, name)| !module.is_empty() && !name.is_empty());
                if !named {
                    return Err(format!("`{function}` names no function; write python:MODULE:FUNCTION"));
                }
                Kind::Python(function.to_owned())
            }
            b"program" => Kind::Program(rest.to_owned()),
            other => {
                return Err(format!("`{}` is no kind of worker; {FORMS}", String::from_utf8_lossy(other)));
            }
        };
        Ok(WorkerSpec { text: text.to_owned(), kind })
    }

    /// As it was typed: it names the work in the job log.
    pub(crate) fn text(&self) -> &OsStr {
        &self.text
    }

    /// What its folder in a --state-dir is called: readable, of bounded length, and another one for every other worker.
    pub(crate) fn folder_name(&self) -> String {
        const MOST: usize = 60;
        let text = self.text.to_string_lossy();
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let shown: String = text.chars().skip(text.chars().count().saturating_sub(MOST)).map(safe).collect();
        // FNV-1a: the hashes of the standard library may be others in its next version.
        let hash = self.text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{shown}-{hash:016x}")
    }

    /// The command that starts it; `arguments` are the program's, or the interpreter's.
    pub(crate) fn command(&self, arguments: &[OsString]) -> WorkerCommand {
        let command = match &self.kind {
            Kind::Node { file, export: None } => WorkerCommand::node(file),
            Kind::Node { file, export: Some(export) } => WorkerCommand::node(file).export(export),
            Kind::Python(function) => WorkerCommand::python(function),
            Kind::Program(program) => WorkerCommand::program(program),
        };
        arguments.iter().fold(command, WorkerCommand::arg)
    }
}

/// A file whose own name holds a `#` is meant as it is.
fn node(rest: &OsStr) -> Result<Kind, String> {
    let bytes = rest.as_bytes();
    let hash = bytes.iter().rposition(|byte| *byte == b'#').filter(|_| !Path::new(rest).exists());
    let Some(hash) = hash else { return Ok(Kind::Node { file: rest.to_owned(), export: None }) };
    let (file, export) = (OsStr::from_bytes(&bytes[..hash]), OsStr::from_bytes(&bytes[hash + 1..]));
    match export.to_str() {
        Some(export) if !export.is_empty() && !file.is_empty() => {
            Ok(Kind::Node { file: file.to_owned(), export: Some(export.to_owned()) })
        }
        _ => {
            Err("a file before the # and the name of an export after it, as in node:images.js#resize"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Result<Kind, String> {
        WorkerSpec::parse(OsStr::new(text)).map(|spec| spec.kind)
    }

    #[test]
    fn workers_are_said_in_three_ways() {
        let node = |file: &str, export: Option<&str>| {
            Ok(Kind::Node { file: file.into(), export: export.map(str::to_owned) })
        };
        assert_eq!(kind("node:a/b.js"), node("a/b.js", None));
        assert_eq!(kind("node:a/b.js#resize"), node("a/b.js", Some("resize")));
        assert_eq!(kind("python:images:resize"), Ok(Kind::Python("images:resize".to_owned())));
        assert_eq!(kind("python:a/images.py:resize"), Ok(Kind::Python("a/images.py:resize".to_owned())));
        assert_eq!(kind("program:./resize"), Ok(Kind::Program("./resize".into())));
        for (wrong, why) in [
            ("resize.js", "node:FILE"),
            ("", "node:FILE"),
            ("ruby:x.rb", "`ruby` is no kind"),
            ("node:", "nothing after"),
            ("node:a.js#", "name of an export"),
            ("python:images", "names no function"),
            ("python:images:", "names no function"),
        ] {
            let error = kind(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_folder_of_a_worker_is_its_own_and_has_a_bounded_name() {
        let name = |text: &str| WorkerSpec::parse(OsStr::new(text)).unwrap().folder_name();
        assert_eq!(name("node:a/b.js#f"), "node_a_b.js_f-9b98d88e41c4b72f");
        assert_ne!(name("node:a/b.js"), name("node:a_b.js"));
        let long = name(&format!("program:/{}/../x", "y/".repeat(500)));
        assert!(long.len() < 80 && !long.contains('/') && long.contains("_x-"), "{long}");
    }

    #[test]
    fn a_file_whose_name_holds_a_hash_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a#b.js");
        std::fs::write(&file, "").unwrap();
        let text = format!("node:{}", file.display());
        assert_eq!(kind(&text), Ok(Kind::Node { file: file.into(), export: None }));
    }
}
