//! No packet that deviates is forgotten: it is in an event, in the count of one, or in a counter that says why not.

use std::time::Duration;

use anyhow::{Context, Result};
use banchi_tests::agent::{Agent, Event};
use banchi_tests::lab::{DEADLINE, Gateway, Lab};
use banchi_tests::packet::Packet;
use banchi_tests::plant;
use banchi_tests::scenarios::POLICY;
use rustix::process::Signal;

/// Packets that are under way at a time: more do not fit the rings of a veth.
const BURST: usize = 50;

/// Sends the same deviation so many times, and returns when the gateway has seen all of them.
fn deviate(lab: &Lab, count: usize, source_port: impl Fn(usize) -> u16) -> Result<()> {
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (out, seen) = (scada.raw("eth0")?, plc.raw("eth0")?);
    let gateway = lab.gateway_mac("control");
    // An allowed packet passes, behind all that were sent before it.
    let pass = |number: usize| -> Result<()> {
        let mark = format!("mark {number:06}").into_bytes();
        let packet = Packet::udp((scada.ipv4(), 6000), (plc.ipv4(), 6011)).payload(&mark);
        out.send(&packet.to_mac(gateway).build())?;
        seen.wait_for(|frame| frame.windows(mark.len()).any(|bytes| bytes == mark), DEADLINE)?;
        Ok(())
    };
    // Until the gateway knows the neighbour, it keeps a few packets only.
    pass(count)?;
    for number in 0..count {
        let packet = Packet::udp((scada.ipv4(), source_port(number)), (plc.ipv4(), 6011));
        out.send(&packet.to_mac(gateway).build())?;
        if number % BURST == BURST - 1 || number == count - 1 {
            pass(number)?;
        }
    }
    Ok(())
}

fn is_ours(event: &Event) -> bool {
    event.reason == "source-port-deviation" && event.dst_port == Some(6011)
}

#[test]
fn repeats_are_suppressed_and_counted_exactly() -> Result<()> {
    const PACKETS: usize = 1_000;
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "300"])?;
    let events = super::follow(&lab, &agent)?;
    let beginning = events.count();
    // The source port is what deviates, and no two packets have the same: that is one flow all the same.
    deviate(&lab, PACKETS, |number| 20_000 + number as u16)?;
    let counted = |from| -> Result<(u64, usize)> {
        let ours: Vec<Event> = events.since(from)?.into_iter().filter(is_ours).collect();
        Ok((ours.iter().map(|e| e.repeats + u64::from(e.kind == "deviation")).sum(), ours.len()))
    };
    let mut from = beginning;
    while counted(beginning)?.0 < PACKETS as u64 {
        events
            .wait_from(from, is_ours, DEADLINE)?
            .with_context(|| format!("only {:?}", counted(beginning)))?;
        from = events.count();
    }
    let (sum, lines) = counted(beginning)?;
    for event in events.since(beginning)?.into_iter().filter(is_ours) {
        assert_eq!(event.src_port.is_some(), event.kind == "deviation", "{event:?}");
    }
    assert_eq!(sum, PACKETS as u64);
    assert!(lines <= 12, "{lines} events are no suppression");

    let status = agent.status()?;
    let [sent, suppressed, limited, lost] = super::reports_of(&status, "source-port-deviation");
    assert_eq!(sent + suppressed, PACKETS as u64, "{status:#}");
    assert_eq!((limited, lost), (0, 0));
    assert_eq!(super::packets_of(&status, "source-port-deviation"), PACKETS as u64);
    agent.stop()
}

#[test]
fn what_the_ring_has_no_room_for_is_counted_as_lost() -> Result<()> {
    const PACKETS: usize = 200;
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let arguments = ["--suppress", "0", "--rate", "0", "--ring", "4096"];
    let agent = Agent::start_with(&lab, POLICY, &arguments)?;
    let events = super::follow(&lab, &agent)?;
    let beginning = events.count();
    agent.process().signal(Signal::STOP)?;
    deviate(&lab, PACKETS, |_| 20_000)?;
    agent.process().signal(Signal::CONT)?;

    let status = agent.status()?;
    let [sent, suppressed, limited, lost] = super::reports_of(&status, "source-port-deviation");
    assert_eq!((sent + lost, suppressed, limited), (PACKETS as u64, 0, 0), "{status:#}");
    assert!(sent > 0 && lost > 0, "{sent} sent, {lost} lost");
    // What was sent arrives, and nothing else.
    let mut arrived = 0;
    let mut from = beginning;
    while arrived < sent {
        events.wait_from(from, is_ours, DEADLINE)?.with_context(|| format!("{arrived} of {sent}"))?;
        from = events.count();
        arrived = events.since(beginning)?.iter().filter(|event| is_ours(event)).count() as u64;
    }
    assert_eq!(arrived, sent);
    // And then it goes on as before.
    deviate(&lab, 1, |_| 20_001)?;
    let next = events.wait_from(from, |e| is_ours(e) && e.src_port == Some(20_001), DEADLINE)?;
    assert!(next.is_some());
    agent.stop()
}

#[test]
fn a_flood_of_one_reason_leaves_room_for_the_others() -> Result<()> {
    const PACKETS: usize = 500;
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0", "--rate", "5"])?;
    let events = super::follow(&lab, &agent)?;
    let from = events.count();
    deviate(&lab, PACKETS, |_| 20_000)?;
    let scada = lab.host("scada");
    let other = Packet::udp((scada.ipv4(), 47808), (lab.host("controller").ipv4(), 47809));
    scada.raw("eth0")?.send(&other.to_mac(lab.gateway_mac("control")).build())?;
    let event = events.wait_from(from, |event| event.reason == "unlisted-service", Duration::from_secs(5))?;
    assert!(event.is_some(), "the other reason is reported in the flood");
    let status = agent.status()?;
    let [sent, suppressed, limited, lost] = super::reports_of(&status, "source-port-deviation");
    assert_eq!((sent + limited, suppressed, lost), (PACKETS as u64, 0, 0), "{status:#}");
    assert!(limited > 0 && sent >= 5, "{sent} sent, {limited} limited");
    agent.stop()
}

/// A generation is freed with the second change after it: what it has counted until then is told.
#[test]
fn repeats_of_a_policy_that_is_replaced_are_told() -> Result<()> {
    const PACKETS: usize = 60;
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "3600000"])?;
    let events = super::follow(&lab, &agent)?;
    let beginning = events.count();
    deviate(&lab, PACKETS, |number| 20_000 + number as u16)?;
    events.wait_from(beginning, is_ours, DEADLINE)?.context("the first one is told at once")?;
    for number in 0..2 {
        let path = lab.directory().join(format!("again-{number}.yaml"));
        std::fs::write(&path, format!("# {number}\n{POLICY}"))?;
        agent.ask(&["apply", path.to_str().context("a path of the lab")?])?;
    }
    let is_count = |event: &Event| is_ours(event) && event.kind == "repeats";
    let told = events.wait_from(beginning, is_count, DEADLINE)?.context("no repeats were told of")?;
    let told: u64 = events
        .since(beginning)?
        .iter()
        .filter(|e| is_count(e))
        .map(|e| e.repeats)
        .sum::<u64>()
        .max(told.repeats);
    // One event for each CPU that the packets came by.
    let firsts = events.since(beginning)?.iter().filter(|e| is_ours(e) && e.kind == "deviation").count();
    assert_eq!(told, (PACKETS - firsts) as u64);
    agent.stop()
}
