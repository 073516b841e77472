//! What crosses to a worker process and back: the line as it stands, if it is JSON, and the answer as one line of JSON.

use std::sync::Arc;
use std::time::Instant;

use ebbtide::BoxError;

use super::json;
use crate::clock;
use crate::job::Job;
use crate::output::Bytes;

/// The line of a job, on its way.
#[derive(Debug)]
pub(crate) struct Request(pub(super) Arc<Job>);

/// What came back. Of a command: nothing, its outputs are with its job.
#[derive(Debug)]
pub(crate) struct Answer {
    /// One JSON value on one line, with its newline.
    pub(super) line: Vec<u8>,
    pub(super) at: Instant,
}

/// A line or an answer that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Invalid {
    pub(super) name: &'static str,
    pub(super) message: String,
}

/// The error name of a line that is not JSON: trying again cannot help.
pub(super) const INVALID_JSON: &str = "InvalidJson";
const INVALID_RESULT: &str = "InvalidResult";

impl ebbtide::process::Request for Request {
    fn content_type(&self) -> Option<Arc<str>> {
        None
    }

    fn write(&self, into: &mut Vec<u8>) -> Result<(), BoxError> {
        let Request(job) = self;
        json::check(&job.line).map_err(|why| Invalid {
            name: INVALID_JSON,
            message: format!("line {} is not JSON: {why}", job.seq),
        })?;
        into.extend_from_slice(&job.line);
        job.tries().sent(clock::now());
        Ok(())
    }
}

impl ebbtide::process::Reply for Answer {
    fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Answer, BoxError> {
        let at = clock::now();
        let mut line = match content_type {
            None | Some("application/json") => {
                json::check(bytes).map_err(|why| Invalid {
                    name: INVALID_RESULT,
                    message: format!("the worker says that its result is JSON, and it is not: {why}"),
                })?;
                json::one_line(bytes)
            }
            Some(_) => serde_json::to_vec(&Bytes(bytes.to_vec()))?,
        };
        line.push(b'\n');
        Ok(Answer { line, at })
    }
}

impl Answer {
    /// Of a command.
    pub(crate) fn none() -> Answer {
        Answer { line: Vec::new(), at: clock::now() }
    }
}

#[cfg(test)]
mod tests {
    use ebbtide::process::{Reply as _, Request as _};

    use super::*;

    #[test]
    fn a_line_is_sent_as_it_stands_or_not_at_all() {
        let job = |line: &[u8]| Request(Arc::new(Job::new(7, 0, line.to_vec(), clock::now())));
        let mut sent = b"before".to_vec();
        job(b"{\"a\": 1.0}").write(&mut sent).unwrap();
        assert_eq!(sent, b"before{\"a\": 1.0}");
        let error = job(b"{a}").write(&mut sent).unwrap_err();
        assert!(error.to_string().starts_with("line 7 is not JSON: "), "{error}");
        assert_eq!(error.downcast_ref::<Invalid>().unwrap().name, "InvalidJson");
    }

    #[test]
    fn an_answer_is_one_line_of_json() {
        let line = |content_type, bytes: &[u8]| Answer::read(content_type, bytes).map(|answer| answer.line);
        assert_eq!(line(None, b"[1,\n2]").unwrap(), b"[1,2]\n");
        assert_eq!(line(Some("application/octet-stream"), b"text").unwrap(), b"\"text\"\n");
        assert_eq!(line(Some("image/png"), b"\x89").unwrap(), b"{\"base64\":\"iQ==\"}\n");
        let error = line(None, b"undefined").unwrap_err();
        assert_eq!(error.downcast_ref::<Invalid>().unwrap().name, "InvalidResult");
    }
}
