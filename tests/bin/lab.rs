//! Builds the plant of the demo with a gateway that only routes, and keeps it until it is interrupted: for looking
//! around by hand, and for the test that a signal leaves nothing behind.

use anyhow::Result;
use banchi_tests::lab::{Gateway, Lab};
use banchi_tests::plant;

fn main() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    println!("lab: {}", lab.prefix());
    println!("gateway: ip netns exec {} bash", lab.gateway().netns());
    for host in lab.hosts() {
        println!("{} ({}, {}): ip netns exec {} bash", host.name(), host.zone(), host.ipv4(), host.netns());
    }
    println!("Ctrl-C removes it.");
    loop {
        // The thread that handles signals ends the process.
        std::thread::park();
    }
}
