//! The counter service: being written.
fn main() {}
