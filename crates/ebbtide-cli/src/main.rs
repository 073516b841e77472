//! The binary `ebbtide`.
fn main() {}
