//! The race against the peers.
fn main() {}
