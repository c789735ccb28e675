//! The package: what is in it, and what it does to a gateway.
//!
//! The gateway is a clean Debian, booted with its service manager by systemd-nspawn in the gateway's namespace of a lab:
//! what crosses it is real.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod built;
mod contents;
mod gateway;
mod lifecycle;
mod newcomer;
mod runbook;

use anyhow::Result;
use banchi_tests::lab::{self, Lab, Zone};

/// The plant: its interfaces bear the names that the runbook has.
fn lab() -> Result<Lab> {
    let zones = [
        Zone::new("eth1")
            .network("10.10.0.1/16")
            .host("scada", &["10.10.1.5"])
            .host("laptop", &["10.10.1.99"]),
        Zone::new("eth2")
            .network("10.20.0.1/24")
            .host("plc-1", &["10.20.0.11"])
            .host("plc-2", &["10.20.0.12"]),
    ];
    Lab::new(lab::Gateway::Routes, &zones)
}
