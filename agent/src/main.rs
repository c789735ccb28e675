//! The `banchi` command.
fn main() {}
