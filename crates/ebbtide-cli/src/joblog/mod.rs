//! The job log: what ended, in GNU parallel's columns; written as it happens, read again to resume.

mod read;
mod row;
mod write;

pub(crate) use read::{Done, Past, ReadError};
pub(crate) use row::Row;
pub(crate) use write::{Earlier, JobLog, OpenError};
