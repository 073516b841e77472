//! What is printed: whole outputs, never mixed, in the order of ending or of the input.

mod json;
mod printer;
mod sink;

pub(crate) use json::{Bytes, plan_line};
pub(crate) use printer::{Printable, Printer};
pub(crate) use sink::{OutputError, Patience, Sink};
