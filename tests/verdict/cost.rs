//! What a packet costs in the program, by the kernel's own clock. Figures, not limits: run it by hand.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::EbpfLoader;
use aya::maps::{Map, MapData};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use banchi_common::abi::Forwarding;
use banchi_tests::packet::Packet;

use crate::site::Site;

const HERE: u32 = 1;
const ROUNDS: usize = 7;

#[test]
#[ignore = "a measurement: cargo test --release -p banchi-tests --test verdict cost -- --ignored --nocapture"]
fn nanoseconds_per_packet() {
    let options = banchi::datapath::Options { events_per_second: 1, ..banchi::datapath::Options::default() };
    let exact =
        "conduits: [{ between: [control, line-a], allow: [{ client: scada, server: plc, service: s }] }]\n";
    let wide =
        "conduits: [{ between: [control, line-a], allow: [{ client: all, server: plc, service: s }] }]\n";
    let all = "  all: { zone: control, addresses: [10.10.0.0/16] }\n";
    let ask = || Packet::udp("10.10.1.5:47808", "10.20.0.11:47808").payload(BACNET);
    let cases = [
        ("same port, exact, free", exact, "", "port: 47808, source_port: same, reply: free", ask()),
        ("same port, exact, window", exact, "", "port: 47808, source_port: same", ask()),
        ("same port, exact, bacnet", exact, "", "port: 47808, source_port: same, direction: bacnet", ask()),
        ("ephemeral, classes, free", wide, all, "port: 47808, reply: free", ask()),
        ("ephemeral, classes, window", wide, all, "port: 47808", ask()),
        ("ephemeral, classes, bacnet", wide, all, "port: 47808, direction: bacnet", ask()),
        (
            "another port: a deviation",
            exact,
            "",
            "port: 47808, source_port: same",
            Packet::udp("10.10.1.5:47809", "10.20.0.11:47808"),
        ),
    ];
    for (what, conduits, assets, service, packet) in cases {
        let yaml = format!(
            "{}{assets}services: {{ s: {{ transport: udp, {service} }} }}\n{conduits}",
            crate::site::PLANT
        );
        // A routed packet is another one the second time, so that it cannot be timed like this.
        for way in [Forwarding::Stack, Forwarding::Wire] {
            let site = Site::by(way, &yaml, options.clone());
            measure(&format!("{what}, {}", way.name()), &site, &packet.build());
        }
    }
}

fn measure(what: &str, site: &Site, frame: &[u8]) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            site.view("control", |view| view.time_run(frame, HERE, 1_000_000).unwrap().as_nanos() as f64)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{what:<36} {:5.1} ns (from {:.1} to {:.1})", times[ROUNDS / 2], times[0], times[ROUNDS - 1]);
}

#[test]
#[ignore = "a measurement: cargo test --release -p banchi-tests --test verdict cost -- --ignored --nocapture"]
fn nanoseconds_per_observed_packet() {
    static OBJECT: &[u8] =
        aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/banchi.o"));
    let mut loader = EbpfLoader::new();
    loader.map_max_entries("SIGHTED", 65_536).map_max_entries("SIGHTS", 4 << 20);
    let mut object = loader.load(OBJECT).unwrap();
    for name in ["SIGHTED", "SIGHTS"] {
        let map = match object.map(name).unwrap() {
            Map::HashMap(map) | Map::RingBuf(map) => map,
            other => panic!("{other:?}"),
        };
        println!("{name}: {} KiB", locked(map) >> 10);
    }
    let program: &mut Xdp = object.program_mut("observe").unwrap().try_into().unwrap();
    program.load().unwrap();
    let walked = program.info().unwrap().verified_instruction_count();
    println!("the verifier walked {walked:?} instructions");
    for (what, packet) in [
        ("counted, UDP", Packet::udp("10.10.1.5:47808", "10.20.0.11:47808").payload(BACNET)),
        ("counted, TCP over IPv6", Packet::tcp("[fd00::1]:40000", "[fd00::2]:502", 0x18).payload(BACNET)),
    ] {
        let frame = packet.build();
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let options =
                    TestRunOptions { data_in: Some(&frame), repeat: 1_000_000, ..TestRunOptions::new() };
                program.test_run(options).unwrap().duration.as_nanos() as f64
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{what:<36} {:5.1} ns (from {:.1} to {:.1})",
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1]
        );
    }
}

/// Bytes that the kernel accounts to a map.
fn locked(map: &MapData) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    line.unwrap().trim().parse().unwrap()
}

/// ReadProperty of a controller's present value: BVLC, NPDU, confirmed request.
const BACNET: [u8; 17] = [0x81, 0x0a, 0, 17, 1, 4, 0, 5, 1, 12, 0x0c, 0, 0x80, 0, 1, 0x19, 0x55];
