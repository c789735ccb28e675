//! The bytes that kernel and user space exchange.

mod policy;

pub use policy::{Mode, Transport};
