//! A policy that takes the place of another: what was asked before may be answered after.

use banchi::datapath::{Datapath, Options};
use banchi::image::{Image, compile};
use banchi_common::reason::Reason;
use banchi_tests::packet::Packet;

use crate::site::PLANT;

const HERE: u32 = 1;
const SECOND: u64 = 1_000_000_000;

/// Line A is the interface of every packet that is run, or the control room is.
fn load(image: &Image, here: &str, older: Option<(&Datapath, &Image)>) -> Datapath {
    let indices: Vec<u32> = image
        .interfaces
        .iter()
        .zip(2..)
        .map(|(name, other)| if name == here { HERE } else { other })
        .collect();
    let options = Options { trace: true, test_clock: true, ..Options::default() };
    match older {
        Some(older) => {
            Datapath::succeed(older, image, &indices, &options, None).expect("the kernel takes the program")
        }
        None => Datapath::load(image, &indices, &options).expect("the kernel takes the program"),
    }
}

fn image(assets: &str, service: &str) -> Image {
    let yaml = format!(
        "{PLANT}{assets}services:\n  s: {{ transport: udp, port: 47808, {service} }}\n  icmp: {{ transport: icmp }}
conduits:\n  - between: [control, line-a]\n    allow:
      - {{ client: [scada, hmi], server: [plc, plc-2], service: s }}
      - {{ client: hmi, server: plc, service: icmp }}\n"
    );
    let loaded = banchi::policy::load("test.yaml", &yaml);
    compile(&loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))).expect("it compiles")
}

#[test]
fn answers_find_their_questions_in_the_next_policy() {
    // Other hosts move every node and every place of the index.
    let more = "  a: { zone: control, addresses: [10.10.0.1-10.10.0.9, 'fd00:10::1'] }
  b: { zone: line-a, addresses: [10.20.0.1-10.20.0.9, 'fd00:20::2'] }\n";
    let hosts = [("10.10.1.5", "10.20.0.11"), ("10.10.1.6", "10.20.0.12"), ("[fd00:10::5]", "[fd00:20::11]")];
    for (service, port) in [("source_port: same", 47808), ("source_port: any", 40000)] {
        let (before, after) = (image("", service), image(more, service));
        assert_ne!(before.index, after.index, "the places differ");
        let mut older = load(&before, "control", None);
        older.set_time(100 * SECOND).unwrap();
        for (client, server) in hosts {
            let question =
                Packet::udp(format!("{client}:{port}").as_str(), format!("{server}:47808").as_str());
            assert_eq!(older.test_run(&question.build(), HERE).unwrap().reason, Reason::Allowed);
        }
        let answers = |datapath: &mut Datapath, at: u64| -> Vec<Reason> {
            datapath.set_time(at * SECOND).unwrap();
            let answer = |(client, server): &(&str, &str)| {
                Packet::udp(format!("{server}:47808").as_str(), format!("{client}:{port}").as_str()).build()
            };
            hosts.iter().map(|pair| datapath.test_run(&answer(pair), HERE).unwrap().reason).collect()
        };
        let mut heir = load(&after, "line-a", Some((&older, &before)));
        assert_eq!(answers(&mut heir, 130), [Reason::Allowed; 3], "{service}");
        assert_eq!(answers(&mut heir, 131), [Reason::UnsolicitedReply; 3], "{service}: too late");
        let mut stranger = load(&after, "line-a", None);
        assert_eq!(
            answers(&mut stranger, 130),
            [Reason::UnsolicitedReply; 3],
            "{service}: nothing was taken over"
        );
    }
}
