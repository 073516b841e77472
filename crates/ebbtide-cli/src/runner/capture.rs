//! What a command wrote: in memory at first, in an unlinked file beyond a limit, so that 1 GiB of output costs disk.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one output may hold in memory.
pub(crate) const MEMORY_MOST: usize = 1024 * 1024;
/// What all unprinted outputs together may hold in memory; beyond it they spool at once.
const MEMORY_ALL: usize = 64 * 1024 * 1024;

/// What is kept of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it.
    Everything,
    /// The first mebibyte; the rest is counted only.
    Beginning,
}

/// The memory all unprinted outputs share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// One output as far as it was read.
#[derive(Debug)]
pub(crate) struct Capture {
    keep: Keep,
    budget: Budget,
    memory: Vec<u8>,
    /// Everything is in here once it exists.
    spool: Option<File>,
    kept: u64,
    total: u64,
    /// The first failure to keep something; from then on bytes are only counted.
    lost: Option<io::Error>,
}

/// Where outputs are spooled, for a message that they could not be.
pub(crate) fn spool_place() -> String {
    format!("in {} (TMPDIR may name another folder)", std::env::temp_dir().display())
}

impl Budget {
    fn take(&self, bytes: usize) -> Grant {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes <= MEMORY_ALL {
            return Grant::Given;
        }
        self.0.fetch_sub(bytes, Ordering::Relaxed);
        Grant::Refused
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(PartialEq, Eq)]
enum Grant {
    Given,
    Refused,
}

impl Capture {
    pub(crate) fn new(keep: Keep, budget: &Budget) -> Capture {
        Capture {
            keep,
            budget: budget.clone(),
            memory: Vec::new(),
            spool: None,
            kept: 0,
            total: 0,
            lost: None,
        }
    }

    /// Keeps `bytes`. Never fails: the command must be able to go on; see [`Capture::lost`].
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if self.lost.is_some() {
            return;
        }
        let wanted = match self.keep {
            Keep::Everything => bytes,
            Keep::Beginning => {
                let room = (MEMORY_MOST as u64).saturating_sub(self.kept);
                &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(0))]
            }
        };
        self.kept += wanted.len() as u64;
        if wanted.is_empty() {
            return;
        }
        if let Err(error) = self.store(wanted) {
            self.lost = Some(error);
        }
    }

    /// Bytes written by the command, kept or not.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Why not everything could be kept that should have been.
    pub(crate) fn lost(&self) -> Option<&io::Error> {
        self.lost.as_ref()
    }

    /// Whether it holds a file.
    pub(crate) fn is_spooled(&self) -> bool {
        self.spool.is_some()
    }

    /// Hands what is kept to `each`, in order, piece by piece.
    pub(crate) fn read<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(spool) = &mut self.spool else { return each(&self.memory) };
        spool.rewind()?;
        let mut piece = vec![0; 64 * 1024];
        loop {
            match spool.read(&mut piece)? {
                0 => return Ok(()),
                read => each(&piece[..read])?,
            }
        }
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(spool) = &mut self.spool {
            return spool.write_all(bytes);
        }
        let fits = self.memory.len() + bytes.len() <= MEMORY_MOST;
        if fits && self.budget.take(bytes.len()) == Grant::Given {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let mut spool = tempfile::tempfile()?;
        spool.write_all(&self.memory)?;
        spool.write_all(bytes)?;
        self.budget.give_back(self.memory.len());
        self.memory = Vec::new();
        self.spool = Some(spool);
        Ok(())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.budget.give_back(self.memory.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(capture: &mut Capture) -> Vec<u8> {
        let mut all = Vec::new();
        capture
            .read(|piece| {
                all.extend_from_slice(piece);
                Ok::<_, io::Error>(())
            })
            .unwrap();
        all
    }

    #[test]
    fn small_outputs_stay_in_memory_and_large_ones_spool_whole() {
        let budget = Budget::default();
        let mut capture = Capture::new(Keep::Everything, &budget);
        capture.push(&vec![b'a'; MEMORY_MOST]);
        assert!(!capture.is_spooled());
        capture.push(b"b");
        assert!(capture.is_spooled());
        capture.push(b"c");
        let all = contents(&mut capture);
        assert_eq!(all.len(), MEMORY_MOST + 2);
        assert!(all.starts_with(b"aa") && all.ends_with(b"abc"));
        assert_eq!(contents(&mut capture), all, "it can be read twice");
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_beginning_is_kept_and_the_rest_counted() {
        let mut capture = Capture::new(Keep::Beginning, &Budget::default());
        for _ in 0..3 {
            capture.push(&vec![b'a'; MEMORY_MOST / 2 + 1]);
        }
        assert_eq!(contents(&mut capture).len(), MEMORY_MOST);
        assert_eq!(capture.total(), 3 * (MEMORY_MOST as u64 / 2 + 1));
        assert!(!capture.is_spooled());
    }

    #[test]
    fn many_outputs_share_one_budget() {
        let budget = Budget::default();
        let mut captures: Vec<_> = (0..80).map(|_| Capture::new(Keep::Everything, &budget)).collect();
        for capture in &mut captures {
            capture.push(&vec![b'x'; MEMORY_MOST]);
        }
        assert_eq!(captures.iter().filter(|capture| capture.is_spooled()).count(), 80 - 64);
        captures.clear();
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
