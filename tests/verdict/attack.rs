//! A flood of forged and greedy conversations, and what it does to those of others: nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use banchi::datapath::{Datapath, Options};
use banchi::policy::model::EPHEMERAL;
use banchi_common::abi::{Setting, WAYS};
use banchi_tests::packet::Packet;
use fastrand::Rng;

use crate::site::Site;

/// Zones are VLANs of one interface, so that question and answer pass the same program.
const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [lan], vlans: [10], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [lan], vlans: [20], networks: [10.20.0.0/24] }
assets:
  scada:  { zone: control, address: 10.10.1.5 }
  office: { zone: control, address: 10.10.0.0/16 }
  plc:    { zone: line-a, address: 10.20.0.11 }
  line:   { zone: line-a, address: 10.20.0.0/24 }
  heard:  { zone: control, address: 10.10.255.255 }
services:
  bacnet: { transport: udp, port: 47808, source_port: same }
  wide:   { transport: udp, port: 5000-6000, source_port: any }
  cyclic: { transport: udp, port: 61450, source_port: same }
conduits:
  - between: [control, line-a]
    allow:
      - { name: exact, client: scada, server: plc, service: bacnet }
      - { name: wide, client: office, server: line, service: wide }
      - { name: cyclic, client: scada, server: plc, service: cyclic, reply_to: heard }
"#;

const SEED: u64 = 0x6261_6e63_6869;
const ROUNDS: usize = 1_000;
const FORGED_A_ROUND: usize = 600;
const GREEDY_A_ROUND: usize = 400;

const SCADA: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 5);
const HONEST: Ipv4Addr = Ipv4Addr::new(10, 10, 7, 7);
const GREEDY: Ipv4Addr = Ipv4Addr::new(10, 10, 66, 66);
const PLC: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 11);

type End = (Ipv4Addr, u16);

/// A program, and the milliseconds that its clock has gone on.
struct Lan<'d> {
    view: &'d mut Datapath,
    ms: u64,
    sent: usize,
}

impl Lan<'_> {
    /// Whether a datagram passes.
    fn passes(&mut self, vlan: u16, from: End, to: End) -> bool {
        let ends = |(host, port): End| SocketAddr::new(host.into(), port);
        let frame = Packet::udp(ends(from), ends(to)).payload([0x5a; 4]).vlan(vlan).build();
        self.sent += 1;
        !self.view.test_drop(&frame, 1).expect("the kernel runs the program")
    }

    /// From the clients' side.
    fn asks(&mut self, from: End, to: End) -> bool {
        self.passes(10, from, to)
    }

    /// From the servers' side.
    fn answers(&mut self, from: End, to: End) -> bool {
        self.passes(20, from, to)
    }

    fn pass_ms(&mut self, ms: u64) {
        self.ms += ms;
        self.view.set_time(self.ms * 1_000_000).expect("the kernel writes the clock");
    }

    /// One packet of somebody who forges addresses and ports, from either side; many fit the wide rule. Whether it
    /// is one more question that somebody seems to have asked.
    fn forge(&mut self, rng: &mut Rng) -> bool {
        let any = |rng: &mut Rng| Ipv4Addr::from_bits(rng.u32(..));
        let port = |rng: &mut Rng| if rng.bool() { rng.u16(5000..=6000) } else { rng.u16(..) };
        let from = (Ipv4Addr::new(10, 10, rng.u8(..), rng.u8(..)), port(rng));
        let to = (Ipv4Addr::new(10, 20, 0, rng.u8(..)), port(rng));
        let answer = match rng.u8(0..10) {
            0 => return self.asks((any(rng), port(rng)), to),
            1 => return self.asks(from, (any(rng), port(rng))),
            2 => return self.asks((SCADA, port(rng)), (PLC, 47_808)),
            3..7 => return self.asks(from, to),
            7 => (to, from),
            8 => ((any(rng), port(rng)), from),
            // As to the honest one, but for the ports.
            _ => ((PLC, port(rng)), (HONEST, port(rng))),
        };
        self.answers(answer.0, answer.1);
        false
    }
}

fn with_lan(test: impl FnOnce(&mut Lan<'_>, usize)) {
    let options = Options { test_clock: true, ..Options::default() };
    let site = Site::with(POLICY, options);
    let room = site.image.setting(Setting::ConversationBuckets) as usize * WAYS;
    site.view("lan", |view| {
        let mut lan = Lan { view, ms: 0, sent: 0 };
        lan.pass_ms(1);
        let start = Instant::now();
        test(&mut lan, room);
        println!("{} packets in {:.1} s", lan.sent, start.elapsed().as_secs_f64());
    });
}

/// A round is 20 ms: at 1,000 packets, a flood of 50,000 a second between a question and its answer.
#[test]
fn no_flood_takes_an_honest_answer() {
    with_lan(|lan, _| {
        let mut rng = Rng::with_seed(SEED);
        let (scada, bacnet) = ((SCADA, 47_808), (PLC, 47_808));
        let (mut noted, mut allowed) = ([0; 2], [0; 2]);
        for _ in 0..ROUNDS {
            lan.pass_ms(20);
            let honest = (HONEST, rng.u16(EPHEMERAL.first..));
            let asked = (PLC, rng.u16(5000..=6000));
            assert!(lan.asks(scada, bacnet), "the honest question, same port");
            assert!(lan.asks(honest, asked), "the honest question, ephemeral port");
            let mut flood = [true; FORGED_A_ROUND + GREEDY_A_ROUND];
            flood[..GREEDY_A_ROUND].fill(false);
            rng.shuffle(&mut flood);
            for forged in flood {
                if forged {
                    noted[0] += usize::from(lan.forge(&mut rng));
                } else {
                    let (from, to) = ((GREEDY, rng.u16(..)), (PLC, rng.u16(5000..=6000)));
                    noted[1] += usize::from(lan.asks(from, to));
                }
            }
            allowed[0] += usize::from(lan.answers(bacnet, scada));
            allowed[1] += usize::from(lan.answers(asked, honest));
        }
        assert_eq!(allowed, [ROUNDS; 2], "honest answers, same port and ephemeral port");
        assert_eq!(noted[1], ROUNDS * GREEDY_A_ROUND, "the rule lets the greedy one ask");
        assert!(noted[0] > ROUNDS * FORGED_A_ROUND / 10, "too few forged questions fit: {}", noted[0]);
        println!(
            "all of {} honest answers allowed; {} forged questions and {} of one host were noted",
            2 * ROUNDS,
            noted[0],
            noted[1]
        );
    });
}

/// However long one host goes on: what others have asked before stays until its window is over.
#[test]
fn one_host_holds_half_of_the_table_at_most() {
    with_lan(|lan, room| {
        let plc = |port| (PLC, 5000 + port);
        let honest: Vec<(End, End)> = (0..200).map(|n| ((HONEST, 40_000 + n), plc(n))).collect();
        assert!(honest.iter().all(|(from, to)| lan.asks(*from, *to)), "the honest questions");
        lan.pass_ms(1);
        // Three times what one host may hold.
        let greedy = || (0..3u16).flat_map(|to| (0..=u16::MAX).map(move |port| ((GREEDY, port), plc(to))));
        assert!(greedy().all(|(from, to)| lan.asks(from, to)), "the greedy questions");
        lan.pass_ms(29_000);
        let kept = honest.iter().filter(|(from, to)| lan.answers(*to, *from)).count();
        let held = greedy().filter(|(from, to)| lan.answers(*to, *from)).count();
        println!(
            "of {} conversations of one host the table holds {held}, of room for {room}",
            greedy().count()
        );
        assert_eq!(kept, honest.len(), "honest answers");
        assert!(held <= room / 2 && held > room / 2 * 9 / 10, "{held} of {room}");
    });
}
