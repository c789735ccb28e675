//! The program routes by the kernel's tables, and the stack gets what is out of the ordinary.

use std::net::UdpSocket;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Mac, RawSocket};
use banchi_tests::packet::Packet;

use super::{ECHO, OTHER, answers, count, lab, listen, policy, silent, succeed, until};

const ROUTE: &str = "forwarding: route";

/// Packets for the first PLC, from the SCADA server, through the gateway.
struct Path<'l> {
    lab: &'l Lab,
    agent: Agent<'l>,
    sender: RawSocket,
    watch: RawSocket,
    /// Whoever is asked where nobody listens says so, and that is routed as well.
    _silent: [UdpSocket; 2],
    number: u16,
}

impl<'l> Path<'l> {
    fn new(lab: &'l Lab) -> Result<Self> {
        let agent = Agent::start(lab, &policy(ROUTE))?;
        let (sender, watch) = (lab.host("scada").raw("eth0")?, lab.host("plc-1").raw("eth0")?);
        let plc = lab.host("plc-1");
        let _silent = [plc.udp((plc.ipv4(), ECHO))?, plc.udp((plc.ipv6(), ECHO))?];
        Ok(Self { lab, agent, sender, watch, _silent, number: 0 })
    }

    /// A packet that is allowed, told by its own source port.
    fn packet(&mut self, v4: bool) -> Packet {
        self.number += 1;
        let (scada, plc) = (self.lab.host("scada"), self.lab.host("plc-1"));
        let port = 40_000 + self.number;
        let packet = if v4 {
            Packet::udp((scada.ipv4(), port), (plc.ipv4(), ECHO))
        } else {
            Packet::udp((scada.ipv6(), port), (plc.ipv6(), ECHO))
        };
        packet.payload([self.number as u8; 64]).from_mac(scada.mac()).to_mac(self.lab.gateway_mac("control"))
    }

    /// A packet to another address, IPv4.
    fn packet_to(&mut self, to: &str) -> Result<Packet> {
        self.number += 1;
        let to: std::net::Ipv4Addr = to.parse()?;
        let packet = Packet::udp((self.lab.host("scada").ipv4(), 40_000 + self.number), (to, ECHO));
        Ok(packet.from_mac(self.lab.host("scada").mac()).to_mac(self.lab.gateway_mac("control")))
    }

    /// What becomes of a packet with these hops at the other side.
    fn routed(&self, packet: &Packet, hops: u8) -> Vec<u8> {
        let onward = packet.clone().hops(hops - 1).from_mac(self.lab.gateway_mac("line-a"));
        onward.to_mac(self.lab.host("plc-1").mac()).build()
    }

    /// Sends a packet and waits until it arrives as it should.
    fn cross(&self, packet: &Packet, hops: u8) -> Result<()> {
        self.sender.send(&packet.clone().hops(hops).build())?;
        let wanted = self.routed(packet, hops);
        self.watch.wait_for(|frame| frame == wanted, DEADLINE).map(|_| ())
    }

    /// Sends packets until the program itself has routed one: the kernel knows the way and the neighbour then.
    fn warm(&mut self) -> Result<()> {
        for v4 in [true, false] {
            let before = count(&self.agent, "routed")?;
            until("packets take the fast path", || {
                let packet = self.packet(v4);
                self.cross(&packet, 64)?;
                Ok(count(&self.agent, "routed")? > before)
            })?;
        }
        Ok(())
    }

    /// Sends a packet and waits until it was left to the stack for this cause.
    fn left(&self, packet: &Packet, cause: &str) -> Result<()> {
        let before = count(&self.agent, cause)?;
        self.sender.send(&packet.build())?;
        let mut now = 0;
        until(cause, || {
            now = count(&self.agent, cause)?;
            Ok(now > before)
        })
        .with_context(|| self.agent.ask(&["status"]).unwrap_or_default())
    }
}

#[test]
fn sockets_talk_and_the_program_routes() -> Result<()> {
    let lab = lab(Gateway::Routes)?;
    let _plc = listen(&lab, "plc-1")?;
    let agent = Agent::start(&lab, &policy(ROUTE))?;
    let plc = lab.host("plc-1");
    for _ in 0..20 {
        ensure!(answers(&lab, "scada", plc.ipv4(), ECHO)? && answers(&lab, "scada", plc.ipv6(), ECHO)?);
    }
    // Both ways, but for the first few of each: unresolved, then confirmed.
    let routed = count(&agent, "routed")?;
    ensure!(routed >= 4 * 20 - 4 * 4, "{}", agent.ask(&["status"])?);
    ensure!(silent(&lab, "scada", plc.ipv4(), OTHER)? && silent(&lab, "scada", plc.ipv6(), OTHER)?);
    let status = agent.ask(&["status"])?;
    ensure!(status.contains("forwarding: route") && status.contains("confirming-neighbour"), "{status}");
    // A bypass leaves it to the stack.
    succeed(&lab, &["bypass"])?;
    ensure!(answers(&lab, "scada", plc.ipv4(), OTHER)?);
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(silent(&lab, "scada", plc.ipv4(), OTHER)?);
    agent.stop()
}

#[test]
fn packets_lose_a_hop_and_nothing_else() -> Result<()> {
    let lab = lab(Gateway::Routes)?;
    let mut path = Path::new(&lab)?;
    path.warm()?;
    let before = count(&path.agent, "routed")?;
    let mut sent = 0;
    // Every carry of the checksum: its high byte comes with the TTL, the rest with the identification.
    for hops in [2, 3, 64, 128, 254, 255] {
        for id in (0..=0xffff_u32).step_by(0x0fff) {
            let packet = path.packet(true).ip_id(id);
            path.cross(&packet, hops)?;
            sent += 1;
        }
        let packet = path.packet(false);
        path.cross(&packet, hops)?;
        sent += 1;
    }
    // Fragments are routed as they are; the first says what they are of.
    let packet = path.packet(true).ip_id(7).payload([9; 200]);
    let onward = packet.clone().hops(63).from_mac(lab.gateway_mac("line-a")).to_mac(lab.host("plc-1").mac());
    for frame in packet.hops(64).build_fragments(64) {
        path.sender.send(&frame)?;
        sent += 1;
    }
    for wanted in onward.build_fragments(64) {
        path.watch.wait_for(|frame| frame == wanted, DEADLINE)?;
    }
    let routed = count(&path.agent, "routed")? - before;
    // One to each neighbour goes through the stack every 17 seconds, and one of either family may be due.
    ensure!(routed + 8 >= sent && routed <= sent, "{routed} of {sent}: {}", path.agent.ask(&["status"])?);
    path.agent.stop()
}

#[test]
fn the_stack_answers_what_cannot_go_on() -> Result<()> {
    let lab = lab(Gateway::Routes)?;
    let mut path = Path::new(&lab)?;
    path.warm()?;
    let back = lab.host("scada").raw("eth0")?;
    let icmp = |kind: [u8; 2], v4: bool| {
        let at = if v4 { 34 } else { 54 };
        let ether = if v4 { [8, 0] } else { [0x86, 0xdd] };
        let matches = move |frame: &[u8]| frame[12..14] == ether && frame.get(at..at + 2) == Some(&kind[..]);
        back.wait_for(matches, DEADLINE).map(|_| ())
    };
    for v4 in [true, false] {
        let packet = path.packet(v4).hops(1);
        path.left(&packet, "ttl-expiring")?;
        icmp(if v4 { [11, 0] } else { [3, 0] }, v4)?;
    }
    lab.gateway().check(&["ip", "link", "set", "line-a", "mtu", "1280"])?;
    for v4 in [true, false] {
        let packet = path.packet(v4).payload([1; 1300]);
        let packet = if v4 { packet.dont_fragment() } else { packet };
        path.left(&packet, "too-large")?;
        icmp(if v4 { [3, 4] } else { [2, 0] }, v4)?;
        // What fits goes on.
        let packet = path.packet(v4).payload([1; 1200]);
        path.cross(&packet, 64)?;
    }
    path.agent.stop()
}

#[test]
fn a_neighbour_that_is_not_known_is_asked_for() -> Result<()> {
    let lab = lab(Gateway::Routes)?;
    let mut path = Path::new(&lab)?;
    path.warm()?;
    for (v4, family) in [(true, "-4"), (false, "-6")] {
        lab.gateway().check(&["ip", family, "neighbour", "flush", "dev", "line-a"])?;
        let packet = path.packet(v4);
        let before = count(&path.agent, "unresolved-neighbour")?;
        // It waits in the stack until the neighbour has answered, and then arrives.
        path.cross(&packet, 64)?;
        ensure!(count(&path.agent, "unresolved-neighbour")? == before + 1);
    }
    path.warm()?;
    path.agent.stop()
}

#[test]
fn what_is_out_of_the_ordinary_is_left_to_the_stack() -> Result<()> {
    let lab = lab(Gateway::Routes)?;
    let gateway = lab.gateway();
    gateway.check(&["ip", "link", "add", "extra", "type", "veth", "peer", "far"])?;
    for words in [
        &["link", "set", "extra", "up"][..],
        &["link", "set", "far", "up"],
        &["route", "add", "10.99.0.1", "dev", "extra"],
        &["neighbour", "add", "10.99.0.1", "lladdr", "02:00:00:00:00:01", "dev", "extra"],
        &["route", "add", "blackhole", "10.99.0.2"],
        &["route", "add", "unreachable", "10.99.0.3"],
        &["route", "add", "prohibit", "10.99.0.4"],
        &["route", "add", "10.99.0.5", "via", "10.10.1.6"],
    ] {
        gateway.check(&[&["ip"], words].concat())?;
    }
    let mut path = Path::new(&lab)?;
    path.warm()?;
    for (to, cause) in [
        ("10.99.0.2", "forbidden-route"),
        ("10.99.0.3", "forbidden-route"),
        ("10.99.0.4", "forbidden-route"),
        ("10.99.0.9", "local-or-no-route"),
        ("10.20.0.1", "local-or-no-route"),
        ("10.20.0.255", "local-or-no-route"),
    ] {
        let packet = path.packet_to(to)?;
        path.left(&packet, cause).with_context(|| to.to_owned())?;
    }
    // The way out has no zone: once the neighbour was confirmed, that is said, and the stack sends it.
    let far = gateway.raw("far")?;
    let packet = path.packet_to("10.99.0.1")?;
    path.left(&packet, "confirming-neighbour")?;
    let packet = path.packet_to("10.99.0.1")?;
    path.left(&packet, "other-interface")?;
    let is_it = |frame: &[u8]| frame[12..14] == [8, 0] && frame[30..34] == [10, 99, 0, 1];
    far.wait_for(is_it, DEADLINE)?;
    let out = far.wait_for(is_it, DEADLINE)?;
    ensure!(out[22] == 63 && out[..6] == [2, 0, 0, 0, 0, 1], "{out:02x?}");
    // Back to where it came from: resolved first.
    until("the workstation is known", || {
        let packet = path.packet_to("10.99.0.5")?;
        let before = count(&path.agent, "same-interface")?;
        path.sender.send(&packet.build())?;
        Ok(count(&path.agent, "same-interface")? > before)
    })?;

    let packet = path.packet(true).ip_options(&[1, 1, 1, 1]);
    path.left(&packet, "ip-options")?;
    let packet = path.packet(true).vlan(20);
    path.left(&packet, "tagged")?;
    let packet = path.packet(true).to_mac(Mac([2, 7, 7, 7, 7, 7]));
    path.left(&packet, "other-hardware-address")?;
    let packet = path.packet(true).to_mac(Mac::BROADCAST);
    path.left(&packet, "other-hardware-address")?;
    let arp = Packet::arp_request(lab.host("scada").ipv4(), [10, 10, 0, 1].into());
    path.left(&arp.from_mac(lab.host("scada").mac()), "not-ip")?;
    path.agent.set_mode(Mode::Alert)?;
    for source in ["127.0.0.1", "0.1.2.3", "224.0.0.5", "255.255.255.255"] {
        let source: std::net::Ipv4Addr = source.parse()?;
        let packet = Packet::udp((source, 40_000), (lab.host("plc-1").ipv4(), ECHO));
        path.left(&packet.to_mac(lab.gateway_mac("control")), "strange-source")?;
    }
    path.agent.set_mode(Mode::Enforce)?;
    path.warm()?;
    gateway.sysctl(&[("net/ipv4/ip_forward", "0"), ("net/ipv6/conf/all/forwarding", "0")])?;
    for v4 in [true, false] {
        let packet = path.packet(v4);
        path.left(&packet, "forwarding-off")?;
    }
    path.agent.stop()
}

#[test]
fn another_hardware_address_and_an_interface_made_again_are_followed() -> Result<()> {
    let lab = lab(Gateway::Routes)?;
    let mut path = Path::new(&lab)?;
    path.warm()?;
    let new = Mac([2, 1, 9, 9, 9, 9]);
    lab.gateway().check(&["ip", "link", "set", "control", "address", &new.to_string()])?;
    until("packets to the new address take the fast path", || {
        let packet = path.packet(true).to_mac(new);
        let before = count(&path.agent, "routed")?;
        path.sender.send(&packet.build())?;
        Ok(count(&path.agent, "routed")? > before)
    })?;
    let packet = path.packet(true);
    path.left(&packet, "other-hardware-address")?;
    lab.gateway().check(&[
        "ip",
        "link",
        "set",
        "control",
        "address",
        &lab.gateway_mac("control").to_string(),
    ])?;
    super::wired::again(&lab, "line-a", None)?;
    lab.gateway().check(&["ip", "address", "add", "10.20.0.1/24", "dev", "line-a"])?;
    lab.gateway().check(&["ip", "address", "add", "fd00:20::1/64", "dev", "line-a", "nodad"])?;
    path.agent.process().wait_stderr(|line| line.contains("`line-a` was made again"), DEADLINE)?;
    until("packets take the fast path again", || {
        let packet = path.packet(true);
        let before = count(&path.agent, "routed")?;
        path.sender.send(&packet.build())?;
        Ok(count(&path.agent, "routed")? > before)
    })?;
    path.agent.stop()
}
