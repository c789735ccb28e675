//! Learnt on the first half of a capture and tested on the second: whatever would be dropped has a cause with a name.
//!
//! Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use banchi::backtest::Tested;
use banchi::capture::{Captures, Frame};
use banchi::learn::draft::{Options, draft};
use banchi::learn::key::Key;
use banchi::learn::{Flow, Ports, Table, Traffic, flows};
use banchi_common::abi::Transport;
use banchi_common::wire::{Bytes, Content, Headers, parse};

/// Frames of a file with their times, and the middle between the first and the last.
fn frames(path: &Path) -> (Vec<Frame>, Vec<String>, u64) {
    let mut captures = Captures::open(&[path.to_owned()]).unwrap();
    let (mut frames, mut frame) = (Vec::new(), Frame::default());
    while captures.next(&mut frame) {
        frames.push(frame.clone());
    }
    let first = frames.iter().map(|frame| frame.at).min().unwrap_or(0);
    let last = frames.iter().map(|frame| frame.at).max().unwrap_or(0);
    (frames, captures.interfaces().to_vec(), first + (last - first) / 2)
}

fn traffic<'f>(frames: impl Iterator<Item = &'f Frame>) -> Traffic {
    let mut table = Table::new(100_000);
    frames.for_each(|frame| table.packet(frame));
    table.finish()
}

/// Whether a packet belongs to a flow, either way round.
fn belongs(flow: &Flow, key: &Key) -> bool {
    let has = |ports: &Ports, port: u16| match ports {
        Ports::Any => true,
        Ports::Linked(one) => *one == port,
        Ports::Set(ports) => ports.contains(&port),
    };
    let groups = |address: IpAddr| {
        address == flow.server || flow.reply_to.contains(&address) || flow.asked_groups.contains(&address)
    };
    (0..2).any(|client| {
        let (client, server) = (client, 1 - client);
        let hosts = key.address(client) == flow.client && groups(key.address(server))
            || groups(key.address(client)) && key.address(server) == flow.server;
        let port = key.port(server);
        key.transport() == flow.transport
            && hosts
            && has(&flow.client_port, key.port(client))
            && (has(&flow.server_port, port) || flow.reply_from.contains(&port))
    })
}

/// Why a packet of the second half would be dropped; none where nothing explains it.
fn cause(frame: &Frame, known: &[Flow], left_out: &[Flow]) -> Option<&'static str> {
    let mut headers = Headers::default();
    if parse(&Bytes(&frame.bytes), &mut headers) != Content::Flow {
        return Some("no flow: an error, a fragment, or a protocol that is in no rule");
    }
    let key = Key::of(&headers).0;
    let (_, sender) = Key::of(&headers);
    let opens = key.transport() == Transport::Tcp && headers.tcp_flags & 0x12 == 0x02;
    let asked = |flow: &&Flow| flow.server == key.address(sender) && belongs(flow, &key);
    if opens && known.iter().any(|flow| asked(&flow)) {
        Some("a SYN without ACK of the server that the first half asked: it opens a connection")
    } else if left_out.iter().any(|flow| belongs(flow, &key)) {
        Some("the draft lists its flow as left out")
    } else if known.iter().any(|flow| belongs(flow, &key)) {
        None
    } else {
        Some("its flow was not in the first half")
    }
}

/// Packets of the second half that would be dropped, by cause; `None` where the first half makes no rule.
fn second(path: &Path) -> Option<BTreeMap<String, u64>> {
    let (frames, interfaces, middle) = frames(path);
    let first = traffic(frames.iter().filter(|frame| frame.at < middle));
    let known = flows(&first);
    let draft = draft(&first, &known, &Options { interfaces: interfaces.clone(), ..Options::default() });
    if draft.rules == 0 {
        return None;
    }
    let left_out: Vec<Flow> = draft.left_out.into_iter().map(|(flow, _)| flow).collect();
    let loaded = banchi::policy::load("first-half.yaml", &draft.text);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:#?}\n{}", loaded.diagnostics, draft.text));
    let image = banchi::image::compile(&policy).unwrap();
    // Namespaces belong to threads.
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let mut tested =
                Tested::load(&policy, &image).expect("the kernel takes the program; this needs root");
            let mut found = BTreeMap::new();
            // The first half runs too, so that its last questions are open.
            for frame in &frames {
                let fate = tested.run(frame, &interfaces).unwrap();
                if let (Some(reason), true) = (fate.against(), frame.at >= middle) {
                    let why = cause(frame, &known, &left_out).map_or_else(
                        || format!("UNEXPLAINED: {} (packet {})", reason.about().name, frame.number),
                        str::to_owned,
                    );
                    *found.entry(why).or_default() += 1;
                }
            }
            found
        });
        Some(run.join().unwrap())
    })
}

#[test]
fn what_the_second_half_loses_was_not_in_the_first() {
    let Some(folder) = crate::captures() else { return };
    let (mut tested, mut clean, mut unexplained) = (0, 0, BTreeSet::new());
    for path in crate::own::files(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(found) = second(&path) else { continue };
        tested += 1;
        clean += usize::from(found.is_empty());
        for (why, packets) in &found {
            println!("{name}: {packets} packets: {why}");
            if why.starts_with("UNEXPLAINED") {
                unexplained.insert(format!("{name}: {why}"));
            }
        }
    }
    println!(
        "{tested} captures of which the first half makes a rule; the second half passes wholly in {clean}"
    );
    assert!(tested >= 20, "{tested}");
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
