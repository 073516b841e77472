//! The input: lines (or NUL-separated items) as a stream, in bounded memory, wakeable by a stop.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};

/// The longest line that is taken.
pub(crate) const LINE_MOST: usize = 10 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// One item that is not empty, without its separator.
    Line(Vec<u8>),
    /// There is no more.
    End,
    /// The stop descriptor became readable before there was a line.
    Stopped,
}

/// Why the input could not be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("cannot open the input {}: {cause}", name.display())]
    Open { name: PathBuf, cause: io::Error },
    #[error("cannot read {name} after line {line}: {cause}")]
    Read { name: String, line: u64, cause: io::Error },
    #[error("{name}: line {line} is longer than 10 MiB; if its items are separated by NUL, use --null")]
    TooLong { name: String, line: u64 },
}

/// What separates the items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    Newline,
    Nul,
}

/// A stream of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
    name: String,
    separator: u8,
    buffer: Vec<u8>,
    /// Everything before this place in the buffer has been handed out.
    start: usize,
    /// Everything before this place holds no separator.
    looked: usize,
    line: u64,
    ended: bool,
}

impl Lines {
    /// Opens `path`, or the standard input.
    pub(crate) fn open(path: Option<&Path>, separator: Separator) -> Result<Lines, InputError> {
        match path {
            Some(path) => {
                let open = |cause| InputError::Open { name: path.to_owned(), cause };
                let file = File::open(path).map_err(open)?;
                if file.metadata().map_err(open)?.is_dir() {
                    return Err(open(io::ErrorKind::IsADirectory.into()));
                }
                Ok(Lines::over(file, path.display().to_string(), separator))
            }
            None => {
                let fd: OwnedFd = rustix::stdio::stdin()
                    .try_clone_to_owned()
                    .map_err(|cause| InputError::Open { name: PathBuf::from("(standard input)"), cause })?;
                Ok(Lines::over(File::from(fd), "the standard input".to_owned(), separator))
            }
        }
    }

    /// Reads `file`, which errors call `name`.
    pub(crate) fn over(file: File, name: String, separator: Separator) -> Lines {
        let separator = match separator {
            Separator::Newline => b'\n',
            Separator::Nul => 0,
        };
        Lines { file, name, separator, buffer: Vec::new(), start: 0, looked: 0, line: 0, ended: false }
    }

    /// The next line that is not empty. Waits for it, but not longer than until `stop` is readable.
    pub(crate) fn next(&mut self, stop: BorrowedFd<'_>) -> Result<Next, InputError> {
        loop {
            while let Some(line) = self.take_buffered()? {
                if !line.is_empty() {
                    return Ok(Next::Line(line));
                }
            }
            if self.ended {
                return Ok(Next::End);
            }
            if !self.wait(stop).map_err(|cause| self.failed(cause))? {
                return Ok(Next::Stopped);
            }
            self.fill()?;
        }
    }

    /// Whether something is left that was never handed out. Does not wait: an open pipe that is silent counts as
    /// unread, for nobody can know.
    pub(crate) fn unread(&mut self) -> bool {
        if self.holds_more() {
            return true;
        }
        if self.ended {
            return false;
        }
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(1..) => self.fill().is_err() || !self.ended,
            _ => true,
        }
    }

    fn holds_more(&self) -> bool {
        self.buffer[self.start..].iter().any(|byte| *byte != self.separator)
    }

    fn take_buffered(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let found = memchr::memchr(self.separator, &self.buffer[self.looked..]);
        let end = match found {
            Some(offset) => self.looked + offset,
            None if self.ended && self.start < self.buffer.len() => self.buffer.len(),
            None => {
                self.looked = self.buffer.len();
                if self.buffer.len() - self.start > LINE_MOST {
                    return Err(InputError::TooLong { name: self.name.clone(), line: self.line + 1 });
                }
                return Ok(None);
            }
        };
        self.line += 1;
        if end - self.start > LINE_MOST {
            return Err(InputError::TooLong { name: self.name.clone(), line: self.line });
        }
        let line = self.buffer[self.start..end].to_vec();
        self.start = (end + 1).min(self.buffer.len());
        self.looked = self.start;
        Ok(Some(line))
    }

    /// True when there is something to read (or an end), false when `stop` is readable.
    fn wait(&self, stop: BorrowedFd<'_>) -> io::Result<bool> {
        loop {
            let mut fds = [PollFd::new(&stop, PollFlags::IN), PollFd::new(&self.file, PollFlags::IN)];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => return Ok(false),
                Ok(_) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn fill(&mut self) -> Result<(), InputError> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.looked -= self.start;
            self.start = 0;
        }
        // A huge line leaves a huge buffer behind; give it back.
        if self.buffer.capacity() > 16 * CHUNK && self.buffer.len() < CHUNK {
            self.buffer.shrink_to(2 * CHUNK);
        }
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let read = loop {
            match rustix::io::read(self.file.as_fd(), &mut self.buffer[old..]) {
                Err(rustix::io::Errno::INTR) => {}
                // Somebody else's O_NONBLOCK on a shared descriptor: the caller polls again.
                Err(rustix::io::Errno::AGAIN) => {
                    self.buffer.truncate(old);
                    return Ok(());
                }
                other => break other,
            }
        };
        self.buffer.truncate(old + read.unwrap_or(0));
        match read {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(cause) => return Err(self.failed(cause.into())),
        }
        Ok(())
    }

    fn failed(&self, cause: io::Error) -> InputError {
        InputError::Read { name: self.name.clone(), line: self.line, cause }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn never() -> OwnedFd {
        rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap()
    }

    fn over(bytes: &[u8], separator: Separator) -> Lines {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        Lines::over(file, "test".to_owned(), separator)
    }

    fn all(mut lines: Lines) -> Vec<Vec<u8>> {
        let stop = never();
        let mut got = Vec::new();
        loop {
            match lines.next(stop.as_fd()).unwrap() {
                Next::Line(line) => got.push(line),
                Next::End => return got,
                Next::Stopped => panic!("nobody stopped"),
            }
        }
    }

    #[test]
    fn lines_are_cut_and_empty_ones_skipped() {
        assert_eq!(all(over(b"\na\n\n b \r\nc", Separator::Newline)), [&b"a"[..], b" b \r", b"c"]);
        assert_eq!(all(over(b"a\nb\0\0c\0", Separator::Nul)), [&b"a\nb"[..], b"c"]);
        assert!(all(over(b"", Separator::Newline)).is_empty());
    }

    #[test]
    fn a_line_of_the_limit_is_taken_and_one_byte_more_is_not() {
        let mut bytes = vec![b'x'; LINE_MOST];
        assert_eq!(all(over(&bytes, Separator::Newline))[0].len(), LINE_MOST);
        bytes.push(b'x');
        bytes.extend_from_slice(b"\nmore\n");
        let error = over(&bytes, Separator::Newline).next(never().as_fd()).unwrap_err();
        assert!(matches!(error, InputError::TooLong { line: 1, .. }), "{error}");
    }

    #[test]
    fn a_stop_wakes_a_silent_input() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut lines = Lines::over(File::from(OwnedFd::from(reader)), "test".to_owned(), Separator::Newline);
        writer.write_all(b"half a li").unwrap();
        let stop = never();
        rustix::io::write(&stop, &1u64.to_ne_bytes()).unwrap();
        assert_eq!(lines.next(stop.as_fd()).unwrap(), Next::Stopped);
        assert!(lines.unread());
    }

    #[test]
    fn at_the_end_nothing_is_unread() {
        let stop = never();
        let mut lines = over(b"a\n\n", Separator::Newline);
        assert_eq!(lines.next(stop.as_fd()).unwrap(), Next::Line(b"a".to_vec()));
        assert!(!lines.unread());
        let mut lines = over(b"a\nb", Separator::Newline);
        assert_eq!(lines.next(stop.as_fd()).unwrap(), Next::Line(b"a".to_vec()));
        assert!(lines.unread());
    }

    #[test]
    fn a_missing_file_and_a_directory_are_named() {
        let missing = Lines::open(Some(Path::new("/nonexistent/x")), Separator::Newline).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/x"));
        let folder = Lines::open(Some(Path::new("/")), Separator::Newline).unwrap_err();
        assert!(folder.to_string().contains('/'), "{folder}");
    }
}
