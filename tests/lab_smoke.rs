//! Shows that the lab itself works, with a gateway that only routes: real stacks and every idiom pass through it,
//! and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Mac, Process, Zone};
use banchi_tests::packet::{Packet, Tag, flags};
use banchi_tests::peers;
use banchi_tests::plant::{self, PLC_1, PLC_2, SCADA};
use banchi_tests::traffic::{self, Outcome, TcpEcho, UdpEcho};
use rustix::process::Signal;

/// How long a real stack may take for all of its exchanges, its start included.
const PEER: Duration = Duration::from_secs(20);

fn plant() -> Result<Lab> {
    Lab::new(Gateway::Routes, &plant::zones())
}

#[test]
fn modbus_over_tcp_502() -> Result<()> {
    let lab = plant()?;
    let _server = peers::modbus_server(lab.host("plc-1"), "10.20.0.11")?;
    let client = peers::modbus_client(lab.host("scada"), "10.20.0.11", 10)?;
    let exchanges = peers::exchanges(client, PEER)?;
    assert_eq!(exchanges.len(), 10);
    assert!(exchanges.iter().all(|e| e.ok), "{exchanges:?}");
    assert_eq!(exchanges[0].value, Some(1001.into()));
    Ok(())
}

#[test]
fn modbus_fails_loudly_without_a_server() -> Result<()> {
    let lab = plant()?;
    let client = peers::modbus_client(lab.host("scada"), "10.20.0.11", 1)?;
    let exchanges = peers::exchanges(client, PEER)?;
    assert!(matches!(&exchanges[..], [only] if !only.ok && only.error.is_some()), "{exchanges:?}");
    Ok(())
}

#[test]
fn bacnet_from_47808_to_47808() -> Result<()> {
    let lab = plant()?;
    let seen = lab.host("plc-1").raw("eth0")?;
    let _device = peers::bacnet_device(lab.host("plc-1"), "10.20.0.11/24")?;
    let client = peers::bacnet_client(lab.host("scada"), "10.10.1.5/16", "10.20.0.11", 3)?;
    let exchanges = peers::exchanges(client, PEER)?;
    assert_eq!(exchanges.len(), 3);
    assert!(exchanges.iter().all(|e| e.ok && e.value == Some(21.5.into())), "{exchanges:?}");
    seen.wait_for(|f| f.get(34..38) == Some(&[0xba, 0xc0, 0xba, 0xc0]), DEADLINE)?;
    Ok(())
}

#[test]
fn one_source_port_to_diverging_ports() -> Result<()> {
    let lab = plant()?;
    for (from, to) in [(IpAddr::from(SCADA), IpAddr::from(PLC_1)), (v6("fd00:10::1:5"), v6("fd00:20::11"))] {
        let echo = UdpEcho::new(lab.host("plc-1"), to, &traffic::DIVERGING)?;
        let outcomes = traffic::ask_diverging(lab.host("scada"), from, to)?;
        assert_eq!(outcomes, traffic::DIVERGING.map(|port| (port, Outcome::Answered)));
        assert_eq!(echo.asked(), 12);
    }
    Ok(())
}

#[test]
fn ports_that_follow_from_the_address() -> Result<()> {
    let lab = plant()?;
    let _one = UdpEcho::new(lab.host("plc-1"), PLC_1, &[6011])?;
    let _two = UdpEcho::new(lab.host("plc-2"), PLC_2, &[6012])?;
    let outcomes = traffic::ask_linked(lab.host("scada"), SCADA, &[PLC_1, PLC_2])?;
    let expected = ["10.20.0.11:6011", "10.20.0.12:6012"].map(|to| (to.parse().unwrap(), Outcome::Answered));
    assert_eq!(outcomes, expected);
    // The neighbour's port is nobody's.
    let outcome = traffic::ask_udp(lab.host("scada"), (SCADA, 6000), (PLC_1, 6012), b"?", DEADLINE)?;
    assert_eq!(outcome, Outcome::Refused);
    Ok(())
}

#[test]
fn the_same_port_on_both_sides() -> Result<()> {
    let lab = plant()?;
    for (from, to) in [(IpAddr::from(SCADA), IpAddr::from(PLC_1)), (v6("fd00:10::1:5"), v6("fd00:20::11"))] {
        let _echo = UdpEcho::new(lab.host("plc-1"), to, &[9600])?;
        let outcome = traffic::ask_udp(lab.host("scada"), (from, 9600), (to, 9600), b"FINS", DEADLINE)?;
        assert_eq!(outcome, Outcome::Answered, "{from} to {to}");
    }
    Ok(())
}

#[test]
fn connections_answered_and_refused() -> Result<()> {
    let lab = plant()?;
    for (from, to) in [(IpAddr::from(SCADA), IpAddr::from(PLC_1)), (v6("fd00:10::1:5"), v6("fd00:20::11"))] {
        let _echo = TcpEcho::new(lab.host("plc-1"), (to, 102))?;
        let ask = |source, port| {
            traffic::ask_tcp(lab.host("scada"), (from, source), (to, port), b"hello", DEADLINE)
        };
        assert_eq!(ask(0, 102)?, Outcome::Answered);
        assert_eq!(ask(2000, 102)?, Outcome::Answered, "a pinned source port");
        assert_eq!(ask(2000, 102)?, Outcome::Answered, "the same once more, while the first is in TIME_WAIT");
        assert_eq!(ask(0, 103)?, Outcome::Refused);
    }
    Ok(())
}

#[test]
fn frames_arrive_as_they_were_built() -> Result<()> {
    let lab = plant()?;
    let (scada, gateway) = (lab.host("scada").raw("eth0")?, lab.gateway().raw("control")?);
    let udp = Packet::udp("10.10.1.5:47808", "10.20.0.11:47808").payload([0x81, 0x0b]);
    for packet in [
        udp.clone(),
        udp.clone().vlan(20),
        udp.clone().tag(Tag::service(7)).vlan(20),
        udp.clone().tag(Tag::priority(6)),
        Packet::tcp("10.10.1.5:1024", "10.20.0.11:502", flags::SYN),
        Packet::ethernet(0x88b8, &[1, 2, 3]),
        Packet::llc(&[0x42, 0x42, 3]),
    ] {
        let frame = packet.to_mac(lab.gateway_mac("control")).build();
        scada.send(&frame)?;
        gateway.wait_for(|f| f == frame, DEADLINE)?;
    }
    Ok(())
}

#[test]
fn sockets_send_complete_checksums() -> Result<()> {
    let lab = plant()?;
    let gateway = lab.gateway().raw("control")?;
    let _echo = UdpEcho::new(lab.host("plc-1"), PLC_1, &[9600])?;
    traffic::ask_udp(lab.host("scada"), (SCADA, 9600), (PLC_1, 9600), b"FINS", DEADLINE)?;
    let question = Packet::udp((SCADA, 9600), (PLC_1, 9600)).payload(b"FINS").ip_packet();
    // Its identification and with it the checksum of the header are the kernel's choice; all of UDP is as built.
    gateway.wait_for(|f| f.get(34..46) == Some(&question[20..]), DEADLINE)?;
    Ok(())
}

#[test]
fn a_built_packet_is_routed_and_answered() -> Result<()> {
    let lab = plant()?;
    let raw = lab.host("scada").raw("eth0")?;
    assert_eq!(lab.host("scada").mac(), Mac::of(SCADA.into()));
    for (from, to) in [(IpAddr::from(SCADA), IpAddr::from(PLC_1)), (v6("fd00:10::1:5"), v6("fd00:20::11"))] {
        let echo = Packet::echo_request(from, to, 7, 1).payload(b"are you there");
        raw.send(&echo.to_mac(lab.gateway_mac("control")).build())?;
        let answer = Packet::echo_reply(to, from, 7, 1).payload(b"are you there").ip_packet();
        let tail = &answer[answer.len() - 13..];
        raw.wait_for(|f| f.windows(13).any(|w| w == tail), DEADLINE)?;
    }
    Ok(())
}

#[test]
fn a_bridging_gateway_is_not_seen() -> Result<()> {
    let network = |name| Zone::new(name).network("10.30.0.254/24").network("fd00:30::fe/64");
    let zones = [
        network("left").host("a", &["10.30.0.1", "fd00:30::1"]),
        network("right").host("b", &["10.30.0.2", "fd00:30::2"]),
    ];
    let lab = Lab::new(Gateway::Bridges, &zones)?;
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _echo = UdpEcho::new(b, b.ipv4(), &[9600])?;
    let _echo6 = UdpEcho::new(b, b.ipv6(), &[9600])?;
    assert_eq!(traffic::ask_udp(a, (a.ipv4(), 9600), (b.ipv4(), 9600), b"?", DEADLINE)?, Outcome::Answered);
    assert_eq!(traffic::ask_udp(a, (a.ipv6(), 9600), (b.ipv6(), 9600), b"?", DEADLINE)?, Outcome::Answered);
    drop(lab);

    let lab = Lab::new(Gateway::Isolates, &zones)?;
    let (a, b) = (lab.host("a").raw("eth0")?, lab.host("b").raw("eth0")?);
    a.send(&Packet::arp_request([10, 30, 0, 1].into(), [10, 30, 0, 2].into()).build())?;
    let gateway = lab.gateway().raw("left")?;
    let last = Packet::ethernet(0x88b5, b"last").build();
    a.send(&last)?;
    gateway.wait_for(|f| f == last, DEADLINE)?;
    let seen = b.receive(Duration::ZERO)?;
    assert!(seen.is_none_or(|f| f[12..14] == [0x86, 0xdd]), "only the kernel's own IPv6 chatter");
    Ok(())
}

#[test]
fn nothing_is_left_behind() -> Result<()> {
    let lab = plant()?;
    let prefix = lab.prefix().to_owned();
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600");
    let forgotten = lab.gateway().spawn(sleeper)?;
    let (pid, directory) = (forgotten.id(), lab.directory().to_owned());
    // Also what nobody drops, as after a crash.
    std::mem::forget(forgotten);
    assert!(namespaces().iter().any(|name| name.starts_with(&prefix)));
    assert!(directory.exists());
    drop(lab);
    assert!(!namespaces().iter().any(|name| name.starts_with(&prefix)));
    assert!(!directory.exists());
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    assert!(state.contains(") Z "), "killed, and only its exit status is left for us: {state}");
    Ok(())
}

#[test]
fn a_panic_leaves_nothing_behind() -> Result<()> {
    let lab = plant()?;
    let prefix = lab.prefix().to_owned();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        lab.host("scada").run(|| assert_eq!(1, 2, "on purpose"));
    }));
    assert!(outcome.is_err());
    assert!(!namespaces().iter().any(|name| name.starts_with(&prefix)));
    Ok(())
}

#[test]
fn a_signal_leaves_nothing_behind() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let (mut process, prefix) = lab_of_another_process()?;
        process.signal(signal)?;
        let status = process.wait(DEADLINE)?;
        assert_eq!(status.signal(), Some(signal.as_raw()), "it dies of the signal, for shells to know");
        assert!(!namespaces().iter().any(|name| name.starts_with(&prefix)));
    }
    Ok(())
}

#[test]
fn the_next_lab_clears_up_after_a_kill() -> Result<()> {
    let (mut process, prefix) = lab_of_another_process()?;
    process.signal(Signal::KILL)?;
    process.wait(DEADLINE)?;
    let _next = plant()?;
    assert!(!namespaces().iter().any(|name| name.starts_with(&prefix)));
    Ok(())
}

fn lab_of_another_process() -> Result<(Process, String)> {
    let process = Process::spawn(Command::new(env!("CARGO_BIN_EXE_lab")))?;
    let line = process.wait_stdout(|line| line.starts_with("lab: "), DEADLINE)?;
    process.wait_stdout(|line| line.starts_with("Ctrl-C"), DEADLINE)?;
    let prefix = line.trim_start_matches("lab: ").to_owned();
    assert!(namespaces().iter().any(|name| name.starts_with(&prefix)));
    Ok((process, prefix))
}

fn namespaces() -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn v6(text: &str) -> IpAddr {
    text.parse().unwrap()
}
