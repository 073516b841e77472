//! Starts contenders, loads them, stops them, counts: from outside, the same for everybody.

mod jdk;
mod load;
mod results;
mod round;
mod run;
mod servers;
mod table;

pub(crate) use results::Results;
pub(crate) use run::run;
