//! Shows that the lab itself works, with a gateway that only routes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]
use anyhow::Result;
use banchi_tests::lab::*;
#[test]
fn ping() -> Result<()> {
    let t = std::time::Instant::now();
    let lab = Lab::new(
        Gateway::Routes,
        &[
            Zone::new("control")
                .network("10.10.0.1/16")
                .network("fd00:10::1/64")
                .host("scada", &["10.10.1.5", "fd00:10::5"]),
            Zone::new("line-a")
                .network("10.20.0.1/24")
                .network("fd00:20::1/64")
                .host("plc-1", &["10.20.0.11", "fd00:20::11"]),
        ],
    )?;
    println!("built {:?}", t.elapsed());
    println!("run {:?}", t.elapsed());
    drop(lab);
    println!("gone {:?}", t.elapsed());
    Ok(())
}
