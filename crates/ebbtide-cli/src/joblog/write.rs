//! The log as it is written: one `write` per row, so that a kill can tear the last one only.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::read::{Past, ReadError};
use super::row::{HEADER, Row};
use crate::files::lock;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("cannot use the job log {}: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("the job log {} is in use by another ebbtide", path.display())]
    Locked { path: PathBuf },
    #[error(
        "the job log {} has rows of an earlier run; use --resume to go on with it, or remove it to begin anew",
        path.display()
    )]
    HasRows { path: PathBuf },
    #[error("the job log {} {cause}", path.display())]
    Read { path: PathBuf, cause: ReadError },
}

/// An open log. Rows may be added from several threads.
#[derive(Debug)]
pub(crate) struct JobLog {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Where the last complete row ends, in a regular file: a row that fails half-way is cut off again.
    complete: Option<u64>,
}

/// Whether rows of an earlier run are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earlier {
    GoOn,
    Refuse,
}

impl JobLog {
    /// Opens or creates the log, locks it, cuts off a torn last row, writes the header where there is none.
    pub(crate) fn open(path: &Path, earlier: Earlier) -> Result<(JobLog, Past), OpenError> {
        let io = |cause| OpenError::Io { path: path.to_owned(), cause };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let regular = file.metadata().map_err(io)?.is_file();
        let mut past = Past::default();
        if regular {
            match lock(&file) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(OpenError::Locked { path: path.to_owned() });
                }
                Err(error) => return Err(io(error.into())),
            }
            past = Past::read(BufReader::new(&file))
                .map_err(|cause| OpenError::Read { path: path.to_owned(), cause })?;
            if earlier == Earlier::Refuse && !past.is_empty() {
                return Err(OpenError::HasRows { path: path.to_owned() });
            }
            file.set_len(past.complete).map_err(io)?;
            file.seek(SeekFrom::End(0)).map_err(io)?;
        }
        let inner = Inner { file, complete: regular.then_some(past.complete) };
        let log = JobLog { path: path.to_owned(), inner: Mutex::new(inner) };
        if past.complete == 0 {
            log.write(HEADER).map_err(io)?;
        }
        Ok((log, past))
    }

    /// What an existing log says, without touching it; one that does not exist says nothing.
    pub(crate) fn look(path: &Path) -> Result<Past, OpenError> {
        match File::open(path) {
            Ok(file) => Past::read(BufReader::new(file))
                .map_err(|cause| OpenError::Read { path: path.to_owned(), cause }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Past::default()),
            Err(cause) => Err(OpenError::Io { path: path.to_owned(), cause }),
        }
    }

    /// Appends a row; it has reached the system when this returns. A row that could not be written whole is cut off
    /// again, and a later one may be tried.
    pub(crate) fn add(&self, row: &Row) -> Result<(), OpenError> {
        self.write(&row.to_line()).map_err(|cause| OpenError::Io { path: self.path.clone(), cause })
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let written = inner.file.write_all(line);
        let Some(complete) = inner.complete else { return written };
        match written {
            Ok(()) => inner.complete = Some(complete + line.len() as u64),
            // Nothing more can be done when cutting fails too: the reader knows a torn row when it is the last.
            Err(_) => drop(inner.file.set_len(complete)),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rustix::fs::FlockOperation;

    use super::super::Done;
    use super::*;
    use crate::clock;

    fn row(seq: u64) -> Row {
        Row {
            seq,
            started: SystemTime::UNIX_EPOCH,
            ran: Duration::ZERO,
            received: 0,
            exit: 0,
            signal: 0,
            command: format!("echo {seq}").into_bytes(),
        }
    }

    #[test]
    fn a_log_whose_last_user_is_just_ending_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let other = File::create(&path).unwrap();
        rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                clock::pause(Duration::from_millis(100));
                drop(other);
            });
            assert!(JobLog::open(&path, Earlier::GoOn).is_ok());
        });
    }

    #[test]
    fn rows_come_back_and_a_torn_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, past) = JobLog::open(&path, Earlier::Refuse).unwrap();
        assert!(past.is_empty());
        log.add(&row(1)).unwrap();
        drop(log);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"2\t:\t0.0").unwrap();
        let (log, past) = JobLog::open(&path, Earlier::GoOn).unwrap();
        assert!(past.is_done(1, b"echo 1", Done::Succeeded).unwrap());
        log.add(&row(2)).unwrap();
        drop(log);
        let (_, past) = JobLog::open(&path, Earlier::GoOn).unwrap();
        assert!(past.is_done(2, b"echo 2", Done::Succeeded).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn rows_of_an_earlier_run_are_not_mixed_in_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        JobLog::open(&path, Earlier::Refuse).unwrap().0.add(&row(1)).unwrap();
        assert!(matches!(JobLog::open(&path, Earlier::Refuse), Err(OpenError::HasRows { .. })));
    }

    #[test]
    fn two_at_once_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = JobLog::open(&path, Earlier::Refuse).unwrap();
        assert!(matches!(JobLog::open(&path, Earlier::GoOn), Err(OpenError::Locked { .. })));
        drop(first);
        JobLog::open(&path, Earlier::GoOn).unwrap();
    }

    #[test]
    fn a_full_disk_is_seen_at_the_header() {
        let error = JobLog::open(Path::new("/dev/full"), Earlier::Refuse).unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }) && error.to_string().contains("/dev/full"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_log_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "dear diary\nnothing happened\n").unwrap();
        assert!(matches!(JobLog::open(&path, Earlier::GoOn), Err(OpenError::Read { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary\nnothing happened\n");
    }
}
