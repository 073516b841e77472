//! The findings as a person or a program reads them, and what they mean for the exit code.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use super::checks;
use super::finding::Finding;
use crate::args::{DoctorArgs, Format};
use crate::{exit, messages};

/// The field `format` of the JSON.
const FORMAT: &str = "ebbtide-doctor";
/// Its field `version`: grows when a field is renamed, goes away or changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Findings<'a> {
    format: &'static str,
    version: u32,
    /// Whether everything that `ebbtide run` needs is there.
    ready: bool,
    findings: &'a [Finding],
}

/// Looks, tells, and gives the exit code.
pub(crate) fn doctor(args: &DoctorArgs) -> u8 {
    let findings = checks::all();
    let ready = findings.iter().all(|finding| finding.ok || !finding.needed);
    let shown = match args.output {
        Format::Text => Ok(text(&findings, ready)),
        Format::Json => {
            serde_json::to_string(&Findings { format: FORMAT, version: VERSION, ready, findings: &findings })
                .map(|json| json + "\n")
        }
    };
    let written = shown
        .map_err(std::io::Error::from)
        .and_then(|text| std::io::stdout().lock().write_all(text.as_bytes()));
    match written {
        Ok(()) if ready => exit::OK,
        Ok(()) => exit::FAILED,
        Err(error) => {
            messages::say(format_args!("cannot write to the standard output: {error}"));
            exit::IO
        }
    }
}

fn text(findings: &[Finding], ready: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let answer = match (finding.ok, finding.needed) {
            (true, _) => "yes",
            (false, true) => "NO",
            (false, false) => "no",
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{answer:<3}  {:<15}  {}", finding.what, finding.found);
        let _ = writeln!(text, "{:22}{}", "", finding.means);
        if let Some(remedy) = finding.remedy {
            let _ = writeln!(text, "{:22}remedy: {remedy}", "");
        }
    }
    text.push_str(match ready {
        true => "\nReady: everything that `ebbtide run` needs is there.\n",
        false => "\nNot ready: what says NO is needed by `ebbtide run`.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(ok: bool, needed: bool) -> Finding {
        let remedy = (!ok).then_some("mend it");
        Finding { what: "thing", ok, needed, found: "found".to_owned(), means: "means", remedy }
    }

    #[test]
    fn each_line_says_whether_what_that_means_and_the_remedy() {
        let text = text(&[finding(true, true), finding(false, false), finding(false, true)], false);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "yes  thing            found");
        assert_eq!(lines[2], "no   thing            found");
        assert_eq!(lines[4], "remedy: mend it");
        assert_eq!(lines[5], "NO   thing            found");
        assert!(lines.last().unwrap().starts_with("Not ready"));
    }
}
