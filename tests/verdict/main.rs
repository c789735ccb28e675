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
#![allow(
    clippy::type_complexity,
    clippy::needless_range_loop,
    reason = "the types of tables of cases read best where the cases stand, and positions tell which order it is"
)]

mod address;
mod arp;
mod attack;
mod cost;
mod counter;
mod deviation;
mod direction;
mod ethernet;
mod evasion;
mod event;
mod forwarding;
mod fragment;
mod gateway;
mod icmp;
mod ipv4;
mod ipv6;
mod linked;
mod mac;
mod mode;
mod neighbour;
mod order;
mod pair;
mod payload;
mod port;
mod sctp;
mod site;
mod size;
mod succeed;
mod survival;
mod tcp;
mod truncation;
mod udp;
mod vlan;
mod window;
