//! The packets: each with the policy that it is for, and what it has to be there.

use banchi_common::reason::Reason;
use banchi_tests::lab::Mac;
use banchi_tests::packet::{Packet, flags};

use crate::traffic::{DROP, Forwarding, MODBUS, PASS, PORT, ROUTE, STACK, Service, client, host, server};

/// A packet.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) frame: Vec<u8>,
    /// Whether it comes from the servers' zone.
    pub(super) from_line: bool,
    /// What it has to be; nothing where a rule allows it.
    pub(super) reason: Option<Reason>,
    /// The question that it answers.
    pub(super) first: Option<Vec<u8>>,
    /// Whether the same packet is measured over and over.
    pub(super) is_hot: bool,
    /// Whether packets of all tuples are measured.
    pub(super) is_uniform: bool,
    /// Where the low words of the addresses are.
    pub(super) addresses_at: (u32, u32),
    /// Where a port is that becomes another one each time.
    pub(super) port_at: u32,
    /// Where TTL and protocol are, or next header and hop limit.
    pub(super) ttl_at: u32,
}

impl Case {
    fn new(name: &'static str, packet: &Packet) -> Self {
        Self {
            name,
            frame: packet.build(),
            from_line: false,
            reason: None,
            first: None,
            is_hot: true,
            is_uniform: true,
            addresses_at: (26, 30),
            port_at: 0,
            ttl_at: 22,
        }
    }

    /// The same, and what is allowed is sent to the gateway, as to a router.
    pub(super) fn to(mut self, gateway: impl Fn(&str) -> Mac) -> Self {
        if self.reason.is_none() {
            let zone = if self.from_line { "line-a" } else { "control" };
            let first = self.first.iter_mut().map(|frame| (frame, "control"));
            for (frame, zone) in std::iter::once((&mut self.frame, zone)).chain(first) {
                let bytes = frame.iter_mut().zip(gateway(zone).0);
                bytes.for_each(|(byte, wanted)| *byte = wanted);
            }
        }
        self
    }

    /// What the program says of it.
    pub(super) fn action(&self, forwarding: Forwarding) -> u32 {
        match self.reason {
            Some(_) => DROP,
            // Tagged packets are left to the stack.
            None if forwarding == ROUTE && self.name == "udp-vlan" => PASS,
            None => forwarding.action,
        }
    }

    fn answers(self, question: &Packet) -> Self {
        let first = Some(question.build());
        Self { from_line: true, is_uniform: false, first, addresses_at: (30, 26), ..self }
    }

    fn deviates(name: &'static str, reason: Reason, packet: &Packet) -> Self {
        Self { reason: Some(reason), is_uniform: false, ..Self::new(name, packet) }
    }
}

/// ReadProperty of a controller's present value: BVLC, NPDU, confirmed request.
const BACNET: [u8; 17] = [0x81, 0x0a, 0, 17, 1, 4, 0, 5, 1, 12, 0x0c, 0, 0x80, 0, 1, 0x19, 0x55];
/// Reads ten registers: transaction, protocol, length, unit, function, from, how many.
const READ: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10];
/// A client's port that the system has given.
const SOME_PORT: u16 = 50_000;

fn ask() -> Packet {
    Packet::udp((client(0), PORT), (server(0), PORT)).payload(BACNET)
}

/// The case that everything else is held against.
pub(super) fn same_port() -> Case {
    Case::new("udp-same-port", &ask())
}

/// The same from another port.
pub(super) fn source_port_deviation() -> Vec<u8> {
    Packet::udp((client(0), PORT + 1), (server(0), PORT)).payload(BACNET).build()
}

/// The policies that have cases. What deviates does so however packets leave, so that it is measured once. Of other sizes
/// and ways, a quick run has the first policy only.
pub(super) fn services(is_first: bool, forwarding: Forwarding, quick: bool) -> &'static [Service] {
    use Service::{Bacnet, Each, Ephemeral, Ipv6, Modbus, SamePort, Vlan};
    match (is_first && forwarding == STACK, quick) {
        (true, _) => &[SamePort, Bacnet, Modbus, Ephemeral, Vlan, Ipv6, Each],
        (false, true) => &[SamePort],
        (false, false) => &[SamePort, Bacnet, Modbus, Ephemeral, Vlan, Ipv6],
    }
}

/// The packets for a policy.
pub(super) fn of(service: Service) -> Vec<Case> {
    let back = Packet::udp((server(0), PORT), (client(0), PORT));
    match service {
        Service::SamePort => vec![same_port(), Case::new("udp-answer", &back).answers(&ask())],
        Service::Bacnet => vec![Case::new("udp-bacnet", &ask())],
        Service::Modbus => {
            let tcp = |flags| Packet::tcp((client(0), SOME_PORT), (server(0), MODBUS), flags);
            let segment = tcp(flags::ACK | flags::PSH).payload(READ);
            vec![Case::new("tcp-segment", &segment), Case::new("tcp-first", &tcp(flags::SYN))]
        }
        Service::Ephemeral => {
            let packet = Packet::udp((client(0), SOME_PORT), (server(0), PORT)).payload(BACNET);
            // Each packet comes from another port, so that each is the first of its conversation.
            let first = Case { is_hot: false, port_at: 34, ..Case::new("udp-first", &packet) };
            vec![Case { is_uniform: false, ..Case::new("udp-ephemeral", &packet) }, first]
        }
        Service::Vlan => {
            vec![Case { addresses_at: (30, 34), ttl_at: 26, ..Case::new("udp-vlan", &ask().vlan(10)) }]
        }
        Service::Ipv6 => {
            let [from, to] = ["[fd00:10::a0a:1]:47808", "[fd00:20::a14:1]:47808"];
            let packet = Packet::udp(from, to).payload(BACNET);
            vec![Case { addresses_at: (34, 50), ttl_at: 20, ..Case::new("udp-ipv6", &packet) }]
        }
        Service::Each => deviations(),
    }
}

/// One packet for each reason.
fn deviations() -> Vec<Case> {
    let udp = |from, to| Packet::udp((from, PORT), (to, PORT)).payload(BACNET);
    let (client, server) = (client(0), server(0));
    let bound = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]);
    let spoofed = Packet::arp_reply(Mac::of(host::IDLE.into()), host::BOUND, client);
    let quoted = Packet::udp((client, 9), (server, 9));
    let from_line = |case| Case { from_line: true, ..case };
    let deviates = Case::deviates;
    vec![
        deviates("unknown-source", Reason::UnknownSource, &udp(host::STRANGER, server)),
        deviates("unknown-destination", Reason::UnknownDestination, &udp(client, host::NOBODY)),
        deviates("unlisted-pair", Reason::UnlistedPair, &udp(host::IDLE, server)),
        deviates("unlisted-service", Reason::UnlistedService, &Packet::udp((client, 9), (server, 9))),
        deviates(
            "source-port-deviation",
            Reason::SourcePortDeviation,
            &Packet::udp((client, PORT + 1), (server, PORT)),
        ),
        deviates(
            "address-port-mismatch",
            Reason::AddressPortMismatch,
            &Packet::udp((client, 6000), (host::LINKED, 6008)),
        ),
        from_line(deviates(
            "reversed-direction",
            Reason::ReversedDirection,
            &Packet::tcp((server, MODBUS), (client, SOME_PORT), flags::SYN),
        )),
        from_line(deviates("unsolicited-reply", Reason::UnsolicitedReply, &udp(host::SILENT, client))),
        deviates("wrong-zone", Reason::WrongZone, &udp(server, client)),
        deviates("mac-mismatch", Reason::MacMismatch, &udp(host::BOUND, server)),
        deviates("arp-spoof", Reason::ArpSpoof, &spoofed.from_mac(Mac::of(host::IDLE.into())).to_mac(bound)),
        deviates("unlisted-ethertype", Reason::UnlistedEthertype, &Packet::ethernet(0x88a4, &[0; 46])),
        deviates("unlisted-protocol", Reason::UnlistedProtocol, &Packet::ip_protocol(client, server, 47)),
        deviates("orphan-fragment", Reason::OrphanFragment, &udp(client, server).fragment(64, false)),
        deviates("malformed", Reason::Malformed, &udp(client, server).claim_ip_length(12)),
        deviates("unlisted-vlan", Reason::UnlistedVlan, &udp(client, server).vlan(99)),
        from_line(deviates(
            "unrelated-icmp-error",
            Reason::UnrelatedIcmpError,
            &Packet::port_unreachable(server, &quoted),
        )),
    ]
}
