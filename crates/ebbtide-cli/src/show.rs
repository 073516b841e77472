//! `ebbtide report`: reads a report that somebody wrote and shows it to a person.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ebbtide::{AppReport, Report};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::args::ReportArgs;
use crate::files::is_same_file;
use crate::{exit, messages, report};

/// More than this is no report: those of ten thousand components are smaller.
const SIZE_MOST: u64 = 64 * 1024 * 1024;

/// A report that was understood.
#[derive(Debug)]
enum Known {
    App(Box<AppReport>),
    Pool(Box<Report>),
    /// Of `ebbtide run`, with what only that knows.
    Run(Box<Report>, String),
}

/// Why a report is not shown: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
enum ShowError {
    #[error("cannot read {0}: {1}")]
    Read(String, io::Error),
    #[error("{0} has more than {1} MiB: this is no report")]
    TooLarge(String, u64),
    #[error("{0} is not JSON: {1}")]
    NotJson(String, serde_json::Error),
    #[error(
        "{0} is no report of ebbtide: it has no \"format\" that begins with \"ebbtide-\"; write one with `ebbtide run --report FILE` or `to_json`"
    )]
    NoReport(String),
    #[error(
        "{file} is a {format} of version {found}, and this ebbtide reads version {known}: use the one that wrote it, or a newer one"
    )]
    Version { file: String, format: String, found: String, known: u32 },
    #[error("{0} is a {1}, which this ebbtide does not know: use a newer one")]
    Unknown(String, String),
    #[error("{0} says it is a {1}, but is not whole: {2}")]
    Broken(String, String, serde_json::Error),
    #[error("cannot write {0}: {1}")]
    Write(String, io::Error),
    #[error(
        "{earlier} and {later} are the same file, {file}, which would be overwritten: give each one of its own"
    )]
    Same { earlier: &'static str, later: &'static str, file: String },
}

/// A file that one option writes must not be that of another.
fn check_files(args: &ReportArgs) -> Result<(), ShowError> {
    let files = [("FILE", Some(&args.file)), ("--html", args.html.as_ref()), ("--svg", args.svg.as_ref())];
    for (place, (later, path)) in files.iter().enumerate().skip(1) {
        for (earlier, other) in &files[..place] {
            if let (Some(path), Some(other)) = (path, other)
                && is_same_file(path, other)
            {
                return Err(ShowError::Same { earlier, later, file: shown(path) });
            }
        }
    }
    Ok(())
}

/// Shows it and gives the exit code.
pub(crate) fn show(args: &ReportArgs) -> u8 {
    match check_files(args).and_then(|()| read(&args.file)).and_then(|report| put(args, &report)) {
        Ok(()) => exit::OK,
        Err(error) => {
            messages::say(&error);
            match error {
                ShowError::Read(..) | ShowError::Write(..) => exit::IO,
                _ => exit::USAGE,
            }
        }
    }
}

fn put(args: &ReportArgs, report: &Known) -> Result<(), ShowError> {
    let mut shown = false;
    if let Some(path) = &args.html {
        write(path, &report.html())?;
        shown = true;
    }
    if let Some(path) = &args.svg {
        write(path, &report.svg())?;
        shown = true;
    }
    if shown {
        return Ok(());
    }
    let text = format!("{}\n", report.text());
    let failed = |error| ShowError::Write("to the standard output".to_owned(), error);
    io::stdout().lock().write_all(text.as_bytes()).map_err(failed)
}

fn write(path: &Path, text: &str) -> Result<(), ShowError> {
    let failed = |error| ShowError::Write(shown(path), error);
    std::fs::write(path, text).map_err(failed)
}

fn read(path: &PathBuf) -> Result<Known, ShowError> {
    let file = shown(path);
    let mut bytes = Vec::new();
    let opened: io::Result<Box<dyn io::Read>> = if path.as_os_str() == "-" {
        Ok(Box::new(io::stdin().lock()))
    } else {
        File::open(path).map(|file| Box::new(file) as Box<dyn io::Read>)
    };
    let read = opened.and_then(|input| input.take(SIZE_MOST + 1).read_to_end(&mut bytes));
    read.map_err(|error| ShowError::Read(file.clone(), error))?;
    if bytes.len() as u64 > SIZE_MOST {
        return Err(ShowError::TooLarge(file, SIZE_MOST >> 20));
    }
    understand(file, &bytes)
}

fn understand(file: String, bytes: &[u8]) -> Result<Known, ShowError> {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Err(ShowError::NotJson(file, error)),
    };
    let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
    let format = messages::short(format.as_bytes());
    if !format.starts_with("ebbtide-") {
        return Err(ShowError::NoReport(file));
    }
    let known = match &*format {
        AppReport::FORMAT => AppReport::VERSION,
        Report::FORMAT => Report::VERSION,
        report::FORMAT => report::VERSION,
        _ => return Err(ShowError::Unknown(file, format)),
    };
    if value.get("version").and_then(Value::as_u64) != Some(known.into()) {
        let found = value.get("version").map_or_else(|| "none".to_owned(), Value::to_string);
        return Err(ShowError::Version { file, format, found: messages::short(found.as_bytes()), known });
    }
    let whole = match &*format {
        AppReport::FORMAT => of(value).map(Known::App),
        Report::FORMAT => of(value).map(Known::Pool),
        _ => of_run(value),
    };
    whole.map_err(|error| ShowError::Broken(file, format, error))
}

fn of<T: DeserializeOwned>(value: Value) -> Result<Box<T>, serde_json::Error> {
    serde_json::from_value(value).map(Box::new)
}

/// The shutdown of the pool of `ebbtide run`, and a line of what the report says beyond it.
fn of_run(mut value: Value) -> Result<Known, serde_json::Error> {
    let empty = Map::new();
    let fields = value.as_object().unwrap_or(&empty);
    let count = |name: &str| fields.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let mut line = format!("exit code {}", fields.get("exit_code").unwrap_or(&Value::Null));
    if let Some(signal) = fields.get("signal").and_then(Value::as_str) {
        line = format!("{line}, {}", messages::short(signal.as_bytes()));
    }
    let left = count("returned") + count("refused");
    if left > 0 {
        line = format!("{line}, {left} lines that were read are left to resume");
    }
    if fields.get("unread") == Some(&true.into()) {
        line.push_str(", input left unread");
    }
    if let Some(fields) = value.as_object_mut() {
        let stop = fields.get("stop_ms").cloned().unwrap_or(Value::Null);
        let mode = fields.get("mode").cloned().unwrap_or(Value::Null);
        let added = [
            ("pool", "ebbtide run".into()),
            ("procedure", "shutdown".into()),
            ("asked", mode),
            ("generation", 1.into()),
            ("duration_ms", stop),
            ("failed", Value::Null),
        ];
        fields.extend(added.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(Known::Run(of(value)?, line))
}

/// A path for a message.
fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" { "the standard input".to_owned() } else { path.display().to_string() }
}

impl Known {
    fn text(&self) -> String {
        match self {
            Known::App(report) => report.to_string(),
            Known::Pool(report) => report.to_string(),
            Known::Run(report, line) => format!("{report}\n{line}"),
        }
    }

    fn html(&self) -> String {
        match self {
            Known::App(report) => report.to_html(),
            Known::Pool(report) | Known::Run(report, _) => report.to_html(),
        }
    }

    fn svg(&self) -> String {
        match self {
            Known::App(report) => report.to_svg(),
            Known::Pool(report) | Known::Run(report, _) => report.to_svg(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        understand("report.json".to_owned(), text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_report_is_told_so() {
        assert!(said("{").starts_with("report.json is not JSON: EOF"), "{}", said("{"));
        for other in ["[]", "null", "{}", "{\"format\": 7}", "{\"format\": \"other\"}"] {
            assert!(said(other).contains("is no report of ebbtide"), "{other}");
        }
        let newer = said(r#"{"format": "ebbtide-pool-report", "version": 2}"#);
        assert!(newer.contains("version 2, and this ebbtide reads version 1"), "{newer}");
        assert!(said(r#"{"format": "ebbtide-run-report"}"#).contains("version none"));
        assert!(said(r#"{"format": "ebbtide-log", "version": 1}"#).contains("does not know"));
        let broken = said(r#"{"format": "ebbtide-application-report", "version": 1, "app": 7}"#);
        assert!(broken.contains("is not whole: "), "{broken}");
        let escape = said("{\"format\": \"ebbtide-\\u001b[2J\", \"version\": 1}");
        assert!(!escape.contains('\u{1b}'), "{escape}");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let deep = format!("{{\"format\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(said(&deep).contains("recursion limit"), "{}", said(&deep));
    }
}
