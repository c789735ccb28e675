//! What the loaded program says of single packets: one file for each thing that it matches.
//!
//! A case is a packet, why its verdict is what it is, and the verdict. The kernel runs the program itself
//! (`BPF_PROG_TEST_RUN`), so nothing is attached and no traffic flows. Needs root, and nothing else: no `ip`, no
//! files, one interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a broken expectation should stop the test right where it is"
)]

// address
// arp
// counter
// deviation
mod ethernet;
// event
// fragment
// gateway
// icmp
// ipv4
// ipv6
// linked
// mac
// mode
// neighbour
// order
// pair
// port
// sctp
mod site;
// size
// survival
// tcp
mod truncation;
// udp
mod vlan;
