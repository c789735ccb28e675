//! Which class a payload shows itself as: one protocol a file.
//!
//! Where both ends use the same port, only the application says who commands whom. [`classify`] reads as
//! little as decides: a [`Class`] is told where the specification leaves no other reading, and
//! [`Class::Undecidable`] is the answer to everything else: short or contradictory bytes, messages that
//! both sides send alike, TCP segments that do not begin a message. More bytes never turn a decided message
//! into another class: `sample::Sample::needed` states where each decision falls, and the tests hold it.

mod class;
mod look;
mod payload;
mod protocol;
#[cfg(any(test, feature = "std"))]
mod sample;

mod ads;
mod bacnet;
mod c37_118;
mod dhcp;
mod dnp3;
mod enip;
mod fins;
mod ge_srtp;
mod hart_ip;
mod iec104;
mod knxnet_ip;
mod modbus;
mod ntp;
mod opc_ua;
mod profinet_cm;
mod s7;
mod s_bus;
mod slmp;
mod snmp;
mod toyopuc;

#[cfg(test)]
mod tests;

pub use class::{Class, Classes};
pub use look::{Look, class_at};
pub use payload::Payload;
#[cfg(any(test, feature = "std"))]
pub use protocol::samples;
pub use protocol::{About, PROTOCOLS, Protocol, classify};
#[cfg(any(test, feature = "std"))]
pub use sample::Sample;

#[cfg(any(test, feature = "std"))]
use sample::samples_of;
