//! Frames cross wires as they are.

use anyhow::{Result, ensure};
use banchi_tests::agent::Agent;
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Mac, RawSocket};
use banchi_tests::packet::{Packet, Tag};

use super::{ECHO, OTHER, WIRES, answers, count, lab, listen, policy, silent};

/// Sends a frame and what has to arrive after it; yields what arrived before that.
fn before(sender: &RawSocket, frames: &[Vec<u8>], end: &Packet, watch: &RawSocket) -> Result<Vec<Vec<u8>>> {
    for frame in frames {
        sender.send(frame)?;
    }
    let end = end.build();
    sender.send(&end)?;
    let mut arrived = watch.receive_until(|frame| frame == end, DEADLINE)?;
    arrived.pop();
    Ok(arrived)
}

fn arp(lab: &Lab, from: &str, asked: [u8; 4]) -> Packet {
    Packet::arp_request(lab.host(from).ipv4(), asked.into()).from_mac(lab.host(from).mac())
}

#[test]
fn sockets_talk_over_two_wires_that_know_nothing_of_each_other() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let (_plc, _drive) = (listen(&lab, "plc-1")?, listen(&lab, "drive")?);
    let plc = lab.host("plc-1");
    ensure!(silent(&lab, "scada", plc.ipv4(), ECHO)?, "nothing crosses without banchi");
    let agent = Agent::start(&lab, &policy(WIRES))?;
    // With ARP and neighbour discovery across the wire: nobody knew anybody.
    ensure!(answers(&lab, "scada", plc.ipv4(), ECHO)? && answers(&lab, "scada", plc.ipv6(), ECHO)?);
    ensure!(answers(&lab, "clerk", lab.host("drive").ipv4(), ECHO)?);
    ensure!(silent(&lab, "scada", plc.ipv4(), OTHER)? && silent(&lab, "scada", plc.ipv6(), OTHER)?);
    ensure!(silent(&lab, "clerk", lab.host("drive").ipv4(), OTHER)?);
    ensure!(count(&agent, "no-wire")? == 0, "{}", agent.ask(&["status"])?);

    // A broadcast crosses its own wire.
    let (scada, clerk) = (lab.host("scada").raw("eth0")?, lab.host("clerk").raw("eth0")?);
    let (at_plc, at_drive) = (plc.raw("eth0")?, lab.host("drive").raw("eth0")?);
    let question = arp(&lab, "scada", [10, 10, 200, 200]).build();
    scada.send(&question)?;
    at_plc.wait_for(|frame| frame == question, DEADLINE)?;
    let others = before(&clerk, &[], &arp(&lab, "clerk", [10, 40, 0, 200]), &at_drive)?;
    ensure!(others.iter().all(|frame| *frame != question), "it crossed the other wire as well");
    let status = agent.ask(&["status"])?;
    ensure!(status.contains("forwarding: wire (control - line-a, cell - office)"), "{status}");
    let status = agent.status()?;
    ensure!(status["forwarding"] == "wire" && status["wires"][1][0] == "cell", "{status:#}");
    agent.stop()
}

#[test]
fn tags_are_left_alone() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let agent = Agent::start(&lab, &policy(WIRES))?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (sender, watch) = (scada.raw("eth0")?, plc.raw("eth0")?);
    let asks = |port: u16| {
        Packet::udp((scada.ipv4(), 40_000), (plc.ipv4(), port))
            .from_mac(scada.mac())
            .to_mac(plc.mac())
            .payload([7; 100])
    };
    let passes = [
        asks(ECHO).build(),
        asks(ECHO).vlan(20).build(),
        asks(ECHO).tag(Tag::priority(5)).build(),
        asks(ECHO).tag(Tag::service(20)).tag(Tag::customer(30)).build(),
    ];
    let stays = [
        asks(OTHER).build(),
        asks(OTHER).vlan(20).build(),
        asks(ECHO).vlan(30).build(),
        asks(ECHO).tag(Tag::service(20)).tag(Tag::customer(31)).build(),
    ];
    let frames: Vec<Vec<u8>> = stays.iter().chain(&passes).cloned().collect();
    let arrived = before(&sender, &frames, &arp(&lab, "scada", [10, 10, 9, 9]), &watch)?;
    // Its stack answers the PLC's, which wants to say that nobody listens.
    let is_built = |frame: &&Vec<u8>| frame[6..12] == scada.mac().0 && frame[12..14] != [8, 6];
    let arrived: Vec<_> = arrived.iter().filter(is_built).collect();
    ensure!(arrived == passes.iter().collect::<Vec<_>>(), "{arrived:02x?}");
    agent.stop()
}

#[test]
fn what_keeps_networks_alive_crosses() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let agent = Agent::start(&lab, &policy(WIRES))?;
    // Between the ports of the switches themselves: a bridge keeps such frames.
    let port = |zone: &str, words: &[&str]| {
        let switch = format!("{}sw-{zone}", lab.prefix());
        lab.gateway().check(&[&["ip", "-n", &switch, "link", "set", "uplink"], words].concat())
    };
    for zone in ["control", "line-a"] {
        port(zone, &["nomaster"])?;
    }
    let (left, right) = (lab.switch("control").raw("uplink")?, lab.switch("line-a").raw("uplink")?);
    let group = |last: u8| Mac([0x01, 0x80, 0xc2, 0, 0, last]);
    let bridge = Mac([2, 9, 9, 9, 9, 9]);
    let lldp = Packet::ethernet(0x88cc, &[2, 7, 4, 0, 1, 2, 3, 4, 5]).from_mac(bridge).to_mac(group(14));
    let stp = Packet::llc(&[0x42, 0x42, 3, 0, 0, 0, 0, 0]).from_mac(bridge).to_mac(group(0));
    let ptp = Packet::ethernet(0x88f7, &[0; 44]).from_mac(bridge).to_mac(group(14));
    for packet in [lldp, stp, ptp] {
        let frame = packet.build();
        for (from, to) in [(&left, &right), (&right, &left)] {
            from.send(&frame)?;
            to.wait_for(|arrived| arrived == frame, DEADLINE)?;
        }
    }
    agent.stop()
}

#[test]
fn the_gateway_itself_is_reached_on_a_wire() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    lab.gateway().check(&["ip", "address", "add", "10.10.0.1/16", "dev", "control"])?;
    lab.gateway().check(&["ip", "address", "add", "fd00:10::1/64", "dev", "control", "nodad"])?;
    let text = policy(&format!("{WIRES}, addresses: [10.10.0.1, 'fd00:10::1']"));
    let text = format!(
        "{text}  - from: control\n    to: gateway\n    allow: [{{ client: scada, server: gateway, service: echo }}]\n"
    );
    let agent = Agent::start(&lab, &text)?;
    let gateway: [std::net::IpAddr; 2] = ["10.10.0.1".parse()?, "fd00:10::1".parse()?];
    let _own = gateway
        .map(|own| banchi_tests::traffic::UdpEcho::new(lab.gateway(), own, &[ECHO, OTHER]))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let _plc = listen(&lab, "plc-1")?;
    let watch = lab.host("plc-1").raw("eth0")?;
    for own in gateway {
        ensure!(answers(&lab, "scada", own, ECHO)?, "{own}");
        ensure!(silent(&lab, "scada", own, OTHER)?, "{own}");
    }
    // What is for others goes on crossing, and what was for the gateway has not.
    ensure!(answers(&lab, "scada", lab.host("plc-1").ipv4(), ECHO)?);
    let end = arp(&lab, "scada", [10, 10, 9, 9]);
    let crossed = before(&lab.host("scada").raw("eth0")?, &[], &end, &watch)?;
    let target = [10, 10, 0, 1];
    let asked = |frame: &Vec<u8>| {
        frame[12..14] == [8, 6] && frame[38..42] == target
            || frame[12..14] == [8, 0] && frame[30..34] == target
    };
    ensure!(!crossed.iter().any(asked), "{crossed:02x?}");
    ensure!(count(&agent, "for-gateway")? >= 4, "{}", agent.ask(&["status"])?);
    agent.stop()
}
