//! `ebbtide doctor`: what this machine can enforce, what that means, and what to do about it.

mod checks;
mod finding;
mod interpreter;
mod show;

pub(crate) use show::doctor;
