//! What the data plane and the agent share.
//!
//! * [`abi`]: the bytes of maps and events. `repr(C)`, no hidden padding, versioned.
//! * [`reason`]: every reason of a verdict, numbered once.
//! * [`wire`]: Ethernet to TCP, one protocol a file.
//! * [`direction`]: whether a payload asks, answers or notifies, one protocol a file.
//! * [`engine`]: the decision. The kernel runs it over BPF maps, the agent over the same tables in memory.
//!
//! The crate is `no_std` and never panics on input: every access to a packet or a table is checked and
//! yields `None` where there is nothing.

#![no_std]
#![deny(missing_docs)]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod abi;
pub mod direction;
pub mod engine;
pub mod reason;
pub mod wire;
