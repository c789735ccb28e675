//! Answers of UDP and their questions: when, between whom, and what the payload says.

use std::time::Duration;

use banchi::datapath::Options;
use banchi_common::direction::Class;
use banchi_common::reason::{Orientation, Reason};
use banchi_tests::Endpoint;
use banchi_tests::packet::Packet;

use crate::site::{Site, Want, back, case, drops, forward, related, reports};

/// The zones are VLANs of one interface: question and answer pass the same program.
const PLANT: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [lan], vlans: [10], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [lan], vlans: [20], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada:   { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  hmi:     { zone: control, addresses: [10.10.1.6, "fd00:10::6"] }
  campus:  { zone: control, addresses: [10.10.0.0/16, "fd00:10::/64"] }
  office:  { zone: control, addresses: [10.10.8.0/22, "fd00:10::8:0/112"] }
  heard:   { zone: control, addresses: [10.10.255.255, "ff02::1:5"] }
  plc:     { zone: line-a, addresses: [10.20.0.11, "fd00:20::11"] }
  plc-2:   { zone: line-a, addresses: [10.20.0.12, "fd00:20::12"] }
  all-plc: { zone: line-a, addresses: [255.255.255.255, "ff02::1:7"] }
"#;

const SCADA: [&str; 2] = ["10.10.1.5", "fd00:10::5"];
const HMI: [&str; 2] = ["10.10.1.6", "fd00:10::6"];
const OFFICE: [&str; 2] = ["10.10.9.9", "fd00:10::8:9"];
const OFFICE_2: [&str; 2] = ["10.10.9.10", "fd00:10::8:a"];
const HEARD: [&str; 2] = ["10.10.255.255", "ff02::1:5"];
const PLC: [&str; 2] = ["10.20.0.11", "fd00:20::11"];
const PLC_2: [&str; 2] = ["10.20.0.12", "fd00:20::12"];
const ALL: [&str; 2] = ["255.255.255.255", "ff02::1:7"];

const SECOND: u64 = 1_000_000_000;

/// A plant with one service and rules, and its clock.
struct Talk {
    site: Site,
    family: usize,
    now: u64,
}

/// The talk of both families: their rules are the same, their tables are not.
fn both(service: &str, rules: &str, talk: impl Fn(&mut Talk)) {
    for family in [0, 1] {
        let yaml = format!(
            "{PLANT}\nservices: {{ it: {{ transport: udp, {service} }} }}\nconduits:\n  \
             - {{ between: [control, line-a], allow: [{rules}] }}\n"
        );
        talk(&mut Talk { site: Site::with(&yaml, options()), family, now: SECOND });
    }
}

fn options() -> Options {
    Options { trace: true, test_clock: true, suppress_ms: 0, events_per_second: 0, ..Options::default() }
}

impl Talk {
    /// What happens some nanoseconds later.
    fn after(&mut self, ns: u64) -> &mut Self {
        self.now += ns;
        self
    }

    /// A datagram between two hosts and ports, and what becomes of it.
    fn says(&mut self, why: &str, from: ([&str; 2], u16), to: ([&str; 2], u16), want: Want) -> &mut Self {
        self.sends(why, from, to, &[0x5a; 4], want)
    }

    fn sends(
        &mut self,
        why: &str,
        (from, source): ([&str; 2], u16),
        (to, destination): ([&str; 2], u16),
        payload: &[u8],
        want: Want,
    ) -> &mut Self {
        let end = |host: [&str; 2], port| {
            (host[self.family].parse::<std::net::IpAddr>().expect("an address"), port).endpoint()
        };
        let vlan = if [PLC, PLC_2, ALL].contains(&from) { 20 } else { 10 };
        let packet = Packet::udp(end(from, source), end(to, destination)).payload(payload).vlan(vlan);
        let now = self.now;
        self.site.view("lan", |view| view.set_time(now).expect("the kernel writes the clock"));
        let why = format!("{why} (IPv{} at {now} ns)", [4, 6][self.family]);
        self.site.check([case(why, "lan", packet, want)]);
        self
    }
}

fn unsolicited() -> Want {
    drops(Reason::UnsolicitedReply).of("it", Orientation::Return)
}

#[test]
fn of_an_exact_tuple() {
    let rule = "{ name: it, client: [scada, hmi], server: [plc, plc-2], service: it }";
    let (scada, hmi, plc, plc_2) = ((SCADA, 9600), (HMI, 9600), (PLC, 9600), (PLC_2, 9600));
    both("port: 9600, source_port: [9600, 9601], reply: { window: 2s }", rule, |talk| {
        talk.says("an answer before any question", plc, scada, unsolicited())
            .says("a question", scada, plc, forward("it"))
            .says("an answer at once", plc, scada, back("it"))
            .says("a second one", plc, scada, back("it"))
            .says("an answer of another server", plc_2, scada, unsolicited())
            .says("an answer to another client", plc, hmi, unsolicited())
            .says("an answer to another port of the client", plc, (SCADA, 9601), unsolicited())
            .after(2 * SECOND)
            .says("at the last moment of the window", plc, scada, back("it"))
            .after(1)
            .says("a nanosecond later", plc, scada, unsolicited())
            .says("what is too late does not open the window", plc, scada, unsolicited())
            .says("a new question", scada, plc, forward("it"))
            .says("and its answer", plc, scada, back("it"))
            .after(SECOND)
            .says("each question", scada, plc, forward("it"))
            .after(2 * SECOND)
            .says("begins the window anew", plc, scada, back("it"))
            .after(48 * 3600 * SECOND)
            .says("days later", plc, scada, unsolicited());
    });
}

/// Time is counted from boot, and what was never asked was not asked at boot.
#[test]
fn right_after_boot() {
    let rule = "{ name: it, client: [scada], server: [plc], service: it }";
    both("port: 9600, source_port: [9600], reply: { window: 24h }", rule, |talk| {
        talk.now = 1;
        talk.says("never asked", (PLC, 9600), (SCADA, 9600), unsolicited());
    });
    let rule = "{ name: it, client: [office], server: [plc], service: it }";
    both("port: 9600, reply: { window: 24h }", rule, |talk| {
        talk.now = 1;
        talk.says("never asked", (PLC, 9600), (OFFICE, 40_000), unsolicited())
            .says("a question", (OFFICE, 40_000), (PLC, 9600), forward("it"))
            .after(1)
            .says("its answer", (PLC, 9600), (OFFICE, 40_000), back("it"));
    });
}

#[test]
fn of_a_wide_rule() {
    let rule = "{ name: it, client: [office], server: [plc, plc-2], service: it }";
    // That the broadcast address of the campus has a name makes no difference to the hosts in it.
    let wider = "{ name: it, client: [campus], server: [plc, plc-2], service: it }, \
                 { client: hmi, server: plc, service: it, reply_to: heard }";
    for rule in [rule, wider] {
        both("port: [9600, 9601], reply: { window: 30s }", rule, |talk| {
            let (client, plc) = ((OFFICE, 40_000), (PLC, 9600));
            talk.says("an answer before any question", plc, client, unsolicited())
                .says("a question", client, plc, forward("it"))
                .says("its answer", plc, client, back("it"))
                .says("an answer to another client", plc, (OFFICE_2, 40_000), unsolicited())
                .says("an answer to another port", plc, (OFFICE, 40_001), unsolicited())
                .says("an answer of another server", (PLC_2, 9600), client, unsolicited())
                .says("an answer from another port", (PLC, 9601), client, unsolicited())
                .after(30 * SECOND)
                .says("at the last moment of the window", plc, client, back("it"))
                .after(1)
                .says("a nanosecond later", plc, client, unsolicited())
                .says("a new question", client, plc, forward("it"))
                .says("and its answer", plc, client, back("it"));
        });
    }
}

#[test]
fn thirty_seconds_unless_it_says_otherwise() {
    let rule = "{ name: it, client: [scada], server: [plc], service: it }";
    both("port: 9600, source_port: [9600]", rule, |talk| {
        let (scada, plc) = ((SCADA, 9600), (PLC, 9600));
        talk.says("a question", scada, plc, forward("it"))
            .after(30 * SECOND)
            .says("in time", plc, scada, back("it"))
            .after(1)
            .says("too late", plc, scada, unsolicited());
    });
}

#[test]
fn from_another_port() {
    let exact = "{ name: it, client: [scada, hmi], server: [plc, plc-2], service: it }";
    let wide = "{ name: it, client: [office, scada, hmi], server: [plc, plc-2], service: it }";
    for rule in [exact, wide] {
        both(
            "port: 5094, source_port: [5000], reply: { window: 2s }, reply_from: [5095-5097]",
            rule,
            |talk| {
                let (scada, asked, answers) = ((SCADA, 5000), (PLC, 5094), (PLC, 5096));
                talk.says("an answer before any question", answers, scada, unsolicited())
                    .says("a question", scada, asked, forward("it"))
                    .says("an answer from the port that was asked", asked, scada, back("it"))
                    .says("an answer from another port", answers, scada, back("it"))
                    .says("to another client", answers, (HMI, 5000), unsolicited())
                    .says("of another server", (PLC_2, 5096), scada, unsolicited())
                    .says("nobody asks that port", scada, answers, drops(Reason::UnlistedService).near("it"))
                    .says(
                        "the port below those of answers is the one that is asked, the one above is none",
                        (PLC, 5098),
                        scada,
                        drops(Reason::UnlistedService).near("it"),
                    )
                    .after(2 * SECOND)
                    .says("in time", answers, scada, back("it"))
                    .after(1)
                    .says("too late", answers, scada, unsolicited());
            },
        );
    }
    both("port: 5094, source_port: same, reply_from: any", exact, |talk| {
        let scada = (SCADA, 5094);
        talk.says("a question", scada, (PLC, 5094), forward("it"))
            .says("from any port, to the one that the client has", (PLC, 61_000), scada, back("it"))
            .says("to no other", (PLC, 61_000), (SCADA, 61_000), drops(Reason::UnlistedService).near("it"));
    });
}

#[test]
fn to_a_group() {
    let rule = "{ name: it, client: [scada], server: [plc, plc-2], service: it, reply_to: heard }";
    both("port: 61450, source_port: [5000], reply: { window: 2s }", rule, |talk| {
        let (scada, heard, plc) = ((SCADA, 5000), (HEARD, 5000), (PLC, 61_450));
        talk.says("an answer to all before any question", plc, heard, unsolicited())
            .says("a question", scada, plc, forward("it"))
            .says("its answer to the client", plc, scada, back("it"))
            .says("its answer to all", plc, heard, back("it"))
            .says("of a server that nobody asked", (PLC_2, 61_450), heard, unsolicited())
            .says("on another port", plc, (HEARD, 5001), drops(Reason::SourcePortDeviation).near("it"))
            .says("a group asks nothing", heard, plc, drops(Reason::Malformed).of("it", Orientation::Forward))
            .after(2 * SECOND)
            .says("in time", plc, heard, back("it"))
            .after(1)
            .says("too late", plc, heard, unsolicited());
    });
}

#[test]
fn asked_of_a_group() {
    let rule = "{ name: all, client: [scada, hmi], server: all-plc, service: it }, \
                { name: it, client: [scada, hmi], server: [plc, plc-2], service: it }";
    for source in ["[5000]", "ephemeral, direction: { at: 9, mask: 1, request: 0, response: 1 }"] {
        both(&format!("port: 5560, reply: {{ window: 2s }}, source_port: {source}"), rule, |talk| {
            let port = if source.starts_with('[') { 5000 } else { 40_000 };
            let (scada, all, plc, plc_2) = ((SCADA, port), (ALL, 5560), (PLC, 5560), (PLC_2, 5560));
            talk.says("an answer before any question", plc, scada, unsolicited())
                .says("a question to one", scada, plc, forward("it"))
                .says("another one does not answer", plc_2, scada, unsolicited())
                .after(2 * SECOND + 1)
                .says("a question to all", scada, all, forward("all"))
                .says("one answers", plc, scada, back("it"))
                .says("and another one", plc_2, scada, back("it"))
                .says("to another client", plc, (HMI, port), unsolicited())
                .after(2 * SECOND)
                .says("in time", plc_2, scada, back("it"))
                .after(1)
                .says("too late", plc_2, scada, unsolicited());
        });
    }
}

/// A byte of the payload tells, so that no question is needed, unless the window is strict.
#[test]
fn of_an_answer_that_shows_itself_as_one() {
    let rule = "{ name: it, client: [scada], server: [plc], service: it }";
    let direction = "direction: { at: 0, mask: 0x40, request: 0x00, response: 0x40 }";
    let (scada, plc) = ((SCADA, 9600), (PLC, 9600));
    let reversed = |way| drops(Reason::ReversedDirection).of("it", way);
    for (strict, unasked) in [("", back("it")), (", strict: true", unsolicited())] {
        let service = format!("port: 9600, source_port: same, {direction}, reply: {{ window: 2s{strict} }}");
        both(&service, rule, |talk| {
            talk.sends(
                "a response before any question",
                plc,
                scada,
                &[0xc0],
                unasked.clone().class(Class::Response),
            )
            .sends("an empty answer", plc, scada, &[], unsolicited().class(Class::Undecidable))
            .sends(
                "a server's request",
                plc,
                scada,
                &[0x80],
                reversed(Orientation::Return).class(Class::Request),
            )
            .sends(
                "a client's response is an answer that nobody gives",
                scada,
                plc,
                &[0x40],
                reversed(Orientation::Forward).class(Class::Response),
            )
            .sends("which asked nothing", plc, scada, &[], unsolicited())
            .sends("a request", scada, plc, &[0x80], forward("it").class(Class::Request))
            .sends("its response", plc, scada, &[0x40], back("it").class(Class::Response))
            .sends("an empty answer", plc, scada, &[], back("it").class(Class::Undecidable))
            .after(2 * SECOND + 1)
            .sends("a response that is late", plc, scada, &[0x40], unasked.clone())
            .sends("an empty question", scada, plc, &[], forward("it").class(Class::Undecidable))
            .sends("its response", plc, scada, &[0x40], back("it"));
        });
    }
}

#[test]
fn without_a_question() {
    let rule = "{ name: it, client: [scada], server: [plc], service: it }";
    both("port: 2222, source_port: [2222], reply: free", rule, |talk| {
        talk.says("free answers need no question", (PLC, 2222), (SCADA, 2222), back("it"));
    });
    both("port: 514, source_port: [514], reply: none", rule, |talk| {
        talk.says("a question", (SCADA, 514), (PLC, 514), forward("it")).says(
            "there are no answers",
            (PLC, 514),
            (SCADA, 514),
            drops(Reason::ReversedDirection).of("it", Orientation::Return),
        );
    });
}

#[test]
fn where_both_sides_ask() {
    let rule = "{ name: it, client: [scada], server: [plc], service: it }";
    both("port: 5001, source_port: [40000], reply: { window: 2s }, peer: true", rule, |talk| {
        let of_plc = |want: Want, way| want.of("it", way);
        talk.says("an answer of the server before any question", (PLC, 5001), (SCADA, 40_000), unsolicited())
            .says("an answer of the client before any question", (SCADA, 5001), (PLC, 40_000), unsolicited())
            .says(
                "the server asks",
                (PLC, 40_000),
                (SCADA, 5001),
                of_plc(forward("it"), Orientation::Forward),
            )
            .says("the client answers", (SCADA, 5001), (PLC, 40_000), back("it"))
            .says("which is no question of its own", (PLC, 5001), (SCADA, 40_000), unsolicited())
            .after(2 * SECOND + 1)
            .says("too late", (SCADA, 5001), (PLC, 40_000), unsolicited());
    });
    both("port: 5001, source_port: same, peer: true", rule, |talk| {
        talk.says("with one port, each packet may be a question", (PLC, 5001), (SCADA, 5001), forward("it"))
            .says("of either side", (SCADA, 5001), (PLC, 5001), forward("it"));
    });
}

/// What was asked before the program ran cannot be known: such answers are reported first.
#[test]
fn in_the_first_moments() {
    let rule = "{ name: it, client: [scada], server: [plc], service: it }";
    both("port: 9600, source_port: [9600], reply: { window: 2s }", rule, |talk| {
        let (scada, plc) = ((SCADA, 9600), (PLC, 9600));
        let reported = || reports(Reason::UnsolicitedReply).of("it", Orientation::Return);
        // The end of the grace is a time since boot, of which the test's clock knows nothing.
        let grace = |talk: &Talk, length| {
            talk.site.view("lan", |view| view.grace(length).expect("the kernel writes the time"));
        };
        talk.says("without a grace", plc, scada, unsolicited());
        grace(talk, Duration::from_secs(3600));
        talk.says("reported, and not dropped", plc, scada, reported());
        talk.says("nothing else passes", plc, (SCADA, 9601), drops(Reason::SourcePortDeviation));
        talk.now = u64::MAX / 2;
        talk.says("when it is over", plc, scada, unsolicited());
        talk.now = SECOND;
        grace(talk, Duration::ZERO);
        talk.says("when it was ended", plc, scada, unsolicited());
    });
}

/// Who has no address yet asks from 0.0.0.0: that is not everybody.
#[test]
fn of_a_client_without_an_address() {
    let site = Site::with(
        "
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [lan], vlans: [10], networks: [0.0.0.0/0] }
  line-a:  { interfaces: [lan], vlans: [20], networks: [10.20.0.0/24] }
assets:
  all:  { zone: control, address: 0.0.0.0/0 }
  plc:  { zone: line-a, address: 10.20.0.11 }
  cast: { zone: line-a, address: 239.192.0.2 }
services: { it: { transport: udp, port: 6005 } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: down, client: all, server: cast, service: it }
      - { name: up, client: plc, server: all, service: it, reply_to: cast }
",
        options(),
    );
    site.check([
        case(
            "a question to all, from no address",
            "lan",
            Packet::udp("0.0.0.0:40000", "239.192.0.2:6005").vlan(10),
            forward("down"),
        ),
        case(
            "an answer to all, to what plc has not asked",
            "lan",
            Packet::udp("10.10.0.6:6005", "239.192.0.2:40000").vlan(10),
            drops(Reason::UnsolicitedReply).of("up", Orientation::Return),
        ),
    ]);
}

/// An ICMP error belongs to what a rule allows: nobody may ask the ports that only answer.
#[test]
fn errors_about_answers() {
    let site = Site::with(
        &format!(
            "{PLANT}\nservices: {{ it: {{ transport: udp, port: 5094, reply_from: 5095 }} }}\nconduits:\n  \
             - {{ between: [control, line-a], allow: [{{ client: scada, server: plc, service: it }}] }}\n"
        ),
        options(),
    );
    for (scada, plc) in [(SCADA[0], PLC[0]), (SCADA[1], PLC[1])] {
        let end = |host: &str, port| (host.parse::<std::net::IpAddr>().expect("an address"), port).endpoint();
        let about = |from: std::net::SocketAddr, to: std::net::SocketAddr| {
            let vlan = if from.ip().to_string() == scada { 20 } else { 10 };
            Packet::port_unreachable(to.ip(), &Packet::udp(from, to)).vlan(vlan)
        };
        let (client, asked, answers) = (end(scada, 40_000), end(plc, 5094), end(plc, 5095));
        site.check([
            case("about a question", "lan", about(client, asked), related()),
            case("about an answer", "lan", about(asked, client), related()),
            case("about an answer from another port", "lan", about(answers, client), related()),
            case(
                "about a question to that port",
                "lan",
                about(client, answers),
                drops(Reason::UnrelatedIcmpError),
            ),
        ]);
    }
}
