//! The lab: namespaces, packets and real clients for the tests of banchi.
//!
//! - [`lab`] builds a plant out of network namespaces: a gateway, zones, hosts; gone again when it is dropped.
//! - [`oracle`] says what a policy means, by walking it; everything fast is held against it.
//! - [`packet`] builds frames byte by byte, correct ones and wrong ones.
//! - [`pcap`] reads captures.
//! - [`plant`] is the plant that the demo and most tests take place in.
//! - [`traffic`] speaks the four port idioms with plain sockets.
//! - [`peers`] runs real protocol stacks (pymodbus, bacpypes3, c104, ...) as clients and servers.
//! - [`screen`] is a terminal, by tmux: it types, and says what stands on it.
//! - [`agent`] runs the agent, [`scenarios`] says what should happen, and [`stage`] lets it happen and watches.
//!
//! Everything that waits waits for an event and has a deadline; nothing here sleeps for a fixed time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a broken expectation should stop the test right where it is"
)]

pub mod agent;
mod endpoint;
pub mod lab;
pub mod oracle;
pub mod packet;
pub mod pcap;
pub mod peers;
pub mod plant;
pub mod protocols;
pub mod scenarios;
pub mod screen;
pub mod stage;
pub mod traffic;
mod user;

pub use endpoint::Endpoint;
