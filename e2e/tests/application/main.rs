//! Applications as processes: real signals, a supervisor that is played, a process number 1.

mod driver;
mod process;
mod stops;
mod supervisor;
