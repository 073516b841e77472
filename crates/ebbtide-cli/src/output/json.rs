//! One JSON object per task and line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::printer::Printable;
use super::sink::OutputError;
use crate::clock::millis;
use crate::job::{Outputs, Problem, Record, Reply};
use crate::runner::Capture;

/// Bytes as a JSON value: a string where they are UTF-8, else `{"base64": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

#[derive(Serialize)]
struct Base64 {
    base64: String,
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => text.serialize(serializer),
            Err(_) => Base64 { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

/// The object of a task that has ended. Of `x` and `x_base64` exactly one is there.
#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_base64: Option<String>,
    outcome: &'static str,
    exit_code: Option<i32>,
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_bytes: Option<u64>,
    attempts: u32,
    waited_ms: Option<u64>,
    ran_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The object of a task of a worker process. Of `result` and `error` exactly one is there; `input` is the JSON value, or the line where that
/// is none.
#[derive(Serialize)]
struct Replied<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Input<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_base64: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Problem>,
    worker: Option<&'a str>,
    attempts: u32,
    waited_ms: u64,
    ran_ms: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// The object of a task that `--dry-run` would run.
#[derive(Serialize)]
struct Plan<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_base64: Option<String>,
    command: Vec<Bytes>,
}

/// The object of `ended`, with its newline.
pub(super) fn line(ended: &mut Printable) -> Result<Vec<u8>, OutputError> {
    if ended.record.as_ref().is_some_and(|record| record.reply.is_some()) {
        return replied(ended);
    }
    let (input, input_base64) = text(&ended.job.line);
    let mut kept = [Kept::default(), Kept::default()];
    if let Some(Outputs { stdout, stderr }) = ended.record.as_mut().and_then(|record| record.outputs.as_mut())
    {
        kept = [Kept::of(stdout)?, Kept::of(stderr)?];
    }
    let [(stdout, stdout_base64), (stderr, stderr_base64)] = kept.each_ref().map(|kept| text(&kept.bytes));
    let record = ended.record.as_ref();
    let line = Line {
        id: ended.job.seq,
        input,
        input_base64,
        outcome: ended.outcome,
        exit_code: record.and_then(|record| record.exit_code),
        signal: record.and_then(|record| record.signal),
        stdout,
        stdout_base64,
        stdout_truncated: kept[0].truncated(),
        stdout_bytes: kept[0].cut,
        stderr,
        stderr_base64,
        stderr_truncated: kept[1].truncated(),
        stderr_bytes: kept[1].cut,
        attempts: record.map_or(0, |record| record.attempts),
        waited_ms: record.map(|record| millis(record.waited)),
        ran_ms: record.map(|record| millis(record.ran)),
        error: record.and_then(|record| record.problem.as_deref()),
    };
    write(&line)
}

fn replied(ended: &mut Printable) -> Result<Vec<u8>, OutputError> {
    let mut bytes = Vec::new();
    if let Some(outputs) = ended.record.as_mut().and_then(|record| record.outputs.as_mut()) {
        outputs.stdout.read(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, OutputError>(())
        })?;
    }
    let (input, input_base64) = text(&ended.job.line);
    let input = input.map(|input| raw(input).map_or(Input::Text(input), Input::Json));
    let Some(Record { reply: Some(Reply { worker, error }), attempts, waited, ran, .. }) = &ended.record
    else {
        return Ok(Vec::new());
    };
    write(&Replied {
        id: ended.job.seq,
        input,
        input_base64,
        outcome: ended.outcome,
        result: std::str::from_utf8(&bytes).ok().and_then(raw),
        error: error.as_ref(),
        worker: worker.as_deref(),
        attempts: *attempts,
        waited_ms: millis(*waited),
        ran_ms: millis(*ran),
    })
}

/// The text as JSON, where it is that.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// The object of a task that `--dry-run` would run, with its newline.
pub(crate) fn plan_line(id: u64, line: &[u8], argv: &[OsString]) -> Result<Vec<u8>, OutputError> {
    let (input, input_base64) = text(line);
    let command = argv.iter().map(|argument| Bytes(argument.as_bytes().to_vec())).collect();
    write(&Plan { id, input, input_base64, command })
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How much there was, when not all of it is kept.
    cut: Option<u64>,
}

impl Kept {
    fn of(capture: &mut Capture) -> Result<Kept, OutputError> {
        let mut bytes = Vec::new();
        capture.read(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, OutputError>(())
        })?;
        let cut = (capture.total() > bytes.len() as u64).then(|| capture.total());
        if cut.is_some() {
            drop_half_a_character(&mut bytes);
        }
        Ok(Kept { bytes, cut })
    }

    fn truncated(&self) -> Option<bool> {
        self.cut.map(|_| true)
    }
}

/// A cut may fall into a character; what is left of it would make all of the text look like no text.
fn drop_half_a_character(bytes: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
}

fn text(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, OutputError> {
    let mut line = serde_json::to_vec(value).map_err(|error| OutputError::Spool(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_base64() {
        assert_eq!(serde_json::to_string(&Bytes(b"a\"b".to_vec())).unwrap(), r#""a\"b""#);
        assert_eq!(serde_json::to_string(&Bytes(b"\xff".to_vec())).unwrap(), r#"{"base64":"/w=="}"#);
    }

    #[test]
    fn a_cut_does_not_leave_half_a_character() {
        let mut bytes = "aé".as_bytes()[..2].to_vec();
        drop_half_a_character(&mut bytes);
        assert_eq!(bytes, b"a");
        let mut wrong = b"a\xffb".to_vec();
        drop_half_a_character(&mut wrong);
        assert_eq!(wrong, b"a\xffb", "that was not text before the cut either");
    }

    #[test]
    fn a_plan_names_the_arguments() {
        let line = plan_line(3, b"x y", &["echo".into(), "x y".into()]).unwrap();
        assert_eq!(line, b"{\"id\":3,\"input\":\"x y\",\"command\":[\"echo\",\"x y\"]}\n");
    }
}
